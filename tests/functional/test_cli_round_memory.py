"""`engram round open` and `participate` with a memory folder: limits, advice, warnings, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.participant.gate_odds import usual_epsilon
from engram.participant.memory.folder import MemoryFolder
from tests.support.cli import Shell
from tests.support.dev_node import served_shell

pytestmark = pytest.mark.xdist_group("cli_round_memory")
ROWS = ("--data", "digits", "--share", "2/3", "--take-classes", "0-2", "--rows", "40", "--key", "alice")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait; alice and bob have coins."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture(scope="module")
def mind(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a founder."""
    folder = tmp_path_factory.mktemp("minds") / "mind"
    rows = ("--data", "digits", "--share", "1/3", "--take-classes", "0-2", "--seed", "1")
    bank = ("--engine", "gate", "--bank-neurons", "40", "--growths", "2")
    shell.json("memory", "found", *rows, *bank, str(folder))
    return str(folder)


def test_a_model_is_founded_with_what_is_advised(shell: Shell, mind: str) -> None:
    opened = shell.json("round", "open", "--memory", mind, *ROWS, "--parts", "3", "--witness", "bob")
    odds, advice = opened["odds"], opened["odds"]["advice"]
    assert advice["judged"] == {"old_rows": 48, "new_rows": 32, "retention_rows": 40, "groups": [24, 24]}
    assert odds["epsilon_ppm"] == advice["epsilon_ppm"] > 20_000
    assert odds["surely"] > 0.999
    model = shell.json("model", "show", opened["model"])
    assert {name: model[name] for name in ("classes", "policy", "loss_kind", "frozen")} == {
        "classes": 3,
        "policy": "relative",
        "loss_kind": "softmax_cross_entropy",
        "frozen": False,
    }
    assert model["retention_epsilon_ppm"] == odds["epsilon_ppm"]
    assert model["retention_delta_ppm"] == odds["delta_ppm"]
    assert model["threshold_ppm"] == odds["threshold_ppm"] >= 200_000
    assert model["lost_cap_ppm"] == odds["lost_cap_ppm"]
    (version,) = shell.json("model", "versions", opened["model"])
    network = MemoryFolder(Path(mind)).founding()
    assert len(version["added"]["spec"]["hidden"]) == len(network.spec.hidden)


def test_limits_that_make_growth_a_coin_toss_are_warned_of(shell: Shell, mind: str) -> None:
    limits = ("--epsilon", "0.02", "--delta", "0", "--lost-cap", "0", "--threshold", "0.001")
    result = shell.run("round", "open", "--memory", mind, *ROWS, *limits)
    assert result.exit_code == 0
    for name in ("epsilon 0.02", "delta 0", "threshold 0.001", "lost cap 0"):
        assert f"warning: with {name}," in result.stderr
    fields = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if " " in line.strip())
    assert fields["limits"].strip() == "epsilon 0.02, delta 0, threshold 0.001, lost cap 0"
    assert "growth passes  likely" in result.stdout


def test_enough_is_not_warned_of(shell: Shell, mind: str) -> None:
    result = shell.run("round", "open", "--memory", mind, *ROWS, "--seed", "5")
    assert result.exit_code == 0
    assert "warning" not in result.stderr


def test_a_founding_without_a_memory_says_what_passes(shell: Shell) -> None:
    rows = ("--data", "digits", "--take-classes", "0-2", "--key", "alice")
    result = shell.run("round", "open", *rows, "--rows", "60", "--epsilon", "0.02")
    assert "so chance decides on honest growths that lose more than 0.6%" in result.stderr
    told = r"^may forget +1 of 60 old rows, in a growth judged by so many \(epsilon 0\.02, as you say\)$"
    assert re.search(told, result.stdout, re.MULTILINE)
    assert "witness" not in result.stdout, "there is none"
    result = shell.run("round", "open", *rows, "--rows", "100", "--epsilon", "0.1")
    assert "warning" not in result.stderr


def test_an_epsilon_that_nobody_names_is_computed_and_said(shell: Shell) -> None:
    """Seen: with the default 0.02 and the fewest rows, one honest growth of fifteen passed."""
    rows = ("--data", "digits", "--take-classes", "0-2", "--key", "alice", "--rows", "24")
    result = shell.run("round", "open", *rows)
    assert result.exit_code == 0
    assert "old rows" not in result.stderr, "it is no coin toss"
    assert "epsilon 0.177, computed)" in result.stdout
    assert usual_epsilon(24, 0, 24) == 177_000
    opened = shell.json("round", "open", *rows, "--witness", "bob")
    assert (opened["epsilon_ppm"], opened["epsilon_computed"]) == (usual_epsilon(24, 24, 24), True)
    assert opened["sure_share"] > 0.05
    model = shell.json("model", "show", opened["model"])
    assert model["retention_epsilon_ppm"] == opened["epsilon_ppm"]
    standing = shell.json("round", "open", *rows, "--standing-witness", "bob")
    assert standing["epsilon_ppm"] == opened["epsilon_ppm"], "every later round has its rows, too"
    assert standing["unseen_rows"] == opened["unseen_rows"] == 48
    chosen = shell.json("round", "open", *rows, "--epsilon", "0.05")
    assert (chosen["epsilon_ppm"], chosen["epsilon_computed"]) == (50_000, False)


@pytest.mark.parametrize(
    "options",
    [("--hidden", "4"), ("--loss", "zero_one"), ("--classes", "3"), ("--weight-bits", "16")],
    ids=lambda options: options[0],
)
def test_what_the_memory_has_fixed_cannot_be_chosen(
    shell: Shell, mind: str, options: tuple[str, ...]
) -> None:
    assert shell.error("round", "open", "--memory", mind, *ROWS, *options)[1] == "usage"


def test_a_policy_that_the_engine_cannot_grow_is_refused(shell: Shell, mind: str) -> None:
    refused = ("round", "open", "--memory", mind, *ROWS, "--policy", "strict")
    assert shell.error(*refused)[1] == "engine_policy_mismatch"


def test_rows_of_another_class_are_refused(shell: Shell, mind: str) -> None:
    rows = ("--data", "digits", "--take-classes", "0-3", "--rows", "40", "--key", "alice")
    assert shell.error("round", "open", "--memory", mind, *rows)[1] == "dataset_mismatch"


def test_a_damaged_folder_opens_nothing(shell: Shell, mind: str, tmp_path: Path) -> None:
    rounds = len(shell.json("round", "list"))
    for name, code in (("founding", "founding_malformed"), ("trials.json", "memory_file_invalid")):
        copy = tmp_path / name
        copy.mkdir()
        for file in ("memory.json", "founding", "trials.json"):
            raw = Path(mind, file).read_bytes()
            (copy / file).write_bytes(raw[:-7] if file == name else raw)
        assert shell.error("round", "open", "--memory", str(copy), *ROWS)[1] == code
    assert len(shell.json("round", "list")) == rounds


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--statistics", "FILE", "--data", "digits"),
        ("--memory", "MIND", "--steps", "5"),
        ("--memory", "MIND", "--neurons", "5"),
        ("--memory", "MIND", "--adopt", "x.npz"),
    ],
    ids=" ".join,
)
def test_authors_are_told_which_options_go_together(
    shell: Shell, mind: str, options: tuple[str, ...]
) -> None:
    words = [{"MIND": mind, "FILE": f"{mind}/memory.json"}.get(word, word) for word in options]
    assert shell.error("participate", *words, "--key", "alice")[1] == "usage"
