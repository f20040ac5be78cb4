"""Canonical bytes and commitments of data parts, and every way in which bytes are not a part."""

import numpy as np
import pytest

from engram.nn.data import parse_part, part_bytes, part_commitment, part_size
from engram.nn.errors import BadPart, LabelOutOfRange
from engram.primitives.hashing import Tag, tagged_hash

FEATURES = np.arange(12, dtype=np.uint8).reshape(4, 3)
LABELS = np.array([0, 1, 300, 1], dtype=np.uint16)
RAW = part_bytes(FEATURES, LABELS)
SALT = bytes(range(32))


def test_bytes_by_hand() -> None:
    by_hand = [4, 0, 0, 0, 3, 0, 0, 0, *range(12), 0, 0, 1, 0, 44, 1, 1, 0]
    assert list(RAW) == by_hand
    assert len(RAW) == part_size(4, 3)


def test_bytes_and_back() -> None:
    part = parse_part(RAW, rows=4, inputs=3, classes=301)
    assert np.array_equal(part.features, FEATURES)
    assert np.array_equal(part.labels, LABELS)
    assert (part.features.dtype.name, part.labels.dtype.name) == ("uint8", "uint16")
    assert not part.features.flags.writeable
    assert not part.labels.flags.writeable
    assert part_bytes(part.features, part.labels) == RAW


def test_memory_order_does_not_matter() -> None:
    assert part_bytes(np.asfortranarray(FEATURES), LABELS.astype(">u2").astype(np.uint16)) == RAW
    assert part_bytes(np.repeat(FEATURES, 2, axis=1)[:, ::2], LABELS) == RAW


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        RAW[:7],
        RAW[:-1],
        RAW + b"\x00",
        b"\x05" + RAW[1:],
        RAW[:4] + b"\x02" + RAW[5:],
        b"\xff" * 8 + RAW[8:],
        bytes(8),
    ],
)
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadPart) as caught:
        parse_part(raw, rows=4, inputs=3, classes=301)
    assert caught.value.code == "bad_part"


def test_a_part_of_nothing_is_refused() -> None:
    with pytest.raises(BadPart):
        parse_part(bytes(8), rows=0, inputs=0, classes=1)


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(LabelOutOfRange) as caught:
        parse_part(RAW, rows=4, inputs=3, classes=300)
    assert (caught.value.code, caught.value.got) == ("label_out_of_range", 300)


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (FEATURES.astype(np.int16), LABELS),
        (FEATURES.astype(np.float64), LABELS),
        (FEATURES[0], LABELS),
        (FEATURES[:0], LABELS[:0]),
        (FEATURES[:, :0], LABELS),
        (FEATURES, LABELS[:3]),
        (FEATURES, LABELS.astype(np.int64)),
        (FEATURES, LABELS.reshape(4, 1)),
    ],
)
def test_other_arrays_are_refused(features: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(BadPart):
        part_bytes(features, labels)


def test_a_commitment_is_a_salted_tagged_hash() -> None:
    assert part_commitment(SALT, RAW) == tagged_hash(Tag.PART, SALT + RAW)
    assert part_commitment(SALT, RAW) != part_commitment(bytes(32), RAW)


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_another_length_is_refused(salt: bytes) -> None:
    with pytest.raises(BadPart):
        part_commitment(salt, RAW)
