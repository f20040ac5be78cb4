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
