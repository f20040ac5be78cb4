"""Logits and losses of rows by PyTorch in int64: what `nn.logits` and `nn.loss` compute, bit for bit.

They run where the component sums lie, so that of a card's work only a loss for each row comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engram.nn import fixed
from engram.nn.errors import ShapeMismatch
from engram.nn.logits import GATED_LIMIT, LOGIT_LIMIT, layout_of
from engram.nn.loss import (
    SQUARED_ERROR_LIMIT,
    SQUARED_ERROR_ROW_LIMIT,
    LossKind,
    Measure,
    RowScores,
    loss_limit,
)

_LN_HEADROOM: Final = 16
_TABLE_BITS: Final = 32


def logits_of(components: Sequence[int], sums: Tensor) -> Tensor:
    """Logits (n, classes) of component sums (n, components), both int64 in Q16 nats."""
    if not components:
        return sums.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    layout = _layout(tuple(components), sums.device)
    least = torch.iinfo(torch.int64).min
    best = torch.full((len(sums), layout.entries), least, dtype=torch.int64, device=sums.device)
    best.scatter_reduce_(1, layout.entry_of.expand(len(sums), -1), sums, "amax")
    if layout.stages == 1:
        return best.clamp_(-LOGIT_LIMIT, LOGIT_LIMIT)
    best = torch.minimum(torch.maximum(best, -layout.limits), layout.limits)
    norms = _norms(layout, best)
    added = best[:, layout.gates] - norms[:, :-1]
    lifts = torch.zeros_like(norms)
    lifts[:, :-1] = added.flip(1).cumsum(1).flip(1)
    logits = best[:, layout.classes] + lifts[:, layout.stage_of_class]
    return logits.clamp_(-LOGIT_LIMIT, LOGIT_LIMIT)


def score_rows(measure: Measure, logits: Tensor) -> RowScores:
    """As `nn.loss.score_rows`, of logits (n, the network's classes) on their device."""
    if measure.labels.shape != (len(logits),):
        raise ShapeMismatch(
            "there must be one label for each row of logits",
            expected=(len(logits),),
            got=measure.labels.shape,
        )
    labels = torch.from_numpy(measure.labels.astype(np.int64)).to(logits.device)
    missing = max(0, measure.classes - logits.shape[1])
    padded = torch.nn.functional.pad(logits, (0, missing)) if missing else logits
    known = torch.where(labels < measure.classes, labels, 0)
    # Of several classes with the largest logit, `max` names the first: the self-check has such rows.
    largest, predicted = padded.max(dim=1)
    losses = _LOSSES[measure.kind](_Rows(padded, known, largest, predicted))
    losses = losses.clamp_(max=loss_limit(padded.shape[1])).to(torch.int32)
    return RowScores(losses.cpu().numpy(), (predicted == labels).cpu().numpy())


@dataclass(frozen=True, eq=False)
class _Rows:
    """What losses are made of: logits (n, classes), and for each row its label, largest logit and class."""

    logits: Tensor
    labels: Tensor
    largest: Tensor
    predicted: Tensor


@dataclass(frozen=True, eq=False)
class _Layout:
    """`nn.logits.Layout` on a device."""

    entries: int
    stages: int
    entry_of: Tensor
    """The entry of each component (1, components)."""
    stage_of: Tensor
    """The stage of each entry (1, entries)."""
    limits: Tensor
    """How far each entry may be from 0 (1, entries)."""
    gates: Tensor
    """The entries that are gates."""
    classes: Tensor
    """The entries that are classes, in their order."""
    stage_of_class: Tensor


@lru_cache(maxsize=64)
def _layout(components: tuple[int, ...], device: torch.device) -> _Layout:
    layout = layout_of(components)
    entries = len(layout.starts)
    counts = np.diff(layout.starts, append=len(components))
    entry_of = np.empty(len(components), dtype=np.int64)
    entry_of[layout.by_entry] = np.repeat(np.arange(entries), counts)
    stage_of = np.repeat(np.arange(len(layout.stages)), np.diff(layout.stages, append=entries))
    limits = np.where(stage_of == 0, LOGIT_LIMIT, GATED_LIMIT).astype(np.int64)
    gates = layout.stages[1:]
    classes = np.delete(np.arange(entries), gates)
    return _Layout(
        entries,
        len(layout.stages),
        *(
            torch.from_numpy(np.ascontiguousarray(each)).to(device)
            for each in (entry_of[None], stage_of[None], limits[None], gates, classes, layout.stage_of_class)
        ),
    )


def _norms(layout: _Layout, entries: Tensor) -> Tensor:
    """The log-sum-exp of each stage's entries (n, stages), of clipped entries (n, entries), in Q16 nats."""
    index = layout.stage_of.expand(len(entries), -1)
    shape = (len(entries), layout.stages)
    least = torch.iinfo(torch.int64).min
    top = torch.full(shape, least, dtype=torch.int64, device=entries.device)
    top.scatter_reduce_(1, index, entries, "amax")
    shares = _exp_q32(top.gather(1, index) - entries)
    sums = torch.zeros(shape, dtype=torch.int64, device=entries.device).scatter_add_(1, index, shares)
    return top + _round_shift(_ln_q32(sums), _TABLE_BITS - fixed.LOGIT_BITS)


def _softmax_cross_entropy(rows: _Rows) -> Tensor:
    gaps = rows.largest[:, None] - rows.logits
    log_sum = _ln_q32(_exp_q32(gaps).sum(dim=1))
    losses = gaps.gather(1, rows.labels[:, None]).squeeze(1) << (fixed.LOSS_BITS - fixed.LOGIT_BITS)
    return losses + _round_shift(log_sum, _TABLE_BITS - fixed.LOSS_BITS)


def _squared_error(rows: _Rows) -> Tensor:
    errors = rows.logits.clamp(-SQUARED_ERROR_LIMIT, SQUARED_ERROR_LIMIT)
    labels = rows.labels[:, None]
    errors.scatter_add_(1, labels, torch.full_like(labels, -(1 << fixed.LOGIT_BITS)))
    squares = (errors * errors).sum(dim=1)
    return _round_shift(squares, 2 * fixed.LOGIT_BITS - fixed.LOSS_BITS).clamp_(max=SQUARED_ERROR_ROW_LIMIT)


def _zero_one(rows: _Rows) -> Tensor:
    return (rows.predicted != rows.labels).to(torch.int64) << fixed.LOSS_BITS


_LOSSES: Final[Mapping[LossKind, Callable[[_Rows], Tensor]]] = {
    LossKind.SOFTMAX_CROSS_ENTROPY: _softmax_cross_entropy,
    LossKind.SQUARED_ERROR: _squared_error,
    LossKind.ZERO_ONE: _zero_one,
}


def _round_shift(values: Tensor, bits: int) -> Tensor:
    return (values + (1 << (bits - 1))) >> bits


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """EXP, LN, and the least number of each power of two that `_ln_q32` tells apart."""
    powers = np.array([1 << (_TABLE_BITS + k) for k in range(_LN_HEADROOM)], dtype=np.int64)
    exp, ln, ends = (
        torch.tensor(each, device=device) for each in (fixed.exp_table(), fixed.ln_table(), powers)
    )
    return exp, ln, ends


def _interpolated(table: Tensor, index: Tensor, fraction: Tensor, bits: int) -> Tensor:
    """The interpolation rule of `nn.fixed`; past the last entry nothing rises."""
    entries = table[index]
    rise = table[(index + 1).clamp_(max=len(table) - 1)] - entries
    return entries + _round_shift(rise * fraction, bits)


def _exp_q32(gaps: Tensor) -> Tensor:
    table, _, _ = _tables(gaps.device)
    bits = fixed.EXP_FRACTION_BITS
    capped = gaps.clamp(max=fixed.EXP_CUT_NATS << fixed.LOGIT_BITS)
    return _interpolated(table, capped >> bits, capped & ((1 << bits) - 1), bits)


def _ln_q32(sums: Tensor) -> Tensor:
    _, table, powers = _tables(sums.device)
    bits = fixed.LN_FRACTION_BITS
    exponent = torch.searchsorted(powers, sums.contiguous(), right=True) - 1
    mantissa = (sums << (_LN_HEADROOM - exponent)) - (1 << (_TABLE_BITS + _LN_HEADROOM))
    found = _interpolated(table, mantissa >> bits, mantissa & ((1 << bits) - 1), bits)
    return found + exponent * table[-1]
