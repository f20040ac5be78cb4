"""Proof bundles as files: what they hold, how they are written, and how they are read. `proof` checks them.

    file   encode(ProofBundle) ‖ tagged_hash(Tag.PROOF, encode(ProofBundle))

The hash at the end detects accidental damage only, since a forger can compute it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from engram.consensus.block import BlockHeader
from engram.consensus.errors import ProofDamaged
from engram.primitives.codec import decode, encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.smt import SmtProof
from engram.primitives.types import U32, Hash, Size
from engram.statemachine.additions import Addition

MAX_HEADERS: Final = 2**18
"""About 50 MB of headers, which take a minute of scrypt. A longer chain is proven from a checkpoint."""
MAX_LINE: Final = 2**15
"""More growths than a network can have segments."""
MAX_BUNDLE_BYTES: Final = 2**26

_HASH_BYTES: Final = 32


@dataclass(frozen=True)
class ProvenRecord:
    """A leaf of the state tree and its path to the root."""

    value: Annotated[bytes, Size(1, 2**22)]
    proof: SmtProof


@dataclass(frozen=True)
class ProofBundle:
    """What a bundle file holds, before the hash at its end."""

    spec_id: Hash
    """The id of the chain's ChainSpec. The spec itself comes from the verifier, never from the bundle."""
    headers: Annotated[tuple[BlockHeader, ...], Size(1, MAX_HEADERS)]
    """Headers that follow each other, from height 1 on or from a later block on. The last one is the head."""
    depth: U32
    """How many of the headers stand on top of the block under whose state root the records are proven."""
    model: ProvenRecord
    version: ProvenRecord
    line: Annotated[tuple[Addition, ...], Size(1, MAX_LINE)]
    """What the version's network is made of, from the whole network to the last growth. Its root names it."""
    round: ProvenRecord | None
    """The round that made the version; None for version 0, with which the model was founded.

    It says what the version lost on the unseen rows of each group of owners, and who the witnesses were.
    """


def seal_bundle(bundle: ProofBundle) -> bytes:
    """The bytes of a bundle file. Raises `OutOfRange` for more headers or larger records than it can hold."""
    raw = encode(bundle)
    return raw + tagged_hash(Tag.PROOF, raw)


def open_bundle(raw: bytes) -> ProofBundle:
    """The content of a bundle file. It is whole, and nothing else is known of it: `verify_bundle` checks it.

    Raises `ProofDamaged`, `CodecError`.
    """
    body, digest = raw[:-_HASH_BYTES], raw[-_HASH_BYTES:]
    if len(raw) <= _HASH_BYTES or tagged_hash(Tag.PROOF, body) != digest:
        raise ProofDamaged
    return decode(ProofBundle, body, max_bytes=MAX_BUNDLE_BYTES)
