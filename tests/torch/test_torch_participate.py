"""An author of a round on a real node whose network two processes train together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engram.node.datadir import make_data_dir
from tests.support.dev_node import PASSPHRASE, address_of, write_keys
from tests.support.node_process import PROGRAM, NodeCommand, engram, processes
from tests.support.stage import stage_spec

pytest.importorskip("torch", reason="PyTorch is not here: `make test-torch` brings it")

LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ROUND = ("--data", "digits", "--share", "1/4", "--take-classes", "0-1", "--rows", "20", "--epochs", "1")
WINDOWS = "open=8,reveal=8,commit=8,update=8,witness=8,audit=8,score=8,gap=1"
AUTHOR = ("--data", "digits", "--share", "2/4", "--take-classes", "0-1", "--steps", "100")


@pytest.mark.timeout(1800)
def test_two_processes_play_one_author(tmp_path: Path) -> None:
    make_data_dir(tmp_path, replace(stage_spec(), block_time_ms=150))
    write_keys(tmp_path)
    node = NodeCommand(tmp_path, "--dev", "--no-mine", "--miner-address", address_of("miner"))
    settings = {"ENGRAM_DATA_DIR": str(tmp_path), "ENGRAM_PASSPHRASE": PASSPHRASE}
    environment = {**os.environ, **settings, "OMP_NUM_THREADS": "1"}
    with processes(node):
        node.call("miner_muster", programs=2)
        node.call("miner_start")
        opened = engram(
            *("round", "open", *ROUND, "--windows", WINDOWS, "--bounty", "2", "--key", "bob", "--json"),
            **settings,
        )
        assert opened.returncode == 0, opened.stdout + opened.stderr
        running = (*PROGRAM, "round", "run", "--key", "bob", "--json")
        with subprocess.Popen(running, env=environment, stdout=subprocess.DEVNULL) as opener:
            try:
                playing = (*LAUNCHER, "--no-python", *PROGRAM, "participate", *AUTHOR)
                done = subprocess.run(
                    (*playing, "--trainer", "torch", "--device", "cpu", "--key", "alice", "--json"),
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, done.stdout + done.stderr
            except BaseException:
                opener.kill()
                raise
        assert opener.returncode == 0
    result = json.loads(done.stdout.splitlines()[-1])
    assert [epoch["code"] for epoch in result["epochs"]] == ["candidate_admitted"]
    assert result["updates"][0]["author"] == address_of("alice")


def test_without_a_device_of_this_name_nothing_is_sent(tmp_path: Path) -> None:
    settings = {"ENGRAM_DATA_DIR": str(tmp_path), "ENGRAM_PASSPHRASE": PASSPHRASE}
    write_keys(tmp_path)
    words = ("participate", *AUTHOR, "--trainer", "torch", "--device", "cuda:99", "--key", "alice", "--json")
    refused = engram(*words, **settings)
    assert refused.returncode != 0
    assert json.loads(refused.stdout)["error"]["code"] == "device_missing"
