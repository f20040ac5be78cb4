"""Joint growth: an update of a later epoch that is the union of two candidates of the first one.

Two authors who show their rows to nobody can each make a growth of version t; the union of both adds the mean
of what they add. Anyone can send it. It brings no number of its own, so all of it follows from the records of
the halves, and it is scored like any other update. What its rung earns is divided between the authors of the
halves, in proportion to what each half alone has removed of the baseline's loss. Whoever sends the union gets
nothing for that.

Halves come from the first epoch only: there, every author commits before the update of another is public. So
a copy, noisy or not, is never a half beside its original. A half weighs something only if it proves its gain
and is not above the model's threshold, so one that knows nothing takes nothing from the other one, even where
it makes that one less sure and thereby better. What a half forgets does not count, because the mean of both
often mends that. A union of two halves that weigh nothing cannot take the lead. A union is scored after its
halves, so that weights do not depend on who had what scored, or on the order.

The terms bound the neurons of each half; the union keeps to the growth limits of the model. So halves may be
as large as the round allows, and both fit into one update only if they are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engram.nn.network import NetworkSpec
from engram.nn.union import unite
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.additions import GrowUpdate, Half, Update, halves_of
from engram.statemachine.records import Model
from engram.statemachine.rounds.candidates import best_of, find_candidate, is_complete, reasons_against
from engram.statemachine.rounds.errors import HalfMissing, HalfNotScored, HalvesMisplaced, UnionMismatch
from engram.statemachine.rounds.judging import PPM, removed
from engram.statemachine.rounds.records import Candidate, EpochBest, HalfWeight, Round
from engram.statemachine.rules import Rules
from engram.statemachine.state import State

FIRST_EPOCH: Final = 0
"""The epoch of all halves."""
HALF_RECORDS: Final = 3
"""Records that the rung of a union can make for the author of each half: a reward, reputation and a badge."""
NO_HALF_WEIGHS: Final = "no_half_weighs"
"""The reason against a union of which no half weighs anything."""
_KNOWS_NOTHING: Final = frozenset({"gain_not_proved", "above_threshold"})
"""Reasons against a half for which it weighs nothing."""


def united_update(
    base: NetworkSpec, candidates: tuple[Candidate, Candidate], statistics: Hash = ZERO_HASH
) -> GrowUpdate:
    """The one update that is the union of two candidates of a GROW round; `base` is version t.

    The half with the lower address comes first. Tensors are named, and none travels: the chain has them.
    Raises what `unite` raises.
    """
    first, second = sorted(candidates, key=lambda candidate: candidate.author)
    one, other = first.update, second.update
    assert isinstance(one, GrowUpdate), "a GROW round admits growths and nothing else"
    assert isinstance(other, GrowUpdate), "a GROW round admits growths and nothing else"
    halves = (_half(first.author, one), _half(second.author, other))
    growth = unite(base, one.growth, other.growth)
    hidden, outputs = one.hidden + other.hidden, one.outputs + other.outputs
    return GrowUpdate(growth, hidden, outputs, (), halves, statistics)


def check_union(state: State, round_: Round, base: NetworkSpec, epoch: int, update: Update) -> None:
    """Refuses an update with halves that is not their union; `base` is version t. Looks up two candidates.

    Candidates cannot be withdrawn before the round has ended, so halves that stood once still stand. One of
    the first epoch is no union, because no union is of the first epoch.

    Raises `HalvesMisplaced`, `HalfMissing`, `UnionMismatch`, and what `unite` raises.
    """
    if not isinstance(update, GrowUpdate) or not update.halves:
        return
    authors = [half.author for half in update.halves]
    if len(authors) != 2 or authors[0] >= authors[1]:
        raise HalvesMisplaced("a union has two halves, authors ascending", got=len(authors))
    if epoch == FIRST_EPOCH:
        raise HalvesMisplaced("the first epoch has no unions", expected=FIRST_EPOCH + 1, got=epoch)
    first, second = (_candidate(state, round_, author) for author in authors)
    if update != (expected := united_update(base, (first, second), update.statistics)):
        raise UnionMismatch(expected=_first_difference(expected, update), got=authors[0])


def check_halves_scored(state: State, round_: Round, model: Model, candidate: Candidate) -> None:
    """Raises `HalfNotScored` if the candidate is a union of which a half is not scored on all parts.

    Where authors claim scores, the claim of a half also has to be decided, as long as it still can be.
    """
    for half in candidate_halves(state, round_, candidate):
        if not is_complete(round_, model, half):
            raise HalfNotScored(got=half.author)


def candidate_halves(state: State, round_: Round, candidate: Candidate) -> list[Candidate]:
    """The candidates of which this one is the union, in order; none of any other candidate."""
    return [find_candidate(state, round_, FIRST_EPOCH, half.author) for half in halves_of(candidate.update)]


def half_weights(
    state: State, rules: Rules, round_: Round, model: Model, candidate: Candidate
) -> tuple[HalfWeight, ...]:
    """The weights by which a union's rung is divided, in the order of its halves; () of any other candidate.

    A half weighs what it removed alone, ⌊10^6 · (1 - its share)⌋; 0 if its gain is not proved, if it is above
    the threshold, or if it has not been scored on every part.
    """
    halves = candidate_halves(state, round_, candidate)
    return tuple(HalfWeight(half.author, _weight(rules, round_, model, half)) for half in halves)


def reasons_against_all(
    rules: Rules, round_: Round, model: Model, candidate: Candidate, halves: Sequence[HalfWeight]
) -> tuple[str, ...]:
    """`reasons_against` a candidate, and what speaks against a union with halves of these weights."""
    found = reasons_against(rules, round_, model, candidate)
    return (*found, NO_HALF_WEIGHS) if halves and not any(half.weight for half in halves) else found


def _weight(rules: Rules, round_: Round, model: Model, half: Candidate) -> int:
    if not is_complete(round_, model, half) or _KNOWS_NOTHING & set(
        reasons_against(rules, round_, model, half)
    ):
        return 0
    return max(0, removed(PPM, best_of(half, round_), EpochBest()))


def _half(author: Address, update: GrowUpdate) -> Half:
    return Half(author, len(update.hidden), len(update.outputs))


def _candidate(state: State, round_: Round, author: Address) -> Candidate:
    found = state.find(Candidate, round_.id, bytes([FIRST_EPOCH]), author)
    if found is None:
        raise HalfMissing(got=author)
    return found


def _first_difference(expected: GrowUpdate, got: GrowUpdate) -> str:
    """The name of the first field in which a union is not what it has to be."""
    return next(name for name, value in vars(expected).items() if vars(got)[name] != value)
