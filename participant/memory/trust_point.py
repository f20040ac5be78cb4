"""What a participant has verified of a chain, on disk, so that a restart does not begin to trust anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_json, write_private
from engram.participant.memory.errors import TrustPointDamaged, TrustPointForeign
from engram.primitives.codec import from_json, to_json
from engram.primitives.errors import CodecError
from engram.primitives.types import U32, U64, Hash, Text

FORMAT: Final = 1


@dataclass(frozen=True)
class TrustPoint:
    """The most work that was ever verified, and the version that it led to."""

    version: U32
    block: Hash
    """Id of the block under whose state root the version was proven."""
    head: Hash
    """Id of the last header that was verified."""
    chain_work: int
    """Expected hash attempts of all headers from genesis to `head`."""
    base: BlockHeader | None
    """The block before the one in which the version was made; None if that is genesis."""
    base_work: int
    """The work from genesis to `base`."""
    verified_ms: int
    """When it was verified, by the participant's clock, in milliseconds since 1970."""


@dataclass(frozen=True)
class TrustPointContent:
    """A trust point as its file holds it; works are decimal numbers, which may exceed 64 bits."""

    chain: Hash
    model: Hash
    version: U32
    block: Hash
    head: Hash
    chain_work: Text
    base: BlockHeader | None
    base_work: Text
    verified_ms: U64


def save_trust_point(path: Path, spec: ChainSpec, model: Hash, point: TrustPoint) -> None:
    """Replaces the file in one step; only its owner may read it."""
    content = TrustPointContent(
        *(spec_id(spec), model, point.version, point.block, point.head),
        *(str(point.chain_work), point.base, str(point.base_work), point.verified_ms),
    )
    document = {"engram_trust_point": FORMAT, "point": to_json(content)}
    write_private(path, (json.dumps(document, indent=2) + "\n").encode())


_MOST_BYTES: Final = 2**20


def load_trust_point(path: Path, spec: ChainSpec, model: Hash) -> TrustPoint | None:
    """The point that was saved; None if there is no file.

    Raises `TrustPointDamaged`, and `TrustPointForeign` if it is of another chain or model.
    """
    try:
        document = read_json(path, _MOST_BYTES)
        if document["engram_trust_point"] != FORMAT:
            raise TrustPointDamaged(
                f"{path} has another format", expected=FORMAT, got=document["engram_trust_point"]
            )
        content = from_json(TrustPointContent, document["point"])
        works = int(content.chain_work), int(content.base_work)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, CodecError, FileDamaged, NotAFile) as error:
        raise TrustPointDamaged(f"{path} cannot be read: {error}") from error
    if (content.chain, content.model) != (spec_id(spec), model):
        raise TrustPointForeign(expected=(spec_id(spec), model), got=(content.chain, content.model))
    return TrustPoint(
        *(content.version, content.block, content.head, works[0]),
        *(content.base, works[1], content.verified_ms),
    )
