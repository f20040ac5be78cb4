"""Turns records into rows of bytes, as the chain holds them.

The encoder is fitted once, on training rows of the founder's first classes, and is public from then on: it
holds a few percentiles of each numeric attribute. Whoever teaches a later class uses it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from engram.participant.experiments.hospitals.records import MEASURED, Bytes, Floats, Records

RAMPS: Final = 3
"""Into so many stretches with about as many rows each the values of the fitted rows are divided."""
_ENDS: Final = (0.5, 99.5)
"""The percentiles between which the stretches lie."""
_MARGIN: Final = 0.25
"""How far values of later classes may lie beyond these ends, in distances between them."""
_RAMP_HEIGHT: Final = 128
_FLAG: Final = 64
_LEAST_MEASURED: Final = 20
"""An attribute with fewer measured values among the fitted rows has a flag only."""
_OFFSET: Final = 0.1
"""Added before a logarithm is taken, because some values are 0."""


@dataclass(frozen=True)
class Encoder:
    """How records become rows."""

    knots: Mapping[str, tuple[float, ...]]
    """For each numeric attribute, the rising values at which its stretches begin and end."""

    @classmethod
    def fitted(cls, records: Records, rows: npt.NDArray[np.bool_]) -> Encoder:
        """The encoder for these rows of the records."""
        knots = {}
        for name in MEASURED:
            values = _scaled(name, records.measured[name][rows])
            known = values[~np.isnan(values)]
            if len(known) < _LEAST_MEASURED:
                continue
            inner = np.percentile(known, np.linspace(*_ENDS, RAMPS + 1))
            beyond = _MARGIN * (inner[-1] - inner[0])
            knots[name] = tuple(np.unique([inner[0] - beyond, *inner, inner[-1] + beyond]).tolist())
        return cls(MappingProxyType(knots))

    def encode(self, records: Records) -> Bytes:
        """(n, inputs) bytes.

        An attribute becomes a flag that is set where it is missing, a number from 1 to 255 for its place
        between the ends, and one number for each stretch: 0 below it, rising inside, and full above it.
        """
        columns: list[Floats] = []
        for name in MEASURED:
            values = _scaled(name, records.measured[name])
            missing = np.isnan(values)
            columns.append(np.where(missing, float(_FLAG), 0.0))
            if (knots := self.knots.get(name)) is None:
                continue
            present = np.nan_to_num(values)
            columns.append(np.where(missing, 0.0, 1 + np.rint(254 * _place(present, knots[0], knots[-1]))))
            columns += [
                np.where(missing, 0.0, np.rint(_RAMP_HEIGHT * _place(present, *ends)))
                for ends in pairwise(knots)
            ]
        numbers = np.stack(columns, axis=1).astype(np.uint8)
        return np.concatenate([numbers, _FLAG * records.flags], axis=1)


def _place(values: Floats, low: float, high: float) -> Floats:
    """How far values lie between two ends, from 0 to 1."""
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def _scaled(name: str, values: Floats) -> Floats:
    """Values without errors of sign; those of the laboratory as logarithms."""
    values = np.clip(values, 0, None)
    return values if name == "age" else np.log(values + _OFFSET)
