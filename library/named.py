"""A network together with the mapping of its data: floats and words go in, words come out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engram.library.evaluation import Evaluation
from engram.library.explanation import Explanation
from engram.nn.evaluate import Features
from engram.nn.fixed import Int64Array
from engram.nn.loss import LossKind
from engram.participant.errors import DatasetMismatch
from engram.participant.tables.applying import mapped_labels, mapped_values, unnamed_classes
from engram.participant.tables.errors import MappingMismatch
from engram.participant.tables.mapping import DataMapping, listed, load_mapping

Words = npt.NDArray[np.str_]


class AnsweringNetwork(Protocol):
    """A `Network`."""

    @property
    def inputs(self) -> int: ...
    @property
    def classes(self) -> int: ...
    def predict(self, X: npt.ArrayLike) -> Int64Array: ...
    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]: ...
    def explain(self, X: npt.ArrayLike) -> Explanation: ...
    def evaluate(self, X: npt.ArrayLike, y: npt.ArrayLike, loss_kind: LossKind) -> Evaluation: ...


@dataclass(frozen=True, eq=False, repr=False)
class NamedNetwork:
    """A network that takes values and labels as a data file has them, by the mapping of `data convert`.

    Every X may hold whole numbers and floats, (rows, inputs) or pictures; values are scaled as those of the
    first file were. Errors are those of the network, and `MappingMismatch`, `ValuesMissing`, `LabelUnknown`.
    """

    network: AnsweringNetwork
    mapping: DataMapping

    @property
    def names(self) -> tuple[str, ...]:
        """The label of each class; the number of a class that the mapping does not know."""
        known = self.mapping.classes[: self.network.classes]
        return known + tuple(str(label) for label in range(len(known), self.network.classes))

    def __repr__(self) -> str:
        return f"NamedNetwork({self.network!r}, {listed(self.names, 'classes')})"

    def features(self, X: npt.ArrayLike) -> Features:
        """X as the network takes it, (rows, inputs) uint8.

        None and NaN are missing values, which the mapping fills if it was made with --missing mean.
        """
        values = np.asarray(X)
        if values.dtype.kind == "O" and not any(isinstance(each, str) for each in values.flat):
            with suppress(TypeError, ValueError):  # what is no number is refused below
                values = values.astype(np.float64)  # None becomes NaN
        if values.ndim >= 2 and values.dtype.kind in "OUS":
            raise DatasetMismatch(
                "X holds text or other things that are no numbers: give the numbers themselves, and None or "
                "NaN for a value that is missing",
                expected="numbers",
                got=str(values.dtype),
            )
        if values.ndim < 2 or values.dtype.kind not in "uif":
            raise DatasetMismatch(
                "X holds no rows of numbers", expected=("rows", self.mapping.inputs), got=values.shape
            )
        return mapped_values(values.reshape(len(values), -1), self.mapping)

    def predict(self, X: npt.ArrayLike) -> Words:
        """(rows,): the label of the predicted class of each row."""
        return np.array(self.names)[self.network.predict(self.features(X))]

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(rows, classes): probabilities, in the order of `names`."""
        return self.network.predict_proba(self.features(X))

    def explain(self, X: npt.ArrayLike) -> Explanation:
        """Whose neurons made the predictions; `names` says what the classes are called."""
        return replace(self.network.explain(self.features(X)), names=self.names)

    def evaluate(
        self,
        X: npt.ArrayLike,
        y: Sequence[Any] | npt.ArrayLike,
        loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
    ) -> Evaluation:
        """Loss, accuracy and confusion on rows with the labels of their file."""
        labels: Int64Array = mapped_labels(np.asarray(y).astype(str).tolist(), self.mapping)
        found = self.network.evaluate(self.features(X), labels, loss_kind)
        return replace(found, names=self.names)


def named(network: AnsweringNetwork, mapping: DataMapping | str | PathLike[str]) -> NamedNetwork:
    """A network with its mapping. A warning of Python says if the network has classes that it does not name.

    Raises `MappingInvalid`, and `MappingMismatch` for that of other rows.
    """
    known = mapping if isinstance(mapping, DataMapping) else load_mapping(Path(mapping))
    if known.inputs != network.inputs:
        raise MappingMismatch(
            "the mapping has another number of features than the network has inputs",
            expected=network.inputs,
            got=known.inputs,
        )
    if (unnamed := unnamed_classes(known, network.classes)) is not None:
        warnings.warn(unnamed, stacklevel=3)
    return NamedNetwork(network, known)
