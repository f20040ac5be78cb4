"""Signatures: the RFC's vectors, and each corner where Ed25519 libraries disagree."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from engram.primitives.errors import BadPublicKey, BadSignature, InvalidKey
from engram.primitives.keys import PrivateKey, address, check_public_key, verify
from tests.support import ed25519_reference as reference

# RFC 8032 §7.1: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555f"
        "b8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        b"\x72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da08"
        "5ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        b"\xaf\x82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18"
        "ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").digest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909"
        "351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
KEY = PrivateKey.from_seed(b"\x07" * 32)
MESSAGE = b"a message"
SIGNATURE = KEY.sign(MESSAGE)
SMALL_ORDER = [reference.encode_point(point) for point in reference.small_order_points()]
NEGATIVE_ZEROS = [(y | 1 << 255).to_bytes(32, "little") for y in (1, reference.P - 1)]
BEYOND_P = [(y | sign << 255).to_bytes(32, "little") for y in range(reference.P, 2**255) for sign in (0, 1)]


def other_s(signature: bytes, s: int) -> bytes:
    return signature[:32] + s.to_bytes(32, "little")


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032, ids=range(4))
def test_rfc_8032(seed: str, public_key: str, message: bytes, signature: str) -> None:
    key = PrivateKey.from_seed(bytes.fromhex(seed))
    assert key.public_key.hex() == public_key
    assert key.sign(message).hex() == signature
    verify(key.public_key, message, key.sign(message))


def test_the_reference_knows_the_rfc_too() -> None:
    seed, public_key, message, signature = RFC_8032[2]
    assert reference.public_key(bytes.fromhex(seed)).hex() == public_key
    assert reference.sign(bytes.fromhex(seed), message).hex() == signature
    assert reference.accepts(bytes.fromhex(public_key), message, bytes.fromhex(signature))


def test_there_are_eight_small_order_points() -> None:
    assert len(set(SMALL_ORDER)) == 8
    assert all(reference.strict_point(encoding) is None for encoding in SMALL_ORDER)


@pytest.mark.parametrize("encoding", SMALL_ORDER + NEGATIVE_ZEROS + BEYOND_P, ids=bytes.hex)
def test_a_point_that_is_small_or_not_canonical_is_refused_as_key_and_as_r(encoding: bytes) -> None:
    with pytest.raises(BadPublicKey):
        check_public_key(encoding)
    with pytest.raises(BadPublicKey):
        verify(encoding, MESSAGE, SIGNATURE)
    with pytest.raises(BadSignature, match="R of the signature"):
        verify(KEY.public_key, MESSAGE, encoding + SIGNATURE[32:])


@pytest.mark.parametrize("encoding", SMALL_ORDER, ids=bytes.hex)
def test_openssl_alone_would_accept_a_small_order_key_for_some_message(encoding: bytes) -> None:
    """The rule's reason: with R = 1 and S = 0 the equation holds where the challenge ends the torsion."""
    forged = reference.encode_point(reference.NEUTRAL) + bytes(32)
    messages = [bytes([number]) for number in range(100)]
    accepted = [message for message in messages if openssl_accepts(encoding, message, forged)]
    assert accepted
    with pytest.raises(BadPublicKey):
        verify(encoding, accepted[0], forged)


def openssl_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_s_is_below_the_group_order() -> None:
    s = int.from_bytes(SIGNATURE[32:], "little")
    for multiple in range(1, 15):
        with pytest.raises(BadSignature, match="not below the group order"):
            verify(KEY.public_key, MESSAGE, other_s(SIGNATURE, s + multiple * reference.L))
    with pytest.raises(BadSignature, match="not below the group order"):
        verify(KEY.public_key, MESSAGE, other_s(SIGNATURE, reference.L))
    with pytest.raises(BadSignature, match="does not verify"):
        verify(KEY.public_key, MESSAGE, other_s(SIGNATURE, reference.L - 1))


def test_bytes_that_are_no_point_sign_nothing() -> None:
    for y in range(2, 60):
        encoding = y.to_bytes(32, "little")
        no_point = reference.decode_point(encoding) is None
        with pytest.raises(BadPublicKey if no_point else BadSignature):
            verify(encoding, MESSAGE, SIGNATURE)
        with pytest.raises(BadSignature):
            verify(KEY.public_key, MESSAGE, encoding + SIGNATURE[32:])


def test_a_torsion_component_in_a_is_judged_without_cofactor() -> None:
    """A + T has large order; the equation decides, and both implementations must decide alike."""
    torsion = reference.small_order_points()[1]
    point = reference.decode_point(KEY.public_key)
    assert point is not None
    mixed = reference.encode_point(reference.add(point, torsion))
    for message in (bytes([i]) for i in range(8)):
        assert openssl_accepts(mixed, message, KEY.sign(message)) == reference.accepts(
            mixed, message, KEY.sign(message)
        )
        with pytest.raises(BadSignature):
            verify(mixed, message, KEY.sign(message))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_is_64_bytes(length: int) -> None:
    with pytest.raises(BadSignature) as raised:
        verify(KEY.public_key, MESSAGE, (SIGNATURE + b"x")[:length])
    assert (raised.value.expected, raised.value.got) == (64, length)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_keys_and_entropy_are_32_bytes(length: int) -> None:
    raw = (KEY.public_key + b"x")[:length]
    with pytest.raises(BadPublicKey):
        verify(raw, MESSAGE, SIGNATURE)
    with pytest.raises(InvalidKey):
        PrivateKey.from_seed(raw)
    with pytest.raises(InvalidKey):
        PrivateKey.generate(raw)


def test_another_message_key_or_signature_does_not_verify() -> None:
    other = PrivateKey.from_seed(b"\x08" * 32)
    for key, message, signature in (
        (KEY.public_key, MESSAGE + b"!", SIGNATURE),
        (other.public_key, MESSAGE, SIGNATURE),
        (KEY.public_key, MESSAGE, other.sign(MESSAGE)),
    ):
        with pytest.raises(BadSignature, match="does not verify"):
            verify(key, message, signature)


def test_generated_keys_follow_their_entropy_and_are_not_it() -> None:
    entropy = b"\x09" * 32
    key = PrivateKey.generate(entropy)
    assert key.seed == PrivateKey.generate(entropy).seed != entropy
    assert PrivateKey.from_seed(key.seed).public_key == key.public_key


def test_a_private_key_is_not_shown() -> None:
    assert KEY.seed.hex() not in repr(KEY) + str(KEY)
    assert KEY.public_key.hex() in repr(KEY)


def test_an_address_is_20_bytes_of_the_public_key() -> None:
    assert KEY.address == address(KEY.public_key)
    assert len(KEY.address) == 20
