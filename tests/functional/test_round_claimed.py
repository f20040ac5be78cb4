"""The author's side of a round whose scores are claimed: what is sent, and what a crash may not cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.participant.claiming import claim_batches
from engram.participant.committing import ADMITTED
from engram.participant.errors import ClaimsNotActive, ScoresClaimed
from engram.participant.round_plan import draft_founding
from engram.participant.scoring import score_candidates
from engram.participant.verification import Disputed
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.records import Model
from engram.statemachine.rounds.claims import DISPUTE_KIND
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rounds.terms import least_claim_bond
from engram.statemachine.rounds.update import reading_macs
from engram.statemachine.rules import ENVELOPE_BYTES
from engram.statemachine.transactions.confirm_update import ConfirmUpdate
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate
from tests.support.mortal import Death, MortalWallet
from tests.support.round_matter import ALICE, COIN, OPENER, PURSE, SMALL_RULES
from tests.support.round_samples import a_candidate, a_model, a_round, opened
from tests.support.stage import Stage, digits, learner, running_stage, small_model, small_round, stage_spec

TWO = (0, 1)
WANTED = Disputed(audited=2)


@asynccontextmanager
async def begun(folder: Path, **changes: Any) -> AsyncIterator[tuple[Stage, Hash]]:
    """A round that founds a model whose authors claim scores."""
    async with running_stage(folder) as stage:
        yield (
            stage,
            await stage.begin(small_round(digits(1, *TWO), **changes), small_model(verification=WANTED)),
        )


async def test_the_terms_of_a_round_with_claims_leave_room_for_them(tmp_path: Path) -> None:
    async with begun(tmp_path) as (stage, round_id), stage.client() as client:
        view = ChainView(client)
        round_ = await view.get(Round, round_id)
        model = await view.get(Model, round_.model)
        least = SMALL_RULES.draw_ticks + SMALL_RULES.min_window_ticks
        assert model.claims == ClaimTerms(max(least, round_.terms.commit_window), 2)
        assert round_.terms.score_window >= 3 * model.claims.window
        assert round_.terms.author_bond == least_claim_bond(SMALL_RULES, round_.terms, 0) == 2 * COIN
        with pytest.raises(ScoresClaimed):
            await score_candidates(view, Wallet(client, ALICE), round_id, None)


async def test_an_author_claims_and_confirms_and_wins(tmp_path: Path) -> None:
    async with begun(tmp_path) as (stage, round_id):
        ended = await stage.finish(round_id, {"alice": learner(2, *TWO)})
        assert (ended.round.status, ended.round.winner) == (RoundStatus.DECIDED, ALICE.address)
        assert [report.code for report in ended.reports["alice"]] == ["candidate_admitted"]
        events = [notice.event for notice in stage.said]
        assert events.index("claimed") < events.index("claim_confirmed") < events.index("withdrawn")
        assert (await stage.account("alice")).balance > PURSE - COIN // 2, "the bond has returned"


@pytest.mark.parametrize("kind", [RevealUpdate, ScoreUpdate, ConfirmUpdate])
@pytest.mark.parametrize("after", [False, True])
async def test_an_author_that_dies_claims_and_confirms_what_it_would_have(
    tmp_path: Path, kind: type, after: bool
) -> None:
    async with begun(tmp_path) as (stage, round_id):

        async def mortal(wallet: Wallet) -> None:
            with pytest.raises(Death):
                await stage.author(MortalWallet(wallet, kind, after=after), learner(2, *TWO)).play(round_id)
            await stage.author(wallet, learner(2, *TWO)).play(round_id)

        ended = await stage.finish(round_id, {}, alice=mortal)
        assert ended.round.winner == ALICE.address
        assert (await stage.account("alice")).balance > PURSE - COIN // 2, "the bond has returned"


async def test_a_chain_that_cannot_hold_disputes_founds_no_such_model(tmp_path: Path) -> None:
    known = stage_spec()
    older = replace(known, upgrades=tuple(each for each in known.upgrades if each.kind != DISPUTE_KIND))
    async with running_stage(tmp_path, older) as stage, stage.client() as client:
        founding = draft_founding(
            Wallet(client, OPENER), small_round(digits(1, *TWO)), small_model(verification=WANTED)
        )
        with pytest.raises(ClaimsNotActive):
            await founding


def test_claims_travel_in_as_few_transactions_as_hold_their_rows() -> None:
    parts = [opened(1, name=number) for number in range(5)]
    round_, model = a_round(unseen=parts), a_model()
    rules = replace(SMALL_RULES, max_transaction_bytes=ENVELOPE_BYTES + 2 * 8 * 8)
    assert claim_batches(rules, round_, model, a_candidate(scored=b"")) == [(0, 1), (2, 3), (4,)]
    assert claim_batches(rules, round_, model, a_candidate(scored=b"\x02")) == [(0, 2), (3, 4)]
    heavy = replace(SMALL_RULES, max_block_macs=2 * reading_macs(SMALL_RULES, model.inputs, 8))
    assert claim_batches(heavy, round_, model, a_candidate(scored=b"")) == [(0,), (1,), (2,), (3,), (4,)]


async def test_a_model_whose_scores_are_claimed_grows_in_two_epochs(tmp_path: Path) -> None:
    plan = small_round(digits(1, *TWO), epochs=2, new_classes=1)
    async with running_stage(tmp_path) as stage:
        round_id = await stage.begin(plan, small_model(classes=1, verification=WANTED))
        ended = await stage.finish(round_id, {"alice": learner(2, *TWO), "bob": learner(3, *TWO)})
        assert ended.round.status == RoundStatus.DECIDED
        confirmed = [notice for notice in stage.said if notice.event == "claim_confirmed"]
        admitted = [report for each in ended.reports.values() for report in each if report.code == ADMITTED]
        assert len(confirmed) == len(admitted) >= 2
