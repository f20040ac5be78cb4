"""Seals bytes for the owner of a private key: encrypted, and authenticated with what they belong to.

From the private key's 32 secret bytes, a salt and a purpose, HKDF-SHA256 derives a key of AES-256-GCM and a
mark. The mark says whether a key is the right one before anything is opened, so that a wrong key and damage
are told apart. Whoever seals chooses nonces, and must never use one twice under the same salt.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engram.node.errors import SealBroken
from engram.primitives.keys import PrivateKey

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
"""How much longer sealed bytes are."""
MARK_BYTES: Final = 16
_KEY_BYTES: Final = 32


class Sealer:
    """The key for one salt and one purpose; neither `repr` nor `str` shows it."""

    __slots__ = ("_cipher", "mark")

    def __init__(self, key: PrivateKey, salt: bytes, purpose: str) -> None:
        derived = HKDF(SHA256(), _KEY_BYTES + MARK_BYTES, salt, purpose.encode()).derive(key.seed)
        self._cipher = AESGCM(derived[:_KEY_BYTES])
        self.mark: Final = derived[_KEY_BYTES:]
        """MARK_BYTES that only this key gives."""

    def seal(self, nonce: bytes, content: bytes, belongs: bytes) -> bytes:
        """The sealed content, TAG_BYTES longer. It opens with the same `belongs` only."""
        return self._cipher.encrypt(nonce, content, belongs)

    def open(self, nonce: bytes, sealed: bytes, belongs: bytes) -> bytes:
        """The content. Raises `SealBroken` unless every byte, and `belongs`, are what was sealed."""
        try:
            return self._cipher.decrypt(nonce, sealed, belongs)
        except InvalidTag as error:
            raise SealBroken from error
