"""How much a model must allow its growths to lose, so that an honest one passes the gate but for rare chance.

`participant.gate_odds` has the rules about how many rows of old classes a growth may lose. The loss of the
old rows may rise to (1 + δ) times the larger of the loss before and the threshold, and by ln(n / n_old) a
row; the loss of all rows must stay below the threshold.

From simulated growths (`trials`) follows an upper confidence bound p on the share of rows that one loses: the
exact bound of Clopper and Pearson (Biometrika 26, 1934). The number of rows lost is then binomial at worst,
and the least ε is taken with which a growth passes. For losses, which are bounded, the empirical Bernstein
bound of Maurer and Pontil (COLT 2009) takes its place. Half of the allowed failure goes to these bounds, the
other half to chance in the round.

The first classes do not tell how hard later ones are. A row can be confused with each new class, so what was
seen is multiplied by the number of classes that a growth is expected to bring, over that of the simulated
growths; and by MARGIN, which nothing proves. Classes that are harder still need more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log, sqrt
from typing import Final

import numpy as np

from engram.participant.gate_odds import JudgedRows, binomial_cdf, least_epsilon
from engram.participant.memory.trials import Moments, Trials
from engram.statemachine.rounds.judging import LEAST_ROWS_OF_A_CLASS, PPM

CONFIDENCE: Final = 0.999
CLIP_NATS: Final = 8.0
"""A row's loss is clipped at ln(classes) and so many nats."""
MARGIN: Final = 2.0
"""Later classes may be harder to tell apart than the first ones: growths may lose so many times as much."""
MOST_DELTA_PPM: Final = 10 * PPM
DEVIATIONS: Final = 3.1
"""A normal variable exceeds its mean by so many standard deviations once in a thousand."""
LEAST_RIGHT: Final = 0.9


@dataclass(frozen=True)
class Advice:
    """The least limits with which an honest growth passes with a confidence."""

    confidence: float
    share: float
    """The share of losable rows that a growth lost in the trials."""
    share_bound: float
    """The upper confidence bound on it."""
    expected_share: float
    """The share that a later growth is expected to lose, by the number of its classes."""
    planned_share: float
    """The share for which limits are made: the bound, by the number of classes, and MARGIN times that."""
    epsilon_ppm: int
    delta_ppm: int
    threshold_ppm: int
    """The least threshold below which founding and growth stay, by the normal distribution: an estimate."""
    lost_cap_ppm: int
    """For as many growths as the model has banks for."""
    class_chance: float
    """An upper bound on the chance that a growth loses more than half of some class."""
    judged: JudgedRows


def advise(
    trials: Trials, judged: JudgedRows, *, growths: int, threshold_ppm: int, confidence: float = CONFIDENCE
) -> Advice:
    """The advice for a model whose growths are judged by such rows.

    Trials without any judged row say nothing; then ε is 1 and δ as large as it can be.
    """
    failure = (1 - confidence) / 2
    ratio = max(1.0, trials.expected / max(1, trials.new_classes))
    bound = share_bound(trials, failure)
    planned = min(1.0, MARGIN * ratio * bound)
    epsilon = least_epsilon(planned, judged, failure, _least_right(trials, judged))
    harder = replace(trials, old=trials.old.scaled(MARGIN * ratio), whole=trials.whole.scaled(MARGIN * ratio))
    needed = _likely_threshold(harder, judged)
    threshold = max(threshold_ppm, needed)
    total = max(1, growths) * max(1, judged.old_rows)
    lost = _quantile(total, planned, failure) / max(1, judged.old_rows)
    return Advice(
        confidence,
        trials.share,
        bound,
        min(1.0, ratio * trials.share),
        planned,
        epsilon,
        _least_delta(harder, judged, threshold, failure),
        needed,
        min(PPM, ceil(lost * PPM)),
        _class_chance(trials, judged, failure),
        judged,
    )


def share_bound(trials: Trials, failure: float) -> float:
    """The upper confidence bound on the share of losable rows that a growth loses.

    A row was judged in several growths, which are not independent: it counts once, with the share of its
    growths. Of sums of numbers from 0 to 1, binomial ones have the widest tails (Hoeffding 1956).
    """
    rows = min(trials.rows, trials.losable)
    return clopper_pearson(ceil(trials.share * rows - 1e-9), rows, failure)


def clopper_pearson(successes: int, rows: int, failure: float) -> float:
    """The p with P(X ≤ successes) = `failure` for X binomial of so many rows: the exact upper bound.

    1 if every row is a success or there are none.
    """
    if successes >= rows:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if binomial_cdf(rows, middle)[successes] > failure:
            low = middle
        else:
            high = middle
    return high


def _least_right(trials: Trials, judged: JudgedRows) -> float:
    """The part of old rows that a model surely has right: later ones may have as few as LEAST_RIGHT."""
    part = trials.losable / trials.judged if trials.judged else 0.0
    scatter = sqrt(part * (1 - part) / max(1, judged.old_rows))
    return max(0.5, min(LEAST_RIGHT, part - DEVIATIONS * scatter))


def _quantile(rows: int, share: float, failure: float) -> int:
    """The least m with P(X > m) at most `failure`, X binomial."""
    return int(np.searchsorted(binomial_cdf(rows, share), 1 - failure))


def _likely_threshold(trials: Trials, judged: JudgedRows) -> int:
    """Mean and scatter of the losses of a founding and of growths, in millionths of ln(classes)."""
    rows = max(1, judged.old_rows + judged.new_rows)
    means = [
        each.mean + DEVIATIONS * sqrt(each.variance * (1 / rows + 1 / max(1, each.rows)))
        for each in (trials.before, trials.whole)
    ]
    return min(PPM, ceil(max(means) / log(max(2, trials.classes)) * PPM))


def _mean_bound(moments: Moments, classes: int, rows: int, failure: float) -> float:
    """What the mean loss of so many rows stays below, in nats, but for `failure`."""
    largest = log(max(2, classes)) + CLIP_NATS
    if not moments.rows:
        return largest
    reach = log(2 / failure)
    seen = sqrt(2 * moments.variance * reach / moments.rows)
    seen += 7 * largest * reach / (3 * max(1, moments.rows - 1))
    drawn = sqrt(2 * moments.variance * reach / max(1, rows)) + largest * reach / (3 * max(1, rows))
    return min(largest, moments.mean + seen + drawn)


def _least_delta(trials: Trials, judged: JudgedRows, threshold_ppm: int, failure: float) -> int:
    loss = _mean_bound(trials.old, trials.classes, judged.old_rows, failure)
    known = threshold_ppm / PPM * log(max(2, trials.classes))
    free = log((judged.old_rows + judged.new_rows) / judged.old_rows) if judged.old_rows else 0.0
    return min(MOST_DELTA_PPM, max(0, ceil(((loss - free) / known - 1) * PPM))) if known else MOST_DELTA_PPM


def _class_chance(trials: Trials, judged: JudgedRows, failure: float) -> float:
    """The chance that of some class with enough rows more than half is lost, summed over the classes."""
    rows = judged.old_rows // max(1, trials.classes)
    if rows < LEAST_ROWS_OF_A_CLASS:
        return 0.0
    own = min(trials.rows, trials.losable) // max(1, trials.classes)
    bound = clopper_pearson(ceil(trials.worst_class * own - 1e-9), own, failure)
    return min(1.0, trials.classes * (1 - float(binomial_cdf(rows, bound)[rows // 2])))
