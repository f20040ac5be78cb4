"""`engram experiment`: what it lists, and what it refuses before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from engram.cli import main
from engram.node.engines.choosing import forget
from engram.node.engines.registry import ENGINES
from engram.node.errors import EngineMissing
from engram.participant.experiments import runner
from engram.participant.experiments.registry import EXPERIMENTS, experiment_of


def test_every_experiment_is_listed_with_the_data_it_reads() -> None:
    printed = CliRunner().invoke(main, ["experiment", "list"], prog_name="engram")
    assert printed.exit_code == 0, printed.output
    for name in EXPERIMENTS:
        assert f"\n{name}" in f"\n{printed.stdout}"
    assert "mnist (--data)" in printed.stdout
    listed = json.loads(CliRunner().invoke(main, ["experiment", "list", "--json"]).stdout)["experiments"]
    assert [each["name"] for each in listed] == list(EXPERIMENTS)
    lifelong = next(each for each in listed if each["name"] == "lifelong")
    assert lifelong["quick"] == ["digits"]
    assert lifelong["full"] == ["mnist", "fashion-mnist", "letters"]


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_an_experiment_is_the_one_of_its_name(name: str) -> None:
    assert experiment_of(name).name == name


def test_an_unknown_cell_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    arguments = ["experiment", "lifelong", "--quick", "--out", str(tmp_path / "out"), "--only", "nowhere"]
    printed = CliRunner().invoke(main, arguments, prog_name="engram")
    assert printed.exit_code == 65
    assert "digits-3-order0-seed0" in printed.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "variables", "engine"),
    [
        ((), {}, "numpy"),
        (("--engine", "auto"), {}, "auto"),
        ((), {"ENGRAM_ENGINE": "auto"}, "auto"),
        (("--engine", "numpy"), {"ENGRAM_ENGINE": "auto"}, "numpy"),
    ],
)
def test_the_engine_that_was_asked_for_is_passed_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    variables: dict[str, str],
    engine: str,
) -> None:
    plans: list[runner.RunPlan] = []
    monkeypatch.setattr(runner, "run_experiment", lambda plan, *rest: plans.append(plan))
    monkeypatch.delenv("ENGRAM_ENGINE", raising=False)
    arguments = ["experiment", "paper", "--quick", "--out", str(tmp_path / "out"), *options]
    printed = CliRunner().invoke(main, arguments, prog_name="engram", env=variables)
    assert printed.exit_code == 0, printed.output
    assert [plan.engine for plan in plans] == [engine]


def test_an_engine_that_is_missing_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise EngineMissing("there is none here", got="cuda")

    monkeypatch.setitem(ENGINES, "cuda", missing)
    forget()
    arguments = ["experiment", "paper", "--quick", "--out", str(tmp_path / "out"), "--engine", "cuda"]
    printed = CliRunner().invoke(main, arguments, prog_name="engram")
    assert EngineMissing.code in printed.output
    assert printed.exit_code != 0
    assert not (tmp_path / "out").exists()
