"""The benchmark runner: every row reaches the table and the file, every failure the exit status."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import run
from benchmarks.bench_mnist import ACCURACY, LOSS, TRAINED
from benchmarks.measure import Row, interleaved_seconds, skipped
from tests.support.source_tree import ROOT

HIT = Row("tree_update_us", 25.0, None, None, "<= 40 us", ok=True)
SKIP = skipped("mnist_accuracy", "no MNIST")
MISS = Row("verify_images_per_s", 80_000.0, 100_000.0, 0.8, "ratio >= 0.90", ok=False)


def rows_of_tree(quick: bool) -> Iterable[Row]:
    return [HIT] if quick else []


def rows_of_verify(quick: bool) -> Iterable[Row]:
    return [MISS]


def rows_of_absent(quick: bool) -> Iterable[Row]:
    return [SKIP]


def rows_of_broken(quick: bool) -> Iterable[Row]:
    raise LookupError("no such baseline")


class Benchmarks:
    """Stands for the folder of benchmark files; `run` starts the runner on it and returns its exit status."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self._names: list[str] = []
        self.output = folder / "build" / "bench.json"
        patch.setattr(run, "benchmark_names", lambda: self._names)
        for variable in run.BLAS_THREADS:  # main() sets them; put them back after the test
            patch.setenv(variable, "1")

    def add(self, name: str, rows: Callable[[bool], Iterable[Row]]) -> None:
        module = ModuleType(f"benchmarks.bench_{name}")
        self._patch.setattr(module, "rows", rows, raising=False)
        self._patch.setitem(sys.modules, module.__name__, module)
        self._names.append(name)

    def run(self, *arguments: str) -> int:
        return run.main([*arguments, "--output", str(self.output)])

    def written(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads(self.output.read_text(encoding="utf-8"))["rows"]
        return rows


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Benchmarks:
    return Benchmarks(monkeypatch, tmp_path)


def test_rows_reach_the_table_and_the_file(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmarks.add("tree", rows_of_tree)
    benchmarks.add("verify", rows_of_verify)
    assert benchmarks.run("--quick") == 0
    assert [row["name"] for row in benchmarks.written()] == [HIT.name, MISS.name]
    assert {tuple(row) for row in benchmarks.written()} == {
        ("name", "value", "baseline", "ratio", "target", "ok")
    }
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split() == [HIT.name, "25.00", "-", "-", "<=", "40", "us", "yes"]
    assert MISS.name in printed.err, "progress"


def test_json_is_printed_as_it_is_written(benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]) -> None:
    benchmarks.add("verify", rows_of_verify)
    benchmarks.run("--json")
    assert json.loads(capsys.readouterr().out)["rows"] == benchmarks.written()


def test_only_runs_what_is_named(benchmarks: Benchmarks) -> None:
    benchmarks.add("tree", rows_of_tree)
    benchmarks.add("verify", rows_of_verify)
    benchmarks.run("--only", "verify")
    assert [row["name"] for row in benchmarks.written()] == [MISS.name]


def test_a_missed_target_is_named_and_fails_the_run(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmarks.add("verify", rows_of_verify)
    assert benchmarks.run() == 1
    load, missed = capsys.readouterr().err.splitlines()[-2:]
    assert load.startswith("load when it began: ")
    assert load.endswith("absolute times need an idle machine")
    assert missed == f"target missed: {MISS.name}", "the last line before make's own"
    assert benchmarks.run("--quick") == 0, "numbers of a quick run mean nothing"


def test_what_is_skipped_says_so_and_is_no_miss(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmarks.add("mnist", rows_of_absent)
    assert benchmarks.run() == 0
    (row,) = benchmarks.written()
    assert (row["value"], row["ok"]) == (None, None)
    assert "skipped: no MNIST" in capsys.readouterr().out


def test_what_has_no_target_is_shown_and_is_no_miss(
    benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Row("submit_vs_other_ms", 8.0, 2.0, 4.0, "no target, for comparison", ok=None)
    benchmarks.add("other", lambda quick: [shown])
    assert benchmarks.run() == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("no target, for comparison  -")


def test_a_broken_benchmark_fails_the_run_and_stops_no_other(benchmarks: Benchmarks) -> None:
    benchmarks.add("broken", rows_of_broken)
    benchmarks.add("verify", rows_of_verify)
    assert benchmarks.run() == 2
    assert [row["name"] for row in benchmarks.written()] == [MISS.name]


def test_interleaved_runs_each_program_once_a_pair_and_changes_the_order() -> None:
    order: list[str] = []

    def program(name: str) -> float:
        order.append(name)
        return 2.0 if name == "c" else 1.0

    pairs = interleaved_seconds(lambda: program("c"), lambda: program("b"), pairs=4)
    assert "".join(order) == "cb" + "cb" + "bc" + "cb" + "bc"
    assert (pairs.candidate_s, pairs.baseline_s, pairs.speed) == ((2.0,) * 4, (1.0,) * 4, 0.5)


@pytest.mark.slow
def test_the_real_benchmarks_run(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--output", str(output)]
    for name in ("chain", "mnist", "nn"):  # node starts processes that tests/e2e starts anyway
        command += ["--only", name]
    environment = {**os.environ, "ENGRAM_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text(encoding="utf-8"))["rows"]
    measured = {row["name"] for row in rows if row["ok"] is not None}
    assert len(measured) == 12, sorted(measured)
    assert {row["name"] for row in rows} - measured == {ACCURACY, LOSS, TRAINED}
