"""The joint strategy through whole rounds: two authors grow alone, one sends the union, and both are paid."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from engram.commands.support.verdicts import with_verdicts
from engram.node.rpc.outcomes import outcomes
from engram.participant.epoch_reports import EpochReport
from engram.participant.strategies import Plan, grow_draft, honest
from engram.participant.task import Draft, Strategy, Task
from engram.participant.uniting import joint
from engram.participant.verification import Disputed
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import read_parameters
from engram.statemachine.record import u32
from engram.statemachine.records import Version
from engram.statemachine.rounds.records import RoundStatus
from tests.support.round_matter import ALICE, BOB
from tests.support.stage import QUICK, Stage, digits, learner, running_stage, small_model, small_round

LEAN = 2.0
"""Nats by which each author's logits lean to the class of which that author has seen the most."""
CLASSES = 0, 1, 2, 3


def leaning(share: int, nats: float) -> Strategy:
    """Trains as an honest author does, then leans by so much to class 2, and away from class 3."""
    plan = Plan(digits(share, *CLASSES).rows_of(0), replace(QUICK, steps=400), None, share)

    def propose(task: Task) -> Draft | None:
        draft = honest(plan)(task)
        assert draft is not None
        update = draft.update
        assert isinstance(update, GrowUpdate)
        brought = {blob_id(raw): raw for raw in update.tensors}
        added = list(read_parameters((*update.hidden, *update.outputs), brought.__getitem__))
        output, numbers = update.growth.outputs[-1], added[-1]
        units = int(nats * 2 ** (16 + output.shift))
        bias = numbers.bias + np.array([0] * (output.width - 2) + [units, -units], dtype=np.int32)
        return grow_draft(task, update.growth, (*added[:-1], replace(numbers, bias=bias)))

    return propose


def author(
    stage: Stage, round_id: Hash, strategy: Strategy, told: list[EpochReport]
) -> Callable[[Wallet], Awaitable[None]]:
    """Plays a round with a strategy that unites growths, and keeps what came of its epochs."""

    async def play(wallet: Wallet) -> None:
        told.extend(await stage.author(wallet, joint(strategy), unites=True).play(round_id))

    return play


async def a_round_of_growth(stage: Stage, epochs: int, claimed: Disputed | None = None) -> Hash:
    """A round for two new classes on a frozen model of two, whose scores may be claimed."""
    founding = await stage.begin(small_round(digits(1, 0, 1)), small_model(verification=claimed))
    ended = await stage.finish(founding, {"alice": learner(2, 0, 1)})
    plan = small_round(digits(1, *CLASSES), rows=48, new_classes=2, epochs=epochs, neurons=16)
    return await stage.begin(plan, ended.round.model)


async def test_two_authors_unite_their_growths_and_both_are_paid(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await a_round_of_growth(stage, epochs=2)
        alice: list[EpochReport] = []
        bob: list[EpochReport] = []
        ended = await stage.finish(
            round_id,
            {},
            alice=author(stage, round_id, leaning(2, LEAN), alice),
            bob=author(stage, round_id, leaning(4, -LEAN), bob),
        )
        codes = [[report.code for report in reports] for reports in (alice, bob)]
        assert sorted(codes) == [
            ["candidate_admitted", "candidate_admitted"],
            ["candidate_admitted", "sat_out"],
        ]
        sender = ALICE if codes[0][1] == "candidate_admitted" else BOB
        assert (ended.round.status, ended.round.winner) == (RoundStatus.DECIDED, sender.address)
        weights = {half.author: half.weight for half in ended.round.best[1].halves}
        assert set(weights) == {ALICE.address, BOB.address}
        assert min(weights.values()) > 0
        amounts = [
            sum(reward["amount"] for reward in await stage.maturing(name)) for name in ("alice", "bob")
        ]
        assert min(amounts) > 0
        async with stage.client() as client:
            view = ChainView(client)
            version = await view.get(Version, ended.round.model, u32(2))
            makers = (await view.composition(version)).makers(2)
            assert [name for number, name, _ in makers if number == 2] == sorted(weights)
            shown = await with_verdicts(client, await client.call("round_get", id=round_id))
        (union,) = (done for done in outcomes(shown) if done["epoch"] == 1)
        assert "to the authors of the growths that it unites" in union["why"][0]
        assert (union["reasons"], union["paid"] > 0) == ([], True)


async def test_who_finds_nobody_to_unite_with_sits_out(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await a_round_of_growth(stage, epochs=3)
        alone: list[EpochReport] = []
        ended = await stage.finish(round_id, {}, alice=author(stage, round_id, leaning(2, 0), alone))
        assert [report.code for report in alone] == ["candidate_admitted", "sat_out", "sat_out"]
        assert ended.round.winner == ALICE.address


async def test_halves_and_their_union_are_claimed_confirmed_and_paid(tmp_path: Path) -> None:
    """A union is confirmed after its halves, whoever of the three claims first."""
    async with running_stage(tmp_path) as stage:
        round_id = await a_round_of_growth(stage, epochs=2, claimed=Disputed(audited=2))
        told: list[EpochReport] = []
        ended = await stage.finish(
            round_id,
            {},
            alice=author(stage, round_id, leaning(2, LEAN), told),
            bob=author(stage, round_id, leaning(4, -LEAN), told),
        )
        assert ended.round.status == RoundStatus.DECIDED
        assert {half.author for half in ended.round.best[1].halves} == {ALICE.address, BOB.address}
        confirmed = [notice for notice in stage.said if notice.event == "claim_confirmed"]
        assert sorted(notice.facts["epoch"] for notice in confirmed)[-3:] == [0, 0, 1]
