"""The numbers that a node counts, and the page that shows them to Prometheus. `rpc.server` serves the page.

Services count in plain attributes and do not know Prometheus. Its library is imported only when a client asks
for the page, so a node that nobody monitors never loads it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from engram.node.clock import Clock

LAG_EVERY_S: Final = 0.5
IMPORT_BOUNDS_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
REORG_BOUNDS: Final = (1, 2, 3, 6, 12, 32, 100, 500, 2000)
RATE_WINDOW_S: Final = 60.0
LAG_BOUNDS_S: Final = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


class Histogram:
    """Counts how many values lie at or below each of some upper bounds, and adds the values up."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value in the first bucket whose upper bound is not below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Pairs of an upper bound and the number of values at most that large; the last bound is `+Inf`."""
        names = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        reached = 0
        rows = []
        for name, count in zip(names, self._counts, strict=True):
            reached += count
            rows.append((name, float(reached)))
        return rows


class RecentRate:
    """How fast a count grows, over the last `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now_s: float, count: int) -> None:
        """Notes the count of this moment."""
        self._samples.append((now_s, count))
        while now_s - self._samples[0][0] > self._window_s:
            self._samples.popleft()

    @property
    def per_s(self) -> float:
        """The growth in a second; 0 before there are two samples."""
        if len(self._samples) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


@dataclass
class Gauges:
    """Numbers that are read from the node at the moment when somebody asks; see `rpc.readings`."""

    head: bytes = b""
    """Id of the head."""
    chain_height: int = 0
    chain_work: int = 0
    head_age_s: float = 0.0
    """Seconds since the head's timestamp; below 0 where the head is ahead of this machine's clock."""
    clock_ahead_s: float | None = None
    """Seconds by which the clocks of peers are ahead of this machine's in the median, negative if they are
    behind; None if too few peers have told the time to be believed.
    """
    target_block_s: float = 0.0
    """Seconds in which one block is due, by the chain's rules."""
    clock_voices: int = 0
    """How many peers, of networks of their own, were heard for it."""
    pace_blocks: int = 0
    """How many of the last blocks `pace_s` and `pace_work` are about."""
    pace_s: float = 0.0
    pace_work: int = 0
    ticks: int = 0
    exponent: int = 0
    base_fee: int = 0
    """The least that any transaction is charged in the next block, in sparks."""
    inbound_peers: int = 0
    outbound_peers: int = 0
    encrypted_peers: int = 0
    """Sessions over an encrypted connection, of both directions."""
    dialled: int = 0
    """Addresses that the operator has named and the node dials, connected or not."""
    known: int = 0
    """All addresses that there are to dial: those, the seeds, and those that the node has heard of."""
    named_peers: int = 0
    """Those of the named addresses whose node is connected, no matter which side has dialled."""
    intercepted: int = 0
    """The named addresses at whose last dial somebody stood between the two nodes."""
    bans: Mapping[str, int] = field(default_factory=dict)
    """How many nodes, hosts and networks are refused, by who refuses them."""
    traffic: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Bytes of messages between nodes, by direction and name of the message."""
    warnings: Mapping[str, bool] = field(default_factory=dict)
    """By code, whether the warning stands now."""
    sync_target: int = 0
    """Height up to which blocks are being fetched in bulk; 0 while none are."""
    backfill_base: int = 0
    """Up to this height the node has its blocks from a snapshot, which has no bodies; 0 for none."""
    backfill_left: int = 0
    """Up to this height some bodies are still to be fetched; 0 once all are there."""
    rounds: Mapping[str, int] = field(default_factory=dict)
    """How many open rounds stand in each phase."""
    lookups: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By kind of verified result: how often it was found in the cache, and how often not."""
    mempool_bytes: int = 0
    mempool_transactions: int = 0
    mempool_parked: int = 0
    mining: bool = False
    mining_paused: bool = False
    mining_waits: str = ""
    """For what the miner waits, the clock or programs of a test network, as text for people."""
    on_demand: bool = False
    """Blocks are made only while they are needed, so an old head is no bad sign."""
    hashes: int = 0
    blocks_found: int = 0
    resident_bytes: int = 0
    anonymous_bytes: int = 0
    """What of `resident_bytes` is the process's own; the rest are mapped files, which the system can drop."""
    database_bytes: int = 0
    block_files_bytes: int = 0
    free_bytes: int | None = None
    """Bytes free on the disk of the data directory; None where the disk was not asked."""
    uptime_s: float = 0.0
    engine: str = ""
    """What evaluates networks."""
    wrong_engines: Mapping[str, str] = field(default_factory=dict)
    """By name the engines that have computed a wrong bit at the start, and in which check."""
    build: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Metrics:
    """Numbers that a node counts while it runs."""

    block_import: Histogram = field(default_factory=lambda: Histogram(IMPORT_BOUNDS_S))
    """Seconds that the writer took to judge and store a block, without the wait in its queue."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS_S))
    """Seconds by which the event loop woke too late from a sleep of `LAG_EVERY_S`."""
    reorg_depth: Histogram = field(default_factory=lambda: Histogram(REORG_BOUNDS))
    """Blocks that left the best chain in each reorganisation."""
    deepest_reorg: int = 0
    verified_macs: int = 0
    """Multiply-accumulates that the transactions of imported blocks were charged for."""
    hash_rate: RecentRate = field(default_factory=lambda: RecentRate(RATE_WINDOW_S))
    """Hashes of this node's miner a second."""

    def reorganised(self, depth: int) -> None:
        """Counts a reorganisation in which so many blocks left the best chain."""
        self.reorg_depth.observe(depth)
        self.deepest_reorg = max(self.deepest_reorg, depth)

    async def run(self, clock: Clock, hashes: Callable[[], int] = lambda: 0) -> None:
        """Measures how late the event loop is, and how fast `hashes` grows, for ever."""
        while True:
            due_s = clock.monotonic() + LAG_EVERY_S
            await clock.sleep(LAG_EVERY_S)
            self.loop_lag.observe(max(0.0, clock.monotonic() - due_s))
            self.hash_rate.sample(clock.monotonic(), hashes())


