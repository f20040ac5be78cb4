"""The ladder and the pot to the spark; badges once; reputation."""

from dataclasses import replace

import pytest

from engram.statemachine.money import issue
from engram.statemachine.record import u64
from engram.statemachine.records import Badge, BadgeKind, Maturing, Reputation, Supply
from engram.statemachine.rounds.records import EpochBest, HalfWeight, Round
from engram.statemachine.rounds.rewards import give_badge, ladder, pay_pot, raise_reputation
from tests.support.ledger import Ledger
from tests.support.round_samples import MODEL, a_round, a_share

OPENER = b"\x0f" * 20


def a_settled(*best: EpochBest, pot: int = 1_000) -> Round:
    return replace(a_round(epochs=max(1, len(best))), opener=OPENER, pot=pot, best=best)


def paid(pot: int, *best: EpochBest) -> dict[str, int]:
    """What each name got of the pot, by its first byte; what was burned."""
    ledger = Ledger({})
    state, ctx = ledger.state, ledger.ctx
    issue(state, pot)
    round_ = a_settled(*best, pot=pot)
    pay_pot(state, ctx, round_, ladder(round_))
    found = {}
    for name in (1, 2, 3, 15):
        reward = state.find(Maturing, bytes([name]) * 20, u64(ctx.height + ledger.rules.maturity_blocks))
        found[str(name)] = reward.amount if reward else 0
    return {**found, "burned": state.get(Supply).burned}


def test_a_rung_is_paid_for_what_it_removed_and_the_opener_gets_the_rest() -> None:
    assert paid(1_000, a_share(1, 300)) == {"1": 700, "2": 0, "3": 0, "15": 300, "burned": 0}


def test_each_share_is_rounded_down_and_the_opener_gets_what_that_leaves() -> None:
    got = paid(10, a_share(1, 700), a_share(2, 350), a_share(3, 111))
    assert got == {"1": 3, "2": 3, "3": 2, "15": 2, "burned": 0}


def test_a_perfect_winner_takes_it_all() -> None:
    assert paid(7, a_share(2, 0)) == {"1": 0, "2": 7, "3": 0, "15": 0, "burned": 0}


def test_shares_of_other_baselines_are_compared_crosswise() -> None:
    got = paid(900, a_share(1, 1, 3), a_share(2, 2, 9))
    assert got == {"1": 600, "2": 100, "3": 0, "15": 200, "burned": 0}


def test_a_rung_gets_the_same_share_of_what_the_model_carries() -> None:
    ledger = Ledger({})
    issue(ledger.state, 1_010)
    round_ = replace(a_settled(a_share(1, 500), a_share(2, 111), pot=1_000), carried=10)
    left, events = pay_pot(ledger.state, ledger.ctx, round_, ladder(round_))
    assert left == 10 - 5 - 3, "the model keeps the rest"
    rewards = [rung.reward(round_) for rung in ladder(round_)]
    assert rewards == [500 + 5, 389 + 3]
    assert [event.values[1] for event in events] == rewards


@pytest.mark.parametrize(
    ("best", "rungs"),
    [
        ([a_share(1, 875)], [0]),
        ([a_share(1, 876)], []),
        ([a_share(1, 800), a_share(2, 700)], [0, 1]),
        ([a_share(1, 800), a_share(2, 701)], [0]),
        ([a_share(1, 800), a_share(2, 701), a_share(3, 700)], [0, 2]),
        ([EpochBest(), a_share(2, 500), EpochBest()], [1]),
        ([EpochBest(), EpochBest()], []),
        ([a_share(1, 300), a_share(2, 900)], [0]),
    ],
)
def test_an_epoch_is_a_rung_only_an_eighth_below_the_leader(best: list[EpochBest], rungs: list[int]) -> None:
    assert [rung.epoch for rung in ladder(a_settled(*best))] == rungs


def test_small_steps_below_a_leader_are_measured_from_the_leader() -> None:
    """What an epoch gained without taking the lead is not lost for the next one."""
    rungs = ladder(a_settled(a_share(1, 800), a_share(2, 750), a_share(3, 690)))
    assert [rung.of(1_000) for rung in rungs] == [200, 110]


def test_reputation_counts_millionths_of_the_baseline() -> None:
    rungs = ladder(a_settled(a_share(1, 2_000, 3_000), a_share(2, 500, 3_000)))
    state = Ledger({}).state
    for rung in rungs:
        raise_reputation(state, MODEL.id, rung)
    raise_reputation(state, MODEL.id, rungs[0])
    assert state.get(Reputation, MODEL.id, b"\1" * 20).points == 666_666
    assert state.get(Reputation, MODEL.id, b"\2" * 20).points == 500_000
    state.put(Reputation(MODEL.id, b"\2" * 20, 2**64 - 2))
    raise_reputation(state, MODEL.id, rungs[1])
    assert state.get(Reputation, MODEL.id, b"\2" * 20).points == 2**64 - 1


def a_union(name: int, loss: int, *weights: int) -> EpochBest:
    """The share of a union of the growths of names 1 and 2, with these weights."""
    halves = tuple(HalfWeight(bytes([half]) * 20, weight) for half, weight in enumerate(weights, 1))
    return replace(a_share(name, loss), halves=halves)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ((1, 1), [(1, 50), (2, 51)]),
        ((2, 1), [(1, 67), (2, 34)]),
        ((999_999, 1), [(1, 100), (2, 1)]),
        ((0, 7), [(2, 101)]),
        ((7, 0), [(1, 101)]),
    ],
)
def test_the_rung_of_a_union_is_divided_by_what_its_halves_removed_alone(
    weights: tuple[int, int], parts: list[tuple[int, int]]
) -> None:
    (rung,) = ladder(a_settled(a_union(3, 500, *weights)))
    assert rung.divided(101) == [(bytes([name]) * 20, part) for name, part in parts]
    assert rung.authors == [bytes([name]) * 20 for name, _ in parts]


def test_who_sends_a_union_is_paid_for_no_part_of_it() -> None:
    got = paid(1_000, a_share(1, 500), a_union(3, 100, 300_000, 100_000))
    assert got == {"1": 500 + 300, "2": 100, "3": 0, "15": 100, "burned": 0}


def test_the_reputation_of_a_union_is_divided_and_a_worthless_half_has_no_record() -> None:
    state = Ledger({}).state
    for best in (a_union(3, 500, 3, 1), a_union(3, 500, 1, 0)):
        (rung,) = ladder(a_settled(best))
        raise_reputation(state, MODEL.id, rung)
    assert state.get(Reputation, MODEL.id, b"\1" * 20).points == 375_000 + 500_000
    assert state.get(Reputation, MODEL.id, b"\2" * 20).points == 125_000
    assert state.find(Reputation, MODEL.id, b"\3" * 20) is None
    other = Ledger({}).state
    (rung,) = ladder(a_settled(a_union(3, 500, 1, 0)))
    raise_reputation(other, MODEL.id, rung)
    assert other.find(Reputation, MODEL.id, b"\2" * 20) is None


def test_a_badge_is_given_once() -> None:
    ledger = Ledger({})
    state, ctx = ledger.state, ledger.ctx
    assert len(give_badge(state, ctx, MODEL.id, 3, OPENER, BadgeKind.WITNESS)) == 1
    assert give_badge(state, ctx, MODEL.id, 3, OPENER, BadgeKind.WITNESS) == ()
    badge = state.get(Badge, MODEL.id, (3).to_bytes(4, "big"), OPENER, b"\3")
    assert (badge.badge, badge.height) == (BadgeKind.WITNESS, ctx.height)
