"""The benchmark runner: every row reaches the table and the file, every failure the exit status."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import run
from benchmarks.measure import Row, interleaved

HIT = Row("tree_update_us", 25.0, None, None, "<= 40 us", ok=True)
MISS = Row("verify_images_per_s", 80_000.0, 100_000.0, 0.8, "ratio >= 0.90", ok=False)


def rows_of_tree(quick: bool) -> Iterable[Row]:
    return [HIT] if quick else []


def rows_of_verify(quick: bool) -> Iterable[Row]:
    return [MISS]


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
    printed = capsys.readouterr().out
    assert HIT.name in printed
    assert f"target missed: {MISS.name}\n" in printed


def test_only_runs_what_is_named(benchmarks: Benchmarks) -> None:
    benchmarks.add("tree", rows_of_tree)
    benchmarks.add("verify", rows_of_verify)
    benchmarks.run("--quick", "--only", "verify")
    assert [row["name"] for row in benchmarks.written()] == [MISS.name]


@pytest.mark.parametrize(("rows", "status"), [(rows_of_tree, 0), (rows_of_verify, 1)])
def test_strict_fails_on_a_missed_target(
    benchmarks: Benchmarks, rows: Callable[[bool], Iterable[Row]], status: int
) -> None:
    benchmarks.add("any", rows)
    assert benchmarks.run("--quick", "--strict") == status


def test_a_broken_benchmark_fails_the_run_and_stops_no_other(benchmarks: Benchmarks) -> None:
    benchmarks.add("broken", rows_of_broken)
    benchmarks.add("verify", rows_of_verify)
    assert benchmarks.run() == 1
    assert [row["name"] for row in benchmarks.written()] == [MISS.name]


def test_interleaved_runs_each_program_once_a_pair_and_changes_the_order() -> None:
    order: list[str] = []
    pairs = interleaved(lambda: order.append("c"), lambda: order.append("b"), pairs=4)
    assert "".join(order) == "cb" + "cb" + "bc" + "cb" + "bc"
    assert len(pairs.candidate_s) == len(pairs.baseline_s) == 4
