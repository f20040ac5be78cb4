"""Writes networks as ONNX models and reads them back; what is written is run and compared first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from engram import __version__
from engram.library.errors import ExportMismatch
from engram.library.integers import IntegerNetwork
from engram.library.onnx_graph import INPUT, Graph, component_sums, model_of
from engram.library.onnx_logits import logits
from engram.library.sampling import sample_rows
from engram.nn.fixed import Int64Array
from engram.nn.grown import check_grown
from engram.nn.network import SegmentParameters
from engram.node.files import read_plain, write_public
from engram.participant.errors import ModelFileInvalid
from engram.participant.export import SavedNetwork, check_weights, segment_names
from engram.primitives.codec import from_json, to_json
from engram.primitives.errors import CodecError
from engram.statemachine.additions import Addition
from engram.statemachine.errors import LineBroken
from engram.statemachine.parameters import compose_line
from engram.statemachine.records import Version

LINE: Final = "engram.line"
"""The property of a model that holds the network's line as JSON."""
VERSION: Final = "engram.version"
MOST_BYTES: Final = 2**31
"""No ONNX file can have more, as far as its parts lie in one file."""


def write_onnx(network: IntegerNetwork, path: Path | None) -> Any:
    """The `onnx.ModelProto` of a network, which is written to `path` if one is given.

    onnxruntime has computed the network's own logits with it, on random and on extreme rows. Raises
    `ExportMismatch` if they differ, and `OSError`.
    """
    graph = Graph()
    logits(graph, network.spec, component_sums(graph, network.spec, network.parameters))
    metadata = {LINE: json.dumps([to_json(added) for added in network.line])}
    if network.version is not None:
        metadata[VERSION] = json.dumps(to_json(network.version))
    model = model_of(graph, network.spec, metadata, __version__)
    content = model.SerializeToString()
    check_same(network, content)
    if path is not None:
        write_public(path, content)
    return model


def read_onnx(path: Path) -> Any:
    """The `onnx.ModelProto` in a file, whose numbers all lie in that file.

    Raises `ModelFileInvalid` if it holds none, and what `read_plain` raises.
    """
    try:
        content = read_plain(path, MOST_BYTES)
        onnx.checker.check_model(content)
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelFileInvalid(f"{path} is no ONNX model: {error}", got=str(path)) from error
    model = onnx.load_model_from_string(content)
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in model.graph.initializer):
        raise ModelFileInvalid(f"{path} keeps numbers in other files: save it as one file", got=str(path))
    return model


def is_own(model: Any) -> bool:
    """Whether `write_onnx` has made a model, as it says itself."""
    return any(each.key == LINE for each in model.metadata_props)


def own_network(path: Path, model: Any) -> SavedNetwork:
    """The network of a model that `write_onnx` has made: spec, integers and line are what they were.

    The integers are hashed, so they have not been changed; whether the graph has, `check_same` says. Raises
    `ModelFileInvalid`, `WeightsMismatch`, and what `check_grown` raises.
    """
    said = {each.key: each.value for each in model.metadata_props}
    arrays = {each.name: each for each in model.graph.initializer}
    try:
        line = tuple(from_json(Addition, added) for added in json.loads(said[LINE]))
        version = from_json(Version, json.loads(said[VERSION])) if VERSION in said else None
        whole = compose_line(line)
        parameters = tuple(
            SegmentParameters(
                *(numpy_helper.to_array(arrays[f"{name}_{kind}"]) for kind in ("weights", "bias"))
            )
            for name in segment_names(whole.spec)
        )
    except (ValueError, KeyError, TypeError, RecursionError, CodecError, LineBroken) as error:
        raise ModelFileInvalid(f"{path} was changed since `to_onnx` wrote it: {error}") from error
    check_grown(whole.spec)
    check_weights(path, whole, parameters)
    return SavedNetwork(version, line, whole, parameters)


@dataclass(frozen=True)
class Compared:
    """A comparison of a model's logits with the network's."""

    rows: int
    logits: int
    """How many integers were compared: one for each row and class."""
    largest_difference: int
    """The largest difference of two of them, in units of 2^-16 nat; a model that has one is refused."""


def check_same(network: IntegerNetwork, content: bytes) -> Compared:
    """Refuses a model whose logits are not the network's, on rows that try it. Raises `ExportMismatch`."""
    rows = sample_rows(network.spec.inputs)
    wanted = network.logits(rows)
    try:
        found = session_of(content).run(None, {INPUT: rows})[0]
    except Exception as error:  # onnxruntime has many of its own
        raise ExportMismatch(f"onnxruntime does not compute the model: {error}") from error
    if not np.array_equal(found, wanted):
        raise ExportMismatch(expected="the network's logits", got=_first_difference(found, wanted))
    return Compared(len(rows), int(wanted.size), int(np.abs(found - wanted).max()))


def session_of(content: bytes) -> Any:
    """What computes a model on the processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _first_difference(found: Any, wanted: Int64Array) -> str:
    if found.shape != wanted.shape:
        return f"the shape {found.shape} for {wanted.shape}"
    row, column = (int(each) for each in np.argwhere(found != wanted)[0])
    return f"logit {column} of row {row}: {found[row, column]} for {wanted[row, column]}"
