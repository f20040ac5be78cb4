"""A second implementation of the network rules in plain integers and 50-digit decimals: the tests' oracle.

Written from the formulas alone; it shares no code with `engram.nn` but the dataclasses that it reads.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor, isqrt

from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    MaxPool,
    Output,
)
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.seeded import Seeded
from tests.support.evaluation_oracle import exp, ln

LOGIT_LIMIT = 2**30
DIGITS = 50
GATE = 65_535


def rounded(a: int, s: int) -> int:
    """a / 2^s to the nearest integer, halves up."""
    return floor(Fraction(a, 2**s) + Fraction(1, 2)) if s else a


def clipped(a: int, lo: int, hi: int) -> int:
    return sorted((lo, a, hi))[1]


def activation(segment: HiddenSegment, a: int) -> int:
    top = 2**segment.bits - 1
    match segment:
        case DenseRoot() | ConvRoot():
            return isqrt(clipped(rounded(a, segment.shift), 0, 2 ** (2 * segment.bits) - 1))
        case DenseRelu() | ConvRelu() | MaxPool():
            return clipped(rounded(a, segment.shift), 0, top)
        case DenseSquare() | ConvSquare():
            root = clipped(rounded(a, segment.s1), -(2**segment.h), 2**segment.h - 1)
            return clipped(rounded(root * root, segment.s2), 0, top)


def scaled(a: int, shift: int) -> int:
    """An output's accumulator in Q16 nats."""
    return rounded(a, shift) if shift >= 0 else a << -shift


def accumulators(
    segment: HiddenSegment | Output, given: SegmentParameters, operands: Sequence[int]
) -> list[int]:
    """x·W + b of one row, its convolution, or its scaled maxima."""
    if isinstance(segment, ConvRelu | ConvSquare | ConvRoot):
        return convolved(segment, given, operands)
    if isinstance(segment, MaxPool):
        return pooled(segment, given, operands)
    columns = given.weights.T.tolist()
    return [
        sum(x * w for x, w in zip(operands, column, strict=True)) + b
        for column, b in zip(columns, given.bias.tolist(), strict=True)
    ]


def operands_of(segment: HiddenSegment | Output, layers: Sequence[Sequence[int]]) -> list[int]:
    """What a segment reads: its interval, then the further ones."""
    first = segment.layer - 1 if not isinstance(segment, Output) else segment.layer
    found = list(layers[first][segment.lo : segment.hi])
    for further in segment.more:
        found += layers[further.layer][further.lo : further.hi]
    return found


