"""A second implementation of what networks.md says about evaluation, losses and seeded tensors.

Written from the text, as `protocol_oracle`, on which it stands; imports nothing of the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isqrt
from typing import Final

from tests.support.protocol_oracle import Wire

# networks.md, Evaluation; Losses; Seeded tensors


def round_shift(a: int, s: int) -> int:
    return (a + (1 << s - 1)) >> s if s else a


def clip(a: int, lo: int, hi: int) -> int:
    return max(lo, min(a, hi))


def exp_entries() -> list[int]:
    r, term, k = 0, 1 << 128, 0
    while term > 0:
        r += term if k % 2 == 0 else -term
        k += 1
        term = (term >> 10) // k
    entries, v = [], 1 << 128
    for _ in range(24 * 2**10 + 1):
        entries.append(round_shift(v, 96))
        v = v * r >> 128
    return entries


def ln_entries() -> list[int]:
    v, entries = 0, [0]
    for n in range(2**11, 2**12):
        m = 2 * n + 1
        power, k = (1 << 129) // m, 1
        while power > 0:
            v += power // k
            power //= m * m
            k += 2
        entries.append(round_shift(v, 96))
    return entries


_E: Final = exp_entries()
_N: Final = ln_entries()


def _interpolate(table: Sequence[int], i: int, f: int, b: int) -> int:
    step = table[i + 1] - table[i] if i + 1 < len(table) else 0
    return table[i] + round_shift(step * f, b)


def exp(d: int) -> int:
    e = min(d, 24 << 16)
    return _interpolate(_E, e >> 6, e % 64, 6)


def ln(s: int) -> int:
    k = s.bit_length() - 1 - 32
    u = (s << 16 - k) - (1 << 48)
    return k * _N[2**11] + _interpolate(_N, u >> 37, u % 2**37, 37)


def ln_q24(classes: int) -> int:
    return round_shift(ln(classes << 32), 8)


def predicted(logits: Sequence[int]) -> int:
    return logits.index(max(logits))


def row_loss(kind: int, logits: Sequence[int], label: int) -> int:
    return min(_unclipped_loss(kind, logits, label), ln_q24(len(logits)) + 8 * 2**24)


def _unclipped_loss(kind: int, logits: Sequence[int], label: int) -> int:
    if kind == 1:
        gaps = [max(logits) - z for z in logits]
        return round_shift(ln(sum(map(exp, gaps))), 8) + (gaps[label] << 8)
    if kind == 2:
        errors = [clip(z, -(2**20), 2**20) - 2**16 * (j == label) for j, z in enumerate(logits)]
        return int(min(round_shift(sum(e * e for e in errors), 8), 2**39))
    return 2**24 * (predicted(logits) != label)


def logits(spec: Wire, weights: Sequence[Wire], biases: Sequence[Wire], features: Sequence[int]) -> list[int]:
    """`spec` as on the wire; weights (rows of lists) and biases of each segment, hidden segments first."""
    _, classes, components, hidden, outputs = spec
    labels = components or list(range(classes))
    layers: dict[int, list[int]] = {0: list(features)}
    numbers = iter(zip(weights, biases, strict=True))
    for tag, layer, lo, hi, *rest, more in hidden:
        x, given = _read(layers, [[layer - 1, lo, hi], *more]), next(numbers)
        if tag in (1, 2, 5):
            width, *fields = rest
            sums = _product(x, width, *given)
        elif tag == 7:
            shape, fields = rest[:5], rest[5:]
            sums = _largest(x, shape, *given)
        else:
            shape, fields = rest[:7], rest[7:]
            sums = _convolution(x, shape, *given)
        made = [_activation(tag, fields, a) for a in sums]
        layers.setdefault(layer, []).extend(made)
    sums = [0] * len(labels)
    for layer, lo, hi, first, width, shift, _, more in outputs:
        x = _read(layers, [[layer, lo, hi], *more])
        for j, a in enumerate(_product(x, width, *next(numbers))):
            sums[first + j] += round_shift(a, shift) if shift >= 0 else a << -shift
    return gated(labels, sums)


def _read(layers: dict[int, list[int]], intervals: Sequence[Wire]) -> list[int]:
    return [value for layer, lo, hi in intervals for value in layers[layer][lo:hi]]


def gated(labels: Sequence[int], sums: Sequence[int]) -> list[int]:
    """networks.md, Gates: 65,535 stands for a gate."""
    starts = [0, *(at for at, label in enumerate(labels) if label == 65535), len(labels)]
    found: list[int] = []
    norm = 0
    for t, (begin, end) in enumerate(pairwise(starts)):
        most = 2**29 if t else 2**30
        stage = list(zip(labels[begin:end], sums[begin:end], strict=True))
        z = {c: clip(max(s for label, s in stage if label == c), -most, most) for c, _ in stage}
        if t:
            found = [older - norm + z[65535] for older in found]
        found += [z[c] for c in sorted(z) if c != 65535]
        norm = lse(list(z.values()))
    return [clip(logit, -(2**30), 2**30) for logit in found]


def lse(z: Sequence[int]) -> int:
    return max(z) + round_shift(ln(sum(exp(max(z) - each) for each in z)), 16)


def _product(x: Sequence[int], width: int, weights: Wire, bias: Wire) -> list[int]:
    return [sum(v * row[j] for v, row in zip(x, weights, strict=True)) + bias[j] for j in range(width)]


def _convolution(x: Sequence[int], shape: Sequence[int], weights: Wire, bias: Wire) -> list[int]:
    height, breadth, channels, kernel, stride, padding, groups = shape
    size = height * breadth
    maps = [x[at : at + size] for at in range(0, len(x), size)]
    per_group = len(maps) // groups

    def seen(place: int, row: int, column: int) -> int:
        inside = 0 <= row < height and 0 <= column < breadth
        return maps[place][row * breadth + column] if inside else 0

    rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in (height, breadth))
    return [
        bias[o]
        + sum(
            weights[o][i][v][u]
            * seen(
                o // (channels // groups) * per_group + i, stride * y + v - padding, stride * x_ + u - padding
            )
            for i in range(per_group)
            for v in range(kernel)
            for u in range(kernel)
        )
        for o in range(channels)
        for y in range(rows)
        for x_ in range(columns)
    ]


def _largest(
    x: Sequence[int], shape: Sequence[int], weights: Sequence[int], bias: Sequence[int]
) -> list[int]:
    height, breadth, kernel, stride, padding = shape
    rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in (height, breadth))
    padded = {
        (at // breadth, at % breadth, i): x[i * height * breadth + at]
        for i in range(len(weights))
        for at in range(height * breadth)
    }
    return [
        bias[i]
        + weights[i]
        * max(
            padded.get((stride * y + v - padding, stride * x_ + u - padding, i), 0)
            for v in range(kernel)
            for u in range(kernel)
        )
        for i in range(len(weights))
        for y in range(rows)
        for x_ in range(columns)
    ]


def _activation(tag: int, fields: Sequence[int], a: int) -> int:
    if tag in (5, 6):
        shift, bits, _ = fields
        return isqrt(clip(round_shift(a, shift), 0, (1 << 2 * bits) - 1))
    if tag in (1, 3, 7):
        shift, bits, _ = fields
        return clip(round_shift(a, shift), 0, (1 << bits) - 1)
    s1, h, s2, bits, _ = fields
    q = clip(round_shift(a, s1), -(1 << h), (1 << h) - 1)
    return clip(round_shift(q * q, s2), 0, (1 << bits) - 1)


def seeded(generator: int, seed: bytes, rows: int, columns: int, arguments: Sequence[int]) -> list[list[int]]:
    """The matrix of generator 2 or 3, row by row."""
    stream = _stream(generator, seed)
    if generator == 2:
        return _ternary(stream, rows, columns)
    made = _fields(stream, rows, columns, arguments)
    return [[column[i] for column in made] for i in range(rows)]


def _stream(generator: int, seed: bytes) -> Iterator[int]:
    prefix = hashlib.sha256(b"engram/seeded").digest()
    for c in range(2**32):
        raw = prefix + prefix + bytes([generator]) + seed + c.to_bytes(4, "little")
        yield from hashlib.shake_128(raw).digest(2**16)


def _ternary(stream: Iterator[int], rows: int, columns: int) -> list[list[int]]:
    m = -(-rows * columns // 5)
    used: list[int] = []
    while len(used) < m:
        byte = next(stream)
        if byte < 243:
            used.append(byte)
    flat = [used[e % m] // 3 ** (e // m) % 3 - 1 for e in range(rows * columns)]
    return [flat[i * columns : (i + 1) * columns] for i in range(rows)]


def _fields(stream: Iterator[int], rows: int, columns: int, arguments: Sequence[int]) -> list[list[int]]:
    words = [int.from_bytes(bytes(next(stream) for _ in range(4)), "little") for _ in range(4 * columns)]
    bits = (byte >> i & 1 for byte in stream for i in range(8))
    return [_field(words[4 * j : 4 * j + 4], bits, rows, arguments) for j in range(columns)]


def _field(words: Sequence[int], bits: Iterator[int], rows: int, arguments: Sequence[int]) -> list[int]:
    height, width, least, largest = arguments
    a, b, c, d = words
    h = least + a % (min(largest, height) - least + 1)
    w = least + b % (min(largest, width) - least + 1)
    top, left = c % (height - h + 1), d % (width - w + 1)
    signs = [2 * next(bits) - 1 for _ in range(rows)]
    inside = [top <= p // width < top + h and left <= p % width < left + w for p in range(rows)]
    return [sign if held else 0 for sign, held in zip(signs, inside, strict=True)]
