"""A network as a function of numpy arrays, without a node: predict, evaluate, load and save.

The integers are those of the chain: `logits` computes what every node computes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from engram.library.errors import OptionUnused
from engram.library.evaluation import Evaluation
from engram.library.explanation import Explanation, explanation_of
from engram.library.extras import onnx_format
from engram.library.founding import founding, read_only
from engram.library.from_floats import TORCH, FromFloats, GivenMapping, Quantized, Taken
from engram.library.named import NamedNetwork, named
from engram.library.names import NO_PEOPLE, People
from engram.library.rows import Rows, labels_of
from engram.library.shape_words import shape_text
from engram.nn.engine import FAST, Engine
from engram.nn.fixed import Int64Array
from engram.nn.grown import check_grown
from engram.nn.loss import LossKind, evaluate_loss
from engram.nn.network import NetworkSpec, Parameters, forward
from engram.nn.network import predict as predicted
from engram.nn.parameters import Bounds, prove_bounds
from engram.nn.spec import MAX_SEGMENTS, macs_per_row
from engram.node.engines.choosing import engine_for
from engram.node.engines.registry import AUTO
from engram.participant.errors import ModelFileInvalid, NotEnoughRows, TorchMissing
from engram.participant.tables.mapping import DataMapping
from engram.primitives.types import Hash
from engram.statemachine.additions import Addition, GrowUpdate

if TYPE_CHECKING:
    import onnx

    from engram.library.torch_format import TorchNetwork
    from engram.participant.export import PulledVersion, SavedNetwork
    from engram.statemachine.records import Version


@dataclass(frozen=True, eq=False, repr=False)
class Network(FromFloats):
    """An integer neural network: shapes and numbers, which nothing changes any more.

    `Network(spec, parameters)` copies the numbers, checks them and proves that no input can make a sum leave
    32 bits. Raises leaves of `InvalidNetwork`, as a chain refuses such a network.
    """

    spec: NetworkSpec
    """The segments and how they are wired."""
    parameters: Parameters
    """Weights and bias of every segment, hidden ones first, as read-only arrays."""
    version: Version | None = field(default=None, init=False)
    """The record of the version on the chain that this is; None of a network that is on no chain."""
    line: tuple[Addition, ...] = field(default=(), init=False)
    """What the network is made of, from a whole network to its last growth."""
    bounds: Bounds = field(init=False)
    """How large a value in each segment can become."""
    people: People = field(default=NO_PEOPLE, init=False)
    """How the authors of its line are called, if it was read from a chain."""

    def __post_init__(self) -> None:
        self._hold(check_segments=True)
        self._set("line", (founding(self.spec, self.parameters),))

    def _hold(self, *, check_segments: bool) -> None:
        """Checks spec and numbers, and keeps a copy of them."""
        if check_segments and max(len(self.spec.hidden), len(self.spec.outputs)) > MAX_SEGMENTS:
            raise ModelFileInvalid(
                "a network of so many segments has grown: load it together with its line",
                expected=MAX_SEGMENTS,
                got=max(len(self.spec.hidden), len(self.spec.outputs)),
            )
        check_grown(self.spec)
        self._set("bounds", prove_bounds(self.spec, self.parameters))
        self._set("parameters", read_only(self.parameters))

    def _set(self, name: str, value: object) -> None:
        """Sets a field of the frozen dataclass while the instance is made."""
        object.__setattr__(self, name, value)

    @classmethod
    def of_version(cls, found: PulledVersion | SavedNetwork, people: People = NO_PEOPLE) -> Network:
        """The network of a version whose tensors have been checked against its root."""
        network = cls.__new__(cls)
        network._set("people", people)
        network._set("spec", found.network.spec)
        network._set("parameters", found.parameters)
        network._set("version", found.version)
        network._set("line", tuple(found.line))
        network._hold(check_segments=False)
        return network

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Network:
        """The network that `engram model pull` or `save` has written to `path` and the JSON file beside it.

        The weights are hashed, so `root` is proven to be theirs. Raises `ModelFileInvalid` if a file cannot
        be read, `WeightsMismatch` if the weights are not those of the line, and leaves of `InvalidNetwork`.
        """
        from engram.participant.export import read_saved

        return cls.of_version(read_saved(Path(path)))

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the integers to `path`, which ends in .npz, and line and record to the .json file beside it.

        `load` and `engram participate --adopt` read them. Files that exist are replaced. Raises
        `ModelFileInvalid` for another ending, and `OSError`.
        """
        from engram.participant.export import save_version

        target = Path(path)
        if target.suffix != ".npz":
            raise ModelFileInvalid("name a file that ends in .npz", expected=".npz", got=str(target))
        save_version(target, self.version, self.line, self.spec, self.parameters)

    @property
    def inputs(self) -> int:
        """The number of features of a row."""
        return self.spec.inputs

    @property
    def classes(self) -> int:
        """The number of classes, which are numbered from 0."""
        return self.spec.classes

    @cached_property
    def class_steps(self) -> tuple[range, ...]:
        """The classes that each addition of the line has brought: those founded, then each growth's."""
        steps, known = [], 0
        for added in self.line:
            update = added.update
            count = update.growth.classes if isinstance(update, GrowUpdate) else update.spec.classes
            steps.append(range(known, known + count))
            known += count
        return tuple(steps)

    @property
    def root(self) -> Hash:
        """The parameters root, as the chain computes it of the line.

        It names every integer and every author. A network that is on no chain has the author `NOBODY`, so
        whoever founds a model with it gets another root.
        """
        return self.line[-1].root

    def logits(self, X: npt.ArrayLike) -> Int64Array:
        """The logits (rows, classes) of rows, as integers in units of 2^-16 nat: those of the chain.

        X: integers from 0 to 255, (rows, inputs) or (rows, height, width[, channels]). Raises
        `FeatureOutOfRange`, `DatasetMismatch`.
        """
        rows = self._rows(X)
        found: Int64Array = np.empty((len(rows), self.classes), dtype=np.int64)
        for stretch, logits in self._runs(rows):
            found[stretch] = logits
        return found

    def predict(self, X: npt.ArrayLike) -> Int64Array:
        """The class (rows,) of each row: the one with the largest logit; of several such, the lowest.

        Memory grows with the rows by 8 bytes each. X and errors as for `logits`.
        """
        rows = self._rows(X)
        found: Int64Array = np.empty(len(rows), dtype=np.int64)
        for stretch, logits in self._runs(rows):
            found[stretch] = predicted(logits)
        return found

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Probabilities (rows, classes), those that `engram model predict` shows: the softmax of the logits.

        They are floats, made for people from the exact logits. X and errors as for `logits`.
        """
        from engram.node.rpc.explain import probabilities

        rows = self._rows(X)
        found = np.empty((len(rows), self.classes), dtype=np.float64)
        for stretch, logits in self._runs(rows):
            found[stretch] = [probabilities(row) for row in logits.tolist()]
        return found

    def explain(self, X: npt.ArrayLike) -> Explanation:
        """Whose neurons made the predictions: the parts of each row's largest logit and of its lead.

        They add up exactly, in integers. Memory grows with rows times groups of neurons. X and errors as for
        `logits`.
        """
        number = self.version.number if self.version else len(self.line) - 1
        return explanation_of(self.line, number, self.parameters, self.bounds, self._rows(X), self.people)

    def evaluate(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
        *,
        engine: str = AUTO,
    ) -> Evaluation:
        """Loss, accuracy and confusion on rows with their labels (rows,), integers below `classes`.

        `engine` is what computes them: numpy, torch, cuda, or auto, which is the fastest one that is exact
        here, for the amount of work. Raises `NotEnoughRows` if there is no row, `FeatureOutOfRange`,
        `DatasetLabelOutOfRange`, `DatasetMismatch`; `EngineMissing`, `EngineInexact`.
        """
        rows = self._rows(X)
        labels = labels_of(y, len(rows), self.classes)
        if not len(rows):
            raise NotEnoughRows("there is no row to evaluate on", expected="1 or more", got=0)
        pairs, loss = np.zeros(self.classes**2, dtype=np.int64), 0
        chosen = engine_for(engine, len(rows) * macs_per_row(self.spec))
        for stretch, logits in self._runs(rows, chosen):
            own = labels[stretch]
            loss += evaluate_loss(loss_kind, logits, own)
            places, counts = np.unique(own * self.classes + predicted(logits), return_counts=True)
            pairs[places] += counts
        return Evaluation(pairs.reshape(self.classes, self.classes), loss, loss_kind)

    def with_mapping(self, mapping: DataMapping | str | PathLike[str]) -> NamedNetwork:
        """The network for the values and labels of a data file, by the mapping that belongs to it.

        A mapping is what `engram data convert` writes beside the rows. One of before a growth lacks the new
        classes: a warning of Python says so, and their numbers stand for them. Raises `MappingInvalid`,
        `MappingMismatch`.
        """
        return named(self, mapping)

    def to_onnx(self, path: str | PathLike[str] | None = None) -> onnx.ModelProto:
        """The network as an ONNX model of integer operators, which is written to `path` if one is given.

        Its input `features` is uint8 (rows, inputs), its output `logits` int64 (rows, classes) in units of
        2^-16 nat. onnxruntime has computed the network's own logits with it before this returns. Raises
        `OnnxMissing`, `ExportMismatch`, `OSError`.
        """
        return onnx_format().write_onnx(self, None if path is None else Path(path))

    @overload
    @classmethod
    def from_onnx(cls, path: str | PathLike[str]) -> Network: ...
    @overload
    @classmethod
    def from_onnx(
        cls,
        path: str | PathLike[str],
        X_calibration: npt.ArrayLike,
        *,
        mapping: None = ...,
        scale: npt.ArrayLike = ...,
        offset: npt.ArrayLike = ...,
        weight_bits: int = ...,
        bits: int = ...,
    ) -> Quantized[Network]: ...
    @overload
    @classmethod
    def from_onnx(
        cls,
        path: str | PathLike[str],
        X_calibration: npt.ArrayLike,
        *,
        mapping: GivenMapping,
        scale: npt.ArrayLike = ...,
        offset: npt.ArrayLike = ...,
        weight_bits: int = ...,
        bits: int = ...,
    ) -> Quantized[NamedNetwork]: ...
    @classmethod
    def from_onnx(
        cls,
        path: str | PathLike[str],
        X_calibration: npt.ArrayLike | None = None,
        *,
        mapping: GivenMapping | None = None,
        scale: npt.ArrayLike = 1.0,
        offset: npt.ArrayLike = 0.0,
        weight_bits: int = 16,
        bits: int = 10,
    ) -> Network | Quantized[Network] | Quantized[NamedNetwork]:
        """The network that `to_onnx` has written, or, with rows, a model of floats in integers of the chain.

        Without rows, spec, integers and line are what they were. The integers are hashed and the model is
        run, so neither they nor its graph have been changed. With rows, the model has dense layers,
        convolutions and maxima with ReLUs, one after the other, and the arguments are those of `from_torch`.
        Raises `OnnxMissing`, `ModelFileInvalid`, `WeightsMismatch`, `ExportMismatch`, and what `from_torch`
        raises; `OptionUnused` for a mapping without rows.
        """
        form, file = onnx_format(), Path(path)
        model = form.read_onnx(file)
        if X_calibration is not None:
            from engram.library.onnx_floats import read_floats

            taken = Taken.of(X_calibration, mapping, scale, offset)
            return cls._of_floats(read_floats(model, taken.scale, taken.offset), taken, weight_bits, bits)
        if mapping is not None:
            raise OptionUnused("mapping goes with rows to calibrate on: use with_mapping of the result")
        network = cls.of_version(form.own_network(file, model))
        form.check_same(network, model.SerializeToString())
        return network

    def to_torch(self) -> TorchNetwork:
        """The network as a `torch.nn.Module` with integer buffers, for the processor or a graphics card.

        It maps features from 0 to 255, (rows, inputs) or images, to logits (rows, classes) int64 in units of
        2^-16 nat. It has computed the network's own logits before this returns. Raises `TorchMissing`,
        `ExportMismatch`.
        """
        try:
            from engram.library.torch_format import torch_network
        except ModuleNotFoundError as error:
            raise TorchMissing(TORCH, got=str(error)) from error
        return torch_network(self)

    def _rows(self, X: npt.ArrayLike) -> Rows:
        return Rows(X, self.inputs, self.classes)

    def _runs(self, rows: Rows, engine: Engine = FAST) -> Iterator[tuple[slice, Int64Array]]:
        """Stretches of rows with their logits."""
        for stretch, features in rows.chunks():
            yield stretch, forward(self.spec, self.parameters, features, self.bounds, engine)

    def __eq__(self, other: object) -> bool:
        """Whether spec, integers and line are the same."""
        if not isinstance(other, Network):
            return NotImplemented
        return (self.spec, self.line) == (other.spec, other.line) and all(
            np.array_equal(own.weights, theirs.weights) and np.array_equal(own.bias, theirs.bias)
            for own, theirs in zip(self.parameters, other.parameters, strict=True)
        )

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        numbers = sum(each.weights.size + each.bias.size for each in self.parameters)
        name = f"version {self.version.number} of {self.version.model.hex()[:12]}, " if self.version else ""
        return f"Network({shape_text(self.spec)}; {numbers:,} integers; {name}root {self.root.hex()[:12]})"
