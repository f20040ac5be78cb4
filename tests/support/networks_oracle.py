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
    return tagged("parameters", enc([below, author, [*update[:4], [], *update[5:]]]))


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
    for _, growth, new_hidden, new_outputs, *_ in growths:
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


# networks.md, Unions


def united(spec: Wire, first: Wire, second: Wire) -> Wire:
    """The union of two growths; both add the same components."""
    old, made = layer_widths(spec), dict[int, int]()
    for segment in first[1]:
        made[segment[1]] = made.get(segment[1], 0) + width_of(segment)

    def moved(layer: int, lo: int, hi: int, more: Sequence[Wire]) -> list[Wire]:
        found = []
        for at, begin, end in [[layer, lo, hi], *more]:
            start, by = old.get(at, 0), made.get(at, 0)
            if by == 0 or end <= start:
                found.append([at, begin, end])
                continue
            if begin < start:
                found.append([at, begin, start])
            found.append([at, max(begin, start) + by, end + by])
        return found

    hidden = list(first[1])
    for tag, layer, lo, hi, *rest, more in second[1]:
        (_, lo, hi), *further = moved(layer - 1, lo, hi, more)
        hidden.append([tag, layer, lo, hi, *rest, further])
    outputs = list(first[2])
    for layer, lo, hi, *rest, more in second[2]:
        (_, lo, hi), *further = moved(layer, lo, hi, more)
        outputs.append([layer, lo, hi, *rest, further])
    halved = [[*output[:5], output[5] + 1, *output[6:]] for output in outputs]
    return [first[0], hidden, halved, first[3]]


# networks.md, Costs


DENSE = (1, 2, 5)
"""Tags of the dense kinds."""
POOL = 7
"""The tag of MaxPool; the other kinds are convolutions."""


def fan_in(lo: int, hi: int, more: Sequence[Wire]) -> int:
    return hi - lo + int(sum(last - first for _, first, last in more))


def maps_fields(segment: Wire) -> tuple[int, int, int, int, int]:
    """Height, breadth, kernel, stride, padding of a segment that reads maps."""
    height, breadth, *rest = segment[4:]
    kernel, stride, padding, *_ = rest if segment[0] == POOL else rest[1:]
    return int(height), int(breadth), int(kernel), int(stride), int(padding)


def width_of(segment: Wire) -> int:
    """The neurons that a hidden segment makes."""
    if segment[0] in DENSE:
        return int(segment[4])
    pixels, maps = _maps(segment)
    return int(maps * pixels if segment[0] == POOL else segment[6] * pixels)


def _maps(segment: Wire) -> tuple[int, int]:
    """Of a segment that reads maps: the pixels of a map that it makes, and the maps that it reads."""
    height, breadth, kernel, stride, padding = maps_fields(segment)
    rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in (height, breadth))
    return rows * columns, fan_in(segment[2], segment[3], segment[-1]) // (height * breadth)


