"""What is warned of: each warning at its bound, on the right side only."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.consensus.chainspec import main
from engram.node.clockwatch import FEWEST_VOICES
from engram.node.config import Config
from engram.node.metrics import Gauges
from engram.node.rpc import warnings
from engram.node.rpc.warnings import CODES, OLD_BLOCKS, warnings_of

SPEC = main()
WELL = Gauges(
    chain_height=9, inbound_peers=1, dialled=2, free_bytes=2**40, head_age_s=SPEC.block_time_ms / 1000
)
OLD_S = OLD_BLOCKS * SPEC.block_time_ms / 1000
AHEAD_S = SPEC.future_limit_ms / 2000
SKEWED_S = SPEC.future_limit_ms / 1000


ALONE_ON_DEMAND = {"inbound_peers": 0, "dialled": 0, "known": 0, "on_demand": True}


def codes(gauges: Gauges, **settings: Any) -> list[str]:
    return [warning.code for warning in warnings_of(replace(Config(), **settings), SPEC, gauges)]


def test_a_node_that_fares_well_is_not_warned_of() -> None:
    assert codes(WELL) == []


@pytest.mark.parametrize(
    ("code", "within", "beyond"),
    [
        ("syncing", {"sync_target": 0}, {"sync_target": 1}),
        ("no_peers", {"inbound_peers": 1}, {"inbound_peers": 0}),
        ("no_peers", {"inbound_peers": 0, "outbound_peers": 1}, {"inbound_peers": 0, "outbound_peers": 0}),
        ("no_peers", ALONE_ON_DEMAND, {**ALONE_ON_DEMAND, "dialled": 1, "known": 1}),
        ("no_peers", ALONE_ON_DEMAND, {**ALONE_ON_DEMAND, "known": 1}),
        ("alone", ALONE_ON_DEMAND, {**ALONE_ON_DEMAND, "on_demand": False}),
        ("intercepted", {"intercepted": 0}, {"intercepted": 1}),
        ("clock_behind", {"head_age_s": -AHEAD_S}, {"head_age_s": -AHEAD_S - 0.001}),
        (
            "not_begun",
            {"head_age_s": 0.0, "chain_height": 0},
            {"head_age_s": -2 * AHEAD_S, "chain_height": 0},
        ),
        ("head_old", {"head_age_s": OLD_S}, {"head_age_s": OLD_S + 0.001}),
        ("head_old", {"head_age_s": 2 * OLD_S, "on_demand": True}, {"head_age_s": 2 * OLD_S}),
        ("clock_skewed", {"clock_ahead_s": 10.0}, {"clock_ahead_s": 10.001}),
        ("clock_skewed", {"clock_ahead_s": -10.0}, {"clock_ahead_s": -10.001}),
        ("disk_low", {"free_bytes": 2**30}, {"free_bytes": 2**30 - 1}),
        ("disk_low", {"free_bytes": None}, {"free_bytes": 0}),
        ("engine_inexact", {"wrong_engines": {}}, {"wrong_engines": {"torch": "sums"}, "engine": "numpy"}),
        ("mining_paused", {"mining_paused": False}, {"mining_paused": True}),
    ],
)
def test_each_warning_at_its_bound(code: str, within: dict[str, Any], beyond: dict[str, Any]) -> None:
    assert codes(replace(WELL, **within)) == []
    assert codes(replace(WELL, **beyond)) == [code]


def test_when_the_disk_is_low_is_a_setting() -> None:
    left = replace(WELL, free_bytes=2**35)
    assert codes(left, disk_low_bytes=2**35) == []
    assert codes(left, disk_low_bytes=2**35 + 1) == ["disk_low"]


def test_every_warning_is_listed() -> None:
    """Dashboards show each code as 0 or 1, also one that has never stood."""
    source = Path(warnings.__file__).read_text()
    assert sorted(re.findall(r'NodeWarning\(\s*"(\w+)"', source)) == sorted([*CODES, "no_peers"])


@pytest.mark.parametrize("mining", [False, True])
def test_who_follows_nothing_is_not_to_be_asked_unless_the_chain_may_be_its_own(mining: bool) -> None:
    (warning,) = warnings_of(Config(), SPEC, replace(WELL, inbound_peers=0, dialled=0, mining=mining))
    assert (warning.code, warning.unready) == ("alone", not mining)
    assert "`engram peer add HOST:PORT`" in warning.message


@pytest.mark.parametrize(
    ("ahead_s", "voices", "unready"),
    [
        (SKEWED_S, FEWEST_VOICES, False),
        (-SKEWED_S, FEWEST_VOICES, False),
        (SKEWED_S + 0.001, FEWEST_VOICES, True),
        (-SKEWED_S - 0.001, FEWEST_VOICES, True),
        (2 * SKEWED_S, FEWEST_VOICES - 1, False),
    ],
)
def test_a_clock_whose_blocks_are_refused_is_no_clock_to_be_asked(
    ahead_s: float, voices: int, unready: bool
) -> None:
    gauges = replace(WELL, clock_ahead_s=ahead_s, clock_voices=voices)
    (warning,) = warnings_of(Config(), SPEC, gauges)
    assert (warning.code, warning.unready) == ("clock_skewed", unready)
    assert ("behind" if ahead_s > 0 else "ahead of") in warning.message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_rpc_on_this_machine_only(host: str) -> None:
    assert codes(WELL, rpc_host=host) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "node.example"])
def test_rpc_that_others_reach(host: str) -> None:
    assert codes(WELL, rpc_host=host) == ["rpc_open"]
