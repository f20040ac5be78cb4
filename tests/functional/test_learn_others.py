"""A learner beside others: in rounds that they open, beside growths that win against its own, and late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engram.node.client import RpcClient
from engram.participant.learn.budget import DAY_MS, SpendingLimits
from engram.participant.learn.learner import Learner
from engram.participant.learn.memories import Numbering
from engram.participant.learn.states import AwaitingProof, PlayingRound, Resting, Spent
from engram.participant.view import ChainView
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import RoundStatus
from tests.support.learning import DEFAULTS, NEW, OLD, School, died, running_school

GUEST = replace(DEFAULTS, opens=False)


async def share_right(school: School, learner: Learner, *classes: int) -> float:
    """The share of test rows that are answered with their own label."""
    test = school.rows(*classes, share=4)
    answers = await learner.answer(test.features)
    return float(np.mean([a.label == label for a, label in zip(answers, test.labels.tolist(), strict=True)]))


async def test_it_waits_for_a_round_that_others_open_and_teaches_there(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school, school.learner("bob", GUEST) as learner:
        new = school.rows(*NEW)
        await learner.learn(new.features, new.labels)
        async with school.stage.client() as client:
            assert not await learner.step(ChainView(client))
            assert not await learner.step(ChainView(client))
        assert school.events() == ["waiting_for_round"], "it is told once"
        round_id = await school.offered(*OLD, *NEW)
        assert (await learner.outlook()).action == "take_part"
        round_ = await school.played(learner, round_id, {})
        assert round_.status == RoundStatus.DECIDED
        assert round_.winner == school.stage.key("bob").address
        await school.consolidated(learner)
        assert learner.memories.unknown() == {}
        assert await share_right(school, learner, *OLD, *NEW) > 0.85


async def test_a_growth_of_others_that_wins_has_taught_the_same_classes(tmp_path: Path) -> None:
    """Some of its labels are wrong, so it loses. Its rows are forgotten too, and their sums are kept."""
    async with running_school(tmp_path) as school, school.learner("bob", GUEST) as learner:
        new = school.rows(*NEW)
        noisy = new.labels.copy()
        noisy[::5] = 7 - noisy[::5]  # 3 and 4 change places
        await learner.learn(new.features, noisy)
        round_id = await school.offered(*OLD, *NEW)
        round_ = await school.played(learner, round_id, {"carol": school.lesson(*NEW)})
        assert round_.status == RoundStatus.DECIDED
        assert round_.winner == school.stage.key("carol").address
        await school.consolidated(learner)
        assert learner.memories.unknown() == {}
        sums = school.folder.statistics()
        assert sums is not None
        assert sums.counts[3:].sum() == new.rows


async def test_it_commits_once_in_a_round_of_two_epochs_also_if_it_dies_in_between(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school:
        round_id = await school.offered(*OLD, *NEW, epochs=2)
        school.fails_at = lambda notice: notice.event == "admitted"
        while not await taken_part(school, round_id):
            school.fails_at = lambda notice: False
        committed = [notice.facts["epoch"] for notice in school.said if notice.event == "committed"]
        assert committed == [0]
        async with school.learner("bob", GUEST) as learner:
            await school.consolidated(learner)
            assert learner.memories.unknown() == {}


async def taken_part(school: School, round_id: Hash) -> bool:
    """Whether a learner that begins with what is on the disk has played the round to its end."""
    new, playing = school.rows(*NEW), school.told("playing")
    playing.clear()
    try:
        async with (
            school.learner("bob", GUEST) as learner,
            school.stage.client() as client,
            asyncio.TaskGroup() as group,
        ):
            await learner.take(b"\1" * 32, new)
            if isinstance(learner.consolidator.states.now.at, Resting):
                assert await learner.step(ChainView(client))
            step = group.create_task(learner.step(ChainView(client)))
            await playing.wait()
            await school.stage.finish(round_id, {})
            await step
    except BaseExceptionGroup as error:
        if not died(error):
            raise
        return False
    return True


async def test_what_the_chain_has_learned_meanwhile_is_noticed_and_forgotten(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school:
        async with school.learner("bob", GUEST) as learner:
            new = school.rows(*NEW, 5)
            await learner.learn(new.features, new.labels)
        round_id = await school.offered(*OLD, *NEW)
        ended = await school.stage.finish(round_id, {"carol": school.lesson(*NEW)})
        assert ended.round.status == RoundStatus.DECIDED
        async with school.learner("bob", GUEST) as learner:
            await school.consolidated(learner)
            assert set(learner.memories.unknown()) == {5}, "the chain does not know this one"
            assert learner.memories.facts["examples"] == learner.memories.unknown()[5]
            assert await share_right(school, learner, *OLD, *NEW, 5) > 0.8


async def test_classes_that_are_not_those_that_were_learned_are_not_taught(tmp_path: Path) -> None:
    """Somebody gives the number 3 to another digit: the learner stays out and keeps its rows."""
    async with running_school(tmp_path) as school, school.learner("bob", GUEST) as learner:
        wrong = school.rows(*NEW)
        swapped = np.where(wrong.labels == 3, 4, 3).astype(np.uint16)
        await learner.learn(wrong.features, swapped)
        before = learner.memories.unknown()
        round_id = await school.offered(*OLD, *NEW)
        round_ = await school.played(learner, round_id, {"carol": school.lesson(*NEW)})
        assert round_.status == RoundStatus.DECIDED
        assert "sat_out" in school.events()
        await school.consolidated(learner)
        assert "classes_foreign" in school.events()
        assert learner.memories.unknown() == before


async def test_own_labels_become_the_classes_that_their_rows_look_like(tmp_path: Path) -> None:
    """Nobody tells the learner that 7 is class 3 of the chain, and 300 class 4."""
    free = {3: 7, 4: 300}
    async with (
        running_school(tmp_path) as school,
        school.learner("bob", replace(GUEST, numbering=Numbering.OWN)) as learner,
    ):
        new = school.rows(*NEW)
        await learner.learn(new.features, np.array([free[label] for label in new.labels.tolist()]))
        round_id = await school.offered(*OLD, *NEW)
        round_ = await school.played(learner, round_id, {})
        assert round_.winner == school.stage.key("bob").address
        await school.consolidated(learner)
        assert learner.memories.unknown() == {}
        test = school.rows(*NEW, share=4)
        answers = await learner.answer(test.features)
        given = [(answer.label, answer.chain_class) for answer in answers]
        wanted = [(free[label], label) for label in test.labels.tolist()]
        assert np.mean([a == b for a, b in zip(given, wanted, strict=True)]) > 0.8


async def test_a_version_that_another_branch_has_undone_is_not_waited_for(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school, school.learner("bob", GUEST) as learner:
        new = school.rows(*NEW)
        await learner.learn(new.features, new.labels)
        before, states = learner.memories.unknown(), learner.consolidator.states
        states.go(PlayingRound(b"\5" * 32, None))
        states.go(AwaitingProof(b"\5" * 32, 9))
        async with school.stage.client() as client:
            assert not await learner.step(ChainView(client))
        assert states.now.at == Resting()
        assert school.events()[-1] == "version_undone"
        assert learner.memories.unknown() == before


async def test_a_spent_day_leaves_the_rounds_of_others_alone(tmp_path: Path) -> None:
    spending = SpendingLimits(day_bond=10**9)
    async with (
        running_school(tmp_path) as school,
        school.learner("bob", replace(GUEST, spending=spending)) as learner,
    ):
        new = school.rows(*NEW)
        await learner.learn(new.features, new.labels)
        states = learner.consolidator.states
        states.save(replace(states.now, spent=(Spent(school.clock.now_ms, b"\5" * 32, 0, 10**9),)))
        await school.offered(*OLD, *NEW)
        async with school.stage.client() as client:
            assert not await learner.step(ChainView(client))
            assert school.events() == ["budget_spent"]
            school.clock.now_ms += DAY_MS
            assert await learner.step(ChainView(client))
        assert isinstance(states.now.at, PlayingRound)


class Liar(RpcClient):
    """A client whose node changes one byte of every proof."""

    async def call(self, method: str, **params: Any) -> Any:
        answer = await super().call(method, **params)
        if method == "model_prove":
            raw = bytearray.fromhex(answer["bundle"])
            raw[len(raw) // 2] ^= 1
            return {**answer, "bundle": raw.hex()}
        return answer


async def test_nothing_is_forgotten_on_the_word_of_a_node_that_lies(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school:

        @asynccontextmanager
        async def lying() -> AsyncIterator[RpcClient]:
            async with Liar(school.stage.find()) as client:
                yield client

        new = school.rows(*NEW)
        async with school.learner("bob", GUEST) as learner:
            await learner.learn(new.features, new.labels)
            round_id = await school.offered(*OLD, *NEW)
            await school.played(learner, round_id, {})
            before = learner.memories.unknown()
            async with lying() as client:
                for _ in range(4):
                    assert not await learner.step(ChainView(client))
                    await school.mine()
            assert isinstance(learner.consolidator.states.now.at, AwaitingProof)
            assert learner.memories.unknown() == before
            assert school.events().count("version_refused") == 4
            assert (await learner.answer(new.features[:3]))[0].version == 1
            await school.consolidated(learner)
            assert isinstance(learner.consolidator.states.now.at, Resting)
            assert learner.memories.unknown() == {}
