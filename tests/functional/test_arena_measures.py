"""What the arena says of a chain: marks of versions, transactions, and what a new node spends on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engram.nn.loss import LossKind, score
from engram.nn.network import forward
from engram.participant.arena.arena import Arena, arena_spec, key_of
from engram.participant.arena.entries import entries_of
from engram.participant.arena.examining import NO_MARKS, Marks
from engram.participant.arena.replaying import replay
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.paper.experiment import QUICK
from engram.participant.experiments.paper.play import RULES, PaperRounds, actors
from engram.participant.experiments.setting import OLD, shares_of
from engram.participant.view import ChainView

SMALL = replace(QUICK, participants=1, epochs=1, steps=60)


async def test_marks_entries_and_a_replay_tell_of_one_chain(tmp_path: Path) -> None:
    spec, shares = arena_spec(actors(SMALL), RULES), shares_of(SMALL, DataFolder())
    async with Arena(tmp_path / "node", spec, lambda notice: None).running() as arena:
        rounds = PaperRounds(arena, SMALL, shares)
        assert (await rounds.found()).decided
        marks = await rounds.examine([1])
        async with arena.client() as client:
            view = ChainView(client)
            version = await view.head_version(await arena.model(rounds.model))
            spec_of_network = (await view.composition(version)).spec
            parameters = await view.parameters(version)
            entries = await entries_of(client, {key_of(name).address: name for name in actors(SMALL)})
    rows = shares.test.of_classes(OLD)
    own = score(
        LossKind.SOFTMAX_CROSS_ENTROPY, forward(spec_of_network, parameters, rows.features), rows.labels
    )
    assert marks == {(1, "old"): Marks(rows.rows, own.correct, own.loss / 2**24)}
    judged = replay(tmp_path / "node", spec, tmp_path / "scratch")
    assert [(each.height, each.name) for each in judged] == [(each.height, each.name) for each in entries]
    assert all(each.seconds > 0 for each in judged)
    named = {each.sender for each in entries}
    assert named == {"founder", "witness", "examiner", "participant 1"}
    assert all(each.size_bytes > 100 and each.fee > 0 and each.code == "" for each in entries)


def test_marks_add_up() -> None:
    both = Marks(10, 5, 1.5) + Marks(30, 25, 0.5) + NO_MARKS
    assert both == Marks(40, 30, 2.0)
    assert both.accuracy == pytest.approx(0.75)
