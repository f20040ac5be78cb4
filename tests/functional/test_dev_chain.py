"""A chain for development: nothing on it waits for time."""

from dataclasses import replace
from pathlib import Path

import pytest

import engram
from engram.consensus.chainspec import ChainSpec
from engram.library import nodes

HOUR_MS = 3_600_000


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Development chains whose blocks would come each hour if they waited for the clock."""
    usual = nodes.dev_spec

    def hourly(accounts: tuple[str, ...]) -> ChainSpec:
        return replace(usual(accounts), block_time_ms=HOUR_MS)

    monkeypatch.setattr(nodes, "dev_spec", hourly)


@pytest.mark.usefixtures("slow_clock")
def test_a_round_goes_on_as_fast_as_those_who_play_it(tmp_path: Path) -> None:
    data = engram.load_data("digits")
    first, second = slice(0, 300), slice(300, 600)
    with engram.dev_node(("alice", "bob"), folder=tmp_path / "node") as alice:
        opened = alice.open_round(data.features[first], data.labels[first], bounty=5)
        with opened.running():
            bob = alice.using("bob")
            played = bob.round(opened.id).participate(data.features[second], data.labels[second], steps=20)
        assert played.outcome.status == "decided"
        assert alice.head().height > 20
