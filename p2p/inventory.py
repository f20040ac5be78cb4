"""Records of ids: which a peer knows, which are wanted and from whom, which are being relayed. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class KnownIds:
    """A set of ids that keeps the last `capacity` ones added."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: bytes) -> None:
        """Remembers the id as the newest, and forgets the oldest if there are too many."""
        self._ids[id_] = None
        self._ids.move_to_end(id_)
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)


class RecentBlocks:
    """The blocks that were relayed last; peers can fetch them while this node is still executing them."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._blocks: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def add(self, block_id: bytes, raw: bytes) -> None:
        """Keeps a block, and drops the oldest ones if there are too many bytes."""
        if block_id in self._blocks:
            return
        self._blocks[block_id] = raw
        self._bytes += len(raw)
        while self._bytes > self._capacity_bytes:
            _, dropped = self._blocks.popitem(last=False)
            self._bytes -= len(dropped)

    def drop(self, block_id: bytes) -> None:
        """Forgets a block, because it could not be imported."""
        self._bytes -= len(self._blocks.pop(block_id, b""))

    def __contains__(self, block_id: bytes) -> bool:
        return block_id in self._blocks

    def find(self, block_id: bytes) -> bytes | None:
        """The encoded block, if it is still here."""
        return self._blocks.get(block_id)


class WantList(Generic[P]):
    """Announced ids that are still missing: which peers can supply each, and which peer is asked for it now.

    Several peers announce the same block or transaction, and it should be fetched only once. So one peer at a
    time is asked for an id. If it fails, another peer that announced the id is asked. If none is left, the id
    is forgotten, until somebody announces it again. A peer can have only `per_peer` ids open here, so that it
    cannot fill the memory with ids that do not exist.
    """

    def __init__(self, per_peer: int) -> None:
        self._per_peer = per_peer
        self._sources: dict[bytes, dict[P, None]] = {}
        self._asked: dict[bytes, P] = {}
        self._offered: dict[P, dict[bytes, None]] = {}
        self._ready: dict[P, dict[bytes, None]] = {}
        self._changed: dict[P, asyncio.Event] = {}

    def join(self, peer: P) -> None:
        """The peer may announce from now on."""
        self._offered[peer] = {}
        self._ready[peer] = {}
        self._changed[peer] = asyncio.Event()

    def leave(self, peer: P) -> None:
        """The peer is gone: the other sources are asked for what it was asked for."""
        for id_ in tuple(self._offered[peer]):
            self._withdraw(peer, id_)
        del self._offered[peer], self._ready[peer], self._changed[peer]

    def offer(self, peer: P, id_: bytes) -> bool:
        """The peer can supply a wanted id. False if the peer has as many ids open as one peer may."""
        if id_ in self._offered[peer]:
            return True
        if len(self._offered[peer]) >= self._per_peer:
            return False
        self._offered[peer][id_] = None
        self._sources.setdefault(id_, {})[peer] = None
        if id_ not in self._asked:
            self._make_ready(peer, id_)
        return True

    async def claim(self, peer: P, limit: int) -> list[bytes]:
        """Waits until there is something to ask the peer for; returns up to `limit` ids.

        From now on no other peer is asked for them.
        """
        while not self._ready[peer]:
            self._changed[peer].clear()
            await self._changed[peer].wait()
        claimed = list(self._ready[peer])[:limit]
        for id_ in claimed:
            self._asked[id_] = peer
            for source in self._sources[id_]:
                self._ready[source].pop(id_, None)
        return claimed

    def give_up(self, peer: P, ids: Iterable[bytes]) -> None:
        """The peer does not supply these ids, so it is no source any more; another source is asked."""
        for id_ in ids:
            if self._asked.get(id_) == peer:
                self._withdraw(peer, id_)

    def release(self, peer: P, ids: Iterable[bytes]) -> None:
        """These ids can be asked for again, of this peer as well: its answer did not reach as far as them."""
        for id_ in ids:
            if self._asked.get(id_) == peer:
                self._reopen(id_)

    def settle(self, ids: Iterable[bytes]) -> None:
        """These ids have arrived or are not wanted any more; they are removed."""
        for id_ in ids:
            self._asked.pop(id_, None)
            for source in self._sources.pop(id_, {}):
                del self._offered[source][id_]
                self._ready[source].pop(id_, None)

    def __len__(self) -> int:
        return len(self._sources)

    def _withdraw(self, peer: P, id_: bytes) -> None:
        """Removes the peer as a source of the id; if it was the last source, the id is forgotten."""
        del self._offered[peer][id_]
        self._ready[peer].pop(id_, None)
        del self._sources[id_][peer]
        if self._asked.get(id_) == peer:
            self._reopen(id_)
        if not self._sources[id_]:
            del self._sources[id_]

    def _reopen(self, id_: bytes) -> None:
        del self._asked[id_]
        for source in self._sources[id_]:
            self._make_ready(source, id_)

    def _make_ready(self, peer: P, id_: bytes) -> None:
        self._ready[peer][id_] = None
        self._changed[peer].set()
