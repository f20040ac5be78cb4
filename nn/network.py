"""The network as a function from uint8 features to integer logits, and the types that its callers need.

Hidden segments run in order; each is an exact dense product and its activation (see `layers`). Each output
segment adds to some components. The logit of a class is the largest of its components' sums, clipped once to
±2^30, in Q16 nats.

For shapes and costs see `spec`; for the checks of parameters and the bound proof see `parameters`.
"""

from __future__ import annotations

from engram.nn.engine import FAST, Engine
from engram.nn.evaluate import Features, unstarted
from engram.nn.fixed import Int64Array
from engram.nn.logits import predict
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
    """Logits of the rows, the same integers with every engine.

    Features: uint8 (n, inputs). Logits: int64 (n, classes), Q16 nats. `bounds` is what `prove_bounds`
    returned for exactly these parameters; if it is None, they are checked and proved here. Raises
    `ShapeMismatch` for features of another type or shape, and what `prove_bounds` raises.
    """
    start = unstarted(spec, features)
    proved = prove_bounds(spec, parameters) if bounds is None else bounds
    return engine.logits(spec, parameters, (*proved.hidden, *proved.outputs), start)
