"""Who improved the model, and by how much: margins, eligibility, the ladder. Pure functions of losses.

A candidate's sealed loss is summed over every opened sealed part, the incumbent's over the same parts. Epoch
by epoch the best eligible candidate climbs the ladder if it stands below the rung before it: below the
incumbent, strictly, for the first rung; below an earlier epoch's candidate by the full margin, since that
candidate's parameters are public by then and a random nudge of them would win every second time. The last
rung is the winner. Each rung is paid for the loss it removed from the rung before: together what the winner
removed, however many names it is divided among, and to a lucky copy only its luck.
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
    """One candidate that took the lead."""

    candidate: Candidate
    sealed_loss: int
    removed: int
    """Sealed loss below the rung before it; the incumbent's for the first."""


def margin(rules: Rules, loss: int, epoch: int) -> int:
    """Loss that a challenger of this epoch must remove: max(1, ⌊loss · ⌊margin_ppm / 2^epoch⌋ / 10^6⌋)."""
    return max(1, loss * (rules.margin_ppm >> epoch) // PPM)


def improves(rules: Rules, round_: Round, epoch: int, loss: int) -> bool:
    """Whether a loss on the validation parts is the incumbent's less the epoch's margin, or lower."""
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
    """Whether the candidate is below the incumbent on the sealed parts, which it could not train on."""
    return sealed_loss(candidate) < sealed_baseline(round_)


def remembers(model: Model, candidate: Candidate) -> bool:
    """The retention gate: the candidate is scored on every retention part of the model and passes each."""
    scores = {score.part: score for score in candidate.retention}
    return all(
        part.part in scores and passes_gate(model, part, scores[part.part]) for part in model.retention
    )


def passes_gate(model: Model, part: RetentionPart, found: RetentionScore) -> bool:
    """correct ≥ entry - ⌊ε·N / 10^6⌋ and loss ≤ bar + ⌊δ·bar / 10^6⌋ + what the null growth adds.

    Of the bar see `retention.entry_bar`.
    """
    return found.score.correct >= fewest_correct(model, part) and found.score.loss <= most_loss(
        model, part, found
    )


def fewest_correct(model: Model, part: RetentionPart) -> int:
    """Rows of a retention part that a candidate must have right."""
    return part.correct - model.retention_epsilon_ppm * part.rows // PPM


def most_loss(model: Model, part: RetentionPart, found: RetentionScore) -> int:
    """Loss that a candidate may have on a retention part."""
    return part.bar + model.retention_delta_ppm * part.bar // PPM + found.null_increase


def threshold_loss(model: Model, classes: int, rows: int) -> int:
    """The most that so many rows lose at the threshold: ⌊rows · τ_ppm · ln_q24(classes) / 10^6⌋."""
    return rows * model.threshold_ppm * ln_q24(classes) // PPM


def is_at_threshold(model: Model, classes: int, loss: int, rows: int) -> bool:
    """Whether the mean loss is at most τ·ln(classes)."""
    return loss <= threshold_loss(model, classes, rows)


def ladder(rules: Rules, round_: Round, model: Model, candidates: Sequence[Candidate]) -> tuple[Rung, ...]:
    """The rungs in order of epochs; empty if the incumbent stays. The last is the winner."""
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
    """Whether a sealed loss beats an earlier epoch's candidate, which it may copy: by the full margin."""
    return loss <= lead - margin(rules, lead, 0)


def epoch_best(round_: Round, model: Model, candidates: Sequence[Candidate]) -> Candidate | None:
    """The eligible candidate of lowest sealed loss; ties: validation loss, commit height, address."""
    eligible = [c for c in candidates if generalises(round_, c) and remembers(model, c)]
    return min(eligible, key=lambda c: (sealed_loss(c), c.loss, c.committed, c.author), default=None)
