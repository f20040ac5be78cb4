"""The states of a consolidation: legal ways only, and on disk before anything follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.participant.learn.errors import IllegalTransition, LearnStateDamaged
from engram.participant.learn.states import (
    LEGAL,
    AwaitingProof,
    ConsolidationState,
    ForgettingRows,
    KeepingSums,
    LearnState,
    OpeningRound,
    PlayingRound,
    Resting,
    Spent,
    StateFile,
)

NAME = b"\5" * 32
STATES: tuple[ConsolidationState, ...] = (
    Resting(),
    OpeningRound(NAME),
    PlayingRound(NAME, None),
    PlayingRound(NAME, b"\6" * 32),
    AwaitingProof(NAME, 2),
    KeepingSums(NAME, 2),
    ForgettingRows(NAME, 2),
)


@given(walk=st.lists(st.sampled_from(STATES), max_size=30))
def test_a_walk_takes_legal_steps_only_and_is_on_disk_after_each(
    tmp_path_factory: pytest.TempPathFactory, walk: list[ConsolidationState]
) -> None:
    path = tmp_path_factory.mktemp("walk") / "state.json"
    states = StateFile(path)
    for wanted in walk:
        before = states.now
        if type(wanted) in LEGAL[type(before.at)]:
            states.go(wanted, failures=before.failures + 1)
            assert states.now == LearnState(wanted, failures=before.failures + 1)
        else:
            with pytest.raises(IllegalTransition):
                states.go(wanted)
            assert states.now == before
        assert StateFile(path).now == states.now


def test_rows_are_forgotten_only_after_a_proof_and_after_their_sums_are_kept() -> None:
    def ways(at: type, path: tuple[type, ...]) -> list[tuple[type, ...]]:
        if at is ForgettingRows:
            return [path]
        return [way for after in LEGAL[at] if after not in path for way in ways(after, (*path, after))]

    found = ways(Resting, (Resting,))
    assert found
    assert all(way[-3:] == (AwaitingProof, KeepingSums, ForgettingRows) for way in found)


def test_every_state_leads_back_to_rest() -> None:
    reached: set[type] = {Resting}
    while more := {at for at, after in LEGAL.items() if after & reached} - reached:
        reached |= more
    assert reached == set(LEGAL)


def test_everything_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    state = LearnState(
        PlayingRound(NAME, b"\7" * 32), 3, 2**62, 9, 1_700_000_000_000, (NAME,), (Spent(5, NAME, 6, 7),)
    )
    StateFile(tmp_path / "state.json").save(state)
    assert StateFile(tmp_path / "state.json").now == state


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"engram_learn": 2, "state": {}}', '{"engram_learn": 1, "state": {"at": 7}}'],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(LearnStateDamaged, match=r"state\.json"):
        StateFile(tmp_path / "state.json")


def test_an_unknown_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    StateFile(path).save(LearnState())
    content = json.loads(path.read_text())
    content["state"]["at"]["type"] = "Dreaming"
    path.write_text(json.dumps(content))
    with pytest.raises(LearnStateDamaged):
        StateFile(path)
