"""The gradients of the dense product x·W + b, which several layer kinds share."""

from __future__ import annotations

from engram.participant.training.layers.kind import Array


class TrainedDense:
    """The part of a `LayerKind` that all dense kinds have in common."""

    def parameter_gradients(self, segment: object, below: Array, error: Array) -> tuple[Array, Array]:
        """xᵀ·error (fan_in, width), and the error summed over the rows (width,)."""
        return below.T @ error, error.sum(axis=0)

    def input_gradient(self, segment: object, below: Array, weights: Array, error: Array) -> Array:
        """error·Wᵀ (rows, fan_in)."""
        return error @ weights.T
