"""The numbers that a node counts, and the page that shows them to Prometheus. `rpc.server` serves the page.

Services count in plain attributes and do not know Prometheus. Its library is imported only when a client asks
for the page, so a node that nobody monitors never loads it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from engram.node.clock import Clock

LAG_EVERY_S: Final = 0.5
IMPORT_BOUNDS_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
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


@dataclass
class Gauges:
    """Numbers that are read from the node at the moment when a client asks for the page."""

    chain_height: int = 0
    peers: int = 0
    mempool_bytes: int = 0
    mempool_transactions: int = 0
    resident_bytes: int = 0


@dataclass
class Metrics:
    """Numbers that a node counts while it runs."""

    block_import: Histogram = field(default_factory=lambda: Histogram(IMPORT_BOUNDS_S))
    """Seconds that the writer took to judge and store a block, without the wait in its queue."""
    loop_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS_S))
    """Seconds by which the event loop woke too late from a sleep of `LAG_EVERY_S`."""
    reorgs: int = 0
    verified_macs: int = 0
    """Multiply-accumulates that the transactions of imported blocks were charged for."""

    async def run(self, clock: Clock) -> None:
        """Measures how late the event loop is, for ever."""
        while True:
            due_s = clock.monotonic() + LAG_EVERY_S
            await clock.sleep(LAG_EVERY_S)
            self.loop_lag.observe(max(0.0, clock.monotonic() - due_s))


def resident_bytes() -> int:
    """Bytes of this process that are in RAM."""
    import psutil

    return int(psutil.Process().memory_info().rss)


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

    rows = (
        ("engram_chain_height", "Height of the best chain.", gauges.chain_height),
        ("engram_peers", "Open sessions with peers.", gauges.peers),
        ("engram_mempool_bytes", "Bytes of memory that waiting transactions take.", gauges.mempool_bytes),
        ("engram_mempool_transactions", "Transactions that wait for a block.", gauges.mempool_transactions),
        ("engram_resident_bytes", "Bytes of the process that are in RAM.", gauges.resident_bytes),
    )
    for name, text, value in rows:
        yield GaugeMetricFamily(name, text, value=value)
    yield CounterMetricFamily(
        "engram_reorg", "Times that the best chain changed to another branch.", value=metrics.reorgs
    )
    macs = "Multiply-accumulates that transactions in imported blocks were charged for."
    yield CounterMetricFamily("engram_verify_macs", macs, value=metrics.verified_macs)
    for name, text, histogram in (
        ("engram_block_import_seconds", "Seconds to judge and store one block.", metrics.block_import),
        ("engram_loop_lag_seconds", "Seconds by which the event loop woke too late.", metrics.loop_lag),
    ):
        yield HistogramMetricFamily(name, text, buckets=histogram.buckets(), sum_value=histogram.total)
