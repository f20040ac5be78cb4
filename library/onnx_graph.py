"""A network of the chain as a graph of ONNX's integer operators, which computes the same integers.

Segments run in int32, because the bound proof says that no value of theirs leaves it; component sums and
logits run in int64. There is no float in the graph: roots, exp and ln are tables. Convolutions are products
with gathered pixels, because ONNX has no convolution of these integers that every runtime computes exactly.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from engram.library.errors import LayerUnsupported
from engram.library.tables import taps
from engram.nn.layers import HiddenSegment, Interval, MaxPool, Output
from engram.nn.layers.conv import Conv2d
from engram.nn.layers.dense import Dense
from engram.nn.layers.maps import maps_read
from engram.nn.layers.steps import Clip, Root, RoundShift, Square, Step
from engram.nn.network import Parameters, SegmentParameters
from engram.nn.spec import NetworkSpec, component_count

OPSET: Final = 17
IR_VERSION: Final = 8
INPUT: Final = "features"
OUTPUT: Final = "logits"

Array = npt.NDArray[Any]


class Graph:
    """Nodes and constants, with a name for each value that a node makes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node with one output; the name of that."""
        made = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [made], **attributes))
        return made

    def constant(self, values: Array, name: str | None = None) -> str:
        """The name of a constant; equal ones share a name unless they are given one."""
        array = np.ascontiguousarray(values)
        key = str(array.dtype), array.shape, array.tobytes()
        if name is None and key in self._constants:
            return self._constants[key]
        made = name or f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, made))
        if name is None:
            self._constants[key] = made
        return made

    def whole(self, value: int, dtype: type[np.int32 | np.int64]) -> str:
        """A constant of one number."""
        return self.constant(np.array(value, dtype=dtype))

    def integers(self, *values: int) -> str:
        """A constant vector, such as a shape."""
        return self.constant(np.array(values, dtype=np.int64))

    def cast(self, value: str, dtype: type[np.int32 | np.int64]) -> str:
        kind = onnx.TensorProto.INT32 if dtype is np.int32 else onnx.TensorProto.INT64
        return self.add("Cast", value, to=kind)

    def joined(self, values: list[str]) -> str:
        """Columns side by side."""
        return values[0] if len(values) == 1 else self.add("Concat", *values, axis=1)

    def shift_down(self, value: str, bits: int, dtype: type[np.int32 | np.int64]) -> str:
        """⌊value / 2^bits⌋. ONNX divides towards zero, so what is left over is taken off before.

        2^31 is no int32: a shift by more than 30 bits takes two steps.
        """
        while bits:
            now = min(bits, 30)
            power = self.whole(1 << now, dtype)
            value = self.add("Div", self.add("Sub", value, self.add("Mod", value, power)), power)
            bits -= now
        return value

    def round_shift(self, value: str, bits: int, dtype: type[np.int32 | np.int64]) -> str:
        """As `fixed.round_shift`."""
        if not bits:
            return value
        raised = self.add("Add", value, self.whole(1 << (bits - 1), dtype))
        return self.shift_down(raised, bits, dtype)

    def clip(self, value: str, lo: int, hi: int, dtype: type[np.int32 | np.int64]) -> str:
        return self.add("Clip", value, self.whole(lo, dtype), self.whole(hi, dtype))


class _Layers:
    """The neurons that segments have made so far, layer by layer, as values of the graph."""

    def __init__(self, graph: Graph, inputs: int) -> None:
        self._graph = graph
        self._pieces: dict[int, list[tuple[str, int, int]]] = {0: []}
        self.append(0, graph.cast(INPUT, np.int32), inputs)

    def append(self, layer: int, value: str, width: int) -> None:
        """Neurons (rows, width) int32 at the end of a layer."""
        pieces = self._pieces.setdefault(layer, [])
        begin = pieces[-1][2] if pieces else 0
        pieces.append((value, begin, begin + width))

    def read(self, segment: HiddenSegment | Output) -> str:
        """What a segment reads, its intervals side by side."""
        return self._graph.joined([part for each in segment.intervals for part in self._columns(each)])

    def _columns(self, interval: Interval) -> list[str]:
        found = []
        for value, begin, end in self._pieces[interval.layer]:
            lo, hi = max(begin, interval.lo), min(end, interval.hi)
            if (lo, hi) == (begin, end):
                found.append(value)
            elif lo < hi:
                bounds = map(self._graph.integers, (lo - begin, hi - begin, 1))
                found.append(self._graph.add("Slice", value, *bounds))
        return found


def component_sums(graph: Graph, spec: NetworkSpec, parameters: Parameters) -> str:
    """The components' sums (rows, components) int64 of the graph's input."""
    layers = _Layers(graph, spec.inputs)
    for number, (segment, given) in enumerate(zip(spec.hidden, parameters, strict=False)):
        sums = _accumulators(graph, segment, layers.read(segment), given, f"hidden_{number}")
        for step in segment.steps():
            sums = _stepped(graph, step, sums)
        layers.append(segment.layer, sums, segment.width)
    total, count = "", component_count(spec)
    for number, (output, given) in enumerate(zip(spec.outputs, parameters[len(spec.hidden) :], strict=True)):
        sums = _accumulators(graph, output, layers.read(output), given, f"output_{number}")
        for step in output.steps():
            sums = _stepped(graph, step, sums)
        sums = graph.cast(sums, np.int64)
        if output.shift < 0:
            sums = graph.add("Mul", sums, graph.whole(1 << -output.shift, np.int64))
        if output.width < count:
            after = count - output.first - output.width
            sums = graph.add("Pad", sums, graph.integers(0, output.first, 0, after))
        total = graph.add("Add", total, sums) if total else sums
    return total


def model_of(graph: Graph, spec: NetworkSpec, metadata: dict[str, str], version: str) -> Any:
    """The `onnx.ModelProto` of a graph whose last node makes the output."""
    made = helper.make_graph(
        graph.nodes,
        "engram",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, ["rows", spec.inputs])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.INT64, ["rows", spec.classes])],
        initializer=graph.initializers,
        doc_string="Logits of features from 0 to 255, in units of 2^-16 nat: the integers of the chain.",
    )
    model = helper.make_model(
        made,
        producer_name="engram",
        producer_version=version,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def _accumulators(
    graph: Graph, segment: HiddenSegment | Output, x: str, given: SegmentParameters, name: str
) -> str:
    """The accumulators (rows, width) int32 of a segment that reads x (rows, fan_in)."""
    weights = graph.cast(graph.constant(given.weights, f"{name}_weights"), np.int32)
    bias = graph.constant(given.bias, f"{name}_bias")
    if isinstance(segment, MaxPool):
        return _pooled(graph, segment, x, weights, bias)
    if isinstance(segment, Conv2d):
        return _convolved(graph, segment, x, weights, bias)
    if isinstance(segment, Dense):
        return graph.add("Add", graph.add("MatMul", x, weights), bias)
    raise LayerUnsupported(f"{name} is a {type(segment).__name__}, which ONNX is not told about")


def _convolved(graph: Graph, segment: Any, x: str, weights: str, bias: str) -> str:
    groups, channels = segment.groups, segment.channels // segment.groups
    seen = graph.add("Gather", _with_zero(graph, x), graph.constant(taps(segment, groups)), axis=1)
    kernels = graph.add("Reshape", weights, graph.integers(groups, channels, -1))
    offsets = graph.add("Reshape", bias, graph.integers(groups, channels, 1))
    sums = graph.add("Add", graph.add("MatMul", kernels, seen), offsets)
    return graph.add("Reshape", sums, graph.integers(0, segment.width))


def _pooled(graph: Graph, segment: MaxPool, x: str, weights: str, bias: str) -> str:
    places = graph.constant(taps(segment, maps_read(segment)))
    seen = graph.add("Gather", _with_zero(graph, x), places, axis=1)
    best = graph.add("ReduceMax", seen, axes=[2], keepdims=0)
    column = graph.integers(maps_read(segment), 1)
    gained = graph.add("Mul", best, graph.add("Reshape", weights, column))
    sums = graph.add("Add", gained, graph.add("Reshape", bias, column))
    return graph.add("Reshape", sums, graph.integers(0, segment.width))


def _with_zero(graph: Graph, x: str) -> str:
    """The values that a segment reads with a column of zeros before them, for what lies outside a map."""
    return graph.add("Pad", x, graph.integers(0, 1, 0, 0))


def _stepped(graph: Graph, step: Step, value: str) -> str:
    match step:
        case RoundShift(bits):
            return graph.round_shift(value, bits, np.int32)
        case Clip(lo, hi):
            return graph.clip(value, lo, hi, np.int32)
        case Square():
            return graph.add("Mul", value, value)
        case Root():
            table = step.exact(np.arange(2**16, dtype=np.int64)).astype(np.uint8)
            return graph.cast(graph.add("Gather", graph.constant(table), value, axis=0), np.int32)
