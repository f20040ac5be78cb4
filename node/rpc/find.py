"""RPC methods that find ids by their beginning, and that tell what the chain has left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Annotated, Any, Final

from engram.node.errors import BeginningInvalid
from engram.node.mempool.mempool import Mempool
from engram.node.rpc.chainlog import ChainLog
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.parameters import WordForm
from engram.node.rpc.results.chain import ReorganisationResult
from engram.node.rpc.results.schemas import Id
from engram.node.storage.schema import INDEX, TRANSACTION

LEAST_DIGITS: Final = 4
"""Fewer digits would name a share of all ids, and make the node read it."""
MOST_FOUND: Final = 10
_ID_DIGITS: Final = 64
_PREFIXES: Final = {"block": INDEX, "transaction": TRANSACTION}

KindOfId = Annotated[str, WordForm(tuple(_PREFIXES))]


@dataclass(frozen=True)
class FindMethods:
    """Ids and reorganisations."""

    views: HeadViews
    mempool: Mempool
    log: ChainLog

    @rpc_method(list[Id])
    async def chain_find(self, kind: KindOfId, beginning: str) -> list[str]:
        """The ids, at most 10, that begin with these hexadecimal digits, of which there must be 4.

        `kind` is block or transaction. Blocks of losing branches are found, too, and transactions of the
        mempool beside those of the best chain.
        """
        digits = beginning.lower()
        if kind not in _PREFIXES or not _is_beginning(digits):
            raise BeginningInvalid(got=f"{kind} {beginning}"[:100])
        found = await self.views.threads.run(self._stored, _PREFIXES[kind], digits)
        waiting = [each.hex() for each in self.mempool.ids()] if kind == "transaction" else []
        return sorted({*found, *(each for each in waiting if each.startswith(digits))})[:MOST_FOUND]

    @rpc_method(list[ReorganisationResult])
    async def chain_reorgs(self) -> list[dict[str, Any]]:
        """The last 100 reorganisations since the node started, the latest first: when, where, how deep."""
        return [
            {**asdict(each), "old_head": each.old_head.hex(), "new_head": each.new_head.hex()}
            for each in reversed(self.log.reorganisations)
        ]

    def _stored(self, prefix: bytes, digits: str) -> list[str]:
        """It reads the disk: call it in a worker thread."""
        return list(islice(self._matching(prefix, digits), MOST_FOUND))

    def _matching(self, prefix: bytes, digits: str) -> Iterator[str]:
        whole = bytes.fromhex(digits[: len(digits) // 2 * 2])
        for key, _ in self.views.chain.store.database.iterate(prefix + whole):
            identity = key[len(prefix) :].hex()
            if identity.startswith(digits):
                yield identity


def _is_beginning(digits: str) -> bool:
    return LEAST_DIGITS <= len(digits) <= _ID_DIGITS and set(digits) <= set("0123456789abcdef")
