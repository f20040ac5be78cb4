"""A second implementation of networks.md, Parameters, Growth, Costs: what versions are made of and charged.

Written from the text, as `protocol_oracle`, on which it stands; imports nothing of the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.support.protocol_oracle import ZERO, Wire, enc, tagged

WHOLE, INHERITED = 1, 3
"""Tags of an update that is a whole network, and of what version 0 of a fork has added."""
ADDED, AUTHOR = 4, 5
"""Places in the record of a version."""
PARENT, PARENT_VERSION = 24, 25
"""Places in the record of a model."""


@dataclass(frozen=True)
class Composed:
    """A network with the sources of all its segments."""

    spec: Wire
    hidden: list[Wire]
    outputs: list[Wire]
    growths: int

    @property
    def sources(self) -> list[Wire]:
        return [*self.hidden, *self.outputs]


# networks.md, Parameters: The parameters root


def parameters_root(parent: bytes, author: bytes, update: Wire) -> bytes:
    """The root after an update; `parent` is the root of the version on which it is made."""
    below = ZERO if update[0] == WHOLE else parent
    return tagged("parameters", enc([below, author, [*update[:-1], []]]))


def line_of(versions: Sequence[Wire], model: bytes, number: int) -> list[Wire]:
    """The versions that have added to a version's network, from a whole network to the last growth."""
    numbered = {(version[0], version[1]): version for version in versions}
    line: list[Wire] = []
    while not line or line[-1][ADDED][0] != WHOLE:
        version = numbered[model, number]
        if version[ADDED][0] == INHERITED:
            _, model, number = version[ADDED]
        else:
            line.append(version)
            number -= 1
    return line[::-1]


def compose(line: Sequence[Wire]) -> Composed:
    """The network of a line of versions."""
    return composed([version[ADDED] for version in line])


def composed(updates: Sequence[Wire]) -> Composed:
    (_, spec, hidden, outputs, _), *growths = updates
    for _, growth, new_hidden, new_outputs, _ in growths:
        spec, hidden, outputs = grown(spec, growth), hidden + new_hidden, outputs + new_outputs
    return Composed(spec, hidden, outputs, len(growths))


# networks.md, Growth


def grown(spec: Wire, growth: Wire) -> Wire:
    inputs, classes, components, hidden, outputs = spec
    more, new_hidden, new_outputs, added = growth
    count = classes + more
    labels = (components or list(range(classes))) + (added or list(range(classes, count)))
    stated = [] if labels == list(range(count)) else labels
    return [inputs, count, stated, hidden + new_hidden, outputs + new_outputs]


# networks.md, Costs


def runs(hidden: Sequence[Wire], outputs: Sequence[Wire]) -> int:
    found = len(hidden) + len(outputs)
    for before, after in pairwise(hidden):
        found -= before[:4] + before[5:] == after[:4] + after[5:]
    for before, after in pairwise(outputs):
        alike = [before[0], *before[3:]] == [after[0], *after[3:]]
        found -= alike and before[2] == after[1] and before[5] <= 0
    return found


def network_macs(net: Wire, growths: int, rows: int, classes: int, rho: int) -> int:
    """Of a network without seeded tensors of generators 2 and 3, whose line has so many growths."""
    added, part = max(0, classes - net[1]), 8 + rows * (net[0] + 2)
    neurons = net[0] + sum(segment[4] for segment in net[3])
    own = _macs(net, net[3], net[4], neurons, rows, rho)
    return int(rows * 640 * added + own + rho * part + 2**20 * growths)


def growth_macs(old: Wire, growth: Wire, rows: int, rho: int) -> int:
    """Of a growth of this network, likewise."""
    net, (_, hidden, outputs, _) = grown(old, growth), growth
    widths, first = layer_widths(net), layer_widths(old)
    for layer in widths:
        first.setdefault(layer, 0)
    reads = [(layer - 1, lo) for _, layer, lo, *_ in hidden] + [(layer, lo) for layer, lo, *_ in outputs]
    for layer, lo in reads:
        first[layer] = min(first[layer], lo)
    return _macs(net, hidden, outputs, sum(widths.values()) - sum(first.values()), rows, rho)


def layer_widths(net: Wire) -> dict[int, int]:
    widths: dict[int, int] = {0: net[0]}
    for _, layer, _, _, width, *_ in net[3]:
        widths[layer] = widths.get(layer, 0) + width
    return widths


def segment_macs(hidden: Sequence[Wire], outputs: Sequence[Wire]) -> int:
    """Of these segments on one row."""
    return sum(n * w + 8 * n + 128 * w for n, w, _ in _shapes(hidden, outputs))


def loading_macs(net: Wire, rho: int) -> int:
    """Of a whole network, likewise."""
    return _loading(net[3], net[4], rho)


def _macs(
    net: Wire, hidden: Sequence[Wire], outputs: Sequence[Wire], neurons: int, rows: int, rho: int
) -> int:
    components = len(net[2]) or net[1]
    chunk = max(1, min(1024, 2**21 // (neurons + 8 * components)))
    row = segment_macs(hidden, outputs) + 128 * components + 512 * net[1]
    calls = 2**19 * runs(hidden, outputs) * -(-rows // chunk)
    return int(rows * row + calls + _loading(hidden, outputs, rho))


def _loading(hidden: Sequence[Wire], outputs: Sequence[Wire], rho: int) -> int:
    shapes, together = _shapes(hidden, outputs), runs(hidden, outputs)
    tensors = sum(10 + n * w * bits // 8 + 6 + 4 * w for n, w, bits in shapes)
    return int(rho * tensors + 2**22 * (2 + together) + 2**21 * (len(shapes) - together))


def _shapes(hidden: Sequence[Wire], outputs: Sequence[Wire]) -> list[tuple[int, int, int]]:
    """Neurons read, width and weight_bits of each segment."""
    read = [(hi - lo, width, rest[-1]) for _, _, lo, hi, width, *rest in hidden]
    return read + [(hi - lo, width, bits) for _, lo, hi, _, width, _, bits in outputs]
