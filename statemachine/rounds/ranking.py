"""Who improved the model, and by how much: margins, eligibility, the ladder. Pure functions of losses.

The sealed loss of a candidate is summed over all opened sealed parts; that of version t, the incumbent, over
the same parts. The epochs are taken in order, and the best eligible candidate of each may become a rung of
the ladder. The first rung must have a lower sealed loss than the incumbent. A later rung must be below the
rung before it by the full margin: the parameters of that rung were public by then, and a copy with small
random changes would be a little better every second time. The last rung is the winner.

Each rung is paid for the loss that it removed from the rung before. All rungs together are therefore paid for
what the winner removed. An author gains nothing by dividing an improvement among several names, and a copy is
paid only for the little that it added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engram.nn.fixed import ln_q24
from engram.statemachine.records import Model, RetentionPart
from engram.statemachine.rounds.records import Candidate, RetentionScore, Round
from engram.statemachine.rules import Rules

PPM: Final = 1_000_000


@dataclass(frozen=True)
class Rung:
    """A candidate that took the lead."""

    candidate: Candidate
    sealed_loss: int
    removed: int
    """By how much its sealed loss is below that of the rung before; for the first, of the incumbent."""


def margin(rules: Rules, loss: int, epoch: int) -> int:
    """The loss that a challenger must remove: max(1, ⌊loss · ⌊margin_ppm / 2^epoch⌋ / 10^6⌋)."""
    return max(1, loss * (rules.margin_ppm >> epoch) // PPM)


def improves(rules: Rules, round_: Round, epoch: int, loss: int) -> bool:
    """Whether a loss on the validation parts is below the incumbent's by at least the margin of the epoch."""
    baseline = validation_baseline(round_)
    return loss <= baseline - margin(rules, baseline, epoch)


def validation_baseline(round_: Round) -> int:
    """Loss of the incumbent on the opened validation parts."""
    return sum(part.baseline.loss for part in round_.validation_opened)


def sealed_baseline(round_: Round) -> int:
    """Loss of the incumbent on the opened sealed parts."""
    return sum(part.baseline.loss for part in round_.sealed_opened)


def sealed_loss(candidate: Candidate) -> int:
    """Loss of a candidate on the opened sealed parts."""
    return sum(score.loss for score in candidate.sealed)


def generalises(round_: Round, candidate: Candidate) -> bool:
    """Whether it has less loss than the incumbent on the sealed parts, which were secret until the audit."""
    return sealed_loss(candidate) < sealed_baseline(round_)


def remembers(model: Model, candidate: Candidate) -> bool:
    """The retention gate: whether the candidate was scored on every retention part and passed each."""
    scores = {score.part: score for score in candidate.retention}
    return all(
        part.part in scores and passes_gate(model, part, scores[part.part]) for part in model.retention
    )


def passes_gate(model: Model, part: RetentionPart, found: RetentionScore) -> bool:
    """correct ≥ entry - ⌊ε·N / 10^6⌋ and loss ≤ bar + ⌊δ·bar / 10^6⌋ + the loss that the null growth adds.

    For the bar see `retention.entry_bar`.
    """
    return found.score.correct >= fewest_correct(model, part) and found.score.loss <= most_loss(
        model, part, found
    )


def fewest_correct(model: Model, part: RetentionPart) -> int:
    """The fewest rows of a retention part that a candidate must have right."""
    return part.correct - model.retention_epsilon_ppm * part.rows // PPM


def most_loss(model: Model, part: RetentionPart, found: RetentionScore) -> int:
    """The most loss that a candidate may have on a retention part."""
    return part.bar + model.retention_delta_ppm * part.bar // PPM + found.null_increase


def threshold_loss(model: Model, classes: int, rows: int) -> int:
    """The loss of so many rows at the model's threshold: ⌊rows · τ_ppm · ln_q24(classes) / 10^6⌋."""
    return rows * model.threshold_ppm * ln_q24(classes) // PPM


def is_at_threshold(model: Model, classes: int, loss: int, rows: int) -> bool:
    """Whether the mean loss of a row is at most τ·ln(classes)."""
    return loss <= threshold_loss(model, classes, rows)


def ladder(rules: Rules, round_: Round, model: Model, candidates: Sequence[Candidate]) -> tuple[Rung, ...]:
    """The rungs in the order of epochs, the winner last; empty if the incumbent stays."""
    rungs: list[Rung] = []
    lead = sealed_baseline(round_)
    for epoch in range(round_.terms.epochs):
        best = epoch_best(round_, model, [c for c in candidates if c.epoch == epoch])
        if best is None:
            continue
        loss = sealed_loss(best)
        if not rungs or takes_lead(rules, lead, loss):
            rungs.append(Rung(best, loss, lead - loss))
            lead = loss
    return tuple(rungs)


def takes_lead(rules: Rules, lead: int, loss: int) -> bool:
    """Whether a sealed loss is below that of an earlier epoch's candidate by the full margin."""
    return loss <= lead - margin(rules, lead, 0)


def epoch_best(round_: Round, model: Model, candidates: Sequence[Candidate]) -> Candidate | None:
    """The eligible candidate with the least (sealed loss, validation loss, commit height, address)."""
    eligible = [c for c in candidates if generalises(round_, c) and remembers(model, c)]
    return min(eligible, key=lambda c: (sealed_loss(c), c.loss, c.committed, c.author), default=None)
