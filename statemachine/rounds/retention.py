"""What a model must not forget: which opened part joins its retention parts, and which leaves a full list.

Joining: of the parts that the deciding round opened, those in which every class occurs come first, then the
lowest `rank` under the round's seed. Leaving, when more than R remain: the only part of a number of classes
stays while any other can go; of the rest go first those of fewer than `min_retention_rows`, then those of the
number of classes with the most parts, then the lowest rank. The part that just joined never leaves.

The bar of a part is the loss that later growth is held to: what the version that it entered with lost on it,
or the loss at the model's threshold where that is higher. What is at its threshold counts as known, to the
chain and to this gate alike; a version that learned one part by heart must not forbid every growth after it.
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
    """The retention parts of the version that `winner`, which passed the gate, becomes; in order of entry."""
    increases = {score.part: score.null_increase for score in winner.retention}
    kept = [
        replace(part, bar=min(part.bar + increases[part.part], 2**64 - 1))  # else no node could settle it
        for part in model.retention
    ]
    return limit_parts(rules, round_, (*kept, joining_part(model, round_, winner)))


def joining_part(model: Model, round_: Round, winner: Candidate) -> RetentionPart:
    """The part of the round that the new version will be held to, with its correct rows and the bar."""
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
    """At most R of the parts, the last of which has just joined; the order stays."""
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
