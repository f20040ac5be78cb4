"""Writes networks and data parts to numpy archives for other tools, and reads networks back."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engram.nn.data import PartData
from engram.nn.dtypes import IntArray
from engram.nn.errors import BadTensor
from engram.nn.grown import check_grown
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.parameters import prove_bounds
from engram.nn.seeded import expand
from engram.nn.tensor import Explicit, tensor_bytes
from engram.nn.totals import tensor_bytes_of
from engram.node.client import RpcClient
from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import check_file, read_json, write_private, write_private_pair
from engram.participant.errors import ModelFileInvalid, NothingRevealed, WeightsMismatch
from engram.participant.view import ChainView
from engram.primitives.codec import from_json, to_json
from engram.primitives.errors import CodecError
from engram.primitives.types import Hash
from engram.statemachine.additions import Addition
from engram.statemachine.content import blob_id
from engram.statemachine.errors import LineBroken
from engram.statemachine.parameters import Composition, compose_line
from engram.statemachine.record import TensorSource, u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.records import Round


def save_version(
    path: Path, version: Version | None, line: Sequence[Addition], spec: NetworkSpec, parameters: Parameters
) -> Path:
    """Writes a version's integers to `path`, and its record and line as JSON beside it; returns that path.

    A network that is on no chain has no record: its `version` is None, and null in the file.

    The arrays are `hidden_0_weights`, `hidden_0_bias`, …, `output_0_weights`, `output_0_bias`, …, in the
    order of the spec's segments. The line is what the network is made of, from a whole network to the last
    growth.
    """
    arrays: dict[str, Any] = {}
    for name, segment in zip(segment_names(spec), parameters, strict=True):
        arrays |= {f"{name}_weights": segment.weights, f"{name}_bias": segment.bias}
    record = path.with_suffix(".json")
    on_chain = None if version is None else to_json(version)
    content = {"version": on_chain, "line": [to_json(added) for added in line]}
    write_private_pair((path, _packed(arrays)), (record, (json.dumps(content, indent=2) + "\n").encode()))
    return record


@dataclass(frozen=True)
class PulledVersion:
    """A version whose tensors were all checked against the root that the chain has recorded."""

    version: Version
    line: tuple[Addition, ...]
    network: Composition
    parameters: Parameters

    def save(self, path: Path) -> dict[str, Any]:
        """Writes the two files of `save_version`, and returns what was written as JSON values."""
        record = save_version(path, self.version, self.line, self.network.spec, self.parameters)
        return {
            "file": str(path),
            "record": str(record),
            "model": self.version.model.hex(),
            "version": self.version.number,
            "root": self.version.root.hex(),
            "tensors": 2 * len(self.parameters),
        }


async def pull_version(client: RpcClient, model: Hash, number: int | None = None) -> PulledVersion:
    """Downloads a version, by default the model's current one, and recomputes its root from the bytes.

    Raises `RecordMissing` if there is no such version, `BlobMismatch` if the root differs, `RemoteError` if
    the node lacks a tensor.
    """
    view = ChainView(client)
    record = await view.get(Model, model)
    version = await view.get(Version, model, u32(record.head if number is None else number))
    line, network = await view.line(version), await view.composition(version)
    return PulledVersion(version, line, network, await view.parameters(version))


async def pull_parts(client: RpcClient, round_id: Hash) -> list[tuple[Hash, PartData]]:
    """Downloads every part that is revealed in a round so far, as pairs of a commitment and its rows.

    Each part's bytes are checked against the id in its record. Raises `RecordMissing`, `BlobMismatch`,
    `NothingRevealed`.
    """
    view = ChainView(client)
    round_ = await view.get(Round, round_id)
    opened = (*round_.validation_opened, *round_.unseen)
    if not opened:
        raise NothingRevealed(got=round_id)
    return [(part.commitment, await view.part(part.commitment)) for part in opened]


@dataclass(frozen=True)
class SavedNetwork:
    """What `save_version` has written, with weights that are exactly those that the line names."""

    version: Version | None
    """The version's record; None of a network that is on no chain."""
    line: tuple[Addition, ...]
    network: Composition
    parameters: Parameters


