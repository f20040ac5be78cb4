"""A second implementation of what docs/protocol says, in plain integers: the check that the text is enough.

Written from the text and imports nothing of the package. A comment before each group of functions names the
chapter and the section that the group follows. Records are lists, as they are on the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Wire = Any
"""int, bytes, str, bool, None or a list of these."""

ZERO: Final = bytes(32)


# encoding.md, Encoding


def enc(value: Wire) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _enc_int(value)
    if isinstance(value, bytes):
        return _sized(len(value), 0, 0, b"\xc4\xc5\xc6") + value
    if isinstance(value, str):
        raw = value.encode()
        return _sized(len(raw), 0xA0, 32, b"\xd9\xda\xdb") + raw
    return _sized(len(value), 0x90, 16, b"\x00\xdc\xdd") + b"".join(map(enc, value))


def _enc_int(value: int) -> bytes:
    if -32 <= value < 128:
        return bytes([value & 0xFF])
    heads, signed = (b"\xcc\xcd\xce\xcf", False) if value >= 0 else (b"\xd0\xd1\xd2\xd3", True)
    for head, size in zip(heads, (1, 2, 4, 8), strict=True):
        bits = 8 * size - signed
        if -(1 << bits) <= value < 1 << bits:
            return bytes([head]) + value.to_bytes(size, "big", signed=signed)
    raise ValueError(value)


def _sized(size: int, fixed: int, below: int, heads: bytes) -> bytes:
    if size < below:
        return bytes([fixed | size])
    for head, length in zip(heads, (1, 2, 4), strict=True):
        if head and size < 1 << 8 * length:
            return bytes([head]) + size.to_bytes(length, "big")
    raise ValueError(size)


def dec(raw: bytes) -> Wire:
    value, end = _dec(raw, 0)
    assert (end, enc(value)) == (len(raw), raw), "not the one encoding"
    return value


def _dec(raw: bytes, at: int) -> tuple[Wire, int]:
    head, at = raw[at], at + 1
    if head < 0x80 or head >= 0xE0:
        return (head if head < 0x80 else head - 256), at
    if head in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[head], at
    if 0xCC <= head <= 0xD3:
        size = 1 << (head - 0xCC) % 4
        return int.from_bytes(raw[at : at + size], "big", signed=head >= 0xD0), at + size
    length, at = _length(raw, head, at)
    if head in (0xC4, 0xC5, 0xC6):
        return raw[at : at + length], at + length
    if 0xA0 <= head < 0xC0 or head in (0xD9, 0xDA, 0xDB):
        return raw[at : at + length].decode(), at + length
    items = []
    for _ in range(length):
        item, at = _dec(raw, at)
        items.append(item)
    return items, at


def _length(raw: bytes, head: int, at: int) -> tuple[int, int]:
    if head < 0xC0:
        return (head & 0x0F if head < 0xA0 else head & 0x1F), at
    size = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}[head]
    return int.from_bytes(raw[at : at + size], "big"), at + size


# encoding.md, Hashes; Trees


def tagged(tag: str, *parts: bytes) -> bytes:
    prefix = hashlib.sha256(f"engram/{tag}".encode()).digest()
    return hashlib.sha256(prefix + prefix + b"".join(parts)).digest()


def list_root(items: Sequence[bytes]) -> bytes:
    level = [tagged("list_leaf", item) for item in items]
    while len(level) > 1:
        odd = level[len(level) & ~1 :]
        level = [tagged("list_node", *level[i : i + 2]) for i in range(0, len(level) - 1, 2)] + odd
    return tagged("list_root", len(items).to_bytes(8, "big"), level[0] if level else ZERO)


def state_root(leaves: Mapping[bytes, bytes], depth: int = 0) -> bytes:
    if not leaves:
        return ZERO
    if len(leaves) == 1:
        ((key, value),) = leaves.items()
        return tagged("leaf", key, tagged("leaf_value", value))
    sides: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
    for key, value in leaves.items():
        sides[key[depth // 8] >> 7 - depth % 8 & 1][key] = value
    return tagged("node", *(state_root(side, depth + 1) for side in sides))


def place(kind: int, key: bytes) -> bytes:
    return tagged("key", bytes([kind]), key)


# encoding.md, Transactions; Keys


def signed_message(transaction: Wire) -> bytes:
    return tagged("transaction_sign", enc(transaction[:-1]))


def txid(transaction: Wire) -> bytes:
    return tagged("transaction_id", enc(transaction))


def address(public_key: bytes) -> bytes:
    return tagged("address", public_key)[:20]


# chain.md, Targets and work; Difficulty


def target(bits: int) -> int:
    size, mantissa = bits >> 24, bits & 0xFFFFFF
    return mantissa << 8 * (size - 3) if size >= 3 else mantissa >> 8 * (3 - size)


def compact(number: int) -> int:
    size = (number.bit_length() + 7) // 8
    mantissa = number << 8 * (3 - size) if size < 3 else number >> 8 * (size - 3)
    if mantissa & 0x800000:
        mantissa, size = mantissa >> 8, size + 1
    return size << 24 | mantissa


def next_bits(anchor: int, delta: int, spacing: int, half_life: int, most: int) -> int:
    scaled = (delta - spacing) << 16
    exponent = scaled // half_life if scaled >= 0 else -(-scaled // half_life)
    n, f = exponent >> 16, exponent & 0xFFFF
    factor = (1 << 16) + ((195766423245049 * f + 971821376 * f * f + 5127 * f**3 + (1 << 47)) >> 48)
    shift = max(n, -512) - 16
    moved = anchor * factor << shift if shift >= 0 else anchor * factor >> -shift
    return compact(min(max(most if n > 512 else moved, 1), most))


# rounds.md, 3. Commitments, seed, draw


def draw(seed: bytes, population: int, count: int) -> list[int]:
    words = _words(seed)
    items = list(range(population))
    for i in range(count):
        bound = population - i
        word = next(word for word in words if word < 2**64 - 2**64 % bound)
        j = i + word % bound
        items[i], items[j] = items[j], items[i]
    return items[:count]


def _words(seed: bytes) -> Iterator[int]:
    index = 0
    while True:
        yield int.from_bytes(tagged("draw", seed, index.to_bytes(4, "big"))[:8], "big")
        index += 1


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
    for tag, layer, lo, hi, *rest in hidden:
        x, given = layers[layer - 1][lo:hi], next(numbers)
        if tag in (1, 2):
            width, *fields = rest
            sums = _product(x, width, *given)
        else:
            shape, fields = rest[:7], rest[7:]
            sums = _convolution(x, shape, *given)
        made = [_activation(tag, fields, a) for a in sums]
        layers.setdefault(layer, []).extend(made)
    sums = [0] * len(labels)
    for layer, lo, hi, first, width, shift, _ in outputs:
        for j, a in enumerate(_product(layers[layer][lo:hi], width, *next(numbers))):
            sums[first + j] += round_shift(a, shift) if shift >= 0 else a << -shift
    best = [max(s for s, label in zip(sums, labels, strict=True) if label == c) for c in range(classes)]
    return [clip(z, -(2**30), 2**30) for z in best]


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


def _activation(tag: int, fields: Sequence[int], a: int) -> int:
    if tag in (1, 3):
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


# fees-rules-records.md, Fees


def minimum_fee(fees: Wire, exponent: int, size: int, macs: int, records: int) -> int:
    floor, per_byte, macs_per_spark, per_record = fees
    price = int(max(floor, size * per_byte + -(-macs // macs_per_spark) + records * per_record))
    return -(-price * int(9**exponent) // int(8**exponent))


# chain.md, The round clock


def next_clock(rules: Wire, clock: Wire, height: int, transactions: int, size: int, macs: int) -> Wire:
    """The record RoundClock after a block that holds so much; `rules` are fields by name."""
    ticks, x, ticked = clock
    budgets = rules["max_block_transactions"], rules["max_body_bytes"], rules["max_block_macs"]
    if any(2 * used > most for used, most in zip((transactions, size, macs), budgets, strict=True)):
        return [ticks, min(x + 1, rules["max_exponent"]), ticked]
    x = max(x - 2, 0)
    waited = height - ticked >= rules["tick_patience_blocks"]
    return [ticks + 1, x, height] if waited or x <= rules["tick_exponent"] else [ticks, x, ticked]
