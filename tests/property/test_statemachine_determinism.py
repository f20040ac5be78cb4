"""The same bytes in another process, with another hash seed, BLAS kernel and thread count."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from tests.support.source_tree import ROOT
from tests.support.tx_vectors import FOLDER, MAKERS

SCRIPT = """
import hashlib, json
from tests.support.tx_vectors import MAKERS
made = json.dumps({name: make() for name, make in sorted(MAKERS.items())})
print(hashlib.sha256(made.encode()).hexdigest())
"""


@pytest.mark.fault(id=33)
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "OPENBLAS_NUM_THREADS": "2"},
        {"PYTHONHASHSEED": "4242", "OPENBLAS_CORETYPE": "Haswell"},
    ],
    ids=["hash seed and threads", "hash seed and kernel"],
)
def test_another_process_makes_the_same_vectors(environment: dict[str, str]) -> None:
    frozen = {name: json.loads((FOLDER / f"tx_{name}.json").read_text("utf-8")) for name in sorted(MAKERS)}
    expected = hashlib.sha256(json.dumps(frozen).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == expected