def read_saved(path: Path) -> SavedNetwork:
    """The network in `path` and in the JSON file beside it, if its weights are those of its line.

    Every tensor is hashed, or made from its seed again, so the root is that of these weights. Raises what
    `load_version` raises, and `WeightsMismatch`.
    """
    version, line, whole = _record_of(path)
    if version is not None and version.root != whole.root:
        raise _no_model(path, _Unfit("the record of the version names another root than its line"))
    return SavedNetwork(version, line, whole, load_weights(path, whole))


def load_version(path: Path) -> tuple[NetworkSpec, Parameters]:
    """The network that `save_version` has written to `path` and to the JSON file beside it.

    Its weights may be others than the line names. Raises `ModelFileInvalid` if a file cannot be read,
    `WeightsMismatch` if it holds other arrays than those of the line, what `check_grown` raises if no chain
    could hold the network, and `ShapeMismatch`, `WeightOutOfRange` or `BoundViolated` if the integers do not
    fit the spec.
    """
    _, _, whole = _record_of(path)
    try:
        parameters = _read(path, whole.spec)
    except _UNREADABLE as error:
        raise _no_model(path, error) from error
    prove_bounds(whole.spec, parameters)
    return whole.spec, parameters


def load_weights(path: Path, network: Composition) -> Parameters:
    """The weights in `path`, which `save_version` has written, if they are exactly those of `network`.

    The JSON file beside `path` is not read: spec and content ids are those of `network`. Every tensor is
    hashed, or made from its seed again, so weights that pass are those that the parameters root names.

    Raises `ModelFileInvalid` if the file cannot be read, and `WeightsMismatch`, which names the first array
    that differs, is missing, or belongs to another version.
    """
    try:
        parameters = _read(path, network.spec)
    except _UNREADABLE as error:
        raise ModelFileInvalid(
            f"{path} does not hold the weights of a version as `engram model pull` writes them: {_why(error)}"
        ) from error
    check_weights(path, network, parameters)
    return parameters


def check_weights(path: Path, network: Composition, parameters: Parameters) -> None:
    """Refuses weights of a file that are not exactly those that a line names.

    Raises `WeightsMismatch`, which names the first array that differs, and what `prove_bounds` raises.
    """
    for name, segment, source in zip(segment_names(network.spec), parameters, network.segments, strict=True):
        for kind, array, expected in (
            ("weights", segment.weights, source.weights),
            ("bias", segment.bias, source.bias),
        ):
            wanted, found = _content_of(expected), _content(array)
            if found != wanted:
                raise WeightsMismatch(
                    f"{path}: the tensor {name}_{kind} is not that of the wanted version, but of another "
                    "version or model, or changed; tensors are named by the hash of their bytes",
                    expected=wanted,
                    got="an array that no version holds" if found is None else found,
                )
    prove_bounds(network.spec, parameters)


def segment_names(spec: NetworkSpec) -> list[str]:
    """`hidden_0`, …, `output_0`, …: what the arrays of each segment are called in files."""
    hidden = [f"hidden_{number}" for number in range(len(spec.hidden))]
    return hidden + [f"output_{number}" for number in range(len(spec.outputs))]


def save_parts(path: Path, parts: Sequence[tuple[Hash, PartData]]) -> int:
    """Writes the rows of all parts to `path`, one part after another; returns the number of rows.

    The arrays are `features` (rows, inputs) uint8 and `labels` (rows,) uint16, as `datasets.load` reads
    them; `part` (rows,) uint16, the number of each row's part; and `commitments` (parts, 32) uint8.
    """
    counts = [len(part.labels) for _, part in parts]
    arrays = {
        "features": np.concatenate([part.features for _, part in parts]),
        "labels": np.concatenate([part.labels for _, part in parts]),
        "part": np.repeat(np.arange(len(parts), dtype=np.uint16), counts),
        "commitments": np.array([list(commitment) for commitment, _ in parts], dtype=np.uint8),
    }
    write_private(path, _packed(arrays))
    return sum(counts)


