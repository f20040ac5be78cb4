"""Reads the layers of a PyTorch module of floats by following one value through it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.nn import functional

from engram.library.errors import LayerUnsupported
from engram.library.fidelity import softmax
from engram.library.float_layers import FloatModel, Floats, FloatStack
from engram.nn.evaluate import Features

_SAME: Final = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_ENDS: Final = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)
_FLAT: Final = frozenset({"flatten", "view", "reshape"})
_SIZES: Final = frozenset({"size", "getattr", "getitem"})
"""What asks for the size of a value, which `view` and `reshape` need."""


def read_torch(
    module: nn.Module, shape: tuple[int, ...], scale: npt.ArrayLike, offset: npt.ArrayLike
) -> FloatModel:
    """The layers of a module that takes rows of this shape, as features·scale + offset.

    A copy of the module is looked at, on the processor and in the mode of evaluation. Raises
    `LayerUnsupported`, which names the layer.
    """
    model = copy.deepcopy(module).cpu().eval()
    try:
        traced = fx.symbolic_trace(model)
    except (TypeError, RuntimeError, ValueError, fx.proxy.TraceError) as error:
        raise LayerUnsupported(f"the way through the module depends on its values: {error}") from error
    maps = (1, *shape) if len(shape) == 2 else shape
    stack = FloatStack(maps)
    stack.scaled("scale and offset", scale, offset)
    _Reader(stack, traced).read()
    if stack.shape == (1,):
        stack.binary("the output")
    layers = stack.finished()
    ends_in_sigmoid = _last_is_sigmoid(traced)
    factor, term = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
    kind = next((each.dtype for each in model.parameters()), torch.float32)

    def probabilities(rows: Features) -> Floats:
        given = rows.reshape(len(rows), *maps) * factor + term
        with torch.no_grad():
            out: Floats = model(torch.from_numpy(given).to(kind)).to(torch.float64).numpy()
        if out.shape[1:] == (1,):
            hit = out if ends_in_sigmoid else 1 / (1 + np.exp(-out))
            both: Floats = np.concatenate([1 - hit, hit], axis=1)
            return both
        return out if _last_is_softmax(traced) else softmax(out)

    return FloatModel(int(np.prod(shape)), layers, range(stack.shape[0]), probabilities)


class _Reader:
    """One walk through a traced module, from its input to its output."""

    def __init__(self, stack: FloatStack, traced: fx.GraphModule) -> None:
        self._stack = stack
        self._modules = dict(traced.named_modules())
        self._nodes = list(traced.graph.nodes)
        self._now: fx.Node | None = None
        self._ended: str | None = None

    def read(self) -> None:
        for node in self._nodes:
            name = str(node.name)
            if node.op == "placeholder":
                if self._now is not None:
                    raise LayerUnsupported(f"the module has a second input, {name}")
                self._now = node
            elif node.op == "output":
                if node.args[0] is not self._now:
                    raise LayerUnsupported("the module gives something else than its last value")
            elif _called(node) not in _SIZES:
                self._step(node, name)

    def _step(self, node: fx.Node, name: str) -> None:
        if not node.args or node.args[0] is not self._now:
            raise LayerUnsupported(f"{name} does not read the value before it, or reads more than that one")
        if self._ended:
            raise LayerUnsupported(f"{name} follows {self._ended}, which only stands at the end")
        if node.op == "call_module":
            self._module(name, self._modules[str(node.target)])
        else:
            self._function(node, name, _called(node))
        self._now = node

    def _module(self, name: str, layer: nn.Module) -> None:
        match layer:
            case nn.Linear():
                self._stack.dense(name, _numbers(layer.weight).T, _bias(layer, layer.out_features))
            case nn.Conv2d():
                self._conv(name, layer)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                self._normalise(name, layer)
            case nn.MaxPool2d():
                window = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode
                self._pool(name, *window)
            case nn.ReLU():
                self._stack.relu(name)
            case nn.Flatten():
                self._stack.flatten()
            case _ if isinstance(layer, _ENDS):
                self._ended = name
            case _ if not isinstance(layer, _SAME):
                raise LayerUnsupported(f"{name} is a {type(layer).__name__}, which no chain has")

    def _function(self, node: fx.Node, name: str, called: str) -> None:
        if called == "relu":
            self._stack.relu(name)
        elif called in _FLAT:
            self._stack.flatten()
        elif called in ("max_pool2d", "boolean_dispatch"):
            given = {
                **dict(zip(("kernel_size", "stride", "padding"), node.args[1:], strict=False)),
                **node.kwargs,
            }
            window = given["kernel_size"], given.get("stride"), given.get("padding", 0)
            self._pool(name, *window, given.get("dilation", 1), bool(given.get("ceil_mode", False)))
        elif called in ("softmax", "log_softmax", "sigmoid"):
            self._ended = name
        elif called not in ("dropout", "contiguous"):
            raise LayerUnsupported(f"{name} calls {called}, which no chain has")

    def _conv(self, name: str, layer: nn.Conv2d) -> None:
        if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
            raise LayerUnsupported(f"{name} pads in a way of its own: write the padding as a number")
        stride, padding, dilation = (
            _one(name, each) for each in (layer.stride, layer.padding, layer.dilation)
        )
        if dilation != 1:
            raise LayerUnsupported(f"{name} is dilated, which no chain allows", expected=1, got=dilation)
        bias = _bias(layer, layer.out_channels)
        self._stack.conv(name, _numbers(layer.weight), bias, stride, padding, layer.groups)

    def _pool(self, name: str, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> None:
        if _one(name, dilation) != 1 or ceil:
            raise LayerUnsupported(f"{name} is dilated or rounds sizes up, which no chain allows")
        size = _one(name, kernel)
        self._stack.pool(name, size, _one(name, stride or size), _one(name, padding))

    def _normalise(self, name: str, layer: Any) -> None:
        if layer.running_mean is None:
            raise LayerUnsupported(
                f"{name} normalises each batch by itself, so a row has no answer of its own"
            )
        scale = 1 / np.sqrt(_numbers(layer.running_var) + layer.eps)
        scale = scale if layer.weight is None else scale * _numbers(layer.weight)
        offset = -_numbers(layer.running_mean) * scale
        offset = offset if layer.bias is None else offset + _numbers(layer.bias)
        each = (-1, 1, 1) if len(self._stack.shape) == 3 else (-1,)
        self._stack.scaled(name, scale.reshape(each), offset.reshape(each))


def _called(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    target: str | Callable[..., Any] = node.target
    if target is functional.max_pool2d:
        return "max_pool2d"
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def _last(traced: fx.GraphModule) -> tuple[str, object]:
    """What a traced module calls last: its name, and the layer if it is one."""
    node = list(traced.graph.nodes)[-2]
    layer = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    return _called(node), layer


def _last_is_softmax(traced: fx.GraphModule) -> bool:
    called, layer = _last(traced)
    return isinstance(layer, nn.Softmax) or (layer is None and called == "softmax")


def _last_is_sigmoid(traced: fx.GraphModule) -> bool:
    called, layer = _last(traced)
    return isinstance(layer, nn.Sigmoid) or (layer is None and called == "sigmoid")


def _numbers(values: Any) -> Floats:
    found: Floats = values.detach().to(torch.float64).numpy()
    return found


def _bias(layer: Any, width: int) -> Floats:
    return np.zeros(width) if layer.bias is None else _numbers(layer.bias)


def _one(name: str, value: Any) -> int:
    """The one number of a setting that may be given for height and width. Raises `LayerUnsupported`."""
    values = set(value) if isinstance(value, tuple | list) else {value}
    if len(values) != 1:
        raise LayerUnsupported(f"{name} treats height and width in different ways", got=value)
    return int(values.pop())
