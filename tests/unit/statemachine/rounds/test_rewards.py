"""Bounty, refund and burn to the spark; badges once; bonds that double and are forgiven."""

from dataclasses import replace

import pytest

from engram.statemachine.money import issue
from engram.statemachine.record import u64
from engram.statemachine.records import Badge, BadgeKind, Maturing, Reputation, Supply
from engram.statemachine.rounds.ranking import ladder
from engram.statemachine.rounds.records import Candidate
from engram.statemachine.rounds.rewards import (
    aborts_in_force,
    give_badge,
    minimum_opener_bond,
    pay_bounty,
    raise_reputation,
    reputation_points,
)
from engram.statemachine.rules import Rules
from tests.support.ledger import Ledger
from tests.support.round_samples import MODEL, a_candidate, a_model, a_round

RULES = Rules()
OPENER = b"\x0f" * 20


def paid(pot: int, bounty: int, *candidates: Candidate, sealed: int = 1_000) -> dict[str, int]:
    """What each name got of the pot, by its first byte; what was burned."""
    ledger = Ledger({})
    state, ctx = ledger.state, ledger.ctx
    issue(state, pot)
    round_ = a_round(sealed=(sealed,))
    round_ = replace(round_, opener=OPENER, pot=pot, terms=replace(round_.terms, bounty=bounty))
    pay_bounty(state, ctx, round_, ladder(RULES, round_, MODEL, candidates))
    found = {}
    for name in (1, 2, 3, 15):
        reward = state.find(Maturing, bytes([name]) * 20, u64(ctx.height + ledger.rules.maturity_blocks))
        found[str(name)] = reward.amount if reward else 0
    return {**found, "burned": state.get(Supply).burned}


def test_a_bounty_is_paid_for_what_was_removed() -> None:
    got = paid(1_000, 1_000, a_candidate(1, 0, 300))
    assert got == {"1": 700, "2": 0, "3": 0, "15": 300, "burned": 0}


def test_forfeited_bonds_go_to_winners_or_to_nobody() -> None:
    """Of 500 sparks that others lost, the opener sees none."""
    got = paid(1_500, 1_000, a_candidate(1, 0, 300))
    assert got == {"1": 1_050, "2": 0, "3": 0, "15": 300, "burned": 150}
    assert paid(1_500, 1_000) == {"1": 0, "2": 0, "3": 0, "15": 1_000, "burned": 500}


def test_each_share_is_rounded_down_and_the_rest_burned() -> None:
    got = paid(10, 10, a_candidate(1, 0, 700), a_candidate(2, 1, 350), a_candidate(3, 2, 111))
    assert got == {"1": 3, "2": 3, "3": 2, "15": 1, "burned": 1}


def test_a_perfect_winner_takes_it_all() -> None:
    assert paid(7, 7, a_candidate(2, 0, 0)) == {"1": 0, "2": 7, "3": 0, "15": 0, "burned": 0}


def test_reputation_counts_millionths_of_the_incumbents_loss() -> None:
    round_ = a_round(sealed=(3_000,))
    rungs = ladder(RULES, round_, MODEL, [a_candidate(1, 0, 2_000), a_candidate(2, 1, 500)])
    assert [reputation_points(round_, rung) for rung in rungs] == [333_333, 500_000]
    state = Ledger({}).state
    for points in (333_333, 10, 2**64 - 1):
        raise_reputation(state, MODEL.id, OPENER, points)
    assert state.get(Reputation, MODEL.id, OPENER).points == 2**64 - 1


def test_a_badge_is_given_once() -> None:
    ledger = Ledger({})
    state, ctx = ledger.state, ledger.ctx
    assert len(give_badge(state, ctx, MODEL.id, 3, OPENER, BadgeKind.AUDITOR)) == 1
    assert give_badge(state, ctx, MODEL.id, 3, OPENER, BadgeKind.AUDITOR) == ()
    badge = state.get(Badge, MODEL.id, (3).to_bytes(4, "big"), OPENER, b"\3")
    assert (badge.badge, badge.height) == (BadgeKind.AUDITOR, ctx.height)


@pytest.mark.parametrize(
    ("aborts", "since", "in_force"),
    [(0, 0, 0), (1, 0, 1), (3, 999, 3), (3, 1_000, 2), (3, 2_999, 1), (3, 3_000, 0), (3, 10**6, 0)],
)
def test_aborts_are_forgiven_one_by_one(aborts: int, since: int, in_force: int) -> None:
    model = replace(a_model(), aborts=aborts, last_abort=500)
    rules = Rules()
    assert aborts_in_force(rules, model, 500 + since) == in_force
    assert minimum_opener_bond(rules, model, 500 + since) == rules.min_opener_bond << in_force


def test_the_bond_of_a_founding_and_of_endless_aborts() -> None:
    rules = Rules()
    assert minimum_opener_bond(rules, None, 10) == rules.min_opener_bond
    model = replace(a_model(), aborts=2**16 - 1, last_abort=10)
    assert minimum_opener_bond(rules, model, 10) == rules.min_opener_bond << 32