def render(metrics: Metrics, gauges: Gauges) -> tuple[bytes, str]:
    """The page and its content type. Imports prometheus_client: call it in a worker thread."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(lambda: _families(metrics, gauges)))
    return generate_latest(registry), CONTENT_TYPE_LATEST


@dataclass(frozen=True)
class _Page:
    collect: Callable[[], Iterator[Metric]]


def _families(metrics: Metrics, gauges: Gauges) -> Iterator[Metric]:
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    for name, text, value in _gauges(metrics, gauges):
        yield GaugeMetricFamily(name, text, value=value)
    peers = GaugeMetricFamily("engram_peers", "Open sessions with peers.", labels=["direction"])
    peers.add_metric(["inbound"], gauges.inbound_peers)
    peers.add_metric(["outbound"], gauges.outbound_peers)
    yield peers
    bans = GaugeMetricFamily("engram_bans", "Nodes, hosts and networks that are refused.", labels=["by"])
    for by, count in gauges.bans.items():
        bans.add_metric([by], count)
    yield bans
    warnings = GaugeMetricFamily("engram_warnings", "Whether the warning stands: 1 or 0.", labels=["code"])
    for code, stands in gauges.warnings.items():
        warnings.add_metric([code], int(stands))
    yield warnings
    rounds = GaugeMetricFamily(
        "engram_rounds", "Open rounds by the phase of the next block.", labels=["phase"]
    )
    for phase, count in gauges.rounds.items():
        rounds.add_metric([phase], count)
    yield rounds
    build = GaugeMetricFamily(
        "engram_build_info", "This node; the value is always 1.", labels=list(gauges.build)
    )
    build.add_metric(list(gauges.build.values()), 1)
    yield build
    cache = CounterMetricFamily(
        "engram_cache_lookups", "Searches for results that were verified before.", labels=["kind", "outcome"]
    )
    for kind, (hits, misses) in gauges.lookups.items():
        cache.add_metric([kind, "hit"], hits)
        cache.add_metric([kind, "miss"], misses)
    yield cache
    traffic = CounterMetricFamily(
        "engram_p2p_bytes", "Bytes of messages between nodes.", labels=["direction", "message"]
    )
    for (direction, message), count in gauges.traffic.items():
        traffic.add_metric([direction, message], count)
    yield traffic
    for name, text, value in _counters(metrics, gauges):
        yield CounterMetricFamily(name, text, value=value)
    for name, text, histogram in (
        ("engram_block_import_seconds", "Seconds to judge and store one block.", metrics.block_import),
        ("engram_loop_lag_seconds", "Seconds by which the event loop woke too late.", metrics.loop_lag),
        ("engram_reorg_depth_blocks", "Blocks that left the best chain at once.", metrics.reorg_depth),
    ):
        yield HistogramMetricFamily(name, text, buckets=histogram.buckets(), sum_value=histogram.total)


def _gauges(metrics: Metrics, gauges: Gauges) -> tuple[tuple[str, str, float], ...]:
    return (
        ("engram_chain_height", "Height of the best chain.", gauges.chain_height),
        ("engram_chain_work", "Hashes that the best chain stands for, on average.", gauges.chain_work),
        ("engram_head_age_seconds", "Seconds since the timestamp of the head.", gauges.head_age_s),
        ("engram_target_block_seconds", "Seconds in which one block is due.", gauges.target_block_s),
        ("engram_clock_ahead_seconds", "How far peers' clocks are ahead of this.", gauges.clock_ahead_s or 0),
        ("engram_round_ticks", "Ticks of the round clock.", gauges.ticks),
        ("engram_base_exponent", "How often crowded blocks have raised fees by an eighth.", gauges.exponent),
        ("engram_base_fee_sparks", "The least that a transaction is charged.", gauges.base_fee),
        ("engram_peers_encrypted", "Open sessions that are encrypted.", gauges.encrypted_peers),
        ("engram_peers_named", "Named addresses whose node is connected.", gauges.named_peers),
        ("engram_peers_intercepted", "Dialled addresses with somebody in between.", gauges.intercepted),
        ("engram_sync_target", "Height up to which blocks are fetched; 0 for none.", gauges.sync_target),
        ("engram_backfill_left", "Height below which bodies are still missing.", gauges.backfill_left),
        ("engram_mempool_bytes", "Bytes of memory that waiting transactions take.", gauges.mempool_bytes),
        ("engram_mempool_transactions", "Transactions that wait for a block.", gauges.mempool_transactions),
        ("engram_mempool_parked", "Waiting transactions that fees have outgrown.", gauges.mempool_parked),
        ("engram_mining", "Whether the miner is on: 1 or 0.", int(gauges.mining)),
        ("engram_hashes_per_second", "Hashes of this node's miner, over a minute.", metrics.hash_rate.per_s),
        ("engram_reorg_deepest_blocks", "Blocks of the deepest reorganisation.", metrics.deepest_reorg),
        ("engram_resident_bytes", "Bytes of the process in RAM, mapped files too.", gauges.resident_bytes),
        ("engram_anonymous_bytes", "Bytes in RAM without mapped files.", gauges.anonymous_bytes),
        ("engram_database_bytes", "Bytes of the database's files.", gauges.database_bytes),
        ("engram_block_files_bytes", "Bytes of the files of blocks.", gauges.block_files_bytes),
        ("engram_disk_free_bytes", "Bytes free on the disk of the data directory.", gauges.free_bytes or 0),
        ("engram_uptime_seconds", "Seconds since the node started.", gauges.uptime_s),
    )


def _counters(metrics: Metrics, gauges: Gauges) -> tuple[tuple[str, str, float], ...]:
    macs = "Multiply-accumulates that transactions in imported blocks were charged for."
    return (
        ("engram_reorg", "Times that the best chain changed to another branch.", metrics.reorg_depth.count),
        ("engram_verify_macs", macs, metrics.verified_macs),
        ("engram_miner_hashes", "Proof-of-work hashes computed.", gauges.hashes),
        ("engram_miner_blocks", "Blocks found by this node's miner.", gauges.blocks_found),
    )
