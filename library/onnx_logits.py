"""From component sums to logits in ONNX's integer operators: maxima, gates, and the tables of exp and ln.

It is `nn.logits` with the same tables and the same rounding. Stages and entries of different lengths are
filled up, so that the graph has as many nodes for a thousand stages as for two.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engram.library.onnx_graph import OUTPUT, Array, Graph
from engram.library.tables import components_of_entries, entries_of_stages
from engram.nn.fixed import EXP_CUT_NATS, LOGIT_BITS, exp_table, ln_table
from engram.nn.logits import GATED_LIMIT, LOGIT_LIMIT, Layout, layout_of
from engram.nn.spec import NetworkSpec, component_classes

_ABSENT: Final = -(2**40)
"""An entry that fills up a stage: further below every other than exp sees."""
_EXP_STEP: Final = 6
_LN_STEP: Final = 37
_LN_POWERS: Final = 16


def logits(graph: Graph, spec: NetworkSpec, sums: str) -> None:
    """Adds the nodes that make the graph's output of the component sums."""
    layout = layout_of(component_classes(spec))
    best = _largest(graph, layout, sums)
    if len(layout.stages) > 1:
        best = _lifted(graph, layout, best)
    bounds = (graph.whole(limit, np.int64) for limit in (-LOGIT_LIMIT, LOGIT_LIMIT))
    graph.add("Clip", best, *bounds, name=OUTPUT)


def _largest(graph: Graph, layout: Layout, sums: str) -> str:
    """The largest component of each entry (rows, entries)."""
    places = components_of_entries(layout)
    if places.shape[1] == 1:
        return graph.add("Gather", sums, graph.constant(places[:, 0]), axis=1)
    found = graph.add("Gather", sums, graph.constant(places), axis=1)
    return graph.add("ReduceMax", found, axes=[2], keepdims=0)


def _lifted(graph: Graph, layout: Layout, best: str) -> str:
    """As `nn.logits._lifted`."""
    count, stages = len(layout.starts), layout.stages.tolist()
    limits = np.full(count, GATED_LIMIT, dtype=np.int64)
    limits[: stages[1]] = LOGIT_LIMIT
    low, high = graph.constant(-limits), graph.constant(limits)
    entries = graph.add("Min", graph.add("Max", best, low), high)
    norms = _norms(graph, layout, entries)
    gates = layout.stages[1:]
    earlier = graph.add("Gather", norms, graph.constant(np.arange(len(gates))), axis=1)
    added = graph.add("Sub", graph.add("Gather", entries, graph.constant(gates), axis=1), earlier)
    sums = graph.add("CumSum", added, graph.whole(1, np.int64), reverse=1)
    lifts = graph.add("Pad", sums, graph.integers(0, 0, 0, 1))
    own = np.setdiff1d(np.arange(count), gates)
    classes = graph.add("Gather", entries, graph.constant(own), axis=1)
    lift = graph.add("Gather", lifts, graph.constant(layout.stage_of_class), axis=1)
    return graph.add("Add", classes, lift)


def _norms(graph: Graph, layout: Layout, entries: str) -> str:
    """The log-sum-exp of each stage's entries (rows, stages), in Q16 nats."""
    filler = graph.whole(_ABSENT, np.int64)
    room = graph.add("Pad", entries, graph.integers(0, 0, 0, 1), filler)
    found = graph.add("Gather", room, graph.constant(entries_of_stages(layout)), axis=1)
    top = graph.add("ReduceMax", found, axes=[2], keepdims=1)
    shares = _exp_q32(graph, graph.add("Sub", top, found))
    total = graph.add("ReduceSum", shares, graph.integers(2), keepdims=0)
    logarithm = graph.round_shift(_ln_q32(graph, total), 32 - LOGIT_BITS, np.int64)
    highest = graph.add("Squeeze", top, graph.integers(2))
    return graph.add("Add", highest, logarithm)


def _exp_q32(graph: Graph, d: str) -> str:
    """As `fixed.exp_q32`."""
    capped = graph.add("Min", d, graph.whole(EXP_CUT_NATS << LOGIT_BITS, np.int64))
    return _interpolated(graph, exp_table(), capped, _EXP_STEP)


def _ln_q32(graph: Graph, s: str) -> str:
    """As `fixed.ln_q32`: s is 2^k·m, and the table gives the logarithm of m."""
    powers = np.array([1 << (32 + k) for k in range(1, _LN_POWERS)], dtype=np.int64)
    column = graph.add("Unsqueeze", s, graph.integers(-1))
    reached = graph.add("GreaterOrEqual", column, graph.constant(powers))
    counted = graph.cast(reached, np.int64)
    exponent = graph.add("ReduceSum", counted, graph.integers(-1), keepdims=0)
    factors = np.array([1 << (_LN_POWERS - k) for k in range(_LN_POWERS)], dtype=np.int64)
    factor = graph.add("Gather", graph.constant(factors), exponent, axis=0)
    one = graph.whole(1 << (32 + _LN_POWERS), np.int64)
    mantissa = graph.add("Sub", graph.add("Mul", s, factor), one)
    entries = ln_table()
    found = _interpolated(graph, entries, mantissa, _LN_STEP)
    return graph.add("Add", found, graph.add("Mul", exponent, graph.whole(int(entries[-1]), np.int64)))


def _interpolated(graph: Graph, entries: Array, value: str, bits: int) -> str:
    """The interpolation rule of `fixed` for a value ≥ 0: its entry, and a part of the step to the next."""
    power = graph.whole(1 << bits, np.int64)
    index = graph.add("Div", value, power)
    fraction = graph.add("Mod", value, power)
    steps = np.diff(entries, append=entries[-1:])
    step = graph.add("Gather", graph.constant(steps), index, axis=0)
    rise = graph.round_shift(graph.add("Mul", step, fraction), bits, np.int64)
    return graph.add("Add", graph.add("Gather", graph.constant(entries), index, axis=0), rise)
