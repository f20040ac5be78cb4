"""Replays a recorded chain through every validation stage and prints what came out, as JSON.

Run as a program, it stands for another node: another process, hash seed, BLAS kernel, thread count, numpy.
"""

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engram.consensus.block import Block
from engram.consensus.chainspec import load_spec
from engram.nn.engine import Engine
from engram.primitives.codec import decode
from engram.statemachine.scoring import Scorer
from tests.support.memory_chain import MemoryChain


def replay(vector: dict[str, Any], engine: Engine | None = None) -> MemoryChain:
    """The chain of a vector's blocks, each validated as a node would."""
    scorer = Scorer() if engine is None else Scorer(engine=engine)
    chain = MemoryChain(load_spec(json.dumps(vector["spec"])), scorer=scorer)
    for entry in vector["blocks"]:
        chain.take(decode(Block, bytes.fromhex(entry["raw"])))
    return chain


def recomputed(vector: dict[str, Any]) -> list[dict[str, str]]:
    """Id and state root of every block, as this process computes them."""
    chain = replay(vector)
    return [
        {"id": executed.id.hex(), "state_root": executed.result.root.hex()} for executed in chain.executed
    ]


def blas() -> dict[str, object]:
    """Kernel and number of threads of the OpenBLAS that numpy has loaded; empty where they cannot be told."""
    try:
        maps = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return {}
    paths = [line.split()[-1] for line in maps if "openblas" in line]
    if not paths:
        return {}
    library = ctypes.CDLL(paths[0])
    core = getattr(library, "scipy_openblas_get_corename64_", None)
    threads = getattr(library, "scipy_openblas_get_num_threads64_", None)
    if core is None or threads is None:
        return {}
    core.restype = ctypes.c_char_p
    return {"core": core().decode(), "threads": threads()}


def main() -> None:
    vector = json.loads(Path(sys.argv[1]).read_text())
    print(
        json.dumps(
            {
                "blocks": recomputed(vector),
                "numpy": np.__version__,
                "hash_of_text": hash("engram"),
                "blas": blas(),
            }
        )
    )


if __name__ == "__main__":
    main()
