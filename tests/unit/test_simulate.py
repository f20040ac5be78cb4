"""The simulation of a large network agrees with what can be worked out by hand, and its command runs."""

import json
import math
import subprocess
import sys

import pytest

from benchmarks.simulate.internet import Internet, internet
from benchmarks.simulate.relay import SETTLED, Load, spread
from benchmarks.simulate.rounds import crowded, round_use
from engram.consensus import chainspec
from tests.support.source_tree import ROOT

SMALL = Load("small", 200, False, 0.0)


def pair(delay_s: float, bytes_s: float = 1e12) -> Internet:
    """Two nodes with one link."""
    return Internet(((1,), (0,)), {(0, 1): delay_s}, (bytes_s, bytes_s))


def test_two_miners_lose_what_the_delay_between_them_costs() -> None:
    """A block is rivalled if the other miner finds one within the three trips until they have it."""
    delay_s, blocks = 0.5, 4_000
    found = spread(pair(delay_s), SMALL, block_time_s=10.0, blocks=blocks, seed=7)
    expected = 1 - math.exp(-3 * delay_s / 20.0)
    assert found.blocks == blocks - SETTLED
    assert found.stale_share == pytest.approx(expected, rel=0.2)


def test_a_block_reaches_everybody_after_trips_sending_and_judging() -> None:
    load = Load("large", 1_000_000, True, 2.0)
    found = spread(pair(0.25, bytes_s=500_000), load, block_time_s=1_000.0, blocks=40, seed=3)
    assert (found.stale, len(found.reach_s)) == (0, 20)
    for times in found.reach_s.values():
        assert times == [0.0, pytest.approx(5 * 0.25 + 2.0 + 2.0)]


def test_every_node_of_a_large_network_gets_every_block_and_slow_blocks_are_stale_more_often() -> None:
    net = internet(120, seed=5)
    assert all(len(peers) >= 1 for peers in net.peers)
    quick = spread(net, SMALL, 5.0, 60, seed=5)
    assert {len(times) for times in quick.reach_s.values()} == {120}
    slow = spread(net, Load("slow", 2_000_000, True, 2.0), 5.0, 60, seed=5)
    assert slow.stale > quick.stale
    assert slow.reached_s(0.9) > quick.reached_s(0.9)
    again = spread(net, SMALL, 5.0, 60, seed=5)
    assert again.reach_s == quick.reach_s, "a seed stands for one run"


def test_rounds_take_more_of_the_chain_the_larger_the_model() -> None:
    spec = chainspec.main()
    uses = [round_use(spec.rules, hidden) for hidden in (32, 256, 12_000)]
    assert [use.macs for use in uses] == sorted(use.macs for use in uses)
    assert uses[0].heaviest_share < 1 < uses[-1].heaviest_share
    crowd, blocks = crowded(spec, uses[0], 1_000), uses[0].blocks(spec.rules) * 1_000
    assert blocks * 30 / 3_600 <= crowd.hours <= 2 * blocks * 30 / 3_600
    assert 0 < crowd.ticking < 1
    assert crowd.fee_factor == pytest.approx((9 / 8) ** spec.rules.tick_exponent, rel=1e-3)


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: it often collects garbage, of which other tests leave much."""
    command = [sys.executable, "-m", "benchmarks.simulate", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_command_prints_tables() -> None:
    told = simulate("--quick", "--nodes", "20", "--blocks", "25", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert [len(table["rows"]) > 0 for table in found["tables"]] == [True] * 3
    assert all(len(row) == len(table["columns"]) for table in found["tables"] for row in table["rows"])
    assert "| chain |" in simulate("--quick", "--only", "rounds").stdout
    assert simulate("--nodes", "2").returncode == 2
