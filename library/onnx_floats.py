"""Reads the layers of an ONNX model of floats by following one value through its graph."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from engram.library.errors import LayerUnsupported
from engram.library.fidelity import softmax
from engram.library.float_layers import FloatModel, Floats, FloatStack
from engram.library.onnx_format import session_of
from engram.nn.evaluate import Features

_SAME: Final = frozenset({"Identity", "Dropout", "Cast"})
_FLAT: Final = frozenset({"Flatten", "Reshape"})
_ENDS: Final = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
_SCALES: Final = frozenset({"Add", "Sub", "Mul", "Div"})
_KINDS: Final[dict[int, type[np.floating[Any]]]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
}


def read_floats(model: Any, scale: npt.ArrayLike, offset: npt.ArrayLike) -> FloatModel:
    """The layers of a model that takes features·scale + offset. Raises `LayerUnsupported`, by name."""
    reader = _Reader(model.graph)
    shape, kind = reader.shape, reader.kind
    reader.stack.scaled("scale and offset", scale, offset)
    reader.read()
    stack, end = reader.stack, reader.end
    if stack.shape == (1,):
        stack.binary("the output")
    layers = stack.finished()
    session = session_of(model.SerializeToString())
    factor, term = np.asarray(scale, np.float64), np.asarray(offset, np.float64)

    def probabilities(rows: Features) -> Floats:
        given = (rows.reshape(len(rows), *shape) * factor + term).astype(kind)
        out: Floats = session.run(None, {reader.input: given})[0].astype(np.float64)
        if out.shape[1:] == (1,):
            hit = out if end == "Sigmoid" else 1 / (1 + np.exp(-out))
            both: Floats = np.concatenate([1 - hit, hit], axis=1)
            return both
        return out if end == "Softmax" else softmax(out)

    return FloatModel(prod(shape), layers, range(stack.shape[0]), probabilities)


class _Reader:
    """One walk through a graph, from its input to its output."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        (self.input, self.shape, self.kind) = self._only_input()
        self.stack = FloatStack(self.shape)
        self.end = ""
        """The operator that makes probabilities of the logits, if one does."""
        self._now = self.input

    def _only_input(self) -> tuple[str, tuple[int, ...], type[np.floating[Any]]]:
        given = [each for each in self._graph.input if each.name not in self._constants]
        if len(given) != 1:
            raise LayerUnsupported("the model has more inputs than one", got=[each.name for each in given])
        tensor = given[0].type.tensor_type
        sizes = [each.dim_value for each in tensor.shape.dim][1:]
        if len(sizes) not in (1, 3) or 0 in sizes:
            raise LayerUnsupported(
                "the input has no fixed size: export it as (rows, values) or (rows, maps, height, width)",
                got=sizes,
            )
        if tensor.elem_type not in _KINDS:
            raise LayerUnsupported(
                "the input holds no floats", got=TensorProto.DataType.Name(tensor.elem_type)
            )
        return given[0].name, tuple(sizes), _KINDS[tensor.elem_type]

    def read(self) -> None:
        """Puts the layers onto the stack."""
        for node in self._graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = _constant(node)
                continue
            name = f"{node.op_type} {node.name or node.output[0]}"
            values = [each for each in node.input if each and each not in self._constants]
            if values != [self._now]:
                raise LayerUnsupported(f"{name} does not read the value before it alone", got=values)
            if self.end:
                raise LayerUnsupported(f"{name} follows {self.end}, which only stands at the end")
            self._layer(node, name, {each.name: _value(each) for each in node.attribute})
            self._now = node.output[0]
        if [each.name for each in self._graph.output] != [self._now]:
            raise LayerUnsupported("the model gives something else than its last value")

    def _layer(self, node: Any, name: str, settings: dict[str, Any]) -> None:
        kind = node.op_type
        if kind == "Gemm":
            self._gemm(node, name, settings)
        elif kind == "MatMul" and node.input[0] == self._now:
            weights = self._constants[node.input[1]]
            self.stack.dense(name, weights, np.zeros(weights.shape[-1]))
        elif kind in _SCALES:
            self._scale(node, name)
        elif kind == "BatchNormalization":
            self._normalise(node, name, settings)
        elif kind == "Conv":
            self._conv(node, name, settings)
        elif kind == "MaxPool":
            kernel, stride, padding = _window(name, settings, settings["kernel_shape"])
            self.stack.pool(name, kernel, stride, padding)
        elif kind == "Relu":
            self.stack.relu(name)
        elif kind in _FLAT:
            self._flatten(node, name, settings)
        elif kind in _ENDS:
            self.end = kind
        elif kind not in _SAME:
            raise LayerUnsupported(f"no chain has the layer {name}")

    def _gemm(self, node: Any, name: str, settings: dict[str, Any]) -> None:
        if settings.get("transA") or node.input[0] != self._now:
            raise LayerUnsupported(f"{name} multiplies from the other side")
        weights = self._constants[node.input[1]] * settings.get("alpha", 1.0)
        weights = weights.T if settings.get("transB") else weights
        bias = self._constants[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros(1)
        width = weights.shape[1]
        self.stack.dense(name, weights, np.broadcast_to(bias * settings.get("beta", 1.0), (1, width))[0])

    def _scale(self, node: Any, name: str) -> None:
        first = node.input[0] == self._now
        value = np.asarray(self._constants[node.input[1 if first else 0]], np.float64)
        if value.ndim > len(self.stack.shape) and value.shape[0] == 1:
            value = value[0]  # the one row of a constant that fits every row
        match node.op_type, first:
            case "Add", _:
                self.stack.scaled(name, 1.0, value)
            case "Mul", _:
                self.stack.scaled(name, value, 0.0)
            case "Sub", True:
                self.stack.scaled(name, 1.0, -value)
            case "Div", True if np.all(value):
                self.stack.scaled(name, 1 / value, 0.0)
            case _:
                raise LayerUnsupported(f"{name} takes a value from a constant, or divides by it or by 0")

    def _normalise(self, node: Any, name: str, settings: dict[str, Any]) -> None:
        gain, bias, mean, variance = (self._constants[each].astype(np.float64) for each in node.input[1:])
        scale = gain / np.sqrt(variance + settings.get("epsilon", 1e-5))
        each = (-1, 1, 1) if len(self.stack.shape) == 3 else (-1,)
        self.stack.scaled(name, scale.reshape(each), (bias - mean * scale).reshape(each))

    def _conv(self, node: Any, name: str, settings: dict[str, Any]) -> None:
        weights = self._constants[node.input[1]]
        bias = self._constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights))
        _, stride, padding = _window(name, settings, weights.shape[2:])
        self.stack.conv(name, weights, bias, stride, padding, settings.get("group", 1))

    def _flatten(self, node: Any, name: str, settings: dict[str, Any]) -> None:
        if node.op_type == "Flatten":
            flat = settings.get("axis", 1) == 1
        else:
            shape = self._constants[node.input[1]].tolist() if node.input[1] in self._constants else []
            flat = len(shape) == 2 and shape[1] in (-1, prod(self.stack.shape))
        if not flat:
            raise LayerUnsupported(f"{name} gives a row another shape than that of a list of values")
        self.stack.flatten()


