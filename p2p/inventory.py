"""Bookkeeping of ids: what a peer knows, what is wanted and from whom, what is being relayed. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class KnownIds:
    """The last `capacity` ids that were added."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, id_: bytes) -> bool:
        return id_ in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: bytes) -> None:
        """Remembers the id, the newest now; forgets the oldest beyond the capacity."""
        self._ids[id_] = None
        self._ids.move_to_end(id_)
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)


class RecentBlocks:
    """The blocks relayed last, so that peers can fetch them while this node still executes them."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._blocks: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def add(self, block_id: bytes, raw: bytes) -> None:
        """Keeps a block, and drops the oldest beyond the capacity."""
        if block_id in self._blocks:
            return
        self._blocks[block_id] = raw
        self._bytes += len(raw)
        while self._bytes > self._capacity_bytes:
            _, dropped = self._blocks.popitem(last=False)
            self._bytes -= len(dropped)

    def drop(self, block_id: bytes) -> None:
        """Forgets a block that was not taken in."""
        self._bytes -= len(self._blocks.pop(block_id, b""))

    def __contains__(self, block_id: bytes) -> bool:
        return block_id in self._blocks

    def find(self, block_id: bytes) -> bytes | None:
        """The encoded block, if it is still here."""
        return self._blocks.get(block_id)


class WantList(Generic[P]):
    """Announced ids that are still missing: who can supply each, and who is being asked for it now.

    An id is asked of one peer at a time. When that peer fails, the next one that announced it gets its turn;
    when none is left the id is forgotten, and a later announcement starts anew.
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
        """The peer is gone: what it was asked for goes to the others."""
        for id_ in tuple(self._offered[peer]):
            self._withdraw(peer, id_)
        del self._offered[peer], self._ready[peer], self._changed[peer]

    def offer(self, peer: P, id_: bytes) -> bool:
        """The peer can supply a wanted id. False if it has announced as many as one peer may."""
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
        """Waits until the peer can be asked; returns up to `limit` ids, which are now asked of it alone."""
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
        """The peer does not supply what it was asked for: the next source of each id is asked."""
        for id_ in ids:
            if self._asked.get(id_) == peer:
                self._withdraw(peer, id_)

    def release(self, peer: P, ids: Iterable[bytes]) -> None:
        """What the peer was asked for is open again, to it as well: it has not answered yet."""
        for id_ in ids:
            if self._asked.get(id_) == peer:
                self._reopen(id_)

    def settle(self, ids: Iterable[bytes]) -> None:
        """These ids are here, or not wanted any more."""
        for id_ in ids:
            self._asked.pop(id_, None)
            for source in self._sources.pop(id_, {}):
                del self._offered[source][id_]
                self._ready[source].pop(id_, None)

    def __len__(self) -> int:
        return len(self._sources)

    def _withdraw(self, peer: P, id_: bytes) -> None:
        """Takes one source away; nobody is left to ask if it was the last."""
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
