"""Compares with PyTorch, which is in a folder of its own: on this processor, on a card, and in training."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.measure import Row, skipped

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".venv" / "torch"
"""Where `scripts/venv torch` installs PyTorch."""
NAMES: Final = (
    "verify_torch_int8_rows_per_s_vs_torch_float32",
    "cuda_large_tmacs_per_s_vs_bf16",
    "cuda_large_share_of_int8_peak",
    "cuda_bits_differing",
    "cuda_small_rows_per_s_vs_bf16",
    "train_steps_per_s_vs_torch_fake_quant",
    "grow_steps_per_s_vs_torch_fake_quant",
)


def rows(quick: bool) -> Iterable[Row]:
    if find_spec("torch") is None and not FOLDER.exists():
        yield from (skipped(name, "PyTorch is not installed: scripts/venv torch") for name in NAMES)
        return
    paths = [str(ROOT), *([str(FOLDER)] if FOLDER.exists() else [])]
    paths += [path for path in (os.environ.get("PYTHONPATH"),) if path]
    command = [sys.executable, "-m", "benchmarks.torch_rows", *(["--quick"] if quick else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None, "a pipe was asked for"
        for line in process.stdout:
            yield Row(**json.loads(line))
    if process.returncode:
        raise RuntimeError(f"benchmarks.torch_rows ended with status {process.returncode}")
