"""Makes networks of the chain of trained models of floats, and says how far the integers are from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from engram.library.errors import SklearnMissing
from engram.library.fidelity import Fidelity
from engram.library.float_layers import FloatDense, FloatModel, Floats
from engram.library.named import AnsweringNetwork, NamedNetwork, named
from engram.library.quantising import quantised
from engram.library.sampling import spread_rows
from engram.nn.evaluate import Features
from engram.nn.network import NetworkSpec, Parameters
from engram.node.extras import install_command
from engram.participant.errors import DatasetMismatch, TorchMissing
from engram.participant.tables.applying import mapped_values
from engram.participant.tables.errors import MappingMismatch
from engram.participant.tables.mapping import LARGEST, DataMapping, load_mapping

TORCH: Final = f"PyTorch is not installed: install it with {install_command('torch')}"
N = TypeVar("N")
GivenMapping = DataMapping | str | PathLike[str]
"""A mapping, or the path of its file."""


class Quantized(NamedTuple, Generic[N]):
    """A network of integers, and how far it is from the model of floats that it was made of."""

    network: N
    fidelity: Fidelity


class FromFloats(AnsweringNetwork):
    """The part of `Network` that makes networks of models of floats."""

    if TYPE_CHECKING:

        def __init__(self, spec: NetworkSpec, parameters: Parameters) -> None: ...

    @overload
    @classmethod
    def from_torch(
        cls,
        module: Any,
        X_calibration: npt.ArrayLike,
        *,
        mapping: None = ...,
        scale: npt.ArrayLike = ...,
        offset: npt.ArrayLike = ...,
        weight_bits: int = ...,
        bits: int = ...,
    ) -> Quantized[Self]: ...
    @overload
    @classmethod
    def from_torch(
        cls,
        module: Any,
        X_calibration: npt.ArrayLike,
        *,
        mapping: GivenMapping,
        scale: npt.ArrayLike = ...,
        offset: npt.ArrayLike = ...,
        weight_bits: int = ...,
        bits: int = ...,
    ) -> Quantized[NamedNetwork]: ...
    @classmethod
    def from_torch(
        cls,
        module: Any,
        X_calibration: npt.ArrayLike,
        *,
        mapping: GivenMapping | None = None,
        scale: npt.ArrayLike = 1.0,
        offset: npt.ArrayLike = 0.0,
        weight_bits: int = 16,
        bits: int = 10,
    ) -> Quantized[Self] | Quantized[NamedNetwork]:
        """A trained `torch.nn.Module` in integers of the chain.

        Linear, Conv2d, ReLU, MaxPool2d, BatchNorm, Dropout and Flatten may stand one after the other, as
        modules or as functions; a softmax or a sigmoid at the end is left out. `X_calibration` has the shape
        that the module takes, so images lie map by map: (rows, maps, height, width), or (rows, height, width)
        of one map. The other arguments are those of `from_sklearn`; for images a number or (maps, 1, 1). With
        a mapping, output k is its class k. Raises `TorchMissing`, and what `from_sklearn` raises.
        """
        try:
            from engram.library.torch_floats import read_torch
        except ModuleNotFoundError as error:
            raise TorchMissing(TORCH, got=str(error)) from error
        taken = Taken.of(X_calibration, mapping, scale, offset)
        model = read_torch(module, np.shape(X_calibration)[1:], taken.scale, taken.offset)
        return cls._of_floats(model, taken, weight_bits, bits)

    @overload
    @classmethod
    def from_sklearn(
        cls,
        model: Any,
        X_calibration: npt.ArrayLike,
        *,
        mapping: None = ...,
        scale: npt.ArrayLike = ...,
        offset: npt.ArrayLike = ...,
        weight_bits: int = ...,
        bits: int = ...,
    ) -> Quantized[Self]: ...
    @overload
    @classmethod
    def from_sklearn(
        cls,
        model: Any,
        X_calibration: npt.ArrayLike,
        *,
        mapping: GivenMapping,
        scale: npt.ArrayLike = ...,
        offset: npt.ArrayLike = ...,
        weight_bits: int = ...,
        bits: int = ...,
    ) -> Quantized[NamedNetwork]: ...
    @classmethod
    def from_sklearn(
        cls,
        model: Any,
        X_calibration: npt.ArrayLike,
        *,
        mapping: GivenMapping | None = None,
        scale: npt.ArrayLike = 1.0,
        offset: npt.ArrayLike = 0.0,
        weight_bits: int = 16,
        bits: int = 10,
    ) -> Quantized[Self] | Quantized[NamedNetwork]:
        """A fitted `MLPClassifier` with ReLUs, or a `LogisticRegression`, in integers of the chain.

        Before it, a `Pipeline` may have a `StandardScaler` or a `MinMaxScaler`. `X_calibration`: rows as for
        `predict`, to which the integers are fitted. If the model has learned on other values than 0 to 255,
        say how they come about: it takes X·scale + offset, each one number or one for each feature.

        With `mapping`, of `engram data convert`, X has the values of the data file, on which the model has
        learned, and so has what the network that comes back takes; it answers in the mapping's words. Class k
        of it is class k of the mapping, whatever the order of the model's labels, so that rounds on data of
        this mapping can build on it. The labels of the model are the words, or the numbers of the classes.

        `weight_bits` is 16, or 8, which halves what the network costs on a chain; `bits` are those of a
        hidden value, 1 to 16. Of very many rows, some that are spread evenly are taken. Raises
        `SklearnMissing`, `LayerUnsupported`, `NotQuantizable`, `NotEnoughRows`, what `predict` raises for X,
        leaves of `InvalidNetwork`, and with a mapping `MappingInvalid`, `MappingMismatch`, `ValuesMissing`.
        """
        try:
            from engram.library.sklearn_format import read_sklearn
        except ModuleNotFoundError as error:
            raise SklearnMissing(
                f"scikit-learn is not installed: install it with {install_command('sklearn')}", got=str(error)
            ) from error
        taken = Taken.of(X_calibration, mapping, scale, offset)
        return cls._of_floats(read_sklearn(model, taken.scale, taken.offset), taken, weight_bits, bits)

    @classmethod
    def _of_floats(
        cls, model: FloatModel, taken: Taken, weight_bits: int, bits: int
    ) -> Quantized[Self] | Quantized[NamedNetwork]:
        """The integers of a model, and the comparison of both on rows."""
        if taken.mapping is not None:
            model = _in_order(model, taken.mapping)
        chunks = spread_rows(taken.X, model.inputs)
        spec, parameters = quantised(model.layers, chunks[0].astype(np.float64), weight_bits, bits)
        network = cls(spec, parameters)
        floats = np.concatenate([model.probabilities(rows) for rows in chunks])
        integers = np.concatenate([network.predict_proba(rows) for rows in chunks])
        fidelity = Fidelity.of(floats, integers, model.labels)
        if taken.mapping is None:
            return Quantized(network, fidelity)
        return Quantized(named(network, taken.mapping), fidelity)


class Taken(NamedTuple):
    """The rows to which integers are fitted, as bytes, and how what the model takes follows from bytes."""

    X: npt.ArrayLike
    scale: npt.ArrayLike
    offset: npt.ArrayLike
    mapping: DataMapping | None

    @classmethod
    def of(
        cls, X: npt.ArrayLike, mapping: GivenMapping | None, scale: npt.ArrayLike, offset: npt.ArrayLike
    ) -> Taken:
        """With a mapping, X holds the values of a data file: the model takes value·scale + offset, and a
        value is low + byte·(high - low) / 255.
        """
        if mapping is None:
            return cls(X, scale, offset, None)
        known = mapping if isinstance(mapping, DataMapping) else load_mapping(Path(mapping))
        values = np.asarray(X)
        if values.ndim < 2 or values.dtype.kind not in "uif":
            raise DatasetMismatch(
                "X holds no rows of numbers", expected=("rows", known.inputs), got=values.shape
            )
        features = mapped_values(values.reshape(len(values), -1), known)
        low, high = (_shaped(each, values.shape[1:]) for each in (known.low, known.high))
        factor, term = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
        return cls(features, factor * (high - low) / LARGEST, factor * low + term, known)


def _shaped(ends: Sequence[float], shape: tuple[int, ...]) -> Floats:
    """One number for all values, or one for each in the shape of a row."""
    array = np.asarray(ends, np.float64)
    return array.reshape(()) if array.size == 1 else array.reshape(shape)


def _in_order(model: FloatModel, mapping: DataMapping) -> FloatModel:
    """The same model with its classes in the order of the mapping. Raises `MappingMismatch`."""
    numbers = _class_numbers(model.labels, mapping)
    if sorted(numbers) != list(range(len(numbers))):
        raise MappingMismatch(
            "the model does not know the first classes of the mapping, each of them once",
            expected=mapping.classes[: len(numbers)],
            got=tuple(map(str, model.labels)),
        )
    order = np.argsort(numbers)
    last = model.layers[-1]
    if isinstance(last, FloatDense):  # anything else at the end is refused when it is quantised
        last = replace(last, weights=last.weights[:, order], bias=last.bias[order])

    def probabilities(rows: Features) -> Floats:
        found: Floats = model.probabilities(rows)[:, order]
        return found

    names = mapping.classes[: len(numbers)]
    labels = names + tuple(str(each) for each in range(len(names), len(numbers)))
    return FloatModel(model.inputs, (*model.layers[:-1], last), labels, probabilities)


def _class_numbers(labels: Sequence[Any], mapping: DataMapping) -> list[int]:
    """The class of each label, which is a word of the mapping or the number of a class."""
    places = {word: place for place, word in enumerate(mapping.classes)}
    if not isinstance(labels, range) and all(str(each) in places for each in labels):
        return [places[str(each)] for each in labels]
    if all(isinstance(each, int) for each in labels):
        return [int(each) for each in labels]
    unknown = next(str(each) for each in labels if str(each) not in places)
    raise MappingMismatch(
        "a label of the model is no class of the mapping", expected=mapping.classes[:10], got=unknown
    )
