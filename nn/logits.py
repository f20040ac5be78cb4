"""From component sums to logits: the largest component of each class, and the gates of a relative memory.

Without gates, the logit of a class is the largest of its components' sums, clipped to ±2^30.

A growth under the policy RELATIVE begins its components with a **gate**, which belongs to no class. The gates
divide the components into stages: what was founded, then one stage for each such growth. The gate of stage t
is the log-odds of everything older against the new classes of the stage:

    norm_t = LSE(g_t, new logits of stage t), of stage 0 without a gate
    L_0    = logits of stage 0
    L_t    = concat(L_{t-1} - norm_{t-1} + g_t, new logits of stage t)

So a growth adds one number to all old logits of a row, and the difference between two old classes is the same
integer for ever. norm_t stands for the log-sum-exp of all logits of L_t: LSE(L_{t-1} - norm_{t-1}) is 0 but
for rounding, so the old part of the sum is g_t. It costs what the stage has and not what there is.

Every sum that enters a stage is clipped, to ±2^30 in stage 0 and to ±2^29 in the later ones; L_t itself is
not, before it leaves the network: then it is clipped to ±2^30. LSE is
max + round_shift(LN(Σ EXP(max - z)), 16), all in Q16 nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.nn.fixed import LOGIT_BITS, Int64Array, exp_q32, ln_q32, round_shift, saturate

GATE: Final = 65_535
"""What stands in a list of components for a gate. No class has this number."""

LOGIT_LIMIT: Final = 2**30
"""Logits that leave a network are clipped to ±2^30 in Q16, which is ±16,384 nats."""

GATED_LIMIT: Final = 2**29
"""Gates and logits of new classes are clipped to ±2^29 in Q16 before they enter a stage."""


_CHUNK_ELEMENTS: Final = 2**16
"""Rows are lifted so many entries at a time, which fit the processor's cache."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where components, classes and gates of a list of components stand. Fixed by the list alone."""

    by_entry: npt.NDArray[np.int64]
    """The components in the order of their entries. An entry is a gate or a class; stages follow each other,
    and in each the gate comes first."""
    starts: npt.NDArray[np.int64]
    """For each entry, the place in `by_entry` of its first component."""
    stages: npt.NDArray[np.int64]
    """For each stage, its first entry."""
    stage_of_class: npt.NDArray[np.int64]
    """The stage of each class."""


def logits_of(components: Sequence[int], sums: Int64Array) -> Int64Array:
    """Logits (n, classes) of component sums (n, components), both int64 in Q16 nats.

    `components` gives the class of each component, or `GATE`; () stands for one component a class, in order.
    """
    if not components:
        return saturate(sums, -LOGIT_LIMIT, LOGIT_LIMIT)
    layout = layout_of(tuple(components))
    best = largest_of(layout, sums)
    if len(layout.stages) == 1:
        return saturate(best, -LOGIT_LIMIT, LOGIT_LIMIT)
    size = max(1, _CHUNK_ELEMENTS // len(layout.starts))
    chunks = [_lifted(layout, best[begin : begin + size]) for begin in range(0, len(best), size)]
    return np.concatenate([np.zeros((0, len(layout.stage_of_class)), dtype=np.int64), *chunks])


def predict(logits: Int64Array) -> npt.NDArray[np.int64]:
    """The class of each row (n,): the one with the largest logit; of several such classes, the lowest."""
    best: npt.NDArray[np.int64] = np.argmax(logits, axis=1).astype(np.int64)
    return best


def largest_of(layout: Layout, sums: Int64Array) -> Int64Array:
    """The largest component sum of each entry (n, entries)."""
    best: Int64Array = np.maximum.reduceat(sums[:, layout.by_entry], layout.starts, axis=1)
    return best


def staged(layout: Layout, best: Int64Array) -> tuple[Int64Array, Int64Array]:
    """What the stages are made of, for the largest component of each entry (n, entries): two arrays.

    The entries as they enter their stages, (entries, n), and norm_t of each stage, (stages, n).
    """
    limits = np.full((len(layout.starts), 1), GATED_LIMIT, dtype=np.int64)
    limits[: layout.stages[1]] = LOGIT_LIMIT
    # Entries first: sums over the entries of a stage then run over long rows.
    entries: Int64Array = np.clip(np.ascontiguousarray(best.T), -limits, limits)
    return entries, _norms(entries, layout.stages)


def _lifted(layout: Layout, best: Int64Array) -> Int64Array:
    """Logits (n, classes) of the largest component of each entry (n, entries)."""
    entries, norms = staged(layout, best)
    gates = layout.stages[1:]
    added = entries[gates] - norms[:-1]
    lifts = np.zeros((len(layout.stages), len(best)), dtype=np.int64)
    lifts[:-1] = np.cumsum(added[::-1], axis=0)[::-1]
    own = np.delete(entries, gates, axis=0)
    own += lifts[layout.stage_of_class]
    return saturate(own.T, -LOGIT_LIMIT, LOGIT_LIMIT)


def _norms(entries: Int64Array, stages: npt.NDArray[np.int64]) -> Int64Array:
    """The log-sum-exp of each stage's entries (stages, n), of entries (entries, n), in Q16 nats."""
    top: Int64Array = np.maximum.reduceat(entries, stages, axis=0)
    shares = exp_q32(np.repeat(top, np.diff(stages, append=len(entries)), axis=0) - entries)
    sums: Int64Array = np.add.reduceat(shares, stages, axis=0)
    norms: Int64Array = top + round_shift(ln_q32(sums), 32 - LOGIT_BITS)
    return norms


@lru_cache(maxsize=64)
def layout_of(components: tuple[int, ...]) -> Layout:
    """The layout of a list of components that is written out and belongs to a valid network."""
    labels = np.array(components, dtype=np.int64)
    gates = labels == GATE
    stage = np.cumsum(gates)
    classes = np.maximum.accumulate(np.where(gates, -1, labels)) + 1
    entry = np.where(gates, classes + stage - 1, labels + stage)
    by_entry = np.argsort(entry, kind="stable")
    _, starts = np.unique(entry[by_entry], return_index=True)
    first = np.concatenate([[0], entry[gates]]).astype(np.int64)
    stage_of_class = np.zeros(int(classes[-1]), dtype=np.int64)
    stage_of_class[labels[~gates]] = stage[~gates]
    return Layout(by_entry.astype(np.int64), starts.astype(np.int64), first, stage_of_class)
