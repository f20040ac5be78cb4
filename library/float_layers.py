"""A model of floats as a stack of layers, which the readers of other tools' formats put together.

Each layer reads the one before. Maps lie channel by channel, as PyTorch and ONNX keep them and as the chain
reads them. What scales values, such as a normalisation, is folded into the weights that follow or precede it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.library.errors import LayerUnsupported
from engram.nn.evaluate import Features

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FloatDense:
    """x·W + b, and then perhaps a ReLU."""

    weights: Floats
    """(values read, values made)."""
    bias: Floats
    relu: bool = False


@dataclass(frozen=True, eq=False)
class FloatConv:
    """A convolution, and then perhaps a ReLU."""

    height: int
    breadth: int
    stride: int
    padding: int
    groups: int
    weights: Floats
    """(maps made, maps of a group, kernel, kernel)."""
    bias: Floats
    relu: bool = False


@dataclass(frozen=True)
class FloatPool:
    """The largest value under a window that moves over each map."""

    height: int
    breadth: int
    kernel: int
    stride: int
    padding: int


FloatLayer = FloatDense | FloatConv | FloatPool


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A model of floats that has been read: what it is made of, and what it says itself."""

    inputs: int
    layers: Sequence[FloatLayer]
    labels: Sequence[Any]
    """What the model calls each class; a range if classes have no names there, only places."""
    probabilities: Callable[[Features], Floats]
    """What the model itself makes of features (rows, inputs) uint8: probabilities (rows, classes)."""


