"""RPC methods of a chain for development: its operator moves its time, and takes it back to an earlier block.

They hang on the chain, not on a setting: where blocks cost work, each of them is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from engram.consensus.chainspec import has_work
from engram.node.chain.headers import CheckedBlock
from engram.node.errors import AdvanceInvalid, BlocksCostWork, HasPeers, PhasePassed
from engram.node.keystore import Keystore
from engram.node.mempool.mempool import Mempool
from engram.node.mining.mining import Mining
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.parameters import IdBytes
from engram.node.rpc.render import Renderer, span_name
from engram.node.rpc.results.chain import HeadResult, NamedAccount
from engram.p2p.manager import PeerManager
from engram.primitives.errors import ChainError
from engram.primitives.types import Address, Hash
from engram.statemachine.rounds.calendar import Calendar
from engram.statemachine.rounds.records import Round

MOST_BLOCKS: Final = 10_000
"""So many blocks one request may make. Whoever wants more asks again."""


@dataclass(frozen=True)
class DevMethods:
    """What the operator of a chain without work may do to it."""

    views: HeadViews
    mempool: Mempool
    mining: Mining
    peers: PeerManager[CheckedBlock]
    render: Renderer
    keystore: Keystore
    names: Mapping[Address, str]
    """What the program that runs the node calls accounts."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @rpc_method(HeadResult, admin=True)
    async def dev_advance(
        self,
        blocks: int | None = None,
        ticks: int | None = None,
        phase: str | None = None,
        round: IdBytes | None = None,
    ) -> dict[str, Any]:
        """Make blocks now: so many, or until the round clock has gone on by so many ticks, or until the next
        block stands in a phase of a round. The new head, as `chain_head` gives it.

        Exactly one of `blocks`, `ticks` and `phase` is given. `phase` is a word such as "reveal" or "commit",
        which means the next one, or a name of the round's calendar such as "commit_1"; `round` says whose.
        A phase in which the next block stands already needs no block; else the `ticks` of the new head are
        the first tick that the round's calendar gives the phase. The blocks hold what waits in the mempool,
        and wait for no program that holds blocks. One request makes at most 10,000 blocks.
        """
        self._check_free()
        given = [each for each in (blocks, ticks, phase) if each is not None]
        if len(given) != 1 or (phase is None) != (round is None):
            raise AdvanceInvalid(got={"blocks": blocks, "ticks": ticks, "phase": phase, "round": round})
        if any(not 0 <= each <= MOST_BLOCKS for each in (blocks, ticks) if each is not None):
            raise AdvanceInvalid(expected=MOST_BLOCKS, got=given[0])
        async with self._turn:
            if blocks is not None:
                await self.mining.mine(blocks)
            elif ticks is not None:
                end = self._ticks() + ticks
                await self._mine_while(lambda: end - self._ticks())
            elif phase is not None and round is not None:
                await self._mine_while(lambda: self._ticks_to(phase, round))
        await self.mempool.reaches(self.views.chain.head.height)
        return await self.views.threads.run(self._head)

    @rpc_method(HeadResult, admin=True)
    async def dev_snapshot(self) -> dict[str, Any]:
        """The head, as `chain_head` gives it. Its `id` names this state of the chain to `dev_revert`, for as
        long as the block stands on the best chain, also after a restart.
        """
        self._check_free()
        return await self.views.threads.run(self._head)

    @rpc_method(HeadResult, admin=True)
    async def dev_revert(self, id: IdBytes) -> dict[str, Any]:
        """Take the chain back to one of its blocks; the new head. What came after is gone for good.

        The mempool is emptied; transactions of the blocks that are gone count as dropped, with the code
        `reverted`. Refused while peers are connected, because they would bring those blocks again. A new
        database made of the block files (`engram db reindex`) has them again, too.
        """
        self._check_free()
        if peers := len(self.peers.peers()):
            raise HasPeers(got=peers)
        async with self._turn, self._mining_stopped():
            target = await self.views.threads.run(self.views.now().block, None, id)
            await self.mempool.settled()
            await self.views.chain.revert(target)
            await self.mempool.settled()
            await self.mempool.forget_all()
        return await self.views.threads.run(self._head)

    @rpc_method(list[NamedAccount])
    async def dev_names(self) -> list[dict[str, Any]]:
        """The names of accounts for those who look at a chain for development: those of the keys in the
        node's data directory, and those that the program which runs the node has given it. Files that hold
        no key are left out.
        """
        self._check_free()
        found = dict(self.names)
        with suppress(ChainError, OSError):  # what is wrong with keys is said by the commands that use them
            scanned = await self.views.threads.run(self.keystore.scan)
            found |= {entry.address: entry.name for entry in scanned.entries}
        return [{"address": self.render.address(address), "name": name} for address, name in found.items()]

    def _check_free(self) -> None:
        if has_work(self.views.chain.spec):
            raise BlocksCostWork(got=self.views.chain.spec.name)

    @asynccontextmanager
    async def _mining_stopped(self) -> AsyncIterator[None]:
        """Meanwhile the node makes no block by itself, so that none stands on what is taken back."""
        active = self.mining.setup.active
        try:
            await self.mining.stop()
            yield
        finally:
            if active:
                self.mining.start()

    async def _mine_while(self, ticks_left: Callable[[], int]) -> None:
        """Mines block by block until no ticks are left: a block more than half full lets none pass, and one
        may end a phase early.
        """
        for _ in range(MOST_BLOCKS):
            if await self.views.threads.run(ticks_left) <= 0:
                return
            await self.mining.mine(1)
        if (left := await self.views.threads.run(ticks_left)) > 0:
            raise AdvanceInvalid(expected=MOST_BLOCKS, got=MOST_BLOCKS + left)

    def _ticks(self) -> int:
        return self.views.now().clock.ticks

    def _ticks_to(self, phase: str, identity: Hash) -> int:
        """How many ticks it is to the next phase of a round that has this name. Raises `PhasePassed`."""
        view = self.views.now()
        tick, spans = view.clock.ticks, Calendar.of(view.state.get(Round, identity), view.spec.rules).spans
        to_come = [span for span in spans if max(tick, span.first) <= span.last]
        for span in to_come:
            if phase in (span.phase.name.lower(), span_name(span.phase, span.epoch)):
                return span.first - tick
        raise PhasePassed(expected=[span_name(span.phase, span.epoch) for span in to_come], got=phase[:40])

    def _head(self) -> dict[str, Any]:
        view = self.views.now()
        return self.render.head(view.head, view.clock)
