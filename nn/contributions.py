"""Whose neurons made a prediction: a logit, and its lead over the next one, split by groups of neurons.

An output segment adds up products of what it reads and its weights, then its bias. So a component sum is a
sum over neurons, and splits without an estimate by who made them. A group's **neurons** count for it whatever
they read themselves. What an output adds without any neuron, its biases and its products with inputs, counts
as **direct** for the group that made the output.

The logit of a class is the largest of its component sums, and that component is split. Under gates, the sums
of all gates above the class's stage belong to the logit too, see `logits`, and are split in the same way.
Three things are no sums over neurons and are told apart, so that all parts add up to the logit in integers:

- **norms**: minus the log-sum-exp of every stage from the class's own to the last but one. It is the same for
  all classes of a stage, so it is 0 in a lead over a class of the same stage.
- **rounding**: an output with a shift above 0 rounds its sum once; its parts here are rounded one by one.
- **clipping**: what the limits of sums and logits have cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final

import numpy as np

from engram.nn.engine import FAST, Engine
from engram.nn.errors import ShapeMismatch
from engram.nn.evaluate import Features, FrozenActivations, unstarted
from engram.nn.fixed import Int64Array, saturate
from engram.nn.layers import Output
from engram.nn.logits import GATE, LOGIT_LIMIT, largest_of, layout_of, logits_of, staged
from engram.nn.parameters import Bounds, Parameters, SegmentParameters, prove_bounds
from engram.nn.spec import CHUNK_ELEMENTS, NetworkSpec, chunk_rows, component_classes, component_count

RANKS: Final = 2
"""The predicted class and the one behind it are split."""


@dataclass(frozen=True)
class Owners:
    """To which group each segment of a network belongs; groups are numbered from 0."""

    groups: int
    hidden: tuple[int, ...]
    """The group of each hidden segment."""
    outputs: tuple[int, ...]
    """The group of each output segment."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """The parts of the largest logits of some rows, in Q16 nats. The second axis is the rank: 0, then 1.

    A network of one class has rank 0 only. For every row and rank, the parts of all groups, `norms`,
    `rounding` and `clipping` add up to `logits`.
    """

    ranked: Int64Array
    """(n, ranks): the predicted class, then the one with the next logit; of equal ones, the lowest first."""
    logits: Int64Array
    """(n, ranks): the logits of these classes."""
    neurons: Int64Array
    """(n, ranks, groups): what came through the neurons of each group."""
    direct: Int64Array
    """(n, ranks, groups): what the outputs of each group added without neurons."""
    norms: Int64Array
    """(n, ranks)."""
    rounding: Int64Array
    """(n, ranks)."""
    clipping: Int64Array
    """(n, ranks)."""

    @cached_property
    def parts(self) -> Int64Array:
        """(n, ranks, groups): everything that came from each group."""
        return self.neurons + self.direct

    def first(self, rows: int) -> Contributions:
        """The parts of the first so many rows."""
        return Contributions(*[getattr(self, each.name)[:rows] for each in fields(self)])

    @property
    def margins(self) -> Int64Array:
        """(n,): how far the largest logit lies above the next one. Of one class alone, there is none.

        The same difference of any other field is that field's part in it.
        """
        return lead(self.logits)


def lead(values: Int64Array) -> Int64Array:
    """What rank 0 has more than rank 1, of values (n, ranks, …). The values have two ranks."""
    found: Int64Array = values[:, 0] - values[:, 1]
    return found


def contributions(
    spec: NetworkSpec,
    parameters: Parameters,
    features: Features,
    owners: Owners,
    bounds: Bounds | None = None,
    engine: Engine = FAST,
) -> Contributions:
    """The parts of the logits of the predicted class and of the one behind it, for uint8 rows (n, inputs).

    It takes the time of a forward pass, and a sum over everything that the output segments read. `bounds` is
    as for `network.forward`. Raises what that raises, and `ShapeMismatch` for owners of another network.
    """
    made = (len(owners.hidden), len(owners.outputs))
    if made != (expected := (len(spec.hidden), len(spec.outputs))):
        raise ShapeMismatch("the owners belong to another network", expected=expected, got=made)
    proved = prove_bounds(spec, parameters) if bounds is None else bounds
    peaks = (*proved.hidden, *proved.outputs)
    most = max(output.fan_in for output in spec.outputs)
    size = min(_chunk_rows(spec), max(1, CHUNK_ELEMENTS // (most + owners.groups)))

    def kept(first: int) -> FrozenActivations:
        start = unstarted(spec, features[first:][:size])
        return engine.keep(spec, parameters, peaks, start).on_host()

    firsts = range(0, max(1, len(features)), size)
    return concatenated([_split(spec, parameters, owners, kept(first)) for first in firsts])


def concatenated(chunks: Sequence[Contributions]) -> Contributions:
    """The parts of the rows of all chunks, of which there is at least one, all of one network."""
    names = [each.name for each in fields(Contributions)]
    return Contributions(*[np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names])


def _chunk_rows(spec: NetworkSpec) -> int:
    return chunk_rows(sum(spec.totals.widths), component_count(spec))


def _split(
    spec: NetworkSpec, parameters: Parameters, owners: Owners, found: FrozenActivations
) -> Contributions:
    """The parts for rows whose activations and sums are at hand."""
    logits = logits_of(spec.components, found.sums)
    ranked: Int64Array = np.argsort(-logits, axis=1, kind="stable")[:, :RANKS].astype(np.int64)
    labels = np.array(component_classes(spec), dtype=np.int64)
    chosen = np.stack([_largest(labels, found.sums, ranked[:, rank]) for rank in range(ranked.shape[1])], 1)
    parts = np.zeros((*ranked.shape, 2 * owners.groups), dtype=np.int64)
    rounding = np.zeros(ranked.shape, dtype=np.int64)
    for output, given, own in zip(spec.outputs, parameters[len(spec.hidden) :], owners.outputs, strict=True):
        read = _Reading.of(spec, owners, output, own, found)
        for rows, rank, component in _uses(labels, chosen, output):
            values, left = read.values(given, rows, component - output.first)
            parts[rows[:, None], rank, read.ids[None, :]] += values
            rounding[rows, rank] += left
    norms, clipping = _limits(spec, found.sums, ranked)
    best = np.take_along_axis(logits, ranked, axis=1)
    split = owners.groups
    return Contributions(ranked, best, parts[..., :split], parts[..., split:], norms, rounding, clipping)


def _largest(labels: Int64Array, sums: Int64Array, classes: Int64Array) -> Int64Array:
    """For each row, the component of its class in `classes` (n,) that has the largest sum."""
    least = np.iinfo(np.int64).min
    best: Int64Array = np.where(labels[None, :] == classes[:, None], sums, least).argmax(axis=1)
    return best


def _uses(
    labels: Int64Array, chosen: Int64Array, output: Output
) -> Iterator[tuple[Int64Array, int, Int64Array]]:
    """(rows, rank, component of each row) of everything in the ranked logits to which an output adds."""
    gates = labels == GATE
    stages = np.cumsum(gates)
    end = output.first + output.width
    for rank in range(chosen.shape[1]):
        component = chosen[:, rank]
        rows = np.nonzero((component >= output.first) & (component < end))[0]
        if len(rows):
            yield rows, rank, component[rows]
        for gate in np.nonzero(gates[output.first : end])[0] + output.first:
            below = np.nonzero(stages[component] < stages[gate])[0]
            if len(below):
                yield below, rank, np.full(len(below), gate, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Reading:
    """What an output segment reads, sorted by whose it is; its bias counts as weight of a constant 1."""

    output: Output
    x: Int64Array
    """(n, fan_in + 1)."""
    order: Int64Array
    """The columns of x, those of one owner side by side."""
    starts: Int64Array
    """Where in `order` the columns of each owner begin."""
    ids: Int64Array
    """The owners: g for neurons of group g, groups + g for what its outputs add directly."""

    @classmethod
    def of(
        cls, spec: NetworkSpec, owners: Owners, output: Output, own: int, found: FrozenActivations
    ) -> _Reading:
        direct = owners.groups + own
        ids, columns = [], []
        for each in output.intervals:
            columns.append(found.layers[each.layer][:, each.lo : each.hi])
            makers = _makers(spec, owners, each.layer) if each.layer else np.full(spec.inputs, direct)
            ids.append(makers[each.lo : each.hi])
        whose = np.concatenate([*ids, [direct]]).astype(np.int64)
        constant = np.ones((len(found.sums), 1), dtype=np.uint8)
        order = np.argsort(whose, kind="stable")
        known, starts = np.unique(whose[order], return_index=True)
        x = np.concatenate([*columns, constant], axis=1)[:, order]
        return cls(output, x, order, starts.astype(np.int64), known)

    def values(
        self, given: SegmentParameters, rows: Int64Array, columns: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """(rows, ids) of what each owner adds to one column a row, and (rows,) what their rounding leaves."""
        weights = np.concatenate([given.weights.T[columns], given.bias[columns][:, None]], axis=1)
        products = np.multiply(self.x[rows], weights[:, self.order], dtype=np.int64)
        sums: Int64Array = np.add.reduceat(products, self.starts, axis=1)
        values, whole = self._scaled(sums), self._scaled(sums.sum(axis=1))
        return values, whole - values.sum(axis=1)

    def _scaled(self, sums: Int64Array) -> Int64Array:
        for step in self.output.steps():
            sums = step.exact(sums)
        return self.output.scaled(sums)


def _makers(spec: NetworkSpec, owners: Owners, layer: int) -> Int64Array:
    """The group of each neuron of a hidden layer."""
    pairs = [
        (own, each.width) for own, each in zip(owners.hidden, spec.hidden, strict=True) if each.layer == layer
    ]
    return np.repeat([own for own, _ in pairs], [width for _, width in pairs]).astype(np.int64)


def _limits(spec: NetworkSpec, sums: Int64Array, ranked: Int64Array) -> tuple[Int64Array, Int64Array]:
    """`norms` and `clipping` (n, ranks) of the ranked classes."""
    norms = np.zeros(ranked.shape, dtype=np.int64)
    if not spec.gates:
        layout = layout_of(component_classes(spec))
        best = np.take_along_axis(largest_of(layout, sums), ranked, axis=1)
        return norms, saturate(best, -LOGIT_LIMIT, LOGIT_LIMIT) - best
    layout = layout_of(spec.components)
    best = largest_of(layout, sums)
    entries, stage_norms = staged(layout, best)
    stage = layout.stage_of_class[ranked]
    row = np.arange(len(sums))[:, None]
    norms = -_sums_above(stage_norms[:-1])[stage, row]
    gates = layout.stages[1:]
    lifts = _sums_above(entries[gates])[stage, row]
    entry = ranked + stage
    cut = entries[entry, row] - best[row, entry] + lifts - _sums_above(best.T[gates])[stage, row]
    total = entries[entry, row] + lifts + norms
    return norms, cut + saturate(total, -LOGIT_LIMIT, LOGIT_LIMIT) - total


def _sums_above(values: Int64Array) -> Int64Array:
    """(stages, n) from values (stages - 1, n): for each stage, the sum from its own place on; then 0."""
    sums = np.zeros((len(values) + 1, values.shape[1]), dtype=np.int64)
    sums[:-1] = np.cumsum(values[::-1], axis=0)[::-1]
    return sums
