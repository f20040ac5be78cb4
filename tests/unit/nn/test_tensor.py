"""Canonical tensor bytes: one form for each array, and a named refusal for everything else."""

import numpy as np
import pytest

from engram.nn.dtypes import DTYPES
from engram.nn.errors import BadTensor
from engram.nn.tensor import tensor_array, tensor_bytes, tensor_size

GOOD = tensor_bytes(np.array([[1, -2, 3], [4, 5, -6]], dtype=np.int16))


@pytest.mark.parametrize("code", DTYPES)
def test_bytes_and_back(code: int) -> None:
    info = np.iinfo(DTYPES[code])
    array = np.array([info.min, 0, info.max] * 4, dtype=info.dtype).reshape(3, 2, 2)
    raw = tensor_bytes(array)
    back = tensor_array(raw)
    assert np.array_equal(back, array)
    assert back.dtype == DTYPES[code]
    assert tensor_bytes(back) == raw
    assert len(raw) == tensor_size(code, array.shape)


def test_memory_order_and_byte_order_do_not_matter() -> None:
    array = np.array([[1, -2, 3], [4, 5, -6]], dtype=np.int16)
    for same in (np.asfortranarray(array), array.astype(">i2"), np.repeat(array, 2, axis=1)[:, ::2]):
        assert tensor_bytes(same) == GOOD


def test_a_parsed_tensor_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        tensor_array(GOOD)[0, 0] = 7


@pytest.mark.parametrize(
    ("raw", "got"),
    [
        (b"", 0),
        (b"\x02", 1),
        (b"\x00" + GOOD[1:], 0),
        (b"\x06" + GOOD[1:], 6),
        (b"\x02\x00", 0),
        (b"\x02\x05" + bytes(20), 5),
        (GOOD[:-1], len(GOOD) - 1),
        (GOOD + b"\x00", len(GOOD) + 1),
        (GOOD[:6], 6),
        (b"\x02\x02" + b"\xff" * 8 + GOOD[10:], len(GOOD)),
        (b"\x02\x01" + bytes(4), (0,)),
        (b"\x02\x02" + b"\x01\x00\x00\x00" + bytes(4), (1, 0)),
    ],
)
def test_other_bytes_are_refused(raw: bytes, got: object) -> None:
    with pytest.raises(BadTensor) as caught:
        tensor_array(raw)
    assert caught.value.code == "bad_tensor"
    assert caught.value.got == got


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, dtype=np.float32),
        np.full(3, np.nan),
        np.zeros(3, dtype=np.int64),
        np.zeros(3, dtype=np.bool_),
        np.zeros((), dtype=np.int8),
        np.zeros((2, 0), dtype=np.int8),
        np.zeros((1,) * 5, dtype=np.int8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(BadTensor):
        tensor_bytes(array)


def test_bytes_differ_by_type_shape_and_value() -> None:
    arrays = [np.zeros(4, np.int8), np.zeros(4, np.uint8), np.zeros((2, 2), np.int8), np.ones(4, np.int8)]
    assert len({tensor_bytes(array) for array in arrays}) == 4
