"""What consolidations may cost: in one round, and in any 24 hours. Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engram.participant.learn.errors import DayBudgetSpent
from engram.participant.learn.states import MAX_SPENT, Spent
from engram.participant.pricing import Limits
from engram.primitives.types import Hash

DAY_MS: Final = 24 * 3_600_000


@dataclass(frozen=True)
class SpendingLimits:
    """The most that rounds may cost, in sparks; None is no limit."""

    round_bond: int | None = None
    """The bonds that may be at stake in one round."""
    round_fee: int | None = None
    """Fees, entries and bounty of one round."""
    day_bond: int | None = None
    """The bonds of all rounds that began in the last 24 hours, whether they came back or not."""
    day_fee: int | None = None
    """Fees, entries and bounties of all rounds of the last 24 hours."""


def left_of(limits: SpendingLimits, spent: Sequence[Spent], now_ms: int) -> Limits:
    """What the next round may cost now. Raises `DayBudgetSpent` if the day has nothing left."""
    recent = [each for each in spent if each.at_ms > now_ms - DAY_MS]
    bond = _left(limits.round_bond, limits.day_bond, sum(each.bond for each in recent))
    fee = _left(limits.round_fee, limits.day_fee, sum(each.fee for each in recent))
    if (limits.day_bond is not None and bond == 0) or (limits.day_fee is not None and fee == 0):
        oldest = min(each.at_ms for each in recent) if recent else now_ms
        raise DayBudgetSpent(
            f"what a day may cost is spent; it goes on in {(oldest + DAY_MS - now_ms) // 60_000} minutes",
            expected=(limits.day_bond, limits.day_fee),
            got=(sum(each.bond for each in recent), sum(each.fee for each in recent)),
        )
    return Limits(bond, fee)


def noted(spent: Sequence[Spent], new: Spent) -> tuple[Spent, ...]:
    """The costs with those of one round noted, in place of an earlier note about the same round.

    Notes older than a day go, and of more than `MAX_SPENT` the oldest. The time of the first note counts.
    """
    before = next((each for each in spent if each.key == new.key), None)
    kept = [each for each in spent if each.key != new.key and each.at_ms > new.at_ms - DAY_MS]
    kept.append(new if before is None else replace(new, at_ms=before.at_ms))
    return tuple(kept[-MAX_SPENT:])


def renamed(spent: Sequence[Spent], old: Hash, new: Hash) -> tuple[Spent, ...]:
    """The costs of a round that had no id yet, under its id."""
    return tuple(replace(each, key=new) if each.key == old else each for each in spent)


def _left(of_round: int | None, of_day: int | None, spent: int) -> int | None:
    if of_day is None:
        return of_round
    rest = max(0, of_day - spent)
    return rest if of_round is None else min(of_round, rest)
