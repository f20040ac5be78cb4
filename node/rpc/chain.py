"""RPC methods on blocks, headers, rules and raw records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final

from engram.consensus.chainspec import ChainSpec, dump_spec
from engram.node.errors import StatePruned
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.idlists import listed_ids
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.parameters import ID, IdBytes, ListForm
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.chain import BlockResult, HeaderResult, HeadResult
from engram.node.rpc.results.schemas import Hex
from engram.primitives import smt
from engram.primitives.hashing import Tag, tagged_hash

MAX_HEADERS: Final = 1_000
MAX_NODES: Final = 256
"""The most nodes in one call of `state_nodes`: a node takes some hundred bytes, a large record more."""
MAX_NODES_BYTES: Final = 2**22
"""A record can take some hundred kilobytes, and no answer may take a client's hundredfold of a request."""
NodeIds = Annotated[list[str], ListForm(ID.schema, 0, MAX_NODES)]


@dataclass(frozen=True)
class ChainMethods:
    """Blocks, headers, rules and raw records of the best chain."""

    views: HeadViews
    render: Renderer

    @rpc_method(ChainSpec)
    async def chain_spec(self) -> dict[str, Any]:
        """The ChainSpec: every constant of the chain, as its file holds it."""
        return self._spec_json

    @rpc_method(HeadResult)
    async def chain_head(self) -> dict[str, Any]:
        """The header of the best block, with the round clock's ticks and the base exponent after it.

        `has_work`, here and in every header, says whether blocks of the chain cost work. Where it is false,
        `work` only counts blocks, and `target` asks for nothing.
        """
        return await self.views.threads.run(self._head)

    @rpc_method(HeaderResult)
    async def chain_header(self, height: int | None = None, id: IdBytes | None = None) -> dict[str, Any]:
        """The header of a block named by height or id; the head if neither is given."""
        return await self.views.threads.run(lambda: self.render.header(self.views.now().block(height, id)))

    @rpc_method(list[HeaderResult])
    async def chain_headers(self, first: int, count: int) -> list[dict[str, Any]]:
        """Headers of the best chain from a height on, at most 1000."""
        return await self.views.threads.run(self._headers, first, min(count, MAX_HEADERS))

    @rpc_method(BlockResult)
    async def chain_block(
        self,
        height: int | None = None,
        id: IdBytes | None = None,
        first: int = 0,
        count: int | None = None,
        cut: int | None = None,
    ) -> dict[str, Any]:
        """A block with its transactions decoded and their receipts; the head if none is named.

        A block can be large. `first` and `count` ask for some of its transactions: the first of them,
        counted from 0, and how many at most. With `cut`, values of more bytes are cut to so many of their
        first bytes, at least 64, so that ids and addresses stay whole.
        """
        some = slice(max(0, first), None if count is None else max(0, first) + max(0, count))
        return await self.views.threads.run(self._block, height, id, some, self.render.cutting(cut))

    @rpc_method(Hex | None)
    async def record_get(self, kind: int, key: bytes) -> str | None:
        """The state's value of a record at the head, kind byte and canonical bytes; null if there is none."""
        return await self.views.threads.run(self._record, kind, key)

    @rpc_method(list[Hex])
    async def state_nodes(self, ids: NodeIds) -> list[str]:
        """Nodes of the tree of a state by their hashes, at most 256 and 4 MiB: the first of them that fit.

        Whoever has the state root of a header can read the whole state with it, and need not believe it. The
        states of the last blocks are there; where a state has been pruned, the answer is an error.
        """
        return await self.views.threads.run(self._nodes, listed_ids(ids, MAX_NODES))

    def _nodes(self, names: list[bytes]) -> list[str]:
        nodes: list[str] = []
        left = MAX_NODES_BYTES
        for name in names:
            found = self.views.chain.store.find_stamped_node(name)
            if found is None:
                raise StatePruned("a state has no such node any more: begin again with the state of the head")
            left -= len(found[0])
            if nodes and left < 0:
                break
            nodes.append(found[0].hex())
        return nodes

    @cached_property
    def _spec_json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(dump_spec(self.views.chain.spec))
        return document

    def _head(self) -> dict[str, Any]:
        view = self.views.now()
        return self.render.head(view.head, view.clock)

    def _headers(self, first: int, count: int) -> list[dict[str, Any]]:
        view = self.views.now()
        heights = range(max(0, first), min(first + count, view.head.height + 1))
        return [self.render.header(view.block(height, None)) for height in heights]

    def _block(
        self, height: int | None, identity: bytes | None, some: slice, render: Renderer
    ) -> dict[str, Any]:
        view = self.views.now()
        ref = view.block(height, identity)
        transactions = view.store.get_block(ref).transactions
        pairs = zip(transactions[some], view.store.receipts(ref)[some], strict=True)
        return {
            **render.header(ref),
            "canonical": view.canonical_id(ref.height) == ref.id,
            "transaction_count": len(transactions),
            "transactions": [
                {**render.transaction(tx, tx.size_bytes), "receipt": render.record(receipt)}
                for tx, receipt in pairs
            ],
        }

    def _record(self, kind: int, key: bytes) -> str | None:
        if not 0 <= kind < 256:
            return None
        view = self.views.now()
        raw = smt.get(view.store, view.head.state_root, tagged_hash(Tag.KEY, bytes([kind]), key))
        return None if raw is None else raw.hex()
