"""Fixed filters of a convolution trunk: oriented Gabor filters and pooling windows, as small integers.

A Gabor filter is a wave under a Gaussian window; it answers to edges of one orientation. (Daugman 1985,
J. Opt. Soc. Am. A 2:1160.) Nothing here is learned.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

ORIENTATIONS: Final = 8
PHASES: Final = 4
"""Quarter turns of the wave: the two even and the two odd filters of an orientation."""
LARGEST: Final = 127
WINDOW_LARGEST: Final = 15


def gabor(side: int, *, spread: float, frequency: float, slant: float = 0.5) -> npt.NDArray[np.int8]:
    """Gabor filters int8 (ORIENTATIONS·PHASES, side, side); the phases of an orientation follow each other.

    `spread` is the standard deviation of the window in pixels, `frequency` the wave's radians a pixel,
    `slant` the ratio of the window's two widths. Each filter sums to about 0, so flat areas give 0; all have
    one scale, and the largest weight is ±127.
    """
    middle = (side - 1) / 2
    y, x = np.mgrid[-middle : middle + 1, -middle : middle + 1]
    filters = []
    for number in range(ORIENTATIONS):
        angle = np.pi * number / ORIENTATIONS
        across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        window = np.exp(-(across**2 + (slant * along) ** 2) / (2 * spread**2))
        for phase in range(PHASES):
            wave = window * np.cos(frequency * across + phase * np.pi / 2)
            wave -= window * (wave.sum() / window.sum())
            filters.append(wave / np.abs(wave).sum())
    stacked = np.stack(filters)
    whole: npt.NDArray[np.int8] = np.rint(stacked / np.abs(stacked).max() * LARGEST).astype(np.int8)
    return whole


def window(side: int) -> npt.NDArray[np.int8]:
    """A pooling window int8 (side, side): the product of two half sine waves, from 1 to 15."""
    slope = np.sin(np.pi * (np.arange(side) + 0.5) / side)
    weights = np.outer(slope, slope)
    scaled: npt.NDArray[np.int8] = np.rint(weights / weights.max() * WINDOW_LARGEST).astype(np.int8)
    return np.maximum(scaled, np.int8(1))
