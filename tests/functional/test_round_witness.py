"""A witness's side: the sealed part outlives crashes, counts, and costs the bond if it stays closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.participant.errors import RoundOver, SecretsNotFound
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness, sealed_part
from engram.primitives.types import Hash
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import NotAWitness, PartPublic, TooFewOldRows
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from tests.support.round_matter import COIN, PURSE, WITNESS
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)
BONDS = 2 * COIN
"""More than all fees of a test, and at least what a witness puts at stake."""


class Death(Exception):
    """The program ends here."""


class MortalWallet(Wallet):
    """A wallet whose program dies before it opens a part, and again after it has sent that."""

    def __init__(self, wallet: Wallet, deaths: list[TxPayload]) -> None:
        super().__init__(wallet.client, wallet.key)
        self._deaths = deaths

    async def send(self, payload: TxPayload, *, max_fee: int | None = None, tip: int | None = None) -> Hash:
        if not isinstance(payload, RevealSealed):
            return await super().send(payload, max_fee=max_fee, tip=tip)
        self._deaths.append(payload)
        if len(self._deaths) == 1:
            raise Death
        await super().send(payload, max_fee=max_fee, tip=tip)
        raise Death


def witness_of(stage: Stage, wallet: Wallet) -> Witness:
    return Witness(wallet, stage.folder / ROUNDS_DIRECTORY, stage.tell)


async def witnessed_round(stage: Stage, **changes: Any) -> Hash:
    witnesses = (NamedWitness(WITNESS.address, old_only=False),)
    plan = small_round(digits(1, *TWO), bounty=BONDS, witness_fee=COIN, witnesses=witnesses)
    return await stage.begin(plan, small_model(**changes))


async def seal(stage: Stage, wallet: Wallet, round_id: Hash) -> None:
    secrets = await sealed_part(wallet, digits(4, *TWO), round_id, 0)
    await witness_of(stage, wallet).seal(round_id, secrets)


async def test_a_witness_dies_before_and_after_it_opens_its_part(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await witnessed_round(stage)
        deaths: list[TxPayload] = []
        maturing = []

        async def testify(wallet: Wallet) -> None:
            await seal(stage, wallet, round_id)
            for _ in range(2):
                with pytest.raises(Death):
                    await witness_of(stage, MortalWallet(wallet, deaths)).testify(round_id)
            await witness_of(stage, wallet).testify(round_id)
            maturing.extend((await wallet.account())["maturing"])

        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)}, witness=testify)
        assert ended.round.status == RoundStatus.DECIDED
        assert ended.round.independent
        assert len(deaths) == 2
        assert [reward["amount"] for reward in maturing] == [COIN], "the fee comes out of the bounty"
        assert (await stage.account("witness")).balance > PURSE - COIN, "the bond has returned"
        assert ended.round.winner_groups[1].rows == 24, "the witness's rows are a group of their own"


async def test_nothing_is_opened_where_no_candidate_waits(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await witnessed_round(stage)

        async def testify(wallet: Wallet) -> None:
            await seal(stage, wallet, round_id)
            await witness_of(stage, wallet).testify(round_id)

        ended = await stage.finish(round_id, {}, witness=testify)
        assert ended.round.status == RoundStatus.KEPT
        assert "no_candidates" in [notice.event for notice in stage.said]
        assert (await stage.account("witness")).balance > PURSE - COIN, "the bond has returned"


async def test_a_witness_who_comes_too_late_loses_the_bond_and_ends_no_round(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await witnessed_round(stage)

        async def sleep_over(wallet: Wallet) -> None:
            await seal(stage, wallet, round_id)
            witness = witness_of(stage, wallet)
            round_ = await witness.view.wait_phase(round_id, Phase.AUDIT_WITNESSES)
            await witness.view.wait_tick((await witness.view.span(round_, Phase.AUDIT_WITNESSES)).last + 1)
            with pytest.raises(RoundOver):
                await witness.testify(round_id)

        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)}, witness=sleep_over)
        assert ended.round.status == RoundStatus.DECIDED
        assert not ended.round.independent
        assert (await stage.account("witness")).balance <= PURSE - BONDS


async def test_a_round_without_a_standing_witness_is_cancelled_and_gives_everything_back(
    tmp_path: Path,
) -> None:
    async with running_stage(tmp_path) as stage:
        standing = (NamedWitness(WITNESS.address, old_only=False),)
        round_id = await stage.begin(small_round(digits(1, *TWO)), small_model(witnesses=standing))
        async with stage.actor("opener") as wallet:
            opener = stage.opener(wallet)
            ended = await opener.run(round_id)
            reveal = await opener.view.span(await opener.view.get(Round, round_id), Phase.REVEAL)
            assert ended.status == RoundStatus.CANCELLED
            assert await opener.view.tick() < reveal.first, "nobody waits for phases that are in vain"
        assert (await stage.account("opener")).balance > PURSE - COIN


async def test_a_part_that_the_chain_would_not_take_is_not_sealed(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await witnessed_round(stage)
        model = (await stage.finish(round_id, {"alice": learner(2, *TWO)})).round.model
        named = (NamedWitness(WITNESS.address, old_only=True),)
        growth = small_round(digits(1, 0, 1, 2), new_classes=1, old_rows=10, witnesses=named)
        growing = await stage.begin(growth, model)
        async with stage.actor("witness") as wallet:
            mixed = await sealed_part(wallet, digits(4, 0, 1, 2), growing, 0)
            assert mixed.parts[0].rows_below(2) == 24, "old classes only, as the terms ask"
        async with stage.actor("bob") as wallet:
            with pytest.raises(NotAWitness):
                await sealed_part(wallet, digits(4, *TWO), growing, 0)


async def test_a_part_with_too_few_old_rows_is_not_sealed(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        model = (await stage.finish(await witnessed_round(stage), {"alice": learner(2, *TWO)})).round.model
        named = (NamedWitness(WITNESS.address, old_only=False),)
        growth = small_round(digits(1, 0, 1, 2), new_classes=1, old_rows=10, witnesses=named)
        growing = await stage.begin(growth, model)
        async with stage.actor("witness") as wallet:
            with pytest.raises(TooFewOldRows, match="would hold 0 rows"):
                await sealed_part(wallet, digits(4, 2), growing, 0)


async def test_a_part_that_is_public_is_not_sealed_again(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        never = small_model(threshold_ppm=1)
        witnesses = (NamedWitness(WITNESS.address, old_only=False),)
        plan = small_round(digits(1, *TWO), bounty=BONDS, witnesses=witnesses)
        first = await stage.begin(plan, never)

        async def testify(wallet: Wallet) -> None:
            await seal(stage, wallet, first)
            await witness_of(stage, wallet).testify(first)

        model = (await stage.finish(first, {"alice": learner(2, *TWO)}, witness=testify)).round.model
        second = await stage.begin(replace(plan, data=digits(3, *TWO)), model)
        saved = set((tmp_path / ROUNDS_DIRECTORY).iterdir())
        before = await stage.account("witness")
        async with stage.actor("witness") as wallet:
            with pytest.raises(PartPublic, match=r"part 1 of 1 .* choose other rows, or another --seed"):
                await seal(stage, wallet, second)
            assert await wallet.client.call("mempool_list") == []
            assert set((tmp_path / ROUNDS_DIRECTORY).iterdir()) == saved
            fresh = await sealed_part(wallet, digits(4, *TWO), second, 1)
            await witness_of(stage, wallet).seal(second, fresh)
            sealed = (await witness_of(stage, wallet).view.get(Round, second)).witnesses
        assert [witness.commitment for witness in sealed] == [fresh.parts[0].commitment]
        assert (await stage.account("witness")).nonce == before.nonce + 1, "one part is sealed, and no other"


async def test_who_has_sealed_nothing_has_nothing_to_open(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await witnessed_round(stage)
        async with stage.actor("witness") as wallet:
            with pytest.raises(SecretsNotFound):
                await witness_of(stage, wallet).testify(round_id)