def _row(segment: Wire) -> int:
    """segment(b) of a hidden segment."""
    if segment[0] in DENSE:
        read = fan_in(segment[2], segment[3], segment[-1])
        fetches = 2 if segment[-1] else 1
        return int(read * segment[4] + 8 * fetches * read + 128 * segment[4])
    (pixels, maps), (height, breadth, kernel, stride, padding) = _maps(segment), maps_fields(segment)
    laid = 32 * maps * (height + 2 * padding) * (breadth + 2 * padding)
    if segment[0] == POOL:
        made = (height + 2 * padding - kernel) // stride + 1
        down, width = maps * made * (breadth + 2 * padding), maps * pixels
        return int(32 * kernel * (down + width) + 128 * width + laid)
    channels, groups = segment[6], segment[10]
    work = channels * (maps // groups) * kernel**2 + 32 * maps * kernel**2 + 128 * channels
    return int(pixels * work + laid + 2**10 * groups)


def _tensors(segment: Wire) -> int:
    """tensors(b) of a hidden segment."""
    bits = segment[-2]
    if segment[0] in DENSE:
        read = fan_in(segment[2], segment[3], segment[-1])
        return int(10 + read * segment[4] * bits // 8 + 6 + 4 * segment[4])
    _, maps = _maps(segment)
    if segment[0] == POOL:
        return int(6 + maps * bits // 8 + 6 + 4 * maps)
    channels, kernel, groups = segment[6], segment[7], segment[10]
    return int(18 + channels * (maps // groups) * kernel**2 * bits // 8 + 6 + 4 * channels)


def runs(hidden: Sequence[Wire], outputs: Sequence[Wire]) -> int:
    found = len(hidden) + len(outputs)
    for before, after in pairwise(hidden):
        found -= before[0] in DENSE and before[:4] + before[5:] == after[:4] + after[5:]
    for before, after in pairwise(outputs):
        found -= _outputs_join(before, after)
    return found


def _outputs_join(before: Wire, after: Wire) -> bool:
    alike = [before[0], *before[3:]] == [after[0], *after[3:]] and not before[-1]
    return bool(alike and before[2] == after[1] and before[5] <= 0)


def intervals(hidden: Sequence[Wire], outputs: Sequence[Wire]) -> int:
    """What the runs read."""
    found = 0
    for before, after in pairwise([None, *hidden]):
        joins = before and before[0] in DENSE and before[:4] + before[5:] == after[:4] + after[5:]
        found += 0 if joins else 1 + len(after[-1])
    for before, after in pairwise([None, *outputs]):
        found += 0 if before and _outputs_join(before, after) else 1 + len(after[-1])
    return found


def network_macs(net: Wire, growths: int, rows: int, classes: int, rho: int) -> int:
    """Of a network without seeded tensors of generators 2 and 3, whose line has so many growths."""
    added, part = max(0, classes - net[1]), 8 + rows * (net[0] + 2)
    neurons = net[0] + sum(map(width_of, net[3]))
    own = _macs(net, net[3], net[4], neurons, rows, rho)
    return int(rows * 640 * added + own + rho * part + 2**20 * growths)


def growth_macs(old: Wire, growth: Wire, rows: int, rho: int) -> int:
    """Of a growth of this network, likewise."""
    net, (_, hidden, outputs, _) = grown(old, growth), growth
    widths, first = layer_widths(net), layer_widths(old)
    for layer in widths:
        first.setdefault(layer, 0)
    reads = [(layer - 1, lo) for _, layer, lo, *_ in hidden] + [(layer, lo) for layer, lo, *_ in outputs]
    more = [each for segment in (*hidden, *outputs) for each in segment[-1]]
    for layer, lo in [*reads, *((layer, lo) for layer, lo, _ in more)]:
        first[layer] = min(first[layer], lo)
    return _macs(net, hidden, outputs, sum(widths.values()) - sum(first.values()), rows, rho)


def layer_widths(net: Wire) -> dict[int, int]:
    widths: dict[int, int] = {0: net[0]}
    for segment in net[3]:
        widths[segment[1]] = widths.get(segment[1], 0) + width_of(segment)
    return widths


def segment_macs(hidden: Sequence[Wire], outputs: Sequence[Wire]) -> int:
    """Of these segments on one row."""
    fed = [(fan_in(lo, hi, more), width, 2 if more else 1) for _, lo, hi, _, width, *_, more in outputs]
    return sum(map(_row, hidden)) + int(sum(n * w + 8 * fetches * n + 128 * w for n, w, fetches in fed))


def loading_macs(net: Wire, rho: int) -> int:
    """Of a whole network, likewise."""
    return _loading(net[3], net[4], rho)


def _macs(
    net: Wire, hidden: Sequence[Wire], outputs: Sequence[Wire], neurons: int, rows: int, rho: int
) -> int:
    components = len(net[2]) or net[1]
    chunk = max(1, min(1024, 2**21 // (neurons + 8 * components)))
    gates = list(net[2]).count(65535)
    lifting = 2048 * (net[1] + gates) if gates else 0
    row = segment_macs(hidden, outputs) + 128 * components + 512 * net[1] + lifting
    calls = 2**19 * (intervals(hidden, outputs) + 8 * (gates > 0)) * -(-rows // chunk)
    return int(rows * row + calls + _loading(hidden, outputs, rho))


def _loading(hidden: Sequence[Wire], outputs: Sequence[Wire], rho: int) -> int:
    together, count = runs(hidden, outputs), len(hidden) + len(outputs)
    fed = [(fan_in(lo, hi, more), width, bits) for _, lo, hi, _, width, _, bits, more in outputs]
    tensors = sum(map(_tensors, hidden)) + sum(10 + n * w * bits // 8 + 6 + 4 * w for n, w, bits in fed)
    return int(rho * tensors + 2**22 * (2 + together) + 2**21 * (count - together))
