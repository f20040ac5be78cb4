"""Blocks on their way: a discrete-event simulation of mining, relay and fork choice.

As in the real node, a block is announced once it has become the head, fetched from the first peer that has
announced it, checked, and then announced in turn. Who sends serves one request after the other. A node takes
the branch with more work by the rule of `consensus.forkchoice`, and keeps its head on a tie.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.simulate.internet import Internet
from engram.consensus.forkchoice import better

ANNOUNCE, ASK, ARRIVE, JUDGED, MINE = range(5)
SETTLED: Final = 20
"""The last blocks are not counted: what becomes of them is not known at the end."""


@dataclass(frozen=True)
class Load:
    """What a block asks of the network."""

    name: str
    sent_bytes: int
    """What travels from node to node."""
    asked_again: bool
    """Whether part of it has to be asked for once more, because it did not wait in the mempool."""
    judging_s: float
    """Seconds until a node has checked and executed it."""


@dataclass(frozen=True)
class Mined:
    """A block of the simulation: an entry of the index, as far as fork choice reads it."""

    number: int
    parent: Mined | None
    miner: int
    total_work: int
    at_s: float


@dataclass
class Spread:
    """What came of a run."""

    blocks: int
    stale: int
    """Blocks that are not on the best branch in the end, of those that are counted."""
    reach_s: dict[int, list[float]] = field(default_factory=dict)
    """By block: seconds from its making until each node had it judged, in order."""

    @property
    def stale_share(self) -> float:
        """Of all counted blocks."""
        return self.stale / max(1, self.blocks)

    def reached_s(self, share: float) -> float:
        """Seconds until a block has reached this share of the nodes: the median over blocks."""
        found = sorted(times[int(share * (len(times) - 1))] for times in self.reach_s.values() if times)
        return found[len(found) // 2] if found else 0.0


def spread(net: Internet, load: Load, block_time_s: float, blocks: int, seed: int) -> Spread:
    """Mines so many blocks at this pace, every node with the same power, and lets them travel."""
    return _Run(net, load, block_time_s, seed).run(blocks)


class _Run:
    def __init__(self, net: Internet, load: Load, block_time_s: float, seed: int) -> None:
        self._net, self._load, self._pace = net, load, block_time_s
        self._rng = random.Random(seed)
        self._events: list[tuple[float, int, int, int, int, Mined | None]] = []
        self._count = 0
        count = len(net.peers)
        origin = Mined(0, None, 0, 0, 0.0)
        self._heads = [origin] * count
        self._free_s = [0.0] * count
        """By node: when it has sent what others have asked for."""
        self._asked: list[set[int]] = [set() for _ in range(count)]
        self._waiting: list[dict[int, list[Mined]]] = [{} for _ in range(count)]
        self._known: list[set[int]] = [{0} for _ in range(count)]
        self._mined: list[Mined] = []
        self._reach: dict[int, list[float]] = {}

    def run(self, blocks: int) -> Spread:
        self._push(self._rng.expovariate(1 / self._pace), MINE, 0, 0, None)
        while self._events:
            now, _, kind, to, sender, block = heapq.heappop(self._events)
            if kind == MINE:
                self._mine(now, blocks)
            elif block is not None:
                self._step(now, kind, to, sender, block)
        best = max(self._heads, key=lambda head: head.total_work)
        chain = set()
        entry: Mined | None = best
        while entry is not None:
            chain.add(entry.number)
            entry = entry.parent
        counted = self._mined[:-SETTLED]
        stale = sum(block.number not in chain for block in counted)
        reach = {block.number: self._reach[block.number] for block in counted if block.number in chain}
        return Spread(len(counted), stale, reach)

    def _push(self, at_s: float, kind: int, to: int, sender: int, block: Mined | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_s, self._count, kind, to, sender, block))

    def _mine(self, now: float, blocks: int) -> None:
        miner = self._rng.randrange(len(self._heads))
        parent = self._heads[miner]
        block = Mined(len(self._mined) + 1, parent, miner, parent.total_work + 1, now)
        self._mined.append(block)
        self._reach[block.number] = []
        self._asked[miner].add(block.number)
        self._judged(now, miner, block)
        if len(self._mined) < blocks:
            self._push(now + self._rng.expovariate(1 / self._pace), MINE, 0, 0, None)

    def _step(self, now: float, kind: int, to: int, sender: int, block: Mined) -> None:
        delay = self._net.delay_s(to, sender) if to != sender else 0.0
        if kind == ANNOUNCE:
            if block.number not in self._asked[to]:
                self._asked[to].add(block.number)
                self._push(now + delay, ASK, sender, to, block)
        elif kind == ASK:  # `to` is who sends the block, `sender` who has asked for it
            speed = min(self._net.bytes_s[to], self._net.bytes_s[sender])
            begins = max(now, self._free_s[to])
            self._free_s[to] = begins + self._load.sent_bytes / self._net.bytes_s[to]
            trips = 3 if self._load.asked_again else 1
            self._push(begins + self._load.sent_bytes / speed + trips * delay, ARRIVE, sender, to, block)
        elif kind == ARRIVE:
            self._push(now + self._load.judging_s, JUDGED, to, to, block)
        else:
            self._judged(now, to, block)

    def _judged(self, now: float, node: int, block: Mined) -> None:
        parent = block.parent
        if parent is not None and parent.number not in self._known[node]:
            self._waiting[node].setdefault(parent.number, []).append(block)
            if parent.number not in self._asked[node]:  # asked for where the block came from
                self._asked[node].add(parent.number)
                giver = self._giver(node, parent)
                self._push(now + self._net.delay_s(node, giver), ASK, giver, node, parent)
            return
        self._known[node].add(block.number)
        self._reach[block.number].append(now - block.at_s)
        if better(block, self._heads[node]):
            self._heads[node] = block
            for peer in self._net.peers[node]:
                if block.number not in self._asked[peer]:
                    self._push(now + self._net.delay_s(node, peer), ANNOUNCE, peer, node, block)
        for child in self._waiting[node].pop(block.number, ()):
            self._judged(now, node, child)

    def _giver(self, node: int, block: Mined) -> int:
        """A peer that has the block."""
        return next(peer for peer in self._net.peers[node] if block.number in self._known[peer])


def percentiles(spread_: Spread, shares: Sequence[float] = (0.5, 0.9, 0.99)) -> list[float]:
    """Seconds until a block has reached these shares of the nodes."""
    return [spread_.reached_s(share) for share in shares]
