"""From a founding or a growth to what its transaction carries: sources of tensors, and the tensors."""

from __future__ import annotations

from collections.abc import Sequence

from engram.nn.network import Parameters
from engram.nn.seeded import Seeded
from engram.nn.tensor import Explicit, tensor_bytes
from engram.primitives.types import Hash
from engram.statemachine.additions import SegmentSources
from engram.statemachine.content import blob_id


def sources_of(
    seeded: Sequence[Seeded | None], parameters: Parameters
) -> tuple[tuple[SegmentSources, ...], tuple[SegmentSources, ...], tuple[bytes, ...]]:
    """Sources of the hidden segments and of the outputs, and the tensors that have to travel, each once.

    `seeded` has an entry for each hidden segment; its weights travel as a seed if that is not None.
    """
    tensors: dict[Hash, bytes] = {}
    segments = []
    for place, given in enumerate(parameters):
        seed = seeded[place] if place < len(seeded) else None
        bias = tensor_bytes(given.bias)
        tensors[blob_id(bias)] = bias
        if seed is None:
            weights = tensor_bytes(given.weights)
            tensors[blob_id(weights)] = weights
        source = Explicit(blob_id(weights)) if seed is None else seed
        segments.append(SegmentSources(source, Explicit(blob_id(bias))))
    return tuple(segments[: len(seeded)]), tuple(segments[len(seeded) :]), tuple(tensors.values())
