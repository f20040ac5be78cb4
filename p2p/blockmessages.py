"""The messages by which a node that catches up asks for several small blocks at once.

Their lines in the registry stand in `messages`, with those of all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from engram.primitives.packing import PACKING_BYTES
from engram.primitives.types import U32, Hash, Size

BLOCKS_VERSION: Final = 4
"""The first version whose speakers answer `GetBlocks`."""
MAX_BLOCK_BYTES: Final = (4 << 20) + (64 << 10)
"""The most plain bytes of a block."""
MAX_BLOCKS: Final = 32
"""The most blocks in one `GetBlocks`."""
BLOCKS_REPLY_BYTES: Final = 1 << 20
"""An answer to `GetBlocks` holds no more plain bytes than so many, unless its first block alone has more."""

PackedBlock = Annotated[bytes, Size(1, MAX_BLOCK_BYTES + PACKING_BYTES)]


@dataclass(frozen=True)
class GetBlocks:
    """Asks for several blocks that the receiver has executed, as a sync does where they are small."""

    request: U32
    block_ids: Annotated[tuple[Hash, ...], Size(1, MAX_BLOCKS)]


@dataclass(frozen=True)
class Blocks:
    """Answers `GetBlocks` for the first of its ids, at least one: encoded blocks, packed; nil for each that
    is not there.
    """

    request: U32
    blocks: Annotated[tuple[PackedBlock | None, ...], Size(1, MAX_BLOCKS)]
