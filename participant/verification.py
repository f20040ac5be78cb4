"""How the scores of a new model are to be verified, and which terms of its rounds follow from that.

By default every node computes every score. On a model that is founded so, authors claim their scores
instead, row by row: a node computes only what somebody disputes and what an audit draws
(docs/protocol/claims.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engram.consensus.chainspec import ChainSpec
from engram.participant.errors import ClaimsNotActive
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.errors import NotActivated
from engram.statemachine.rounds.claims import CONFIRM_KIND, DISPUTE_KIND, ROW_BYTES
from engram.statemachine.rounds.records import RoundTerms
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.upgrades import check_active

USUAL_AUDITED: Final = 8
"""Chunks that an audit draws, unless the founder names a number."""
WINDOWS_TO_SCORE: Final = 3
"""The phase SCORE lasts at least so many dispute windows: claiming and confirming may take one each."""


@dataclass(frozen=True)
class Disputed:
    """The founder's choice that authors claim scores, which anyone may dispute."""

    window: int | None = None
    """Ticks in which a claim can be disputed. None: as long as authors have to train, or the least that the
    chain allows, if that is longer."""
    audited: int = USUAL_AUDITED
    """Chunks of rows that every node recomputes before a claim counts."""


def claim_terms(spec: ChainSpec, wanted: Disputed, commit_window: int) -> ClaimTerms:
    """The terms of a model for which this is wanted; `commit_window` is that of its first round, in ticks.

    Whoever watches recomputes what an author has computed, and needs no more time than the author.
    """
    rules = spec.rules
    least = rules.draw_ticks + rules.min_window_ticks
    usual = max(least, min(commit_window, rules.max_window_ticks // 2))
    return ClaimTerms(usual if wanted.window is None else wanted.window, wanted.audited)


def check_claims_active(spec: ChainSpec, height: int) -> None:
    """Raises `ClaimsNotActive` unless blocks at this height may hold what disputes and confirms claims."""
    upgrades = [(upgrade.kind, upgrade.height) for upgrade in spec.upgrades]
    for kind in (CONFIRM_KIND, DISPUTE_KIND):
        try:
            check_active(upgrades, kind, height)
        except NotActivated as error:
            raise ClaimsNotActive(expected=kind, got=height) from error


def for_claims(rules: Rules, terms: RoundTerms, claims: ClaimTerms) -> RoundTerms:
    """The terms of a round, changed so that authors can claim scores in it.

    SCORE lasts at least `WINDOWS_TO_SCORE` dispute windows, as far as the rules allow. An update leaves room
    in its reveal for the claimed rows of all validation parts; tensors beyond that are uploaded.
    """
    most = min(rules.max_window_ticks, rules.tick_ring)
    score = max(terms.score_window, min(WINDOWS_TO_SCORE * claims.window, most))
    room = rules.max_transaction_bytes - ENVELOPE_BYTES - ROW_BYTES * terms.rows * terms.validation
    return replace(terms, score_window=score, max_update_bytes=max(1, min(terms.max_update_bytes, room)))
