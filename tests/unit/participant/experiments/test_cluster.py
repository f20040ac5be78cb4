"""Cells on a Dask cluster of two worker processes."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from engram.participant.experiments import cluster as clusters
from engram.participant.experiments.cluster import cluster
from engram.participant.experiments.data import DataFolder
from engram.participant.experiments.errors import CellFailed, LibraryMissing, SchedulerUnreachable
from engram.participant.experiments.plan import Scale
from engram.participant.experiments.runner import Ran, RunPlan, run_experiment
from tests.support.small_experiment import Counting


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    return RunPlan(Counting(tmp_path), Scale.QUICK, tmp_path / "out", DataFolder())


@pytest.mark.filterwarnings("default")
def test_cells_are_computed_by_the_workers_and_kept_here(tmp_path: Path, plan: RunPlan) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    (tmp_path / "class-1.fails").touch()
    events: list[Ran] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as workers:
            with pytest.raises(CellFailed, match="class 1 cannot be counted"):
                run_experiment(plan, cluster(workers.scheduler_address), 2, events.append)
            (tmp_path / "class-1.fails").unlink()
            assert run_experiment(plan, cluster(workers.scheduler_address), 2, events.append)
    assert sorted(event.cell for event in events) == ["class-0", "class-1", "class-1", "class-2"]
    pids = {(tmp_path / f"class-{each}.begun").read_text() for each in range(3)}
    assert len(pids) == 2, "two processes have shared the cells"
    assert (plan.out / "report.md").exists()


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_does_not_answer_is_named(plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    monkeypatch.setattr(clusters, "CONNECT_S", 1)
    with pytest.raises(SchedulerUnreachable):
        run_experiment(plan, cluster("tcp://127.0.0.1:9"), 1, lambda ran: None)


def test_without_dask_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    with pytest.raises(LibraryMissing, match=r"engram\[dask\]"):
        cluster("tcp://127.0.0.1:8786")