def pooled(segment: MaxPool, given: SegmentParameters, values: Sequence[int]) -> list[int]:
    """Map by map, pixel by pixel: the largest value under the window, scaled."""
    high, wide, k, s, p = segment.height, segment.breadth, segment.kernel, segment.stride, segment.padding
    found = []
    for number, (gain, offset) in enumerate(zip(given.weights.tolist(), given.bias.tolist(), strict=True)):
        for y in range((high + 2 * p - k) // s + 1):
            for x in range((wide + 2 * p - k) // s + 1):
                best = 0
                for row in range(max(0, s * y - p), min(high, s * y - p + k)):
                    for column in range(max(0, s * x - p), min(wide, s * x - p + k)):
                        best = max(best, values[(number * high + row) * wide + column])
                found.append(gain * best + offset)
    return found


def convolved(
    segment: ConvRelu | ConvSquare | ConvRoot, given: SegmentParameters, values: Sequence[int]
) -> list[int]:
    """Map by map, pixel by pixel, tap by tap."""
    high, wide, k, s, p = segment.height, segment.breadth, segment.kernel, segment.stride, segment.padding
    weights, bias = given.weights.tolist(), given.bias.tolist()
    maps = len(values) // (high * wide)
    per_group, made = maps // segment.groups, segment.channels // segment.groups
    found = []
    for channel in range(segment.channels):
        first = channel // made * per_group
        for y in range((high + 2 * p - k) // s + 1):
            for x in range((wide + 2 * p - k) // s + 1):
                total = bias[channel]
                for i in range(per_group):
                    for v in range(k):
                        for u in range(k):
                            row, column = s * y + v - p, s * x + u - p
                            if 0 <= row < high and 0 <= column < wide:
                                place = ((first + i) * high + row) * wide + column
                                total += weights[channel][i][v][u] * values[place]
                found.append(total)
    return found


def row_logits(spec: NetworkSpec, parameters: Parameters, row: Sequence[int]) -> list[int]:
    """Logits of one row of features."""
    depth = max((segment.layer for segment in spec.hidden), default=0)
    layers: list[list[int]] = [list(row), *([] for _ in range(depth))]
    for segment, given in zip(spec.hidden, parameters, strict=False):
        values = accumulators(segment, given, operands_of(segment, layers))
        layers[segment.layer] += [activation(segment, a) for a in values]
    labels = list(spec.components) or list(range(spec.classes))
    sums = [0] * len(labels)
    for output, given in zip(spec.outputs, parameters[len(spec.hidden) :], strict=True):
        for offset, a in enumerate(accumulators(output, given, operands_of(output, layers))):
            sums[output.first + offset] += scaled(a, output.shift)
    return gated_logits(labels, sums)


def gated_logits(labels: Sequence[int], sums: Sequence[int]) -> list[int]:
    """Stage by stage: what is there is lifted by the gate less the log-sum-exp of the stage before."""
    found: list[int] = []
    norm, limit, at = 0, LOGIT_LIMIT, 0
    while at < len(labels):
        end = next((i for i in range(at + 1, len(labels)) if labels[i] == GATE), len(labels))
        entries: dict[int, int] = {}
        for label, total in zip(labels[at:end], sums[at:end], strict=True):
            entries[label] = max(entries.get(label, total), total)
        entries = {label: clipped(total, -limit, limit) for label, total in entries.items()}
        if GATE in entries:
            found = [logit - norm + entries[GATE] for logit in found]
        found += [entries[label] for label in sorted(entries) if label != GATE]
        norm, limit, at = log_sum_exp(list(entries.values())), 2**29, end
    return [clipped(logit, -LOGIT_LIMIT, LOGIT_LIMIT) for logit in found]


def log_sum_exp(logits: Sequence[int]) -> int:
    """By the tables of the protocol, in Q16 nats."""
    top = max(logits)
    return top + rounded(ln(sum(exp(top - logit) for logit in logits)), 16)


def cross_entropy(logits: Sequence[int], label: int) -> Decimal:
    """The real-number loss of Q16 logits, in nats."""
    with localcontext() as context:
        context.prec = DIGITS
        nats = [Decimal(logit) / 2**16 for logit in logits]
        top = max(nats)
        return sum(((nat - top).exp() for nat in nats), Decimal(0)).ln() + top - nats[label]


def receptive_fields(seeded: Seeded) -> list[list[int]]:
    """Generator 3, row by row."""
    height, width, least, largest = seeded.arguments
    pixels, columns = seeded.shape
    raw = stream(seeded, 16 * columns + pixels * columns // 8 + 1)
    bits = [(byte >> bit) & 1 for byte in raw[16 * columns :] for bit in range(8)]
    fields = [
        _field(raw[16 * j : 16 * j + 16], bits[pixels * j : pixels * (j + 1)], height, width, least, largest)
        for j in range(columns)
    ]
    return [list(row) for row in zip(*fields, strict=True)]


def _field(raw: bytes, bits: list[int], height: int, width: int, least: int, largest: int) -> list[int]:
    a, b, c, d = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4, 8, 12))
    h = least + a % (min(largest, height) - least + 1)
    w = least + b % (min(largest, width) - least + 1)
    top, left = c % (height - h + 1), d % (width - w + 1)
    values = [0] * (height * width)
    for row in range(top, top + h):
        for column in range(left, left + w):
            values[row * width + column] = 2 * bits[row * width + column] - 1
    return values


def uniform_ternary(seeded: Seeded) -> list[list[int]]:
    """Generator 2, row by row."""
    rows, columns = seeded.shape
    used = -(-rows * columns // 5)
    kept = [byte for byte in stream(seeded, used + used // 8 + 100) if byte < 243][:used]
    flat = [byte // 3**place % 3 - 1 for place in range(5) for byte in kept]
    return [flat[row * columns : (row + 1) * columns] for row in range(rows)]


def stream(seeded: Seeded, size: int) -> bytes:
    """The first `size` bytes of a tensor's stream."""
    domain = hashlib.sha256(b"engram/seeded").digest() * 2
    prefix = domain + bytes([seeded.generator]) + seeded.seed
    blocks = range(-(-size // 2**16))
    made = (hashlib.shake_128(prefix + block.to_bytes(4, "little")).digest(2**16) for block in blocks)
    return b"".join(made)[:size]
