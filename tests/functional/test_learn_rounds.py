"""A learner on a real node: it learns, opens a round, plays it, has the version proven, and forgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.learning import NEW, OLD, running_school


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
        print(school.said)
        assert (await school.stage.model(school.model)).classes == 5
        after = await learner.answer(test.features)
        right = [answer.label == label for answer, label in zip(after, test.labels.tolist(), strict=True)]
        assert not any(answer.fast for answer in after)
        assert np.mean(right) > 0.85
        assert learner.memories.unknown() == {}
