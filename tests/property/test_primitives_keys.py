"""Laws of signatures and addresses, against a second Ed25519 written from the group law."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engram.primitives.errors import BadAddress, InvalidKey
from engram.primitives.keys import PrivateKey, format_address, parse_address, verify
from tests.support import ed25519_reference as reference
from tests.support.faults import plays

KEY = PrivateKey.from_seed(b"\x05" * 32)
MESSAGE = b"message"
TORSION = reference.small_order_points()
ODD_POINTS = [reference.encode_point(point) for point in TORSION]
ODD_POINTS += [y.to_bytes(32, "little") for y in range(reference.P, 2**255, 3)]
seeds = st.binary(min_size=32, max_size=32)


def accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        verify(key, message, signature)
    except InvalidKey:
        return False
    return True


def mixed(encoding: bytes, torsion: reference.Point) -> bytes:
    point = reference.decode_point(encoding)
    assert point is not None
    return reference.encode_point(reference.add(point, torsion))


@settings(max_examples=5)
@given(seeds, st.binary(max_size=99))
def test_both_implementations_make_the_same_keys_and_signatures(seed: bytes, message: bytes) -> None:
    key = PrivateKey.from_seed(seed)
    assert key.public_key == reference.public_key(seed)
    assert key.sign(message) == reference.sign(seed, message)


@settings(max_examples=25)
@given(
    key=st.sampled_from(
        [KEY.public_key, *(mixed(KEY.public_key, point) for point in TORSION[1:]), *ODD_POINTS]
    ),
    message=st.integers(0, 9).map(lambda number: bytes([number])),
    signed=st.booleans(),
    r=st.none() | st.sampled_from(ODD_POINTS),
    s=st.sampled_from([None, 0, 1, reference.L - 1, reference.L, 2**256 - 1]),
)
@example(key=ODD_POINTS[0], message=b"", signed=True, r=ODD_POINTS[0], s=0)
@example(key=mixed(KEY.public_key, TORSION[4]), message=b"\x01", signed=True, r=None, s=None)
def test_both_implementations_give_one_verdict_at_the_corners(
    key: bytes, message: bytes, signed: bool, r: bytes | None, s: int | None
) -> None:
    signature = KEY.sign(message if signed else MESSAGE)
    signature = (signature[:32] if r is None else r) + signature[32:]
    signature = signature if s is None else signature[:32] + s.to_bytes(32, "little")
    assert accepts(key, message, signature) == reference.accepts(key, message, signature)


@plays(7, share=0.8)
@given(seeds, st.binary(max_size=99), st.integers(0, 32 + 64 - 1), st.integers(1, 255))
def test_a_changed_byte_of_key_or_signature_is_refused(
    seed: bytes, message: bytes, at: int, flip: int
) -> None:
    key = PrivateKey.from_seed(seed)
    whole = bytearray(key.public_key + key.sign(message))
    assert accepts(bytes(whole[:32]), message, bytes(whole[32:]))
    whole[at] ^= flip
    assert not accepts(bytes(whole[:32]), message, bytes(whole[32:]))


@plays(7, share=0.2)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.binary(min_size=64, max_size=64))
def test_any_bytes_are_judged(key: bytes, message: bytes, signature: bytes) -> None:
    assert not accepts(key, message, signature)


@given(st.binary(min_size=20, max_size=20), st.sampled_from(["eng", "tst", "local"]))
def test_address_text_gives_back_the_address(address: bytes, hrp: str) -> None:
    assert parse_address(format_address(address, hrp), hrp) == address


@given(st.binary(min_size=20, max_size=20), st.data())
def test_up_to_four_wrong_letters_are_found(address: bytes, data: st.DataObject) -> None:
    """BIP 350 guarantees it for texts of up to 90 letters."""
    text = format_address(address, "eng")
    letters = list(text)
    for at in data.draw(st.sets(st.integers(4, len(text) - 1), min_size=1, max_size=4)):
        others = [letter for letter in "qpzry9x8gf2tvdw0s3jn54khce6mua7l" if letter != letters[at]]
        letters[at] = data.draw(st.sampled_from(others))
    with pytest.raises(BadAddress):
        parse_address("".join(letters), "eng")


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_named_wrong(text: str) -> None:
    try:
        address = parse_address(text, "eng")
    except BadAddress:
        return
    assert format_address(address, "eng") == text.lower()
