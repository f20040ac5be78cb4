"""The engine of an experiment: its nodes and the replay of its chain evaluate networks with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.nn.engine import FAST
from engram.node.config import CONFIG_NAME
from engram.node.engines.choosing import engine_for, forget
from engram.node.engines.registry import ENGINES
from engram.node.localnet.localnet import Localnet
from engram.participant.arena.arena import Arena, arena_spec
from engram.participant.arena.replaying import replay
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.paper.experiment import QUICK
from engram.participant.experiments.paper.play import RULES, PaperRounds, actors
from engram.participant.experiments.plan import Scale
from engram.participant.experiments.registry import EXPERIMENTS, experiment_of
from engram.participant.experiments.setting import shares_of

NAME = "counting"
SMALL = replace(QUICK, participants=1, epochs=1, steps=60)


class Counting:
    """Computes as numpy does, and counts how often it is asked."""

    name = NAME

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        return getattr(FAST, name)


class Begun(Exception):  # it is no error: whoever raises it has seen enough
    """Raised in place of the start of a node."""


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """An engine that can be asked for by its name."""
    made = Counting()
    monkeypatch.setitem(ENGINES, NAME, lambda: made)
    forget()
    yield made
    forget()


async def test_a_node_and_a_replay_compute_with_the_engine_that_was_asked_for(
    tmp_path: Path, counting: Counting
) -> None:
    spec, shares = arena_spec(actors(SMALL), RULES), shares_of(SMALL, DataFolder())
    async with Arena(tmp_path / "node", spec, lambda notice: None, engine=NAME).running() as arena:
        async with arena.client() as client:
            assert (await client.call("node_status"))["engine"]["name"] == NAME
        assert engine_for(arena.engine) is counting, "it has passed its self-check"
        before = counting.asked
        assert (await PaperRounds(arena, SMALL, shares).found()).decided
        assert counting.asked > before
    before = counting.asked
    assert replay(tmp_path / "node", spec, tmp_path / "numpy")
    assert counting.asked == before
    assert replay(tmp_path / "node", spec, tmp_path / "again", NAME)
    assert counting.asked > before


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_cell_starts_its_nodes_with_the_engine_that_was_asked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def start(venue: Arena | Localnet) -> None:
        asked.append(venue.engine)
        raise Begun

    async def enter(net: Localnet) -> Localnet:
        start(net)
        return net

    monkeypatch.setattr(Arena, "start", start)
    monkeypatch.setattr(Localnet, "__aenter__", enter)
    experiment, data = experiment_of(name), DataFolder()
    kinds = {str(cell.settings.get("kind")): cell for cell in experiment.cells(Scale.QUICK, data)}
    for kind, cell in kinds.items():
        (work := tmp_path / kind).mkdir()
        with pytest.raises(Begun):
            experiment.run(cell, work, data, lambda line: None, "auto")
    assert asked == ["auto"] * len(kinds)


async def test_processes_of_a_network_are_told_the_engine_that_was_asked_for(tmp_path: Path) -> None:
    async with Localnet(tmp_path, arena_spec(actors(SMALL), RULES), nodes=1, engine="numpy") as net:
        assert 'engine = "numpy"' in (net.nodes[0].data_dir / CONFIG_NAME).read_text()
        assert (await net.nodes[0].client.call("node_status"))["engine"]["name"] == "numpy"
