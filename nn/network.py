"""The network as a function, from uint8 features to integer logits, and the types that a caller names.

Hidden segments run in order, each an exact dense product and its activation (see `layers`). The logit of a
class is the maximum over its components of the sum of their output segments, clipped once to ±2^30, in Q16
nats.

Shapes and costs stand in `spec`, parameter checks and the bound proof in `parameters`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engram.nn.evaluate import Features, resume, unstarted
from engram.nn.fixed import Int64Array
from engram.nn.gemm import FAST, Engine
from engram.nn.parameters import Bounds, Parameters, SegmentParameters, prove_bounds
from engram.nn.spec import NetworkSpec

__all__ = ["Features", "NetworkSpec", "Parameters", "SegmentParameters", "forward", "predict"]


def forward(
    spec: NetworkSpec,
    parameters: Parameters,
    features: Features,
    bounds: Bounds | None = None,
    engine: Engine = FAST,
) -> Int64Array:
    """Logits (n, classes) int64, Q16 nats, of uint8 features (n, inputs): the same with every engine.

    `bounds` is what `prove_bounds` gave for these very parameters; without it they are checked and proved
    here. Raises `ShapeMismatch` for features of another shape, and what `prove_bounds` raises.
    """
    start = unstarted(spec, features)
    proved = prove_bounds(spec, parameters) if bounds is None else bounds
    return resume(spec, parameters, (*proved.hidden, *proved.outputs), start, engine)


def predict(logits: Int64Array) -> npt.NDArray[np.int64]:
    """Class of each row: the largest logit, the lowest class on a tie."""
    best: npt.NDArray[np.int64] = np.argmax(logits, axis=1).astype(np.int64)
    return best