_MOST_BYTES: Final = 2**24
_MOST_PARAMETER_BYTES: Final = 2**30
"""More no chain holds for one network by far; a file that says more is refused before memory is taken."""
_HEADER_ROOM: Final = 4_096
"""More than the header of an array takes in an archive."""
_UNREADABLE: Final = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    CodecError,
    LineBroken,
    FileDamaged,
    NotAFile,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # of an encrypted archive, or of a way to pack that is not known
)
"""What reading a file may raise that is no model."""


class _Unfit(ValueError):
    """Why a file is no model, in words that people may read."""


def _why(error: Exception) -> str:
    """Why a file cannot be read. Words of other libraries are left out: numpy's advise to trust the file."""
    if isinstance(error, _Unfit | CodecError | LineBroken | FileDamaged | NotAFile):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, or something else"


def _record_of(path: Path) -> tuple[Version | None, tuple[Addition, ...], Composition]:
    """The record beside `path`: the version or None, its line, and the network of that."""
    try:
        content = read_json(path.with_suffix(".json"), _MOST_BYTES)
        line = tuple(from_json(Addition, added) for added in content["line"])
        version = None if content["version"] is None else from_json(Version, content["version"])
        whole = compose_line(line)
    except _UNREADABLE as error:
        raise _no_model(path, error) from error
    check_grown(whole.spec)
    return version, line, whole


def _no_model(path: Path, error: Exception) -> ModelFileInvalid:
    record = path.with_suffix(".json").name
    return ModelFileInvalid(
        f"{path} and {record} are not a model that `engram model pull` or `Network.save` has written: "
        f"{_why(error)}"
    )


def _read(path: Path, spec: NetworkSpec) -> Parameters:
    check_file(path)  # a pipe would wait for a writer for ever
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle, and advise to load it unsafely
        raise _Unfit("it is no whole archive of numpy arrays, which such a file is")
    if spec.totals.parameter_bytes > _MOST_PARAMETER_BYTES:
        raise _Unfit(f"a network of {spec.totals.parameter_bytes:,} bytes is on no chain")
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        _check_arrays(path, archive.zip.namelist(), spec)
        for name, segment in zip(segment_names(spec), (*spec.hidden, *spec.outputs), strict=True):
            most = _HEADER_ROOM + tensor_bytes_of(segment)
            for kind in ("weights", "bias"):
                if (got := archive.zip.getinfo(f"{name}_{kind}.npy").file_size) > most:
                    raise _Unfit(f"{name}_{kind} would take {got:,} bytes, its spec {most:,} at most")
        return tuple(
            SegmentParameters(archive[f"{name}_weights"], archive[f"{name}_bias"])
            for name in segment_names(spec)
        )


def _check_arrays(path: Path, members: list[str], spec: NetworkSpec) -> None:
    """Refuses an archive that holds other arrays than those of the network, each of them once.

    A later version has all arrays of an earlier one and more, so a reader who looks for the arrays of the
    earlier one alone would take the later file for it. Raises `WeightsMismatch`.
    """
    wanted = {f"{name}_{kind}.npy" for name in segment_names(spec) for kind in ("weights", "bias")}
    found = set(members)
    for strange, said in ((wanted - found, "lacks"), (found - wanted, "also holds")):
        if strange:
            raise WeightsMismatch(
                f"{path} is not the file of this version, but of another version or model: it {said} "
                f"{min(strange).removesuffix('.npy')}",
                expected=f"{len(wanted)} tensors",
                got=f"{len(members)} tensors",
            )
    if len(members) > len(found):
        raise _Unfit("an array occurs twice")


def _content(array: IntArray) -> Hash | None:
    """The content id of an array; None if it is no tensor of any network."""
    try:
        return blob_id(tensor_bytes(array))
    except BadTensor:
        return None


def _content_of(source: TensorSource) -> Hash:
    """The content id of the tensor that a source names."""
    return source.tensor if isinstance(source, Explicit) else blob_id(tensor_bytes(expand(source)))


def _packed(arrays: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
