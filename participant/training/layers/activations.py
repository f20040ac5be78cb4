"""The rounded activations with straight-through slopes, which dense and convolving kinds share."""

from __future__ import annotations

import numpy as np

from engram.participant.training.layers.kind import Array


def relu(accumulators: Array, shift: int, bits: int) -> tuple[Array, Array]:
    """The rounded and clipped ReLU, with the slope of the unrounded one in its range."""
    top = np.float32(2**bits - 1)
    scaled = accumulators * np.float32(2.0**-shift)
    inside = (scaled > 0) & (scaled < top)
    return np.clip(np.floor(scaled + np.float32(0.5)), 0, top), inside * np.float32(2.0**-shift)


def square(accumulators: Array, s1: int, h: int, s2: int, bits: int) -> tuple[Array, Array]:
    """The rounded and clipped square, with the slope of the unrounded one in its range."""
    top, half = np.float32(2**bits - 1), np.float32(2**h)
    scaled = accumulators * np.float32(2.0**-s1)
    q = np.clip(np.floor(scaled + np.float32(0.5)), -half, half - 1)
    squared = q * q * np.float32(2.0**-s2)
    inside = (np.abs(scaled) < half) & (squared < top)
    slope = inside * q * np.float32(2.0 * 2.0**-s2 * 2.0**-s1)
    return np.clip(np.floor(squared + np.float32(0.5)), 0, top), slope.astype(np.float32)


def root(accumulators: Array, shift: int, bits: int) -> tuple[Array, Array]:
    """The square root, rounded down and clipped, with the slope of the unrounded one in its range."""
    top = np.float32(2 ** (2 * bits) - 1)
    scaled = accumulators * np.float32(2.0**-shift)
    inside = (scaled > 0) & (scaled < top)
    rounded = np.clip(np.floor(scaled + np.float32(0.5)), 0, top)
    # The slope grows without bound towards 0: below one activation step it is that of the first step.
    slope = np.float32(0.5) / np.sqrt(np.maximum(rounded, 1))
    return np.floor(np.sqrt(rounded)), (inside * slope * np.float32(2.0**-shift)).astype(np.float32)
