"""What a model must not forget: which opened part joins its retention parts, and which leaves a full list.

One part of the round joins: a part in which every class occurs if there is one, and among these the part with
the lowest `rank` under the round's seed.

If there are then more than R parts, one leaves, but never the one that has just joined. The aim is to keep
what the model knew at each stage of its growth. A part that is the only one with its number of classes is
spared while any other part can leave. Among the rest, parts with fewer than `min_retention_rows` rows leave
first, then parts whose number of classes has the most parts, then the part with the lowest rank.

The bar of a part is the loss that later growth is held to: the loss of the version with which the part
joined, or the loss at the model's threshold if that is higher. At its threshold the chain itself calls a
model good enough. Without that second term, a version that knew one part by heart would have so low a loss on
it that no honest growth could pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.draw import rank
from engram.statemachine.rounds.ranking import threshold_loss
from engram.statemachine.rounds.records import Candidate, OpenedPart, PartScore, Round
from engram.statemachine.rules import Rules


def next_retention(rules: Rules, model: Model, round_: Round, winner: Candidate) -> tuple[RetentionPart, ...]:
    """The retention parts of the next version, which `winner` becomes, in order of entry.

    `winner` has passed the gate, so it was scored on all present retention parts.
    """
    increases = {score.part: score.null_increase for score in winner.retention}
    kept = [
        replace(part, bar=min(part.bar + increases[part.part], 2**64 - 1))  # a larger one has no encoding
        for part in model.retention
    ]
    return limit_parts(rules, round_, (*kept, joining_part(model, round_, winner)))


def joining_part(model: Model, round_: Round, winner: Candidate) -> RetentionPart:
    """The part of the round that joins, with the winner's correct rows on it and its bar."""
    scored = (
        *zip(round_.validation_opened, winner.validation, strict=True),
        *zip(round_.sealed_opened, winner.sealed, strict=True),
    )

    def order(item: tuple[OpenedPart, PartScore]) -> tuple[bool, bytes]:
        return not item[0].complete, rank(round_.seed, item[0].commitment)

    part, score = min(scored, key=order)
    rows, classes = round_.terms.rows, round_.classes
    return RetentionPart(
        part.commitment, rows, classes, score.correct, entry_bar(model, classes, rows, score.loss)
    )


def entry_bar(model: Model, classes: int, rows: int, loss: int) -> int:
    """max(loss, ⌊rows · τ_ppm · ln_q24(classes) / 10^6⌋)."""
    return max(loss, threshold_loss(model, classes, rows))


def limit_parts(rules: Rules, round_: Round, parts: Sequence[RetentionPart]) -> tuple[RetentionPart, ...]:
    """At most R of the parts, in the same order; the last of them has just joined and stays."""
    kept = list(parts)
    while len(kept) > rules.max_retention_parts:
        kept.remove(_leaving_part(rules, round_, kept))
    return tuple(kept)


def _leaving_part(rules: Rules, round_: Round, parts: Sequence[RetentionPart]) -> RetentionPart:
    peers = Counter(part.classes for part in parts)
    old = parts[:-1]
    spare = [part for part in old if peers[part.classes] > 1] or old

    def order(part: RetentionPart) -> tuple[bool, int, bytes]:
        return part.rows >= rules.min_retention_rows, -peers[part.classes], rank(round_.seed, part.part)

    return min(spare, key=order)
