"""Whoever watches claims: a lie in one row is found, disputed and paid for; a true claim is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engram.participant.adversaries import flattering
from engram.participant.claiming import Claims, Telling, truly
from engram.participant.notices import Notice
from engram.participant.verification import Disputed
from engram.participant.wallet import Wallet
from engram.participant.watcher import Watcher
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transactions.dispute_claim import DisputeClaim
from tests.support.mortal import Death, MortalWallet
from tests.support.round_matter import ALICE, BOB, COIN, PURSE
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)
FLATTERED = {"a validation part": (0, 5), "a part that decides": (1, 20)}
"""Part and row of a lie."""


@asynccontextmanager
async def begun(folder: Path) -> AsyncIterator[tuple[Stage, Hash]]:
    """A round with a pot of a coin, and bonds of two."""
    async with running_stage(folder) as stage:
        model = small_model(verification=Disputed(audited=1))
        yield stage, await stage.begin(small_round(digits(1, *TWO)), model)


def watching(stage: Stage, round_id: Hash, said: list[Notice], **options: Any) -> Any:
    async def watch(wallet: Wallet) -> None:
        await Watcher(wallet, said.append, **options).run(round_id)

    return watch


def playing(stage: Stage, round_id: Hash, share: int, telling: Telling = truly) -> Any:
    async def play(wallet: Wallet) -> None:
        await stage.author(wallet, learner(share, *TWO), telling=telling).play(round_id)

    return play


@pytest.mark.parametrize("place", FLATTERED.values(), ids=FLATTERED.keys())
async def test_a_lie_in_one_row_costs_the_bond_and_half_of_it_is_the_watchers(
    tmp_path: Path, place: tuple[int, int]
) -> None:
    said: list[Notice] = []
    async with begun(tmp_path) as (stage, round_id):
        ended = await stage.finish(
            round_id,
            {},
            alice=playing(stage, round_id, 2, flattering(*place)),
            bob=playing(stage, round_id, 3),
            carol=watching(stage, round_id, said),
        )
        assert (ended.round.status, ended.round.winner) == (RoundStatus.DECIDED, BOB.address)
        (found,) = (notice for notice in said if notice.event == "claim_false")
        assert (found.facts["part"], found.facts["chunk"]) == (place[0], place[1] // 8)
        (disputing,) = (notice for notice in said if notice.event == "disputing")
        (refuted,) = (notice for notice in said if notice.event == "claim_refuted")
        assert refuted.facts["reward"] == disputing.facts["reward"] == COIN
        assert any(notice.event == "claim_true" and notice.facts["whole"] for notice in said), "bob's"
        carol = (await stage.account("carol")).balance
        assert PURSE + COIN - disputing.facts["max_fee"] <= carol < PURSE + COIN
        assert (await stage.account("alice")).balance < PURSE - 2 * COIN, "the bond is gone"
        async with stage.client() as client:
            (lost,) = (
                update
                for update in (await client.call("round_outcomes", id=round_id))["updates"]
                if update["reasons"] == ["claim_refuted"]
            )
            assert lost["paid"] == 0


async def test_a_watcher_that_dies_disputes_what_it_would_have(tmp_path: Path) -> None:
    said: list[Notice] = []
    async with begun(tmp_path) as (stage, round_id):

        async def mortal(wallet: Wallet) -> None:
            with pytest.raises(Death):
                await Watcher(MortalWallet(wallet, DisputeClaim, after=True), said.append).run(round_id)
            await Watcher(wallet, said.append).run(round_id)

        await stage.finish(round_id, {}, alice=playing(stage, round_id, 2, flattering(1, 3)), carol=mortal)
        assert [notice.event for notice in said].count("claim_refuted") == 1
        carol = (await stage.account("carol")).balance
        assert PURSE < carol < PURSE + COIN, "one dispute was sent, not two"


async def test_a_claim_whose_author_has_died_is_confirmed_by_a_watcher(tmp_path: Path) -> None:
    said: list[Notice] = []
    async with begun(tmp_path) as (stage, round_id):

        async def claiming(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(2, *TWO))
            await author.play_epoch(round_id, 0)
            await Claims(wallet, author.view).score(round_id)

        ended = await stage.finish(
            round_id, {}, alice=claiming, carol=watching(stage, round_id, said, confirms=True)
        )
        assert ended.round.winner == ALICE.address
        assert [notice.event for notice in said if notice.event != "claim_true"] == [
            "watching",
            "claim_confirmed",
        ]


async def test_a_claim_that_nobody_confirms_does_not_win(tmp_path: Path) -> None:
    said: list[Notice] = []
    async with begun(tmp_path) as (stage, round_id):

        async def claiming(wallet: Wallet) -> None:
            author = stage.author(wallet, learner(2, *TWO))
            await author.play_epoch(round_id, 0)
            await Claims(wallet, author.view).score(round_id)

        ended = await stage.finish(round_id, {}, alice=claiming, carol=watching(stage, round_id, said))
        assert ended.round.status == RoundStatus.KEPT
        async with stage.client() as client:
            (update,) = (await client.call("round_outcomes", id=round_id))["updates"]
            assert update["reasons"] == ["claim_not_confirmed"]
            (claim,) = await client.call("round_claims", id=round_id)
            assert (claim["status"], claim["parts"], claim["parts_claimed"]) == ("open", 2, 2)
            assert (claim["expired"], claim["window_left"], claim["dispute_until"]) == (True, None, None)


async def test_models_that_are_not_named_are_not_watched(tmp_path: Path) -> None:
    said: list[Notice] = []
    async with begun(tmp_path) as (stage, round_id):
        await stage.finish(
            round_id,
            {"alice": learner(2, *TWO)},
            carol=watching(stage, round_id, said, models=[bytes(32)]),
        )
        assert [notice.event for notice in said] == ["watching"]


async def test_a_watcher_and_an_author_outlast_a_node_that_starts_again(tmp_path: Path) -> None:
    """Also of a node that forgets what waited: claims, dispute and confirmation are handed in again."""
    said: list[Notice] = []
    async with begun(tmp_path) as (stage, round_id):
        stage.restart_for_everything()
        ended = await stage.finish(
            round_id,
            {},
            alice=playing(stage, round_id, 2, flattering(1, 9)),
            bob=playing(stage, round_id, 3),
            carol=watching(stage, round_id, said),
        )
        assert ended.round.winner == BOB.address
        assert [notice.event for notice in said].count("claim_refuted") == 1
        assert stage.restarts >= 6
