"""Records of ids: which a peer knows, which are wanted and from whom, which are being relayed. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from engram.p2p.relayed import ServedBlock

PROVEN_SOURCES: Final = 4
"""How many peers at most are asked for the same at once, if one of them has delivered before."""
PROVEN_CALLS: Final = 4 * PROVEN_SOURCES
"""After so many calls of `widen` without an answer, those who have delivered before are trusted no longer."""

P = TypeVar("P", bound=Hashable)


class KnownIds:
    """A set of ids that keeps the last `capacity` ones added."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, id_: object) -> bool:
        return id_ in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: bytes) -> None:
        """Remembers the id as the newest, and forgets the oldest if there are too many."""
        self._ids[id_] = None
        self._ids.move_to_end(id_)
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)

    def forget(self, id_: bytes) -> None:
        """As if the id had never been added."""
        self._ids.pop(id_, None)


class RecentBlocks:
    """The blocks that were relayed last; peers can fetch them while this node is still executing them."""

    def __init__(self, capacity_bytes: int) -> None:
        """`capacity_bytes`: of the blocks, and of their packed bytes where these are kept beside them."""
        self._capacity_bytes = capacity_bytes
        self._blocks: OrderedDict[bytes, ServedBlock] = OrderedDict()
        self._packed: dict[bytes, bytes] = {}
        self._bytes = 0

    def add(self, block: ServedBlock, packed: bytes | None = None) -> None:
        """Keeps a block, and drops the oldest ones if there are too many bytes."""
        if block.id in self._blocks:
            return
        self._blocks[block.id] = block
        self._bytes += sum(block.sizes)
        if packed is not None:
            self.keep_packed(block.id, packed)
        self._shrink()

    def keep_packed(self, block_id: bytes, packed: bytes) -> None:
        """Keeps the packed bytes beside a block that is here."""
        if block_id in self._blocks and block_id not in self._packed:
            self._packed[block_id] = packed
            self._bytes += len(packed)
            self._shrink()

    def drop(self, block_id: bytes) -> None:
        """Forgets a block, because it could not be imported."""
        block = self._blocks.pop(block_id, None)
        if block is not None:
            self._bytes -= sum(block.sizes) + len(self._packed.pop(block_id, b""))

    def __contains__(self, block_id: bytes) -> bool:
        return block_id in self._blocks

    def find(self, block_id: bytes) -> ServedBlock | None:
        """The block, if it is still here."""
        return self._blocks.get(block_id)

    def packed(self, block_id: bytes) -> bytes | None:
        """The packed bytes of a block, if they are still here."""
        return self._packed.get(block_id)

    def _shrink(self) -> None:
        while self._bytes > self._capacity_bytes:
            self.drop(next(iter(self._blocks)))


class WantList(Generic[P]):
    """Announced ids that are still missing: which peers can supply each, and which are asked for it now.

    Several peers announce the same block or transaction, and it should be fetched only once. So one peer is
    asked for an id. Whoever asks it calls `widen` while no answer comes, and each call lets one more source
    be asked, so that peers that announce and stay silent cost little however many they are. If a peer fails,
    another source is asked. If none is left, the id is forgotten, until somebody announces it again. A peer
    can have only `per_peer` ids open here, so that it cannot fill the memory with ids that do not exist.
    """

    def __init__(
        self,
        per_peer: int,
        rank: Callable[[P], int] = lambda peer: 2,
        owner: Callable[[P], Hashable] = lambda peer: peer,
    ) -> None:
        """`rank`: of the sources that are free, those with the lowest number are asked first; 0 or 1 is a
        peer that has delivered before. `owner`: those for whom it is the same may be one stranger; before a
        second of them is asked, all others are.
        """
        self._per_peer = per_peer
        self._rank = rank
        self._owner = owner
        self._sources: dict[bytes, dict[P, None]] = {}
        self._asked: dict[bytes, dict[P, bool]] = {}
        """Who is asked for each id, and whether it had delivered before."""
        self._most: dict[bytes, int] = {}
        """How many may be asked at once, where that is more than one."""
        self._trusted: dict[bytes, int] = {}
        """How many calls of `widen` let nobody be asked, because the answer was probably on its way."""
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
        self._open(id_)
        return True

    async def claim(self, peer: P, limit: int) -> list[bytes]:
        """Waits until there is something to ask the peer for; returns up to `limit` ids.

        From now on no other peer is asked for them, until `widen` lets it.
        """
        while not self._ready[peer]:
            self._changed[peer].clear()
            await self._changed[peer].wait()
        claimed = list(self._ready[peer])[:limit]
        for id_ in claimed:
            del self._ready[peer][id_]
            self._asked.setdefault(id_, {})[peer] = self._rank(peer) <= 1
            if not self._is_open(id_):
                for source in self._sources[id_]:
                    self._ready[source].pop(id_, None)
        return claimed

    def widen(self, id_: bytes) -> None:
        """A peer that was asked for this id keeps silent: one more source may be asked.

        Once one that has delivered before is among those asked, it is `PROVEN_SOURCES` at most for a while.
        Then the answer is probably on its way, and more copies would only share the line with it.
        """
        if id_ not in self._sources:
            return
        most, trusted = self._most.get(id_, 1) + 1, self._trusted.get(id_, 0)
        if most > PROVEN_SOURCES and trusted < PROVEN_CALLS and any(self._asked.get(id_, {}).values()):
            self._trusted[id_] = trusted + 1
            return
        self._most[id_] = min(most, len(self._sources[id_]) + 1)
        self._open(id_)

    def wants(self, id_: bytes) -> bool:
        """Whether the id is still missing."""
        return id_ in self._sources

    def give_up(self, peer: P, ids: Iterable[bytes]) -> None:
        """The peer does not supply these ids, so it is no source any more; another source is asked."""
        for id_ in ids:
            if peer in self._asked.get(id_, ()):
                self._withdraw(peer, id_)

    def release(self, peer: P, ids: Iterable[bytes]) -> None:
        """These ids can be asked for again, of this peer as well: its answer did not reach as far as them."""
        for id_ in ids:
            if self._asked.get(id_, {}).pop(peer, None) is not None:
                self._open(id_)

    def settle(self, ids: Iterable[bytes]) -> None:
        """These ids have arrived or are not wanted any more; they are removed."""
        for id_ in ids:
            self._asked.pop(id_, None)
            self._most.pop(id_, None)
            self._trusted.pop(id_, None)
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
        was_asked = self._asked.get(id_, {}).pop(peer, None) is not None
        if not self._sources[id_]:
            self.settle((id_,))
        elif was_asked:
            self._open(id_)

    def _is_open(self, id_: bytes) -> bool:
        return len(self._asked.get(id_, ())) < self._most.get(id_, 1)

    def _open(self, id_: bytes) -> None:
        """Lets every source claim the id, if one more may be asked; whoever is free and ranks first does."""
        if not self._is_open(id_):
            return
        asked, sources = self._asked.get(id_, {}), self._sources[id_]
        owners = {self._owner(source) for source in asked}

        def order(source: P) -> tuple[bool, int]:
            return self._owner(source) in owners, self._rank(source)

        for source in sorted(sources, key=order) if len(sources) > 1 else sources:
            if source not in asked:
                self._ready[source][id_] = None
                self._changed[source].set()
