"""Where the tests find MNIST's four files, which do not ship with Engram."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist"


def mnist_folder() -> Path:
    """The folder that ENGRAM_DATA names, or one beside the checkout. Skips where there is none."""
    folder = Path(os.environ.get("ENGRAM_DATA", BESIDE))
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"no MNIST in {folder}: set ENGRAM_DATA to a folder with its four idx files")
    return folder
