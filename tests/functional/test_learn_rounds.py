"""A learner on a real node: it learns, opens a round, plays it, has the version proven, and forgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engram.participant.learn.budget import DAY_MS, SpendingLimits
from engram.participant.learn.consolidator import STATE_NAME
from engram.participant.learn.learner import Learner
from engram.participant.learn.states import LearnState, Resting, StateFile
from engram.participant.notices import Notice
from engram.primitives.types import ZERO_HASH
from engram.statemachine.rounds.records import RoundStatus
from tests.support.learning import DEFAULTS, NEW, OLD, School, died, facts_of, running_school


async def test_classes_are_learned_consolidated_and_forgotten_again_and_again(tmp_path: Path) -> None:
    """The second growth is made with the sums of the rows that the first one has taught."""
    async with running_school(tmp_path) as school, school.learner() as learner:
        old = school.rows(*OLD, share=3)
        await learner.learn(old.features, old.labels)
        known: tuple[int, ...] = OLD
        for group in (NEW, (5, 6)):
            new = school.rows(*group)
            await learner.learn(new.features, new.labels, {label: f"digit {label}" for label in group})
            known = (*known, *group)
            test = school.rows(*known, share=4)
            for consolidated in (False, True):
                if consolidated:
                    await school.consolidated(learner)
                    assert learner.consolidator.states.now.failures == 0, school.said[-20:]
                answers = await learner.answer(test.features)
                given = zip(answers, test.labels.tolist(), strict=True)
                assert np.mean([answer.label == label for answer, label in given]) > 0.8
                assert any(answer.fast for answer in answers) is not consolidated
            assert learner.memories.unknown() == {}
            assert (await school.stage.model(school.model)).classes == len(known)
        sums = school.folder.statistics()
        assert sums is not None
        assert sums.classes == known
        assert {answer.name for answer in answers} >= {"digit 3", "digit 6"}
        status = await learner.status()
        assert (status["state"], status["version"], status["classes"]) == ("Resting", 3, 7)


async def test_a_model_whose_authors_hand_over_mixtures_is_taught(tmp_path: Path) -> None:
    async with running_school(tmp_path, "replay") as school, school.learner() as learner:
        await teach(school, learner)
        await school.consolidated(learner)
        assert learner.memories.unknown() == {}
        kept = school.folder.mixture_set()
        assert kept is not None
        assert set(kept.mixtures) == {*OLD, *NEW}
        assert school.folder.statistics() is None
        test = school.rows(*OLD, *NEW, share=4)
        answers = await learner.answer(test.features)
        given = zip(answers, test.labels.tolist(), strict=True)
        assert np.mean([answer.label == label for answer, label in given]) > 0.7
        assert not any(answer.fast for answer in answers)


async def test_what_it_would_do_is_told_and_not_done(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school:
        async with school.learner() as learner:
            assert (await learner.outlook()).action == "wait"
            await teach(school, learner)
            nonce = (await school.stage.account("opener")).nonce
            told = (await learner.outlook()).to_json()
            assert (await school.stage.account("opener")).nonce == nonce
            assert learner.consolidator.states.now == LearnState()
        assert told["action"] == "open"
        assert told["classes"] == {3: 3, 4: 4}
        assert told["odds"] > 0.5
        assert told["new_right"] > 0.7 * told["new_rows"]
        for limits in (
            SpendingLimits(round_bond=told["opener_bond"] + told["author_bond"] - 1),
            SpendingLimits(day_fee=told["opening_fee"] + told["bounty"]),
        ):
            async with school.learner(settings=replace(DEFAULTS, spending=limits)) as learner:
                assert (await learner.outlook()).action == "wait"
                await school.consolidated(learner)
                assert school.events()[-1] == "no_round"
                assert (await school.stage.account("opener")).nonce == nonce
                school.clock.now_ms += DAY_MS
        enough = SpendingLimits(round_bond=told["opener_bond"] + told["author_bond"], day_fee=10**10)
        async with school.learner(settings=replace(DEFAULTS, spending=enough)) as learner:
            before = (await school.stage.account("opener")).balance
            await school.consolidated(learner)
            assert learner.memories.unknown() == {}
            assert (await school.stage.account("opener")).balance > before - 10**10


async def test_rows_from_which_no_growth_can_be_made_are_kept(tmp_path: Path) -> None:
    """Labels without meaning: no round is opened for them, and the next attempt waits longer each time."""
    async with running_school(tmp_path) as school, school.learner() as learner:
        rows = school.rows(*NEW, 5, 6, 7, 8)
        labels = np.random.default_rng(0).integers(3, 7, rows.rows)
        old = school.rows(*OLD, share=3)
        await learner.learn(old.features, old.labels)
        await learner.learn(rows.features, labels)
        before = learner.memories.unknown()
        waits = []
        for _ in range(3):
            await school.consolidated(learner)
            state = learner.consolidator.states.now
            waits.append(state.not_before_ms - school.clock.now_ms)
            school.clock.now_ms = state.not_before_ms
        assert [notice.facts["code"] for notice in school.said] == ["growth_would_fail"] * 3
        assert waits[0] < waits[1] < waits[2]
        assert learner.memories.unknown() == before
        assert (await school.stage.model(school.model)).open_round == ZERO_HASH


async def test_a_round_that_closes_while_it_trains_costs_no_row(tmp_path: Path) -> None:
    """It dies before its update is made, and comes back when the round has ended without one."""
    async with running_school(tmp_path) as school:
        school.fails_at = lambda notice: notice.event == "verified"
        assert not await lived(school)
        for _ in range(40):
            await school.mine()
        school.fails_at = lambda notice: False
        async with school.learner() as learner:
            before = learner.memories.unknown()
            await school.consolidated(learner, blocks=1)
            assert learner.memories.unknown() == before != {}
            assert "round_lost" in school.events()
            school.clock.now_ms = learner.consolidator.states.now.not_before_ms
            await feed_more(school, learner)
            await school.consolidated(learner)
            assert learner.memories.unknown() == {}
            async with school.stage.client() as client:
                assert len(await client.call("round_list", model=school.model)) == 3


async def test_an_author_who_may_not_go_on_is_still_an_opener(tmp_path: Path) -> None:
    """The limits are lowered after the round was opened: no update is made, but the opener's bond returns."""
    async with running_school(tmp_path) as school:
        school.fails_at = lambda notice: notice.facts.get("state") == "PlayingRound"
        assert not await lived(school)
        school.fails_at = lambda notice: False
        frugal = replace(DEFAULTS, spending=SpendingLimits(round_bond=1))
        async with school.learner(settings=frugal) as learner:
            await school.consolidated(learner)
            assert "author_failed" in school.events()
            assert learner.memories.unknown()
            assert learner.consolidator.states.now.failures == 1
            async with school.stage.client() as client:
                rounds = await client.call("round_list", model=school.model)
            assert [item["status"] for item in rounds].count(RoundStatus.KEPT) == 1


