"""The alerts of `deploy/prometheus`, judged by Prometheus on pages that nodes serve, minute by minute."""

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from engram.node.metrics import REORG_BOUNDS, Gauges, Metrics, render
from engram.node.rpc.warnings import CODES
from tests.support.source_tree import ROOT

ALERTS = ROOT / "deploy/prometheus/alerts.yml"
SOUND = Gauges(
    chain_height=100,
    head_age_s=3.0,
    target_block_s=30.0,
    outbound_peers=2,
    inbound_peers=1,
    named_peers=2,
    free_bytes=2**40,
    warnings=dict.fromkeys(CODES, False),
)
MINUTES = 30

Page = dict[str, str]
"""Every series of a page of measurements, with its value."""
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def minutes(state: Callable[[int, Metrics], Gauges]) -> list[Page]:
    """The pages of one node. `state` changes its counters minute by minute and gives its gauges."""
    counted = Metrics()
    pages = []
    for minute in range(MINUTES):
        gauges = replace(state(minute, counted), uptime_s=60.0 * minute)
        lines = render(counted, gauges)[0].decode().splitlines()
        pages.append({line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if line[0] != "#"})
    return pages


def series(pages: Sequence[Page], job: str, instance: str, version: int = 3) -> list[dict[str, str]]:
    """The pages as Prometheus of this version keeps them. Since version 3 it writes bounds as floats."""
    place = f'job="{job}",instance="{instance}"'
    found = [{"series": f"up{{{place}}}", "values": f"1x{len(pages)}"}]
    for name in pages[0]:
        bare, _, labels = name.rstrip("}").partition("{")
        if version == 3:
            labels = re.sub(r'le="(\d+)"', r'le="\1.0"', labels)
        values = " ".join(page[name] for page in pages)
        found.append({"series": f"{bare}{{{','.join(filter(None, (place, labels)))}}}", "values": values})
    return found


def firing(folder: Path, given: list[dict[str, str]]) -> set[str]:
    """The names of the alerts that fire at the end."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    none_expected = [{"eval_time": f"{MINUTES - 1}m", "alertname": name, "exp_alerts": []} for name in names]
    tests = [{"interval": "1m", "input_series": given, "alert_rule_test": none_expected}]
    path = folder / "tests.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})
    )
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True)
    found = set(re.findall(r"alertname: *(\w+)", done.stdout + done.stderr))
    assert bool(done.returncode) == bool(found), done.stdout + done.stderr
    return found


def shallow(minute: int, counted: Metrics) -> Gauges:
    """Nine flat reorganisations a minute, as on a chain with a block in half a second."""
    for depth in (1, 1, 1, 2, 1, 3, 1, 2, 6):
        counted.reorganised(depth)
    return replace(SOUND, chain_height=100 + minute)


def deep(minute: int, counted: Metrics) -> Gauges:
    if minute == MINUTES - 5:
        counted.reorganised(7)
    return shallow(minute, counted)


def long_ago(minute: int, counted: Metrics) -> Gauges:
    if minute == MINUTES - 20:
        counted.reorganised(7)
    return shallow(minute, counted)


@needs_promtool
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("state", "fires"), [(shallow, False), (deep, True), (long_ago, False)])
def test_one_deep_reorganisation_is_told_and_many_flat_ones_are_not(
    tmp_path: Path, state: Callable[[int, Metrics], Gauges], fires: bool, version: int
) -> None:
    told = firing(tmp_path, series(minutes(state), "engram", "one:8645", version))
    assert told == ({"EngramDeepReorganisation"} if fires else set())


@needs_promtool
def test_a_node_whose_peers_all_came_by_themselves(tmp_path: Path) -> None:
    surrounded = replace(SOUND, outbound_peers=0, named_peers=0)
    named = replace(SOUND, outbound_peers=0, named_peers=1)
    given = [
        *series(minutes(lambda minute, counted: surrounded), "engram", "one:8645"),
        *series(minutes(lambda minute, counted: named), "engram", "two:8645"),
    ]
    assert firing(tmp_path, given) == {"EngramNoOutboundPeers"}
    assert firing(tmp_path, [each for each in given if "two:8645" in each["series"]]) == set()


@needs_promtool
def test_chains_in_jobs_of_their_own(tmp_path: Path) -> None:
    """A shorter chain is not behind, and a node that is down is told in every job."""
    shorter = replace(SOUND, chain_height=5)
    given = [
        *series(minutes(lambda minute, counted: SOUND), "engram", "one:8645"),
        *series(minutes(lambda minute, counted: shorter), "engram-test", "two:8645"),
    ]
    assert firing(tmp_path, given) == set()
    down = {"series": 'up{job="engram-test",instance="three:8645"}', "values": f"0x{MINUTES}"}
    assert firing(tmp_path, [*given, down]) == {"EngramDown"}


def test_the_bound_of_a_deep_reorganisation_is_one_of_the_histogram() -> None:
    (bound,) = re.findall(r'reorg_depth_blocks_bucket\{le=~"(\d+)\|(\d+)\[\.\]0"', ALERTS.read_text())
    assert bound[0] == bound[1]
    assert int(bound[0]) in REORG_BOUNDS
