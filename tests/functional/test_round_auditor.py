"""A third party's side: its sealed part outlives crashes, counts, and costs its bond if it stays closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.participant.auditor import Auditor, sealed_part
from engram.participant.errors import RoundOver, SecretsNotFound
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.records import Account
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.records import RoundStatus
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from tests.support.round_matter import AUDITOR
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round

TWO = (0, 1)


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


def auditor_of(stage: Stage, wallet: Wallet) -> Auditor:
    return Auditor(wallet, stage.folder / ROUNDS_DIRECTORY, stage.tell)


async def audited_round(stage: Stage) -> Hash:
    plan = small_round(digits(1, *TWO), auditors=(AUDITOR.address,))
    return await stage.open(plan, small_model())


async def seal(stage: Stage, wallet: Wallet, round_id: Hash) -> None:
    secrets = await sealed_part(wallet, digits(4, *TWO), round_id, 0)
    await auditor_of(stage, wallet).seal(round_id, secrets)


async def strikes(stage: Stage) -> int:
    async with stage.client() as client:
        return (await ChainView(client).get(Account, AUDITOR.address)).strikes


async def test_an_auditor_dies_before_and_after_it_opens_its_part(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await audited_round(stage)
        deaths: list[TxPayload] = []

        async def audit(wallet: Wallet) -> None:
            await seal(stage, wallet, round_id)
            for _ in range(2):
                with pytest.raises(Death):
                    await auditor_of(stage, MortalWallet(wallet, deaths)).audit(round_id)
            await auditor_of(stage, wallet).audit(round_id)

        ended = await stage.play(round_id, {"alice": learner(2, *TWO)}, auditor=audit)
        assert ended.round.status == RoundStatus.DECIDED
        assert ended.round.independent
        assert len(deaths) == 2
        assert await strikes(stage) == 0


async def test_nothing_is_opened_where_no_candidate_waits(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await audited_round(stage)

        async def audit(wallet: Wallet) -> None:
            await seal(stage, wallet, round_id)
            await auditor_of(stage, wallet).audit(round_id)

        ended = await stage.play(round_id, {}, auditor=audit)
        assert ended.round.status == RoundStatus.KEPT
        assert "no_candidates" in [notice.event for notice in stage.said]
        assert await strikes(stage) == 0


async def test_an_auditor_who_comes_too_late_loses_its_bond_and_ends_no_round(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await audited_round(stage)

        async def sleep_over(wallet: Wallet) -> None:
            await seal(stage, wallet, round_id)
            auditor = auditor_of(stage, wallet)
            round_ = await auditor.view.wait_phase(round_id, Phase.AUDIT)
            await auditor.view.wait_tick((await auditor.view.span(round_, Phase.AUDIT)).last + 1)
            with pytest.raises(RoundOver):
                await auditor.audit(round_id)

        ended = await stage.play(round_id, {"alice": learner(2, *TWO)}, auditor=sleep_over)
        assert ended.round.status == RoundStatus.DECIDED
        assert not ended.round.independent
        assert await strikes(stage) == 1


async def test_who_has_sealed_nothing_has_nothing_to_open(tmp_path: Path) -> None:
    async with running_stage(tmp_path) as stage:
        round_id = await audited_round(stage)
        async with stage.actor("auditor") as wallet:
            with pytest.raises(SecretsNotFound):
                await auditor_of(stage, wallet).audit(round_id)
