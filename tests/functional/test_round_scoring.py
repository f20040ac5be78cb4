"""After the last update: who has candidates scored, in how many transactions, and what becomes of bonds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engram.participant.adversaries import leaker
from engram.participant.opener import settle_round
from engram.participant.scoring import score_candidates, scorings, withdraw_updates
from engram.participant.training.qat import Budget
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rounds.update import scoring_macs
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.score_update import ScoreUpdate
from tests.support.round_matter import ALICE, COIN, PURSE, SMALL_RULES
from tests.support.stage import digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


class TardyWallet(Wallet):
    """A wallet whose scorings are sent when the phase for them is over."""

    def __init__(self, wallet: Wallet) -> None:
        super().__init__(wallet.client, wallet.key)

    async def send(self, payload: TxPayload, *, max_fee: int | None = None, tip: int | None = None) -> Hash:
        if isinstance(payload, ScoreUpdate):
            view = ChainView(self.client)
            round_ = await view.get(Round, payload.round)
            await view.wait_tick((await view.span(round_, Phase.SCORE)).last + 1)
        return await super().send(payload, max_fee=max_fee, tip=tip)


async def test_what_is_worse_on_rows_that_nobody_saw_loses_its_bond(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        others = digits(3, *TWO, rows=40).rows_of(0)
        ended = await stage.finish(round_id, {"alice": leaker(Budget(steps=600, batch=16), 0, others)})
        assert ended.codes("alice") == ["candidate_admitted"]
        assert ended.round.status == RoundStatus.KEPT
        assert (await stage.account("alice")).balance <= PURSE - COIN, "the withdrawal has burned the bond"
        assert [n.facts["burned"] for n in stage.said if n.event == "withdrawn"] == [COIN]


async def test_anyone_can_score_and_withdraw_for_an_author_who_has_left(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        counts, done = [], []

        async def leaves(wallet: Wallet) -> None:
            await stage.author(wallet, learner(2, *TWO)).play_epoch(round_id, 0)

        async def helps(wallet: Wallet) -> None:
            view = ChainView(wallet.client)
            counts.append(await score_candidates(view, wallet, round_id, None))
            await settle_round(view, wallet, round_id)
            done.append(await withdraw_updates(view, wallet, round_id, ALICE.address))
            done.append(await withdraw_updates(view, wallet, round_id, ALICE.address))

        ended = await stage.finish(round_id, {}, alice=leaves, bob=helps, carol=helps)
        assert ended.round.winner == ALICE.address
        assert counts == [1, 1], "they do not get in each other's way"
        assert sum(item.returned for item in done) == COIN, "only one of them has withdrawn it"
        assert sum(item.burned for item in done) == 0
        assert (await stage.account("alice")).balance > PURSE - COIN // 2, "her bond has returned to her"


async def test_an_author_who_leaves_before_the_scoring_is_told_what_that_costs(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        admitted = asyncio.Event()
        stage.on_event("admitted", admitted)

        async def interrupted(wallet: Wallet) -> None:
            playing = asyncio.create_task(stage.author(wallet, learner(2, *TWO)).play(round_id))
            await admitted.wait()
            playing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await playing
            assert stage.said[-1].event == "left_unscored"
            await stage.author(wallet, learner(2, *TWO)).play(round_id)

        ended = await stage.finish(round_id, {}, alice=interrupted)
        assert ended.round.winner == ALICE.address


async def test_a_scoring_that_comes_too_late_costs_the_bond_and_no_more(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())

        async def tardy(wallet: Wallet) -> None:
            await stage.author(TardyWallet(wallet), learner(2, *TWO)).play(round_id)

        ended = await stage.finish(round_id, {}, alice=tardy)
        assert ended.round.status == RoundStatus.KEPT
        assert "score_missed" in [notice.event for notice in stage.said]
        assert [n.facts["burned"] for n in stage.said if n.event == "withdrawn"] == [COIN]


async def test_scorings_are_split_so_that_none_fills_half_a_block(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        plan = small_round(digits(1, *TWO), parts=5, rows=12, sealed=4)
        round_id = await stage.begin(plan, small_model())
        split = []

        async def count(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(2, *TWO))
            await author.play_epoch(round_id, 0)
            round_ = await author.view.wait_phase(round_id, Phase.SCORE)
            (candidate,) = await author.view.candidates(round_)
            model = await author.view.get(Model, round_.model)
            base = await author.view.composition(await author.view.get(Version, round_.model, u32(0)))
            one = scoring_macs(SMALL_RULES, round_, base, candidate.update, 12)
            for blocks in (2 * one, 4 * one, 6 * one, 100 * one):
                rules = replace(SMALL_RULES, max_block_macs=blocks)
                split.append([len(b) for b in scorings(rules, round_, model, base, candidate)])
            await author.conclude(round_id)

        ended = await stage.finish(round_id, {}, alice=count)
        assert split == [[1, 1, 1, 1], [2, 2], [3, 1], [4]]
        assert ended.round.status == RoundStatus.DECIDED
