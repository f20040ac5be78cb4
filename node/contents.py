"""Tensors, data parts and chunks by their content ids: from this node's store, else from peers.

A node that began with a snapshot lacks the content of old versions; nodes delete what only lost branches
named. Whoever asks such a node for content (`GET /blob/ID`) is given what a peer has, checked by its id. No
block is ever judged with it: what a rule of validity needs is in the store, or the block cannot be judged.

Content comes in pieces, of several peers at once. If nobody has the rest, the pieces are kept and the next
request goes on from there. Pieces cannot be checked one by one; so if the whole is false, or peers disagree
about its size, it is fetched of one peer alone, and whoever gives false content alone has lied. Who was given
that chance and did not give the whole is asked after all others for a while, so that nobody can spoil the
same content again and again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from engram.node import logs
from engram.node.clock import Clock
from engram.node.concurrency import ReaderThreads
from engram.node.errors import CorruptStore, FalseContent
from engram.node.storage.lru import ByteLru
from engram.node.storage.store import ChainStore
from engram.p2p.clock import Deadline
from engram.p2p.contentmessages import CONTENT_VERSION, PIECE_BYTES, ContentPart
from engram.p2p.protocol import Held, Peer
from engram.primitives.errors import NotReady
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id, chunk_hash
from engram.statemachine.errors import MissingBlob

PIECE_S: Final = 5.0
"""Seconds that a peer has to give one piece."""
GET_S: Final = 20.0
"""Seconds in which content must be there; what has come by then is kept for the next who asks."""
FAIR_S: Final = 10.0
"""Who could give the whole alone for so long and did not, has had his chance."""
MUTE_S: Final = 600.0
"""Seconds for which a peer that did not answer, or not with what it had begun, is asked after all others."""
PEERS_AT_ONCE: Final = 4
HURRY_S: Final = 1.0
AT_ONCE: Final = 2
"""How many contents are fetched at once; further requests wait."""
BEGUN: Final = 2
"""Of so many contents that nobody could complete, the pieces are kept."""
KEPT_BYTES: Final = 16 << 20
"""Memory for content that was read or fetched lately; of larger content, the last is kept besides."""
ABSENT: Final = 1_024
ABSENT_S: Final = 60.0
"""What no peer had is not asked for again for so long, unless another peer comes."""


@dataclass(eq=False)
class _Pieces:
    """What has come of one content."""

    size_bytes: int
    parts: dict[int, bytes] = field(default_factory=dict)
    sources: set[Peer] = field(default_factory=set)
    dissenters: set[Peer] = field(default_factory=set)
    """Peers that say another size."""

    @property
    def missing(self) -> deque[int]:
        count = -(-self.size_bytes // PIECE_BYTES)
        return deque(piece for piece in range(count) if piece not in self.parts)

    def take(self, peer: Peer, piece: int, part: ContentPart) -> bool:
        """Keeps a piece; False if it does not fit what came before."""
        length = min(PIECE_BYTES, self.size_bytes - piece * PIECE_BYTES)
        if part.size_bytes != self.size_bytes:
            self.dissenters.add(peer)
        if part.size_bytes != self.size_bytes or len(part.data) != length:
            return False
        self.parts[piece] = part.data
        self.sources.add(peer)
        return True

    def whole(self) -> bytes:
        return b"".join(self.parts[piece] for piece in sorted(self.parts))


class Contents:
    """Serves content to peers, and fetches of them what this node lacks. Methods run on the event loop."""

    def __init__(
        self,
        store: ChainStore,
        clock: Clock,
        threads: ReaderThreads,
        held: Callable[[], Held],
    ) -> None:
        """`held` says what this node has of the past."""
        self.held: Final = held
        self._store = store
        self._clock = clock
        self._threads = threads
        self._peers: dict[Peer, Held | None] = {}
        """What each peer has said that it holds; None until it was asked."""
        self._mute: dict[Peer, float] = {}
        """Peers that did not answer, or spoiled what others gave, and until when they are asked last."""
        self._kept: ByteLru[bytes] = ByteLru(KEPT_BYTES, len)
        self._large: tuple[Hash, bytes] | None = None
        """The last content that is too large for `_kept`: without it, each piece would cost a reading."""
        self._begun: OrderedDict[Hash, _Pieces] = OrderedDict()
        self._absent: OrderedDict[Hash, float] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._log = logs.get_logger("content")

    def joined(self, peer: Peer) -> None:
        """Called when a session with a peer has opened."""
        if peer.info.version >= CONTENT_VERSION:
            self._peers[peer] = None
            self._absent.clear()

    def left(self, peer: Peer) -> None:
        """Called when a session with a peer has ended."""
        self._peers.pop(peer, None)
        self._mute.pop(peer, None)

    async def piece(self, name: Hash, piece: int) -> tuple[int, bytes] | None:
        """The size of content in the store and one piece of it; None if there is none."""
        raw = await self._own(name)
        if raw is None:
            return None
        data = raw[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]
        return (len(raw), data) if data else None

    async def get(self, name: Hash) -> bytes | None:
        """Content from the store, else of peers; None if nobody has it."""
        raw = await self._own(name)
        if raw is not None or not self._peers or self._is_absent(name):
            return raw
        async with self._slots:
            raw = self._lately(name)  # somebody else has fetched it meanwhile
            if raw is None:
                with suppress(TimeoutError):
                    async with Deadline(self._clock, GET_S):
                        raw = await self._fetch(name)
        if raw is None:
            self._absent[name] = self._clock.monotonic() + ABSENT_S
            if len(self._absent) > ABSENT:
                self._absent.popitem(last=False)
        else:
            self._keep(name, raw)
        return raw

    def _lately(self, name: Hash) -> bytes | None:
        if self._large is not None and self._large[0] == name:
            return self._large[1]
        return self._kept.get(name)

    def _keep(self, name: Hash, raw: bytes) -> None:
        if len(raw) > KEPT_BYTES:
            self._large = (name, raw)
        else:
            self._kept.put(name, raw)

    def _is_absent(self, name: Hash) -> bool:
        return self._absent.get(name, 0.0) > self._clock.monotonic()

    def _is_mute(self, peer: Peer) -> bool:
        return self._mute.get(peer, 0.0) > self._clock.monotonic()

    def _ask_last(self, peer: Peer) -> None:
        if peer in self._peers:
            self._mute[peer] = self._clock.monotonic() + MUTE_S

    async def _own(self, name: Hash) -> bytes | None:
        raw = self._lately(name)
        if raw is not None:
            return raw
        try:
            raw = await self._threads.run(self._store.get_blob, name)
        except MissingBlob:
            return None
        except CorruptStore as error:  # no stranger's question may end this node
            self._log.warning("content is damaged on disk: check the disk", content=name, error=error)
            return None
        self._keep(name, raw)
        return raw

    async def _fetch(self, name: Hash) -> bytes | None:
        peers = await self._ranked()
        begun = self._begun.pop(name, None) or await self._begin(name, peers)
        if begun is None:
            return None
        try:
            await self._complete(name, begun, peers)
        finally:
            if begun.missing and not begun.dissenters:
                self._begun[name] = begun
                if len(self._begun) > BEGUN:
                    self._begun.popitem(last=False)
        if not begun.missing:
            raw = begun.whole()
            if await self._threads.run(is_content, name, raw):
                return raw
        elif not begun.dissenters:
            return None
        begun.parts.clear()
        involved = begun.sources | begun.dissenters
        for peer in [peer for peer in peers if peer in involved]:
            of_one = await self._of_one(name, peer)
            if of_one is not None:
                return of_one
        return None

    async def _of_one(self, name: Hash, peer: Peer) -> bytes | None:
        """The whole of one peer. Who gives false content so has lied; who gives less is asked last."""
        fair_s = self._clock.monotonic() + FAIR_S
        try:
            begun = await self._begin(name, [peer])
            if begun is not None:
                await self._complete(name, begun, [peer])
        except asyncio.CancelledError:
            if self._clock.monotonic() >= fair_s:
                self._ask_last(peer)
            raise
        if begun is None or begun.missing:
            self._ask_last(peer)
            return None
        raw = begun.whole()
        if await self._threads.run(is_content, name, raw):
            return raw
        peer.misbehaved(FalseContent(expected=name))
        return None

    async def _begin(self, name: Hash, peers: list[Peer]) -> _Pieces | None:
        """The first piece, which says how many there are; None if no peer has it.

        While one is awaited, one peer more is asked each second, so that the mute hold up nobody.
        """
        waiting, looking = deque(peers), set[asyncio.Task[_Pieces | None]]()
        try:
            while waiting or looking:
                if waiting and len(looking) < PEERS_AT_ONCE:
                    looking.add(asyncio.create_task(self._first(name, waiting.popleft())))
                hurry = asyncio.create_task(self._clock.sleep(HURRY_S))
                try:
                    await asyncio.wait({*looking, hurry}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    hurry.cancel()
                for task in [task for task in looking if task.done()]:
                    looking.remove(task)
                    if (begun := task.result()) is not None:
                        return begun
            return None
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)

    async def _first(self, name: Hash, peer: Peer) -> _Pieces | None:
        part = await self._ask(peer, name, 0)
        if part is None:
            return None
        begun = _Pieces(part.size_bytes)
        return begun if begun.take(peer, 0, part) else None

    async def _complete(self, name: Hash, begun: _Pieces, peers: list[Peer]) -> None:
        """Asks for the missing pieces, of several peers at once, until all are there or nobody gives more."""
        missing = begun.missing
        useful = [peer for peer in peers if peer in begun.sources or not self._is_mute(peer)]

        async def supply(peer: Peer) -> None:
            while missing and peer in useful:
                piece = missing.popleft()
                part = await self._ask(peer, name, piece)
                if part is None or not begun.take(peer, piece, part):
                    missing.append(piece)
                    useful.remove(peer)

        while missing and useful:
            async with asyncio.TaskGroup() as tasks:
                for peer in useful[:PEERS_AT_ONCE]:
                    tasks.create_task(supply(peer))

    async def _ask(self, peer: Peer, name: Hash, piece: int) -> ContentPart | None:
        if peer not in self._peers:
            return None
        try:
            part = await peer.get_content(name, piece, PIECE_S)
        except NotReady:
            self._ask_last(peer)
            return None
        return part

    async def _ranked(self) -> list[Peer]:
        """Those that were dialled come first, of them those that keep everything; who was mute comes last.

        Strangers who dial this node can be many, and to say that one keeps everything costs nothing.
        """
        unasked = [peer for peer, held in self._peers.items() if held is None]
        await asyncio.gather(*(self._learn(peer) for peer in unasked))

        def rank(peer: Peer) -> tuple[bool, bool, bool]:
            held = self._peers[peer]
            return self._is_mute(peer), peer.info.inbound, held is None or not held.archive

        return sorted(self._peers, key=rank)

    async def _learn(self, peer: Peer) -> None:
        """Asks a peer once what it holds."""
        try:
            answer = await peer.get_holdings(PIECE_S)
        except NotReady:
            answer = None
        if peer in self._peers:
            self._peers[peer] = (
                Held(1, archive=False) if answer is None else Held(answer.bodies_from, answer.archive)
            )
            if answer is None:
                self._ask_last(peer)


def is_content(name: Hash, raw: bytes) -> bool:
    """Whether these bytes are those of a content id, be it of a blob or of a chunk. It is CPU work."""
    return name in (blob_id(raw), chunk_hash(raw))
