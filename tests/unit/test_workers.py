"""Tests of one `xdist_group` run in one process: what they share is made once, and costs its seconds once."""

from pathlib import Path

import pytest


@pytest.mark.xdist_group("one_worker")
@pytest.mark.parametrize("turn", range(4))
def test_a_group_stays_in_one_process(
    turn: int, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> None:
    own: Path = tmp_path_factory.getbasetemp()
    common = own if worker_id == "master" else own.parent
    (common / f"one-worker-{worker_id}").mkdir(exist_ok=True)
    assert len(list(common.glob("one-worker-*"))) == 1
