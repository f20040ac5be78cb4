"""The paper, played on a real node with real digits: who wins, who is caught, and what nobody may lose."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.nn.network import forward
from engram.participant import adversaries
from engram.participant.demo.data import AUTHORS, demo_data
from engram.participant.strategies import Plan, honest
from engram.statemachine.records import Account, Model, Version, u32
from engram.statemachine.round_records import RoundStatus
from tests.support.story import BOND, PURSE, Story, key_of, running_story


@pytest.mark.timeout(400)
async def test_a_model_is_trained_frozen_and_grown_while_adversaries_fail(tmp_path: Path) -> None:
    async with running_story(demo_data("digits", 0, 1), tmp_path) as story:
        model = await check_training(story)
        await check_growth(story, model)


async def check_training(story: Story) -> Model:
    data = story.data
    training = {f"a{i}": honest(Plan(data.own[i], data.size.training, 0, i)) for i in range(AUTHORS)}
    liar = adversaries.liar(honest(Plan(data.own[0], data.size.training, 0, 9)))
    leaker = adversaries.leaker(data.size.leaking, 5)
    played = await story.train({**training, "liar": liar, "leaker": leaker})

    assert played.round.status == RoundStatus.DECIDED
    assert played.round.winner in {key_of(name).address for name in training}
    assert played.round.independent
    assert played.copied == "commit_missing"
    assert await story.balance("copycat") == PURSE

    assert [report.code for report in played.reports["liar"]] == ["loss_mismatch", "loss_mismatch"]
    assert await story.balance("liar") < PURSE - 2 * BOND
    assert (await story.view.get(Account, key_of("liar").address)).strikes == 2

    assert played.round.results[0].author == key_of("leaker").address
    assert [report.code for report in played.reports["leaker"]] == ["candidate_admitted", "sat_out"]

    model = await story.view.get(Model, played.round.model)
    assert model.frozen
    assert (model.head, model.classes, len(model.retention)) == (1, 6, 1)
    return model


async def check_growth(story: Story, model: Model) -> None:
    data, before = story.data, await story.view.get(Version, model.id, u32(1))
    plans = [Plan(own, data.size.growing, data.size.neurons, i) for i, own in enumerate(data.own)]
    forger = adversaries.forger(honest(plans[1]))
    played = await story.grow(
        model.id, {**{f"a{i}": honest(plan) for i, plan in enumerate(plans)}, "forger": forger}
    )

    assert played.round.status == RoundStatus.DECIDED
    assert [report.code for report in played.reports["forger"]] == ["base_mismatch", "growth_overlap"]
    assert await story.balance("forger") < PURSE - 2 * BOND

    grown = await story.view.get(Model, model.id)
    after = await story.view.get(Version, model.id, u32(2))
    assert (grown.head, grown.classes, len(grown.retention)) == (2, 10, 2)
    assert (after.hidden[0], after.outputs[0]) == (before.hidden[0], before.outputs[0])
    old = forward(before.spec, await story.view.parameters(before), data.test.features)
    new = forward(after.spec, await story.view.parameters(after), data.test.features)
    assert new[:, :6].tolist() == old.tolist()
    assert (new.argmax(axis=1) == data.test.labels).mean() > 0.85