def _constant(node: Any) -> npt.NDArray[Any]:
    """What a node of the kind Constant holds. Raises `LayerUnsupported`."""
    for attribute in node.attribute:
        if attribute.name == "value":
            found: npt.NDArray[Any] = numpy_helper.to_array(attribute.t)
            return found
        if attribute.name.startswith("value_") and "string" not in attribute.name:
            return np.asarray(helper.get_attribute_value(attribute))
    raise LayerUnsupported(f"the constant {node.output[0]} holds no array of numbers")


def _value(attribute: Any) -> Any:
    """The value of an attribute of a node."""
    return helper.get_attribute_value(attribute)


def _window(name: str, settings: dict[str, Any], kernel: Any) -> tuple[int, int, int]:
    """Kernel, stride and padding, each the same for height and width. Raises `LayerUnsupported`."""
    count = len(kernel)
    strides, pads = settings.get("strides", [1] * count), settings.get("pads", [0] * 2 * count)
    dilated = set(settings.get("dilations", [1])) != {1}
    if settings.get("auto_pad", b"NOTSET") != b"NOTSET" or dilated or settings.get("ceil_mode"):
        raise LayerUnsupported(f"{name} is dilated, pads by itself or rounds sizes up")
    sizes = [set(kernel), set(strides), set(pads)]
    if count != 2 or any(len(each) != 1 for each in sizes):
        raise LayerUnsupported(
            f"{name} treats height and width in different ways", got=(kernel, strides, pads)
        )
    kernel_size, stride, padding = (int(each.pop()) for each in sizes)
    return kernel_size, stride, padding
