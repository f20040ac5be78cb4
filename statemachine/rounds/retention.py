"""What a model must not forget: which opened part joins its retention parts, and which leaves a full list.

One part of the round joins: a part in which every class occurs if there is one, and among these the part with
the lowest `rank` under the round's seed.

If there are then more than R parts or more than `max_retention_rows` rows, parts leave, but never the one
that has just joined. The aim is to keep what the model knew at each stage of its growth. A part that is the
only one with its number of classes is spared while any other part can leave. Among the rest, parts with fewer
than `min_retention_rows` rows leave first, then parts whose number of classes has the most parts, then the
part with the lowest rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.draw import rank
from engram.statemachine.rounds.records import OpenedPart, Round
from engram.statemachine.rules import Rules


def next_retention(rules: Rules, model: Model, round_: Round) -> tuple[RetentionPart, ...]:
    """The retention parts of the version that the round has made, in order of entry."""
    return limit_parts(rules, round_, (*model.retention, joining_part(round_)))


def joining_part(round_: Round) -> RetentionPart:
    """The part of the round that joins."""

    def order(part: OpenedPart) -> tuple[bool, bytes]:
        return not part.complete, rank(round_.seed, part.commitment)

    part = min((*round_.validation_opened, *round_.unseen), key=order)
    return RetentionPart(part.commitment, round_.terms.rows, round_.classes)


def limit_parts(rules: Rules, round_: Round, parts: Sequence[RetentionPart]) -> tuple[RetentionPart, ...]:
    """As many of the parts as the rules allow, in the same order; the last, which has just joined, stays."""
    kept = list(parts)
    while len(kept) > 1 and (
        len(kept) > rules.max_retention_parts or sum(part.rows for part in kept) > rules.max_retention_rows
    ):
        kept.remove(_leaving_part(rules, round_, kept))
    return tuple(kept)


def _leaving_part(rules: Rules, round_: Round, parts: Sequence[RetentionPart]) -> RetentionPart:
    peers = Counter(part.classes for part in parts)
    old = parts[:-1]
    spare = [part for part in old if peers[part.classes] > 1] or old

    def order(part: RetentionPart) -> tuple[bool, int, bytes]:
        return part.rows >= rules.min_retention_rows, -peers[part.classes], rank(round_.seed, part.part)

    return min(spare, key=order)
