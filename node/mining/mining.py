"""The mining service, which an operator can start, stop, change and ask for blocks while the node runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from engram.node.errors import MinerAddressMissing, MinerChanged
from engram.node.mining.early import Wait
from engram.node.mining.miner import Miner, MinerOptions
from engram.node.mining.pacing import Pacing
from engram.primitives.types import Address, Hash


@dataclass(frozen=True)
class MiningSetup:
    """The settings of mining. RPC requests can change the address, the limit and whether mining is on."""

    address: Address | None
    threads: int = 1
    max_hashes_per_s: int = 0
    on_demand: bool = False
    """While mining is on, mine only while transactions wait, a round runs or blocks were asked for."""
    active: bool = False
    """Whether mining is on."""


class Mining:
    """Runs one miner if an address is set. While mining is off, it mines only when `mine` is called."""

    def __init__(
        self, new_miner: Callable[[MinerOptions], Miner], pacing: Pacing, setup: MiningSetup
    ) -> None:
        """`new_miner` makes a miner that works with these settings."""
        self.setup = setup
        self.pacing: Final = pacing
        self._new_miner = new_miner
        self._miner: Miner | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        """Set once the present miner has ended, and the chain has judged all blocks that it had found."""
        self._paused = False
        self._hashes = 0
        self._blocks = 0

    async def run(self) -> None:
        """The service, until it is cancelled. Raises what the miner raises.

        When the set-up changes, a new miner with the new settings replaces the old one.
        """
        while True:
            self._changed.clear()
            address = self.setup.address
            if address is None:
                await self._changed.wait()
            else:
                await self._run_miner(self._options(address))

    def start(self, address: Address | None = None, max_hashes_per_s: int | None = None) -> None:
        """Turns mining on; None leaves a setting as it is. Raises `MinerAddressMissing`."""
        setup = replace(self.setup, active=True)
        if address is not None:
            setup = replace(setup, address=address)
        if max_hashes_per_s is not None:
            setup = replace(setup, max_hashes_per_s=max_hashes_per_s)
        if setup.address is None:
            raise MinerAddressMissing
        self._apply(setup)

    async def stop(self) -> None:
        """Turns mining off; `mine` still works. Returns when no block can come that was begun before."""
        mines = self._miner is not None and not self._miner.options.idle
        ended = self._ended
        self._apply(replace(self.setup, active=False))
        if mines:
            await ended.wait()

    def pause(self, paused: bool) -> None:
        """Pauses mining while the node is far behind its peers; `mine` still works.

        A block on an old head would lose against the chain that the node is just fetching.
        """
        if paused != self._paused:
            self._paused = paused
            if self._miner is not None:
                self._miner.pause(paused)

    async def mine(self, blocks: int) -> list[Hash]:
        """Mines so many blocks now and returns their ids, lowest first.

        Raises `MinerAddressMissing` if no address is set, `MinerChanged` if the set-up is changed meanwhile,
        `BlockTooEarly` if the clock is behind.
        """
        if self.setup.address is None or self._miner is None:
            raise MinerAddressMissing
        try:
            return await self._miner.generate(blocks)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise MinerChanged from None

    @property
    def is_paused(self) -> bool:
        """Whether the node is far behind its peers, so that mining waits."""
        return self._paused

    @property
    def waits(self) -> Wait | None:
        """Why the miner does not mine although it is on, if it waits for the clock."""
        return self._miner.waits if self._miner is not None else None

    @property
    def waiting(self) -> str | None:
        """Why it does not mine, or no empty block, although it is on, in words that continue a sentence."""
        if self.waits is not None:
            return self.waits.message
        return self.pacing.waits if self.setup.active else None

    @property
    def hashes(self) -> int:
        """Proof-of-work hashes computed since the node started."""
        return self._hashes + (self._miner.hashes if self._miner else 0)

    @property
    def blocks(self) -> int:
        """Blocks found since the node started."""
        return self._blocks + (self._miner.blocks if self._miner else 0)

    def status(self) -> dict[str, Any]:
        """The set-up and the counts as JSON values. The caller adds the address, as text."""
        return {
            "mining": self.setup.active,
            "paused": self._paused,
            "waits": self.waiting,
            "on_demand": self.setup.on_demand,
            "threads": self.setup.threads,
            "max_hashes_per_s": self.setup.max_hashes_per_s,
            "hashes": self.hashes,
            "blocks": self.blocks,
        }

    def _apply(self, setup: MiningSetup) -> None:
        if setup != self.setup:
            self.setup = setup
            self._changed.set()

    def _options(self, address: Address) -> MinerOptions:
        setup = self.setup
        idle = not setup.active
        return MinerOptions(address, setup.threads, setup.max_hashes_per_s, setup.on_demand, idle)

    async def _run_miner(self, options: MinerOptions) -> None:
        """Runs one miner until the set-up changes."""
        self._miner, self._ended = self._new_miner(options), asyncio.Event()
        miner, ended = self._miner, self._ended
        miner.pause(self._paused)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(miner.run(), name="miner")
                await self._changed.wait()
                running.cancel()
        finally:
            self._miner = None
            ended.set()
            self._hashes += miner.hashes
            self._blocks += miner.blocks
