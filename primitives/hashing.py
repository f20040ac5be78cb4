"""Tagged SHA-256 and SHAKE-128: one domain tag for each kind of object, so that no two kinds share an id.

Callers pass bytes; `hash_object` makes the canonical bytes of an object first.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from engram.primitives.codec import encode

if TYPE_CHECKING:
    from hashlib import _Hash


class Tag(StrEnum):
    """The domain tags, one for each kind of hashed object."""

    HEADER = "engram/header"
    TRANSACTION_ID = "engram/transaction_id"
    TRANSACTION_SIGN = "engram/transaction_sign"
    ADDRESS = "engram/address"
    PRIVATE_KEY = "engram/private_key"
    KEY = "engram/key"
    LEAF = "engram/leaf"
    LEAF_VALUE = "engram/leaf_value"
    NODE = "engram/node"
    LIST_LEAF = "engram/list_leaf"
    LIST_NODE = "engram/list_node"
    LIST_ROOT = "engram/list_root"
    PART = "engram/part"
    MODEL = "engram/model"
    ROUND = "engram/round"
    PARAMETERS = "engram/parameters"
    BLOCK_SPEC = "engram/block_spec"
    COMMIT = "engram/commit"
    DRAW = "engram/draw"
    NONCE = "engram/nonce"
    CHUNK = "engram/chunk"
    BLOB = "engram/blob"
    RECEIPT = "engram/receipt"
    SPEC = "engram/spec"
    PROOF = "engram/proof"
    HANDSHAKE = "engram/handshake"
    WALLET_CHECK = "engram/wallet_check"
    STATEMENT = "engram/statement"
    SHORT_ID = "engram/short_id"
    CACHE = "engram/cache"
    SEEDED = "engram/seeded"
    BANK = "engram/bank"
    STATISTICS = "engram/statistics"
    MIXTURES = "engram/mixtures"

    __hash__ = str.__hash__  # Enum hashes a member's name in Python code; a tag is hashed on every call


@lru_cache(maxsize=256)
def prefixed(tag: str) -> _Hash:
    """A SHA-256 state that has consumed a tag's prefix. It is shared: callers must `copy()` it before use."""
    digest = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(digest + digest)


def tagged_hash(tag: str, *chunks: bytes) -> bytes:
    """SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ chunks…), 32 bytes (BIP 340, "Tagged hashes").

    The chunks are joined without their lengths, so "ab" and "c" hash like "a" and "bc". A caller that hashes
    several chunks of variable length must make sure that their boundaries follow from the joined bytes.
    """
    state = prefixed(tag).copy()
    for chunk in chunks:
        state.update(chunk)
    return state.digest()


def tagged_bytes(tag: str, size: int, *chunks: bytes) -> bytes:
    """The first `size` bytes of SHAKE-128(SHA-256(tag) ‖ SHA-256(tag) ‖ chunks…) (FIPS 202, section 6.2).

    Fewer bytes are the beginning of more bytes. The chunks are joined as in `tagged_hash`.
    """
    digest = hashlib.sha256(tag.encode()).digest()
    return hashlib.shake_128(b"".join((digest, digest, *chunks))).digest(size)


def hash_object(tag: str, obj: object) -> bytes:
    """The tagged hash of a dataclass's canonical bytes. Raises `CodecError` when a field breaks its rule."""
    return tagged_hash(tag, encode(obj))
