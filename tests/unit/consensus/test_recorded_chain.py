"""Fifty recorded blocks give the same roots everywhere: hash seeds, BLAS kernels, threads, two numpys."""

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.nn.engine import REFERENCE
from engram.statemachine.rounds.claims import CONFIRM_KIND, DISPUTE_KIND
from engram.statemachine.transactions import TX_TYPES
from tests.support.replay_chain import replay

ROOT = Path(__file__).parents[3]
PYPROJECT = ROOT / "pyproject.toml"
VECTOR_PATH = ROOT / "tests" / "vectors" / "consensus_chain_50.json"
VECTOR: dict[str, Any] = json.loads(VECTOR_PATH.read_text())
EXPECTED = [{"id": entry["id"], "state_root": entry["state_root"]} for entry in VECTOR["blocks"]]

KERNELS = {"Nehalem": "sse4_2", "Sandybridge": "avx", "Haswell": "avx2", "SkylakeX": "avx512bw"}
"""OpenBLAS kernels of x86-64, and the processor flag without which a kernel cannot run."""


def replay_elsewhere(**environment: str) -> dict[str, Any]:
    """What a process with these variables prints; its blocks must be the recorded ones."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    paths = [path for path in (environment.pop("PYTHONPATH", ""), str(ROOT)) if path]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.replay_chain", str(VECTOR_PATH)],
        env={**inherited, **environment, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["blocks"] == EXPECTED
    return told


@cache
def processor_flags() -> frozenset[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpuinfo.exists():
        return frozenset()
    return frozenset(re.findall(r"\w+", cpuinfo.read_text().partition("flags")[2].partition("\n")[0]))


def test_the_chain_holds_every_transaction_type_and_both_outcomes() -> None:
    chain = replay(VECTOR)
    assert chain.height == 50
    claims = {CONFIRM_KIND, DISPUTE_KIND}
    assert {tx.kind for block in chain.blocks for tx in block.transactions} == set(TX_TYPES) - claims, (
        "the chain is older than claims, which stand in tx_confirm_update and tx_dispute_claim"
    )
    receipts = [receipt for executed in chain.executed for receipt in executed.result.receipts]
    assert [receipt.code for receipt in receipts if receipt.code] == ["loss_mismatch"]
    names = [event.name for receipt in receipts for event in receipt.events]
    assert names.count("version_created") == 2


def test_the_chain_has_blocks_of_many_targets() -> None:
    assert len({block.header.target for block in replay(VECTOR).blocks}) > 10


def test_the_reference_engine_gives_the_same_roots() -> None:
    chain = replay(VECTOR, REFERENCE)
    assert [executed.result.root.hex() for executed in chain.executed] == [
        entry["state_root"] for entry in EXPECTED
    ]


def test_hash_seeds() -> None:
    told = [replay_elsewhere(PYTHONHASHSEED=seed, OPENBLAS_NUM_THREADS="1") for seed in ("0", "1", "random")]
    assert told[0]["hash_of_text"] != told[1]["hash_of_text"]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads(threads: str) -> None:
    told = replay_elsewhere(OPENBLAS_NUM_THREADS=threads)
    if not told["blas"]:
        pytest.skip("the same roots, but numpy's BLAS does not tell its threads")
    assert told["blas"]["threads"] == min(int(threads), len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels(kernel: str) -> None:
    if KERNELS[kernel] not in processor_flags():
        pytest.skip(f"this processor cannot run OpenBLAS's {kernel} kernel")
    told = replay_elsewhere(OPENBLAS_CORETYPE=kernel, OPENBLAS_NUM_THREADS="2")
    if not told["blas"]:
        pytest.skip("the same roots, but numpy's BLAS does not tell its kernel")
    assert told["blas"]["core"] == kernel


def test_the_oldest_supported_numpy() -> None:
    folder = Path(sys.prefix) / "oldest-numpy"
    assert folder.is_dir(), f"{folder} is missing: scripts/venv test makes it"
    told = replay_elsewhere(PYTHONPATH=str(folder), OPENBLAS_NUM_THREADS="1")
    assert told["numpy"] != np.__version__
    assert f"numpy>={told['numpy']}" in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
