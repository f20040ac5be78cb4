"""A learner on a real node: it learns, opens a round, plays it, has the version proven, and forgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engram.participant.notices import Notice
from tests.support.learning import NEW, OLD, Died, School, facts_of, running_school


async def test_two_new_classes_are_learned_consolidated_and_forgotten(tmp_path: Path) -> None:
    async with running_school(tmp_path) as school, school.learner() as learner:
        old, new = school.rows(*OLD, share=3), school.rows(*NEW)
        await learner.learn(old.features, old.labels)
        await learner.learn(new.features, new.labels, {3: "three"})
        test = school.rows(*OLD, *NEW, share=4)
        before = await learner.answer(test.features)
        right = [answer.label == label for answer, label in zip(before, test.labels.tolist(), strict=True)]
        assert np.mean(right) > 0.8
        await school.consolidated(learner)
        assert (await school.stage.model(school.model)).classes == 5
        after = await learner.answer(test.features)
        right = [answer.label == label for answer, label in zip(after, test.labels.tolist(), strict=True)]
        assert not any(answer.fast for answer in after)
        assert np.mean(right) > 0.85
        assert learner.memories.unknown() == {}


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


def died(error: BaseException) -> bool:
    """Whether the process has died, and nothing else has happened."""
    if isinstance(error, BaseExceptionGroup):
        return all(died(each) for each in error.exceptions)
    return isinstance(error, Died)