async def test_a_round_that_was_given_up_and_appears_after_all_is_played(tmp_path: Path) -> None:
    """Its transaction was believed lost; a bond is at stake all the same."""
    async with running_school(tmp_path) as school:
        school.fails_at = lambda notice: notice.facts.get("state") == "PlayingRound"
        assert not await lived(school)
        school.fails_at = lambda notice: False
        states = StateFile(school.stage.folder / "learn-opener" / STATE_NAME)
        states.go(Resting(), failures=1, not_before_ms=school.clock.now_ms + DAY_MS)
        async with school.learner() as learner:
            await school.consolidated(learner)
            assert learner.memories.unknown() == {}
        async with school.stage.client() as client:
            assert len(await client.call("round_list", model=school.model)) == 2


async def teach(school: School, learner: Learner) -> None:
    for classes, share in ((OLD, 3), (NEW, 2)):
        rows = school.rows(*classes, share=share)
        await learner.learn(rows.features, rows.labels)


async def feed_more(school: School, learner: Learner) -> None:
    """Rows that were in no part of a round."""
    rows = school.rows(*OLD, *NEW, share=1)
    await learner.learn(rows.features, rows.labels)


async def test_a_learner_that_dies_at_every_step_ends_as_one_that_never_does(tmp_path: Path) -> None:
    """It dies at the first notice of every kind, as soon as it is told, and starts again from its files."""
    ends = []
    for dies in (False, True):
        async with running_school(tmp_path / str(dies)) as school:
            told = set[str]()

            def first(notice: Notice, told: set[str] = told, dies: bool = dies) -> bool:
                kind = f"{notice.event} {notice.facts.get('state', '')} {notice.facts.get('phase', '')}"
                new = kind not in told
                told.add(kind)
                return dies and new

            school.fails_at = first
            deaths = 0
            while not await lived(school):
                deaths += 1
            assert deaths > 15 if dies else not deaths
            async with school.stage.client() as client:
                rounds = await client.call("round_list", model=school.model)
            assert len(rounds) == 2, "the founding, and one round"
            async with school.learner() as learner:
                ends.append(facts_of(learner))
    assert ends[0] == ends[1]
    assert ends[0]["unknown"] == {}
    assert set(ends[0]["sums"]) == {*OLD, *NEW}


async def lived(school: School) -> bool:
    """Whether a learner, started from what is on the disk, came to its end."""
    try:
        async with school.learner() as learner:
            for name, classes, share in ((b"\1", OLD, 3), (b"\2", NEW, 2)):
                await learner.take(name * 32, school.rows(*classes, share=share))
            await school.consolidated(learner)
    except BaseException as error:
        if not died(error):
            raise
        return False
    return True
