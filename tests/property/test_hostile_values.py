"""What a stranger writes where a number or a shape is expected: floats of all kinds, and huge shapes."""

import random
import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, Final

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.consensus.block import BlockHeader
from engram.nn.layers import ConvRelu, DenseRelu, DenseSquare, HiddenSegment, MaxPool, Output
from engram.nn.spec import NetworkLimits, NetworkSpec, check_spec, macs_per_row, neurons
from engram.p2p.messages import GetHeaders, Hello
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError, Invalid
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.codec_samples import SAMPLES as CODEC_SAMPLES
from tests.support.faults import Played, inputs, plays
from tests.support.memory_chain import MemoryChain
from tests.support.nn_samples import networks
from tests.support.node_chain import ALICE, BOB, SPEC
from tests.support.p2p_samples import SAMPLES as MESSAGES

SPECIAL: Final = 1_000
HALVES: Final = 2**16
LIMITS: Final = NetworkLimits()
ROOM_BYTES: Final = 16 << 20

HOSTILE = st.sampled_from(
    (0, 1, 2, 7, 255, 256, 2**15, 2**16, 2**16 + 1, 2**31, 2**32, 2**53, 2**63, 2**64, -1, -(2**63))
)
ANY = st.one_of(HOSTILE, st.integers(1, 64), st.integers(-(2**65), 2**65))


def filled(cls: type[Any]) -> st.SearchStrategy[Any]:
    """A segment of any numbers."""
    return st.builds(cls, **{field.name: ANY for field in fields(cls)})


SEGMENTS: st.SearchStrategy[HiddenSegment] = st.one_of(
    filled(DenseRelu), filled(DenseSquare), filled(ConvRelu), filled(MaxPool)
)
MADE_UP = st.builds(
    NetworkSpec,
    inputs=ANY,
    classes=ANY,
    components=st.lists(ANY, max_size=4).map(tuple),
    hidden=st.lists(SEGMENTS, max_size=4).map(tuple),
    outputs=st.lists(filled(Output), max_size=3).map(tuple),
)


@st.composite
def spoilt(draw: st.DrawFn) -> NetworkSpec:
    """A sound network with one number of it changed."""
    spec = draw(networks())
    table = draw(st.sampled_from([name for name in ("hidden", "outputs") if getattr(spec, name)]))
    segments = list(getattr(spec, table))
    place = draw(st.integers(0, len(segments) - 1))
    field = draw(st.sampled_from(fields(segments[place]))).name
    segments[place] = replace(segments[place], **{field: draw(ANY)})
    return replace(spec, **{table: tuple(segments)})  # type: ignore[arg-type]  # a field by its name


@plays(27, share=0.9)
@given(st.one_of(MADE_UP, spoilt()))
def test_no_shape_costs_memory_before_it_is_refused(spec: NetworkSpec) -> None:
    """Whatever is declared is judged by numbers alone; what is accepted keeps within the limits."""
    tracemalloc.start()
    try:
        try:
            check_spec(decode(NetworkSpec, encode(spec)), LIMITS)
        except Invalid:
            pass
        else:
            assert macs_per_row(spec) <= LIMITS.max_macs_per_row
            assert neurons(spec) <= LIMITS.max_neurons
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < ROOM_BYTES


def floats(seed: int) -> Iterator[bytes]:
    """Encodings of floats: every half-precision number as a single one, and special doubles, shuffled."""
    halves = [
        b"\xca" + struct.pack(">f", *struct.unpack(">e", number.to_bytes(2, "big")))
        for number in range(HALVES)
    ]
    rng = random.Random(seed)
    bits = [0, 1 << 63, 0x7FF << 52, 0xFFF << 52]  # zeros and infinities
    bits += [1, (1 << 63) + 1, (1 << 52) - 1]  # denormal
    bits += [(0x7FF << 52) + rng.randrange(1, 1 << 52) for _ in range(SPECIAL // 2)]  # no number
    bits += [rng.getrandbits(64) for _ in range(SPECIAL - len(bits))]
    doubles = [b"\xcb" + each.to_bytes(8, "big") for each in bits]
    both = halves + doubles
    rng.shuffle(both)
    return iter(both)


def paths(node: object, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Where a number stands in an encoding."""
    if isinstance(node, list):
        for place, child in enumerate(node):
            yield from paths(child, (*path, place))
    elif isinstance(node, int) and not isinstance(node, bool):
        yield path


def replaced(node: Any, path: tuple[int, ...], raw: bytes) -> bytes:
    """The encoding with other bytes at one place."""
    if not path:
        return raw
    head = bytes([0x90 + len(node)]) if len(node) < 16 else b"\xdc" + len(node).to_bytes(2, "big")
    return head + b"".join(
        replaced(child, path[1:], raw) if place == path[0] else msgpack.packb(child)
        for place, child in enumerate(node)
    )


@pytest.mark.fault(id=29)
def test_no_float_is_taken_for_a_number(fault: Played) -> None:
    """In every place of every message, and of transactions and headers, where a number stands."""
    chain = MemoryChain(SPEC)
    payment = chain.sign(ALICE, Transfer(BOB.address, 5))
    values = [*CODEC_SAMPLES, *MESSAGES.values(), payment, payment.payload, chain.tip]
    holders = [
        (type(value), plain, path)
        for value in values
        if not isinstance(value, bytes)
        for plain in [msgpack.unpackb(encode(value), use_list=True)]
        for path in paths(plain)
    ]
    assert {cls for cls, _, _ in holders} >= {Transaction, BlockHeader, Hello, GetHeaders}
    count = inputs(29, sample=2_000)
    for number, raw in zip(range(count), floats(29), strict=False):
        cls, plain, path = holders[number % len(holders)]
        changed = replaced(plain, path, raw)
        with pytest.raises(CodecError):
            decode(cls, changed)
        decode(cls, replaced(plain, path, msgpack.packb(at(plain, path))))  # the number itself is read
    fault.tell(count, code=CodecError.code)


def at(node: Any, path: tuple[int, ...]) -> Any:
    """What stands in a place."""
    for place in path:
        node = node[place]
    return node


@pytest.mark.fault(id=29)
@pytest.mark.parametrize("dtype", ["i2", "i4"])
def test_weights_of_the_other_byte_order_are_another_network(dtype: str) -> None:
    weights = np.arange(1, 400, dtype=dtype)
    little, big = (weights.astype(order + dtype).tobytes() for order in "<>")
    assert blob_id(little) != blob_id(big)
