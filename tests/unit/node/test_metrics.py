"""The metrics page: the documented names, and buckets that count what was observed."""

import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engram.node.clock import FakeClock
from engram.node.metrics import Gauges, Histogram, Metrics, RecentRate, render


def samples(metrics: Metrics, gauges: Gauges) -> dict[tuple[str, str], float]:
    """(name, values of its labels) -> value, as a Prometheus server reads the page."""
    page, content_type = render(metrics, gauges)
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(page.decode())
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_documented_names() -> None:
    metrics = Metrics(verified_macs=10**12)
    metrics.block_import.observe(0.02)
    metrics.reorganised(2)
    metrics.reorganised(1)
    gauges = Gauges(
        chain_height=7,
        head_age_s=-1.5,
        inbound_peers=3,
        outbound_peers=2,
        encrypted_peers=4,
        named_peers=6,
        intercepted=1,
        bans={"operator": 2, "node": 3},
        traffic={("sent", "GetBlock"): 33},
        warnings={"alone": True, "syncing": False},
        target_block_s=60.0,
        rounds={"commit": 2, "score": 1},
        lookups={"scores": (5, 4)},
        mempool_bytes=5,
        mempool_transactions=1,
        build={"version": "1", "chain": "main"},
    )
    page = samples(metrics, gauges)
    assert page["engram_chain_height", ""] == 7
    assert page["engram_head_age_seconds", ""] == -1.5
    assert page["engram_peers", "inbound"] == 3
    assert page["engram_peers", "outbound"] == 2
    assert page["engram_peers_encrypted", ""] == 4
    assert page["engram_peers_named", ""] == 6
    assert page["engram_peers_intercepted", ""] == 1
    assert page["engram_p2p_bytes_total", "sent,GetBlock"] == 33
    assert (page["engram_bans", "operator"], page["engram_bans", "node"]) == (2, 3)
    assert (page["engram_warnings", "alone"], page["engram_warnings", "syncing"]) == (1, 0)
    assert page["engram_target_block_seconds", ""] == 60
    assert page["engram_rounds", "commit"] == 2
    assert page["engram_rounds", "score"] == 1
    assert page["engram_cache_lookups_total", "scores,hit"] == 5
    assert page["engram_cache_lookups_total", "scores,miss"] == 4
    assert page["engram_mempool_bytes", ""] == 5
    assert page["engram_build_info", "main,1"] == 1
    assert page["engram_reorg_total", ""] == 2
    assert page["engram_reorg_deepest_blocks", ""] == 2
    assert page["engram_reorg_depth_blocks_bucket", "1"] == 1
    assert page["engram_verify_macs_total", ""] == 10**12
    assert page["engram_block_import_seconds_bucket", "0.01"] == 0
    assert page["engram_block_import_seconds_bucket", "0.03"] == 1
    assert page["engram_block_import_seconds_count", ""] == 1
    assert page["engram_block_import_seconds_sum", ""] == 0.02
    assert page["engram_loop_lag_seconds_count", ""] == 0


def test_the_hash_rate_is_that_of_the_last_minute() -> None:
    rate = RecentRate(60)
    assert rate.per_s == 0
    rate.sample(0, 0)
    assert rate.per_s == 0
    rate.sample(10, 5_000)
    assert rate.per_s == 500
    rate.sample(70, 11_000)
    assert rate.per_s == 100, "the first sample is older than a minute"
    rate.sample(200, 11_000)
    assert rate.per_s == 0


async def test_the_miners_hashes_are_sampled() -> None:
    metrics, hashes = Metrics(), iter(range(0, 10_000, 1_000))
    with pytest.raises(Finished):
        await metrics.run(LateClock([0.0] * 5), lambda: next(hashes))
    assert metrics.hash_rate.per_s == 2_000


def test_a_bucket_holds_its_own_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 2.0), ("2", 4.0), ("+Inf", 5.0)]
    assert (histogram.count, histogram.total) == (5, 14.0)


class Finished(Exception):
    """The clock has no more sleeps."""


class LateClock(FakeClock):
    """A clock whose sleeps take longer than asked."""

    def __init__(self, late_s: list[float]) -> None:
        super().__init__(0)
        self._late_s = late_s

    async def sleep(self, delay_s: float) -> None:
        if not self._late_s:
            raise Finished
        self.advance(round((delay_s + self._late_s.pop(0)) * 1000))


async def test_the_lag_of_the_event_loop() -> None:
    metrics = Metrics()
    with pytest.raises(Finished):
        await metrics.run(LateClock([0.0, 0.3]))
    assert metrics.loop_lag.count == 2
    assert abs(metrics.loop_lag.total - 0.3) < 1e-9


def test_counting_does_not_import_prometheus() -> None:
    program = (
        "import sys; from engram.node.metrics import Metrics; Metrics().block_import.observe(1);"
        "print('prometheus_client' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, check=True)
    assert printed.stdout == "False\n"
