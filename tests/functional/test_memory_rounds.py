"""Growth without old rows, in whole rounds on a real node: each author has rows of their own classes only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.participant.datasets import Dataset
from engram.participant.memory.banks import Banks, declare
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.founding import Founded, found
from engram.participant.memory.playing import Lesson, Memory, founding_of, taught, trained
from engram.participant.memory.statistics import Statistics, added, make
from engram.participant.memory.trunk import Trunk, convolution_trunk
from engram.participant.round_plan import DraftedRound, draft_whole
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.rounds.terms import Founding
from tests.support.round_matter import SMALL_RULES
from tests.support.stage import Stage, digits, running_stage, small_round, stage_spec

GROUPS = ((0, 1, 2), (3, 4), (5, 6))
POLICIES = {"gate": Policy.RELATIVE, "analytic": Policy.GATED}
WIDTH = 150
SETTINGS = Settings(ridge=1e-2)
"""A strong ridge: there are fewer rows than neurons."""
ROUND: dict[str, Any] = {"rows": 44, "parts": 3, "neurons": WIDTH, "bounty": 10**9}


class Taught:
    """A model that is founded and taught group by group."""

    def __init__(self, stage: Stage, engine: str) -> None:
        self.stage, self.engine, self.policy = stage, engine, POLICIES[engine]
        self.rows = digits(2, *range(10)).rows_of(0)
        first = self.rows.of_classes(GROUPS[0])
        self.trunk: Trunk = convolution_trunk(first.features, seed=bytes(32), side=8, values=64)
        values = self.trunk.run(first.features)
        self.rule = declare(values, seed=bytes(32), width=WIDTH, count=len(GROUPS))
        self.founded: Founded = found(
            engine, self.rule, values, first.labels, policy=self.policy, settings=SETTINGS
        )
        self.memory = Memory(engine, len(self.trunk.hidden), self.rule, self.founded.calibration, SETTINGS)
        self.sums: list[Statistics] = [self.sums_of(first)]
        self.model: Hash = b""

    def sums_of(self, rows: Dataset) -> Statistics:
        return make(Banks(self.rule), self.trunk.run(rows.features), rows.labels, least_rows=1)

    async def found(self) -> RoundStatus:
        template = Founding(
            self.founded.spec,
            (),
            (),
            policy=int(self.policy),
            loss_kind=int(LossKind.SOFTMAX_CROSS_ENTROPY),
            threshold_ppm=600_000,
            retention_epsilon_ppm=200_000,
            retention_delta_ppm=5_000_000,
            lost_cap_ppm=900_000,
        )
        founding = founding_of(self.trunk, self.founded, template)
        plan = small_round(digits(1, *GROUPS[0]), **ROUND)

        async def draft(wallet: Wallet) -> DraftedRound:
            return await draft_whole(wallet, plan, founding)

        round_id = await self.stage.open("opener", draft)
        ended = await self.stage.finish(round_id, {"alice": trained(self.trunk, self.founded)})
        self.model = ended.round.model
        return RoundStatus(ended.round.status)

    async def teach(self, group: tuple[int, ...]) -> RoundStatus:
        """An author who has rows of these classes alone, and the sums of the others."""
        own = self.rows.of_classes(group)
        lesson = Lesson(own, added(self.sums))
        plan = small_round(digits(1, *range(max(group) + 1)), new_classes=len(group), **ROUND)
        round_id = await self.stage.begin(plan, self.model)
        ended = await self.stage.finish(round_id, {"bob": taught(self.memory, lesson)})
        assert ended.codes("bob") == ["candidate_admitted"]
        self.sums.append(self.sums_of(own))
        return RoundStatus(ended.round.status)


@pytest.mark.parametrize("engine", ["gate", "analytic"])
async def test_authors_teach_their_own_classes_without_the_rows_of_others(
    tmp_path: Path, engine: str
) -> None:
    networks = replace(SMALL_RULES.networks, max_macs_per_row=2**25)
    rules = replace(SMALL_RULES, networks=networks)
    async with running_stage(tmp_path, stage_spec(rules)) as stage:
        model = Taught(stage, engine)
        assert await model.found() == RoundStatus.DECIDED
        assert (await stage.model(model.model)).frozen
        for group in GROUPS[1:]:
            assert await model.teach(group) == RoundStatus.DECIDED
        record = await stage.model(model.model)
        assert record.classes == 7
        test = digits(3, *range(7)).rows_of(0)
        async with stage.client() as client:
            rows = test.features[:200].tolist()
            answers = await client.call("model_predict", id=model.model.hex(), rows=rows)
            told = await client.call("model_predict", id=model.model.hex(), rows=rows[:100], explain=True)
        found = np.array([answer["class"] for answer in answers["predictions"]])
        check_parts(told, answers)
        labels = test.labels[:200]
        assert np.mean(found == labels) > 0.85
        assert np.mean(found[labels < 3] == labels[labels < 3]) > 0.8, "what it knew first stays"


def check_parts(told: dict[str, Any], answers: dict[str, Any]) -> None:
    """Every group's part and the rest add up, in integers; the teachers of the classes have brought them."""
    groups = told["lineage"]
    assert [label for group in groups for label in group["classes"]] == list(range(7))
    own = []
    for answer, plain in zip(told["predictions"], answers["predictions"], strict=False):
        assert {name: answer[name] for name in plain} == plain
        first, second = sorted(answer["logits"], reverse=True)[:2]
        assert answer["logits"][answer["runner_up"]] == second
        terms = [*answer["parts"], *answer["rest"].values()]
        assert sum(term["logit"] for term in terms) == first
        assert sum(term["margin"] for term in terms) == answer["margin"] == first - second
        brought = next(at for at, group in enumerate(groups) if answer["class"] in group["classes"])
        largest = max(answer["parts"], key=lambda part: int(part["margin"]))
        own.append(largest["group"] == brought)
    assert np.mean(own) > 0.6, "mostly who taught a class has made the lead of its rows"
