"""Signed statements: texts by which the holder of an account's key shows others that they hold it.

What is signed is tagged_hash("engram/statement", text), so a statement can never be taken for a transaction,
whose hash has another tag. A signature is the 32 bytes of the public key and the 64 bytes of the Ed25519
signature, because an address alone does not give the key.
"""

from __future__ import annotations

from typing import Final

from engram.primitives.errors import BadSignature
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, PrivateKey, address, verify
from engram.primitives.types import Address

STATEMENT_SIGNATURE_BYTES: Final = PUBLIC_KEY_BYTES + SIGNATURE_BYTES


def sign_statement(key: PrivateKey, text: bytes) -> bytes:
    """The public key and the signature of a text."""
    return key.public_key + key.sign(tagged_hash(Tag.STATEMENT, text))


def verify_statement(signer: Address, signature: bytes, text: bytes) -> None:
    """Returns only if the key of this address has signed exactly this text.

    Raises `BadSignature`, `BadPublicKey`.
    """
    if len(signature) != STATEMENT_SIGNATURE_BYTES:
        raise BadSignature(
            "a statement's signature has 192 hexadecimal digits",
            expected=STATEMENT_SIGNATURE_BYTES,
            got=len(signature),
        )
    public_key, rest = signature[:PUBLIC_KEY_BYTES], signature[PUBLIC_KEY_BYTES:]
    if address(public_key) != signer:
        raise BadSignature("the signature was made with the key of another address", got=public_key)
    verify(public_key, tagged_hash(Tag.STATEMENT, text), rest)
