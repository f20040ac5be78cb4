"""The author's side: what a crash may not cost, what it refuses to build on, and what it will not pay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.node.client import RpcClient
from engram.participant.arena.pacing import PacedClient
from engram.participant.errors import VersionMismatch
from engram.participant.journal import CommitSecret
from engram.participant.pricing import Limits, Price, price_of
from engram.participant.strategies import Plan, honest, train_draft
from engram.participant.task import Draft, Strategy, Task
from engram.participant.training.qat import Budget, Progress
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.codec import encode
from engram.primitives.types import Hash
from engram.statemachine.records import Account
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.reveal_update import RevealUpdate
from tests.support.dev_node import address_of
from tests.support.mortal import Death, MortalWallet
from tests.support.round_matter import ALICE, COIN, PURSE, SMALL_RULES
from tests.support.stage import (
    digits,
    learner,
    running_stage,
    small_model,
    small_round,
    stage_spec,
)

TWO = (0, 1)
NARROW = replace(
    SMALL_RULES,
    max_transaction_bytes=32 * 1024,
    max_body_bytes=32 * 1024,
    chunk_bytes=16 * 1024,
    max_blob_bytes=2**20,
)
"""Rules under which a tensor of a network 64-64-2 is uploaded before its reveal."""


@pytest.mark.parametrize("kind", [CommitUpdate, RevealUpdate])
@pytest.mark.parametrize("after", [False, True])
async def test_an_author_that_dies_reveals_what_it_committed_to(
    tmp_path: Path, kind: type, after: bool
) -> None:
    trained = 0

    def counted(task: Task) -> Draft | None:
        nonlocal trained
        trained += 1
        return learner(2, *TWO)(task)

    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        reports = []

        async def mortal(wallet: Wallet) -> None:
            with pytest.raises(Death):
                await stage.author(MortalWallet(wallet, kind, after=after), counted).play(round_id)
            reports.extend(await stage.author(wallet, counted).play(round_id))

        ended = await stage.finish(round_id, {}, alice=mortal)
        assert ended.round.winner == ALICE.address
        assert [report.code for report in reports] == ["candidate_admitted"]
        assert trained == 1, "what was committed to is not made anew"
        assert list((tmp_path / "rounds").glob("*.commit")) == []
        assert (await stage.account("alice")).balance > PURSE - COIN // 2, "the bond has returned"


async def test_an_author_without_its_journal_is_told_that_the_bond_is_lost(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        codes = []

        async def forgetful(wallet: Wallet) -> None:
            with pytest.raises(Death):
                await stage.author(MortalWallet(wallet, RevealUpdate, after=False), learner(2, *TWO)).play(
                    round_id
                )
            for file in (tmp_path / "rounds").glob("*.commit"):
                file.unlink()
            codes.extend([r.code for r in await stage.author(wallet, learner(2, *TWO)).play(round_id)])

        ended = await stage.finish(round_id, {}, alice=forgetful)
        assert codes == ["secrets_not_found"]
        assert ended.round.status == RoundStatus.KEPT
        assert (await stage.account("alice")).balance <= PURSE - COIN, "the bond is burned"


async def test_reveals_that_find_no_room_enter_a_later_block_of_the_same_phase(tmp_path: Path) -> None:
    """A block has room for two reveals; three authors come at once, and the window is one tick long.

    A block with two of them is more than half full, so it lets no time pass.
    """
    rules = replace(SMALL_RULES, max_transaction_bytes=16 * 1024, max_body_bytes=16 * 1024, chunk_bytes=8_192)
    rules = replace(rules, max_blob_bytes=2**20)
    async with running_stage(tmp_path, stage_spec(rules)) as stage:
        plan = small_round(digits(1, *TWO), validation=1)
        plan = replace(plan, windows={**plan.windows, "update": 1})
        round_id = await stage.begin(plan, small_model(hidden=(64,)))
        names = {"alice": 2, "bob": 3, "carol": 4}
        ended = await stage.finish(round_id, {name: learner(share, *TWO) for name, share in names.items()})
        assert [ended.codes(name) for name in names] == [["candidate_admitted"]] * 3
        assert ended.round.status == RoundStatus.DECIDED


class LyingClient(PacedClient):
    """A node that tells of a better baseline than version 0 has."""

    async def call(self, method: str, **params: Any) -> Any:
        answer = await super().call(method, **params)
        if method != "record_get" or answer is None or params["kind"] != Round.KIND:
            return answer
        round_ = await ChainView(_Answering(answer)).get(Round, params["key"])
        opened = tuple(replace(part, old_loss=part.old_loss - 1) for part in round_.validation_opened)
        lie = replace(round_, validation_opened=opened)
        return bytes([Round.KIND]).hex() + encode(lie).hex()


class _Answering(RpcClient):
    """Answers one request."""

    def __init__(self, answer: str) -> None:
        super().__init__("http://127.0.0.1")
        self._answer = answer

    async def call(self, method: str, **params: Any) -> str:
        return self._answer


async def test_nothing_is_built_on_a_version_that_is_not_what_the_chain_says(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())

        async def deceived(wallet: Wallet) -> None:
            async with LyingClient(stage.find, stage.pacer) as client:
                stage.pacer.leave(wallet.client)
                with pytest.raises(VersionMismatch):
                    await stage.author(Wallet(client, ALICE), learner(2, *TWO)).play(round_id)
                stage.pacer.leave(client)

        ended = await stage.finish(round_id, {}, alice=deceived)
        assert ended.round.status == RoundStatus.KEPT
        assert await stage.account("alice") == Account(ALICE.address, PURSE)


@pytest.mark.parametrize(
    ("limits", "code"),
    [(Limits(max_bond=COIN - 1), "bond_above_limit"), (Limits(max_fee=10_000), "fee_above_limit")],
)
async def test_an_author_pays_no_more_than_it_was_told(tmp_path: Path, limits: Limits, code: str) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        codes = []

        async def careful(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(2, *TWO), limits=limits)
            codes.extend([report.code for report in await author.play(round_id)])

        await stage.finish(round_id, {}, alice=careful)
        assert codes == [code]
        assert (await stage.account("alice")).balance >= PURSE - 11_000, "at most the fee of settling"


async def test_an_author_who_cannot_pay_for_everything_does_not_commit(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        codes = []

        async def poor(wallet: Wallet) -> None:
            balance = int((await wallet.account())["balance"])
            await wallet.confirm(await wallet.transfer(address_of("bob"), balance - COIN - 20_000))
            codes.extend([r.code for r in await stage.author(wallet, learner(2, *TWO)).play(round_id)])

        await stage.finish(round_id, {}, alice=poor)
        assert codes == ["insufficient_balance"]


async def test_the_price_of_an_update_is_known_before_it_is_committed_to(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        prices: list[Price] = []

        def priced(strategy: Strategy) -> Strategy:
            def propose(task: Task) -> Draft | None:
                draft = strategy(task)
                assert draft is not None
                facts = task.round, task.model, task.base
                prices.append(price_of(SMALL_RULES, 0, *facts, 0, draft.update))
                return draft

            return propose

        async def play(round_id: Hash, strategy: Strategy) -> Round:
            async def author_of(wallet: Wallet) -> None:
                author, before = stage.author(wallet, priced(strategy)), wallet.fees
                balance = (await stage.account("alice")).balance
                assert (await author.play_epoch(round_id, 0)).code == "candidate_admitted"
                spent = balance - (await stage.account("alice")).balance
                kept = prices[-1].bond + prices[-1].entry
                assert kept < spent < kept + prices[-1].fees
                await author.conclude(round_id)
                assert prices[-1].fees / 20 < wallet.fees - before <= prices[-1].fees

            return (await stage.finish(round_id, {}, alice=author_of)).round

        trained = await play(await stage.begin(small_round(digits(1, *TWO)), small_model()), learner(2, *TWO))
        plan = small_round(digits(1, 0, 1, 2), new_classes=1)
        grown = await play(await stage.begin(plan, trained.model), learner(2, 0, 1, 2))
        assert grown.status == RoundStatus.DECIDED


@pytest.mark.parametrize(
    ("phase", "epoch", "codes"),
    [
        (Phase.COMMIT, 0, ["candidate_admitted", "candidate_admitted"]),
        (Phase.UPDATE, 0, ["candidate_admitted"]),
        (Phase.COMMIT, 1, ["candidate_admitted"]),
        (Phase.SCORE, 0, []),
        (Phase.CLOSED, 0, []),
    ],
)
async def test_a_late_author_plays_what_is_left(
    tmp_path: Path, phase: Phase, epoch: int, codes: list[str]
) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO), epochs=2), small_model())
        played: list[str] = []

        async def late(wallet: Wallet) -> None:
            author = stage.author(wallet, improver(2))
            round_ = await author.view.get(Round, round_id)
            await author.view.wait_tick((await author.view.span(round_, phase, epoch)).first)
            played.extend([report.code for report in await author.play(round_id)])

        ended = await stage.finish(round_id, {}, alice=late)
        assert played == codes
        assert ended.round.status == (RoundStatus.DECIDED if codes else RoundStatus.KEPT)


async def test_an_author_ends_a_round_whose_opener_has_left(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO), epochs=3), small_model())
        async with stage.actor("alice") as wallet:
            author = stage.author(wallet, learner(2, *TWO))
            assert await author.play(round_id) == []
            round_ = await author.view.get(Round, round_id)
            assert round_.status == RoundStatus.ABORTED
            second = await author.view.span(round_, Phase.COMMIT, 1)
            assert await author.view.tick() < second.first, "it does not wait for epochs that cannot be"


async def test_an_author_sits_out_what_it_was_not_told_to_play(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO), epochs=2), small_model())
        played: list[int] = []

        async def once(wallet: Wallet) -> None:
            author = stage.author(wallet, improver(2), epochs=1)
            played.extend([report.epoch for report in await author.play(round_id)])

        await stage.finish(round_id, {}, alice=once)
        assert played == [0]


async def test_a_training_that_outlasts_its_window_is_told(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())

        async def slow(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(2, *TWO))
            round_ = await author.view.wait_phase(round_id, Phase.COMMIT)
            secret = await author._prepare(round_, 0)
            assert isinstance(secret, CommitSecret), "the learner proposes something"
            await author.view.wait_phase(round_id, Phase.UPDATE)
            await author.play(round_id)

        await stage.finish(round_id, {}, alice=slow)
        assert "epoch_missed" in [notice.event for notice in stage.said]


async def test_a_cancelled_author_ends_its_training_and_says_what_is_at_stake(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())
        began = asyncio.Event()
        loop = asyncio.get_running_loop()
        endless = honest(Plan(digits(2, *TWO).rows_of(0), Budget(steps=30_000, batch=16), None, 0))

        async def cancelled(wallet: Wallet) -> None:
            def progress(step: int, loss: float) -> None:
                loop.call_soon_threadsafe(began.set)

            author = stage.author(wallet, _watched(endless, progress))
            playing = asyncio.create_task(author.play(round_id))
            await began.wait()
            playing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await playing
            committed = asyncio.Event()
            author = stage.author(wallet, learner(2, *TWO))
            stage.on_event("committed", committed)
            again = asyncio.create_task(author.play(round_id))
            await committed.wait()
            again.cancel()
            with pytest.raises(asyncio.CancelledError):
                await again
            assert stage.said[-1].event == "left_committed"
            assert stage.said[-1].facts["bond"] == COIN
            assert [r.code for r in await stage.author(wallet, learner(2, *TWO)).play(round_id)] == [
                "candidate_admitted"
            ]

        await stage.finish(round_id, {}, alice=cancelled)


async def test_an_author_who_is_not_better_commits_to_nothing(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model())

        def as_it_was(task: Task) -> Draft | None:
            return train_draft(task, task.base.spec, task.parameters)

        ended = await stage.finish(round_id, {"alice": as_it_was})
        assert ended.codes("alice") == ["not_below_baseline"]
        assert ended.round.status == RoundStatus.KEPT
        assert (await stage.account("alice")).balance > PURSE - COIN // 100, "no entry was burned"


def _watched(strategy: Strategy, progress: Progress) -> Strategy:
    """A strategy that also tells of every step."""

    def propose(task: Task) -> Draft | None:
        def both(step: int, loss: float) -> None:
            progress(step, loss)
            task.progress(step, loss)

        return strategy(replace(task, progress=both))

    return propose


def improver(share: int) -> Strategy:
    """An author whose second update is better than its first."""
    rows = digits(share, *TWO).rows_of(0)

    def propose(task: Task) -> Draft | None:
        steps = 60 if task.epoch == 0 else 400
        return honest(Plan(rows, Budget(steps=steps, batch=16), None, 0))(task)

    return propose
