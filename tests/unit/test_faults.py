"""`make faults`: how many inputs a test plays, and what is said of a fault that was survived or was not."""

from pathlib import Path

import pytest

from tests.support import play_faults
from tests.support.faults import FAULTS, SCALE_VARIABLE, inputs
from tests.support.play_faults import Row, files_of, remembered, summary, write

TOLD = {"id": 16, "test": "t", "code": "", "ratio": None, "inputs": 3, "survived": 3, "outcome": "passed"}


def test_the_suite_plays_samples_and_the_command_the_scaled_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCALE_VARIABLE, raising=False)
    assert inputs(16, sample=5) == 5
    monkeypatch.setenv(SCALE_VARIABLE, "0.1")
    assert inputs(16, sample=5) == FAULTS[16].inputs // 10
    assert inputs(16, sample=5, share=0.5) == FAULTS[16].inputs // 20
    assert inputs(16, sample=77) == 77, "never fewer than in the suite"


def test_a_fault_is_survived_if_every_test_of_it_passes() -> None:
    told = [TOLD | {"code": "a", "ratio": 1.5}, TOLD | {"code": "b", "ratio": 0.5}, TOLD]
    row = summary(16, told, 0, 2.0, 0.1, "digest")
    assert (row.inputs, row.survived, row.code, row.ratio, row.ok) == (9, 9, "a,b", 1.5, True)


def test_one_failing_test_is_named() -> None:
    row = summary(16, [TOLD, TOLD | {"test": "u", "survived": 0, "outcome": "failed"}], 1, 2.0, 0.1, "digest")
    assert (row.inputs, row.survived, row.ok, row.failed) == (6, 3, False, ("u",))


@pytest.mark.parametrize("status", [2, 3, 4])
def test_a_run_that_breaks_is_no_survival(status: int) -> None:
    assert summary(16, [TOLD], status, 2.0, 0.1, "digest").ok is False
    assert summary(16, [], status, 2.0, 0.1, "digest").ok is False


def test_what_is_skipped_is_not_played() -> None:
    assert summary(16, [TOLD | {"survived": 0, "outcome": "skipped"}], 0, 2.0, 0.1, "digest").ok is None


def test_tests_are_found_by_their_marks() -> None:
    assert "tests/functional/test_chain_crash.py" in files_of(16)
    assert "tests/property/test_p2p_frames.py" in files_of(1)


def test_what_was_played_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "build" / "faults.json"
    rows = {16: Row(16, "name", 3, 3, "a", None, True, 1.0, ("t",), 0.1, "digest")}
    write(path, rows)
    assert remembered(path) == rows
    assert remembered(tmp_path / "nothing.json") == {}


def test_an_unknown_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        play_faults.main(["99"])
    assert "no fault 99" in capsys.readouterr().err
