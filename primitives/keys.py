"""Ed25519 keys under one strict rule, and addresses. The core's only importer of cryptography.

Libraries disagree on the corner cases of Ed25519. If two nodes disagreed on one signature, the chain would
split; so the doubtful cases are refused here, before OpenSSL sees a signature (R, S) by key A. A and R must
be canonical encodings (y < p, and no sign bit where x = 0), neither may be one of the eight points of small
order, and S must be below the group order L. OpenSSL then checks S·B = R + H(R, A, m)·A, without cofactor
(RFC 8032 §5.1.7). If it refuses, one more test decides between `BadPublicKey` and `BadSignature`: is A on the
curve?
"""

from __future__ import annotations

from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engram.primitives.bech32 import decode_bech32m, encode_bech32m
from engram.primitives.errors import BadAddress, BadPublicKey, BadSignature, InvalidKey
from engram.primitives.hashing import Tag, tagged_hash

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ADDRESS_BYTES: Final = 20

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_Y_BITS: Final = 2**255 - 1
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y})
"""The y coordinates of the eight points of small order, those with 8·P = 0.

Where y is 1 or -1, x is zero; so refusing these two also refuses the second encoding of x = 0, with sign bit.
"""


class PrivateKey:
    """An Ed25519 private key; neither `repr` nor `str` shows it."""

    __slots__ = ("_key", "_seed", "public_key")

    public_key: Final[bytes]
    """32 bytes, RFC 8032 encoding."""

    def __init__(self, seed: bytes) -> None:
        if type(seed) is not bytes or len(seed) != SEED_BYTES:
            raise InvalidKey("a private key is 32 bytes", expected=SEED_BYTES, got=len(seed))
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key with this RFC 8032 seed of 32 bytes. Raises `InvalidKey`."""
        return cls(seed)

    @classmethod
    def generate(cls, entropy: bytes) -> Self:
        """A new key from 32 random bytes, which the caller draws; the seed is a tagged hash of them."""
        if len(entropy) != SEED_BYTES:
            raise InvalidKey("entropy is 32 bytes", expected=SEED_BYTES, got=len(entropy))
        return cls(tagged_hash(Tag.PRIVATE_KEY, entropy))

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes. A keystore may store them; they must never be logged."""
        return self._seed

    @property
    def address(self) -> bytes:
        """The 20-byte address of the public key."""
        return address(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature; the same message always gives the same signature."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"PrivateKey(public_key={self.public_key.hex()})"


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Returns only if the signature is good under the strict rule above.

    Raises `BadPublicKey` for a key under which no signature is good, otherwise `BadSignature`.
    """
    check_public_key(public_key)
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature("signature has a wrong length", expected=SIGNATURE_BYTES, got=len(signature))
    if not _is_strict_point(signature[:32]):
        raise BadSignature("R of the signature is not canonical or has small order", got=signature[:32])
    if int.from_bytes(signature[32:], "little") >= _L:
        raise BadSignature("S of the signature is not below the group order", got=signature[32:])
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature as error:
        if not _is_on_curve(public_key):
            raise BadPublicKey("public key is not a point of the curve", got=public_key) from error
        raise BadSignature("signature does not verify", got=signature) from error


def check_public_key(public_key: bytes) -> None:
    """Raises `BadPublicKey` unless the key is 32 canonical bytes and not one of the points of small order.

    Bytes that are no point of the curve pass here, because testing that is slow. `verify` refuses them too;
    it makes the test only after a signature has failed, so good signatures do not pay for it.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise BadPublicKey("public key has a wrong length", expected=PUBLIC_KEY_BYTES, got=len(public_key))
    if not _is_strict_point(public_key):
        raise BadPublicKey("public key is not canonical or has small order", got=public_key)


def _is_strict_point(encoding: bytes) -> bool:
    y = int.from_bytes(encoding, "little") & _Y_BITS
    return y < _P and y not in _SMALL_ORDER_Y


def _is_on_curve(encoding: bytes) -> bool:
    """Whether the curve -x² + y² = 1 + d·x²·y² has a point with this y.

    The equation gives x² = u / v with u = y² - 1 and v = d·y² + 1, and u / v is a square if and only if u·v
    is.
    """
    y = int.from_bytes(encoding, "little") & _Y_BITS
    u, v = y * y - 1, _D * y * y + 1
    return pow(u * v, (_P - 1) // 2, _P) != _P - 1


def address(public_key: bytes) -> bytes:
    """The 20-byte address of a public key: the first bytes of its tagged hash."""
    return tagged_hash(Tag.ADDRESS, public_key)[:ADDRESS_BYTES]


def format_address(address: bytes, hrp: str) -> str:
    """Text of a 20-byte address: the prefix, '1', 32 letters and a 6-letter bech32m checksum."""
    if len(address) != ADDRESS_BYTES:
        raise BadAddress("address has a wrong length", expected=ADDRESS_BYTES, got=len(address))
    number = int.from_bytes(address, "big")
    return encode_bech32m(hrp, [number >> shift & 31 for shift in range(155, -1, -5)])


def parse_address(text: str, hrp: str) -> bytes:
    """The 20 bytes of an address text. Raises `BadAddress`: wrong character, checksum, prefix or length."""
    prefix, values = decode_bech32m(text)
    if prefix != hrp:
        raise BadAddress("address belongs to another network", expected=hrp, got=prefix)
    if len(values) != 32:
        raise BadAddress("address has a wrong length", expected=32, got=len(values))
    number = 0
    for value in values:
        number = number << 5 | value
    return number.to_bytes(ADDRESS_BYTES, "big")
