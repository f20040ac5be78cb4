"""`engram memory` and `engram stats` without a node: what they make, and what they refuse by code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from engram.commands.memory import MEMORY_ENGINES, TRUNK_KINDS, command
from engram.node.files import write_private
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.making import TRUNKS
from engram.participant.memory.statistics import LEAST_ROWS
from engram.participant.memory.statistics_file import write
from tests.support.cli import Shell
from tests.support.node_process import command as command_line

pytestmark = pytest.mark.xdist_group("cli_memory")
FOUND = ("memory", "found", "--take-classes", "0-2", "--bank-neurons", "40", "--seed", "3")
DIGITS = ("--data", "digits", "--share", "1/4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture(scope="module")
def shell(place: Path) -> Shell:
    """A user without a chain."""
    return Shell(place / "none", {})


@pytest.fixture(scope="module")
def gate(shell: Shell, place: Path) -> str:
    """The folder of a founder whose engine needs sums."""
    shell.json(*FOUND, *DIGITS, "--engine", "gate", "--growths", "2", str(place / "gate"))
    return str(place / "gate")


@pytest.fixture(scope="module")
def replay(shell: Shell, place: Path) -> str:
    """The folder of a founder whose engine needs mixtures."""
    shell.json(*FOUND, *DIGITS, "--engine", "replay", str(place / "replay"))
    return str(place / "replay")


def made(shell: Shell, folder: str, share: str, file: Path, *classes: str) -> Any:
    rows = ("--data", "digits", "--share", share, "--take-classes", ",".join(classes or ("3", "4")))
    return shell.json("stats", "make", "--memory", folder, *rows, "-o", str(file))


def table(path: Path, rows: Any, labels: Any) -> str:
    """A data set as a file."""
    np.savez(path, features=np.asarray(rows, dtype=np.uint8), labels=np.asarray(labels, dtype=np.uint16))
    return str(path)


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_names_in_the_help_are_those_of_the_library() -> None:
    assert set(MEMORY_ENGINES) == set(ENGINES)
    assert TRUNK_KINDS == TRUNKS
    (least,) = (each for each in command.commands["found"].params if each.name == "least_rows")
    assert isinstance(least.type, click.IntRange)
    assert least.type.min == least.default == LEAST_ROWS


def test_what_people_read_of_a_folder(shell: Shell, gate: str) -> None:
    lines = shell.text("memory", "info", gate).splitlines()
    fields = {line[:14].strip(): line[14:].strip() for line in lines}
    assert fields["engine"] == "gate"
    assert fields["policy"] == "relative"
    assert fields["growths left"] == "2 banks, 2 within the limit"
    assert fields["simulated"].startswith("9 growths lost ")
    assert "20 of a class" in fields["least rows"]


def test_a_folder_is_for_its_owner_alone(gate: str) -> None:
    modes = {path.stat().st_mode & 0o077 for path in (Path(gate), *Path(gate).rglob("*"))}
    assert modes == {0}


def test_the_default_fits_the_limit_of_a_row(shell: Shell, tmp_path: Path) -> None:
    found = shell.json(*FOUND, *DIGITS, "--engine", "analytic", str(tmp_path / "a"))
    assert found["costs"]["growths_left"] == found["costs"]["fitting"] == 10
    refused = (*FOUND, *DIGITS, "--engine", "analytic", "--bank-neurons", "60000", str(tmp_path / "b"))
    assert shell.error(*refused)[1] == "growths_too_many"


def test_mixtures_are_made_merged_and_checked(shell: Shell, replay: str, tmp_path: Path) -> None:
    one = made(shell, replay, "1/3", tmp_path / "one")
    two = made(shell, replay, "2/3", tmp_path / "two", "4", "5")
    assert (one["kind"], one["components"]) == ("mixtures", {"3": 1, "4": 1})
    merged = shell.json("stats", "merge", "-o", str(tmp_path / "both"), one["file"], two["file"])
    again = shell.json("stats", "merge", "-o", str(tmp_path / "again"), two["file"], one["file"])
    assert merged["id"] == again["id"]
    assert merged["components"] == {"3": 1, "4": 2, "5": 1}
    assert merged["classes"]["4"] == one["classes"]["4"] + two["classes"]["4"]
    assert shell.json("stats", "verify", merged["file"], "--memory", replay)["id"] == merged["id"]
    assert "mixtures" in shell.text("stats", "info", merged["file"])


def test_a_file_within_another_is_left_out(shell: Shell, gate: str, tmp_path: Path) -> None:
    files = [made(shell, gate, f"{number}/3", tmp_path / f"{number}")["file"] for number in (1, 2, 3)]
    both = shell.json("stats", "merge", "-o", str(tmp_path / "both"), *files[:2])
    result = shell.run("stats", "merge", "-o", str(tmp_path / "same"), both["file"], files[0])
    assert result.exit_code == 0
    assert "is left out" in result.stderr
    assert (tmp_path / "same").read_bytes() == (tmp_path / "both").read_bytes()
    other = shell.json("stats", "merge", "-o", str(tmp_path / "other"), *files[1:])
    overlap = ("stats", "merge", "-o", str(tmp_path / "no"), both["file"], other["file"])
    assert shell.error(*overlap)[1] == "statistics_repeated"
    assert not (tmp_path / "no").exists()


def test_classes_are_numbered_as_on_the_chain(shell: Shell, gate: str, tmp_path: Path) -> None:
    rows = ("--data", "digits", "--share", "2/4", "--take-classes", "7,5", "--first-class", "3")
    named = shell.json("stats", "make", "--memory", gate, *rows, "-o", str(tmp_path / "named"))
    assert named["classes"].keys() == {"3", "4"}
    rng = np.random.default_rng(0)
    own = table(tmp_path / "own.npz", rng.integers(0, 17, (60, 64)), [0, 1] * 30)
    moved = ("--data", own, "--first-class", "5", "-o", str(tmp_path / "moved"))
    assert shell.json("stats", "make", "--memory", gate, *moved)["classes"] == {"5": 30, "6": 30}


BAD_ROWS: dict[str, Callable[[np.random.Generator], tuple[Any, Any]]] = {
    "single_class": lambda rng: (rng.integers(0, 17, (80, 64)), [0] * 80),
    "constant_features": lambda rng: (np.full((80, 64), 7), [0, 1] * 40),
    "too_few_rows_to_hide": lambda rng: (rng.integers(0, 17, (80, 64)), [0] * 61 + [1] * 19),
    "class_without_rows": lambda rng: (rng.integers(0, 17, (80, 64)), [0, 2] * 40),
}


@pytest.mark.parametrize("code", BAD_ROWS)
@pytest.mark.parametrize("engine", ["gate", "analytic", "replay"])
def test_rows_from_which_nothing_can_be_founded(shell: Shell, tmp_path: Path, code: str, engine: str) -> None:
    data = table(tmp_path / "rows.npz", *BAD_ROWS[code](np.random.default_rng(1)))
    words = ("memory", "found", "--data", data, "--engine", engine, "--bank-neurons", "20", "--yes")
    assert shell.error(*words, str(tmp_path / "out"))[1] == code
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npz"], "nothing is left behind"


def test_experts_need_more_rows_than_components(shell: Shell, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).integers(0, 17, (6, 64))
    data = table(tmp_path / "rows.npz", rows, [0, 0, 0, 0, 0, 1])
    words = ("memory", "found", "--data", data, "--engine", "experts", str(tmp_path / "out"))
    assert shell.error(*words)[1] == "fewer_rows_than_components"


def test_rows_that_are_no_whole_numbers(shell: Shell, gate: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(",".join(["nan"] * 64 + ["0"]) for _ in range(30)))
    words = ("stats", "make", "--memory", gate, "--data", str(path), "-o", str(tmp_path / "out"))
    assert shell.error(*words)[1] == "values_missing"
    assert not (tmp_path / "out").exists()


def test_a_trunk_for_images_needs_images(shell: Shell, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    data = table(tmp_path / "rows.npz", rng.integers(0, 255, (90, 21)), [0, 1, 2] * 30)
    words = ("memory", "found", "--data", data, "--engine", "gate", "--bank-neurons", "20", "--growths", "1")
    refused = (*words, "--trunk", "convolution", str(tmp_path / "out"))
    assert shell.error(*refused)[1] == "trunk_mismatch"
    assert shell.json(*words, str(tmp_path / "out"))["trunk_segments"] == 0, "auto takes the features"


def test_a_folder_that_is_not_free_is_not_touched(shell: Shell, gate: str) -> None:
    before = listing(Path(gate))
    assert shell.error(*FOUND, *DIGITS, "--engine", "gate", gate)[1] == "memory_folder_invalid"
    assert listing(Path(gate)) == before


def test_rows_of_another_kind_are_refused(shell: Shell, gate: str, tmp_path: Path) -> None:
    data = table(tmp_path / "rows.npz", np.random.default_rng(2).integers(0, 17, (60, 63)), [0, 1] * 30)
    words = ("stats", "make", "--memory", gate, "--data", data)
    assert shell.error(*words)[1] == "feature_count_mismatch"


def test_few_rows_are_neither_summed_up_nor_read(shell: Shell, gate: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(2).integers(0, 17, (60, 64))
    few = table(tmp_path / "few.npz", rows, [3] * 41 + [4] * 19)
    before = listing(Path(gate))
    assert shell.error("stats", "make", "--memory", gate, "--data", few)[1] == "too_few_rows_to_hide"
    assert listing(Path(gate)) == before
    folder = MemoryFolder(Path(gate))
    given = folder.statistics()
    assert given is not None
    write_private(tmp_path / "few.sums", write(replace(given, counts=given.counts - given.counts + 19)))
    for words in (("verify", "--memory", gate), ("info",), ("merge", "-o", str(tmp_path / "out"))):
        refused = ("stats", words[0], str(tmp_path / "few.sums"), *words[1:])
        assert shell.error(*refused)[1] == "too_few_rows_to_hide"
    assert not (tmp_path / "out").exists()


def test_rows_that_sums_would_give_away_are_not_summed_up(shell: Shell, gate: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(2).integers(0, 17, (60, 64))
    rows[30:] = rows[30]
    same = table(tmp_path / "same.npz", rows, [3] * 30 + [4] * 30)
    assert shell.error("stats", "make", "--memory", gate, "--data", same)[1] == "constant_features"
    far = table(tmp_path / "far.npz", rows[:30], [1_024] * 30)
    assert shell.error("stats", "make", "--memory", gate, "--data", far)[1] == "unknown_labels"


def test_sums_that_no_rows_have_are_refused(shell: Shell, gate: str, tmp_path: Path) -> None:
    given = MemoryFolder(Path(gate)).statistics()
    assert given is not None
    forged = given.gram.copy()
    forged[3, 3] = -1
    write_private(tmp_path / "forged", write(replace(given, gram=forged)))
    result = shell.run("stats", "verify", str(tmp_path / "forged"))
    assert result.exit_code != 0
    assert "[statistics_forged]" in result.stderr
    assert str(tmp_path / "forged") in result.stderr, "the file is named"


def test_sums_of_another_model_are_refused(shell: Shell, gate: str, tmp_path: Path) -> None:
    shell.json(*FOUND[:-1], "4", *DIGITS, "--engine", "gate", "--growths", "2", str(tmp_path / "other"))
    file = made(shell, str(tmp_path / "other"), "2/4", tmp_path / "foreign")["file"]
    assert shell.error("stats", "verify", file, "--memory", gate)[1] == "bank_mismatch"
    mine = made(shell, gate, "2/4", tmp_path / "mine")["file"]
    assert shell.error("stats", "merge", "-o", str(tmp_path / "out"), file, mine)[1] == "bank_mismatch"


@pytest.mark.parametrize("kind", ["found", "keep", "write"])
def test_a_full_disk_leaves_nothing_half_written(shell: Shell, gate: str, tmp_path: Path, kind: str) -> None:
    """The shell limits the size of files, which says of a larger one what a full disk says."""
    words = {
        "found": [*FOUND, *DIGITS, "--engine", "gate", "--growths", "9", str(tmp_path / "new")],
        "keep": ["stats", "make", "--memory", gate, *DIGITS, "--first-class", "7", "--take-classes", "7"],
        "write": ["stats", "make", "--memory", gate, *DIGITS, "-o", str(tmp_path / "sums")],
    }[kind]
    before = listing(Path(gate))
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 6; exec "$@"', "bash", *command_line(*words), "--json"],
        env={**os.environ, "ENGRAM_DATA_DIR": str(shell.data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["error"]["code"] == "disk_full", done.stderr
    assert list(tmp_path.iterdir()) == []
    assert listing(Path(gate)) == before


def test_an_interrupted_founding_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    words = (*FOUND, *DIGITS, "--engine", "naive", str(tmp_path / "new"))
    with subprocess.Popen(
        command_line(*words),
        env={**os.environ, "ENGRAM_DATA_DIR": str(shell.data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "trunk" in process.stderr.readline()
        assert "simulated growths" in process.stderr.readline(), "what follows takes seconds"
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate()
    assert process.returncode == 130
    assert printed == ""
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(shell: Shell, gate: str, replay: str, tmp_path: Path) -> None:
    sums = made(shell, gate, "2/4", tmp_path / "sums")["file"]
    mixtures = made(shell, replay, "2/4", tmp_path / "mixtures")["file"]
    out = str(tmp_path / "out")
    assert shell.error("stats", "merge", "-o", out, sums, mixtures)[1] == "handover_mixed"
    raw = (tmp_path / "sums").read_bytes()
    for content, code in ((b"rows", "handover_unknown"), (raw[:-4], "statistics_malformed")):
        (tmp_path / "bad").write_bytes(content)
        assert shell.error("stats", "info", str(tmp_path / "bad"))[1] == code
        assert shell.error("stats", "merge", "-o", out, sums, str(tmp_path / "bad"))[1] == code
    assert not Path(out).exists()
    assert shell.error("stats", "merge", "-o", mixtures, sums)[1] == "file_exists_already"
    assert shell.json("stats", "merge", "-o", mixtures, sums, "--force")["kind"] == "sums"


def test_a_folder_without_a_memory_says_what_to_do(shell: Shell, gate: str, tmp_path: Path) -> None:
    make = ("stats", "make", "--memory", str(tmp_path), *DIGITS)
    assert shell.error(*make)[1] == "memory_folder_invalid"
    (tmp_path / "memory.json").write_text("{}")
    assert shell.error(*make)[1] == "memory_file_invalid"
    shutil.copy(Path(gate, "memory.json"), tmp_path)
    assert shell.error(*make)[1] in ("node_unreachable", "chain_not_found"), "the trunk is on the chain"


def test_experts_hand_over_nothing(shell: Shell, tmp_path: Path) -> None:
    shell.json(*FOUND, *DIGITS, "--engine", "experts", str(tmp_path / "mind"))
    make = ("stats", "make", "--memory", str(tmp_path / "mind"), *DIGITS)
    assert shell.error(*make)[1] == "nothing_handed_over"