class FloatStack:
    """Layers that are put on top of each other, from the input on.

    Every method raises `LayerUnsupported`, which names the layer, for what no chain can hold.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        """`shape` is that of one row: (values,), or (maps, height, width)."""
        self.shape = shape
        self._layers: list[FloatLayer] = []
        self._scale: Floats | None = None
        self._offset: Floats | None = None

    def scaled(self, name: str, scale: npt.ArrayLike, offset: npt.ArrayLike) -> None:
        """Values become x·scale + offset; both fit the shape of a row by numpy's rules of broadcasting.

        It goes into the layer before, if that has no ReLU yet, else into the next one.
        """
        factor, term = (_spread(name, each, self.shape) for each in (scale, offset))
        last = self._layers[-1] if self._layers else None
        if self._scale is None and isinstance(last, FloatDense | FloatConv) and not last.relu:
            self._layers[-1] = _scaled_after(name, last, factor, term)
            return
        before = (np.ones(self.shape), np.zeros(self.shape))
        if self._scale is not None and self._offset is not None:
            before = self._scale, self._offset
        self._scale, self._offset = before[0] * factor, before[1] * factor + term

    def dense(self, name: str, weights: npt.ArrayLike, bias: npt.ArrayLike) -> None:
        """A layer of weights (values read, values made) and a bias (values made,)."""
        own, offsets = np.asarray(weights, np.float64), np.asarray(bias, np.float64)
        if len(self.shape) != 1:
            raise LayerUnsupported(f"{name} reads maps: flatten them before", got=self.shape)
        if own.ndim != 2 or own.shape[0] != self.shape[0] or offsets.shape != own.shape[1:]:
            raise LayerUnsupported(f"{name} does not fit what it reads", expected=self.shape, got=own.shape)
        self._check_follows(name)
        scale, offset = self._pending()
        if scale is not None and offset is not None:
            own, offsets = own * scale[:, None], offsets + offset @ own
        self._layers.append(FloatDense(own, offsets))
        self.shape = own.shape[1:]

    def conv(
        self, name: str, weights: npt.ArrayLike, bias: npt.ArrayLike, stride: int, padding: int, groups: int
    ) -> None:
        """A convolution with weights (maps made, maps of a group, kernel, kernel) and a bias (maps made,)."""
        own, offsets = np.asarray(weights, np.float64), np.asarray(bias, np.float64)
        maps, height, breadth = self._maps(name)
        if own.ndim != 4 or own.shape[2] != own.shape[3]:
            raise LayerUnsupported(f"{name} has a kernel that is not square", got=own.shape)
        if own.shape[1] * groups != maps or own.shape[0] % groups or offsets.shape != own.shape[:1]:
            raise LayerUnsupported(
                f"{name} does not fit the maps that it reads", expected=maps, got=own.shape
            )
        _check_window(name, own.shape[2], stride, padding)
        self._check_follows(name)
        scale, offset = self._pending()
        if scale is not None and offset is not None:
            own, offsets = _scaled_before(name, own, offsets, scale, offset, padding, groups)
        layer = FloatConv(height, breadth, stride, padding, groups, own, offsets)
        self._layers.append(layer)
        self.shape = (own.shape[0], *_made(layer, own.shape[2]))

    def pool(self, name: str, kernel: int, stride: int, padding: int) -> None:
        """The largest value under each window. Outside a map it sees nothing, which no value is below."""
        maps, height, breadth = self._maps(name)
        _check_window(name, kernel, stride, padding)
        scale, offset = self._scale, self._offset
        if scale is not None and (np.any(offset) or np.ptp(scale) or scale.min() <= 0):
            raise LayerUnsupported(f"{name} pools values that are scaled in different ways or moved")
        layer = FloatPool(height, breadth, kernel, stride, padding)
        self._layers.append(layer)
        self.shape = (maps, *_made(layer, kernel))
        if scale is not None:
            factor = float(scale.flat[0])
            self._scale, self._offset = np.full(self.shape, factor), np.zeros(self.shape)

    def relu(self, name: str) -> None:
        """A ReLU; if poolings stand between it and its layer, it may as well stand before them."""
        place = len(self._layers) - 1
        while place >= 0 and isinstance(self._layers[place], FloatPool):
            place -= 1
        layer = self._layers[place] if place >= 0 else None
        if layer is None or isinstance(layer, FloatPool) or self._scale is not None:
            raise LayerUnsupported(f"{name} follows no layer with weights")
        self._layers[place] = replace(layer, relu=True)

    def binary(self, name: str) -> None:
        """The one logit of two classes becomes two: 0 and itself. Their softmax is its logistic function."""
        last = self._layers[-1] if self._layers else None
        if not isinstance(last, FloatDense) or last.relu or self.shape != (1,) or self._scale is not None:
            raise LayerUnsupported(f"{name} follows no dense layer of one value", got=self.shape)
        weights, bias = np.pad(last.weights, ((0, 0), (1, 0))), np.pad(last.bias, (1, 0))
        self._layers[-1] = replace(last, weights=weights, bias=bias)
        self.shape = (2,)

    def flatten(self) -> None:
        """The values of all maps one after the other."""
        if self._scale is not None and self._offset is not None:
            self._scale, self._offset = self._scale.reshape(-1), self._offset.reshape(-1)
        self.shape = (prod(self.shape),)

    def finished(self) -> Sequence[FloatLayer]:
        """All layers. The last one is dense and without a ReLU: its values are the logits."""
        last = self._layers[-1] if self._layers else None
        if not isinstance(last, FloatDense) or last.relu or self._scale is not None:
            raise LayerUnsupported("a model ends in a dense layer without ReLU, which makes the logits")
        return self._layers

    def _pending(self) -> tuple[Floats | None, Floats | None]:
        """What is still to be folded into a layer, which takes it."""
        taken = self._scale, self._offset
        self._scale = self._offset = None
        return taken

    def _check_follows(self, name: str) -> None:
        """Refuses a layer right after another one with weights: on a chain each has a ReLU between them."""
        before = next((each for each in reversed(self._layers) if not isinstance(each, FloatPool)), None)
        if before is not None and not before.relu:
            raise LayerUnsupported(f"no ReLU stands before {name}: a chain's hidden layers all have one")

    def _maps(self, name: str) -> tuple[int, int, int]:
        if len(self.shape) != 3:
            raise LayerUnsupported(
                f"{name} needs maps: give X as (rows, maps, height, width)", got=self.shape
            )
        return self.shape[0], self.shape[1], self.shape[2]


def _made(layer: FloatConv | FloatPool, kernel: int) -> tuple[int, int]:
    """Height and width of the maps that a layer makes."""
    height, breadth = (
        (length + 2 * layer.padding - kernel) // layer.stride + 1 for length in (layer.height, layer.breadth)
    )
    return height, breadth


def _check_window(name: str, kernel: int, stride: int, padding: int) -> None:
    if not 1 <= stride <= kernel or not 0 <= padding < kernel:
        raise LayerUnsupported(
            f"{name} has a stride or a padding that no chain allows",
            expected=f"stride 1..{kernel}, padding 0..{kernel - 1}",
            got=(stride, padding),
        )


def _spread(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    try:
        return np.array(np.broadcast_to(np.asarray(values, np.float64), shape))
    except ValueError as error:
        raise LayerUnsupported(f"{name} does not fit what it scales", expected=shape) from error


def _by_map(name: str, values: Floats) -> Floats:
    """The one value of each map (maps,) of values (maps, height, width)."""
    if np.any(np.ptp(values, axis=(1, 2))):
        raise LayerUnsupported(f"{name} scales or moves pixels of one map in different ways")
    return values[:, 0, 0]


def _scaled_after(
    name: str, layer: FloatDense | FloatConv, scale: Floats, offset: Floats
) -> FloatDense | FloatConv:
    if isinstance(layer, FloatDense):
        return replace(layer, weights=layer.weights * scale, bias=layer.bias * scale + offset)
    factor, term = _by_map(name, scale), _by_map(name, offset)
    weights = layer.weights * factor[:, None, None, None]
    return replace(layer, weights=weights, bias=layer.bias * factor + term)


def _scaled_before(
    name: str, weights: Floats, bias: Floats, scale: Floats, offset: Floats, padding: int, groups: int
) -> tuple[Floats, Floats]:
    factor, term = _by_map(name, scale), _by_map(name, offset)
    if padding and np.any(term):
        raise LayerUnsupported(f"{name} pads values that are moved: on a chain nothing but 0 lies outside")
    # Each group of maps made reads its own group of maps.
    read = np.repeat(np.arange(len(factor)).reshape(groups, -1), len(weights) // groups, axis=0)
    moved = np.einsum("oikl,oi->o", weights, term[read])
    return weights * factor[read][:, :, None, None], bias + moved
