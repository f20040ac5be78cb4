"""An engine by PyTorch, on this machine's processor or on a graphics card.

Networks run chunk by chunk, and activations stay on the device: kept ones as well, which all candidates on
one part share. Parameters stay there as long as the numpy arrays that they were made of.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from engram.nn.engine import FAST, Frozen
from engram.nn.evaluate import FrozenActivations, joined_segments
from engram.nn.fixed import Int64Array
from engram.nn.layers import HiddenSegment, Output
from engram.nn.loss import Measure, RowScores
from engram.nn.parameters import Parameters, SegmentParameters
from engram.nn.spec import NetworkSpec, chunk_rows, component_count, layer_widths
from engram.node.engines import torch_losses
from engram.node.engines.torch_device import Device
from engram.node.engines.torch_segments import Runner, runner
from engram.node.engines.torch_values import Pieces, downloaded, read, uploaded, widened

_LOGGER: Final = logging.getLogger("engram.engine")
"""A node writes what it is told to its log; without a node it goes to standard error."""

NARROW_VALUES: Final = 256
"""A layer of values below this is kept in one byte each."""

R = TypeVar("R")
S = TypeVar("S", bound=HiddenSegment | Output)


@dataclass(frozen=True, eq=False)
class DeviceActivations:
    """As `FrozenActivations`, on a device."""

    hidden: int
    outputs: int
    layers: tuple[Tensor, ...]
    """The features (n, inputs), then each hidden layer, as `torch_values` says."""
    sums: Tensor
    """(n, components) int64."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.sums)

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of inputs, then of the neurons of each hidden layer that have been computed."""
        return tuple(layer.shape[1] for layer in self.layers)

    @property
    def size_bytes(self) -> int:
        """The bytes of memory that everything except the features takes."""
        return sum(each.numel() * each.element_size() for each in (*self.layers[1:], self.sums))

    def counted(self, hidden: int, outputs: int) -> DeviceActivations:
        """The same values, said to be of so many segments."""
        return replace(self, hidden=hidden, outputs=outputs)

    def on_host(self) -> FrozenActivations:
        """The values as numpy arrays."""
        layers = tuple(map(downloaded, self.layers))
        return FrozenActivations(self.hidden, self.outputs, layers, self.sums.cpu().numpy())


@dataclass(frozen=True)
class _Chunk:
    """What was computed for some rows."""

    layers: list[Pieces]
    sums: Tensor


class TorchEngine:
    """Evaluates networks on one device. It may be called by several threads.

    Where a card's memory is too small for an evaluation, numpy does it, and a line of the log says so.
    """

    def __init__(self, name: str, device: Device) -> None:
        self.name: Final = name
        self.device: Final = device
        self._prepared: WeakKeyDictionary[SegmentParameters, tuple[HiddenSegment | Output, int, Runner]]
        self._prepared = WeakKeyDictionary()
        self._lock: Final = threading.Lock()

    @property
    def keeps_bytes(self) -> int | None:
        """The bytes of the card's memory that activations may take; None on a processor."""
        return self.device.keeps_bytes

    def logits(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Int64Array:
        def run() -> Int64Array:
            made = [np.zeros((0, spec.classes), dtype=np.int64)]
            for chunk in self._chunks(spec, parameters, peaks, start):
                made.append(torch_losses.logits_of(spec.components, chunk.sums).cpu().numpy())
            return np.concatenate(made)

        return self._with_room(run, lambda: FAST.logits(spec, parameters, peaks, start))

    def scores(
        self,
        spec: NetworkSpec,
        parameters: Parameters,
        peaks: Sequence[int],
        start: Frozen,
        measure: Measure,
    ) -> RowScores:
        def run() -> RowScores:
            found = [
                torch_losses.logits_of(spec.components, chunk.sums)
                for chunk in self._chunks(spec, parameters, peaks, start)
            ]
            empty = torch.zeros((0, spec.classes), dtype=torch.int64, device=self.device.torch)
            return torch_losses.score_rows(measure, torch.cat([empty, *found]))

        return self._with_room(run, lambda: FAST.scores(spec, parameters, peaks, start, measure))

    def keep(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: FrozenActivations
    ) -> Frozen:
        def run() -> Frozen:
            chunks = list(self._chunks(spec, parameters, peaks, start))
            layers = [self._layer(spec, chunks, number) for number in range(1, len(layer_widths(spec)))]
            features = self._start(start).layers[0]
            empty = torch.zeros((0, component_count(spec)), dtype=torch.int64, device=self.device.torch)
            sums = torch.cat([empty, *(chunk.sums for chunk in chunks)])
            return DeviceActivations(len(spec.hidden), len(spec.outputs), (features, *layers), sums)

        return self._with_room(run, lambda: FAST.keep(spec, parameters, peaks, start))

    def _with_room(self, run: Callable[[], R], otherwise: Callable[[], R]) -> R:
        try:
            with torch.inference_mode():
                return run()
        except torch.OutOfMemoryError as error:
            _LOGGER.warning(
                "the card's memory is too small, so numpy computes this evaluation for the engine %s: %s",
                self.name,
                error,
            )
        torch.cuda.empty_cache()
        return otherwise()

    def _start(self, start: Frozen) -> DeviceActivations:
        if isinstance(start, DeviceActivations) and start.sums.device == self.device.torch:
            return start
        host, device = start.on_host(), self.device.torch
        layers = tuple(uploaded(layer, device) for layer in host.layers)
        return DeviceActivations(host.hidden, host.outputs, layers, torch.tensor(host.sums, device=device))

    def _layer(self, spec: NetworkSpec, chunks: list[_Chunk], number: int) -> Tensor:
        """A hidden layer of all chunks, as wide as its widest values are."""
        wide = any(value >= NARROW_VALUES for _, value in spec.totals.stretches[number])
        made = [chunk.layers[number].whole() for chunk in chunks]
        if made:
            return torch.cat(list(map(widened, made)) if wide else made)
        nothing = torch.zeros((0, layer_widths(spec)[number]), device=self.device.torch)
        return nothing.to(torch.int16 if wide else torch.int8)

    def _chunks(
        self, spec: NetworkSpec, parameters: Parameters, peaks: Sequence[int], start: Frozen
    ) -> Iterator[_Chunk]:
        """Runs what `start` does not hold."""
        kept = self._start(start)
        hidden, outputs = spec.hidden[start.hidden :], spec.outputs[start.outputs :]
        split = len(hidden)
        hidden_runs = self._runners(hidden, parameters[:split], peaks[:split])
        output_runs = self._runners(outputs, parameters[split:], peaks[split:])
        size = self._chunk_rows(spec)
        for begin in range(0, kept.rows, size):
            rows = slice(begin, min(begin + size, kept.rows))
            yield self._chunk(spec, kept, rows, hidden_runs, output_runs)

    def _chunk_rows(self, spec: NetworkSpec) -> int:
        neurons, components = sum(layer_widths(spec)), component_count(spec)
        if self.device.chunk_values is None:
            return chunk_rows(neurons, components)
        return max(1, self.device.chunk_values // (neurons + 8 * components))

    def _chunk(
        self,
        spec: NetworkSpec,
        kept: DeviceActivations,
        rows: slice,
        hidden: Sequence[tuple[HiddenSegment, Runner]],
        outputs: Sequence[tuple[Output, Runner]],
    ) -> _Chunk:
        layers = [Pieces() for _ in layer_widths(spec)]
        for pieces, layer in zip(layers, kept.layers, strict=False):
            pieces.append(layer[rows])
        for segment, run in hidden:
            layers[segment.layer].append(run(read(layers, segment)))
        sums = torch.zeros(
            (rows.stop - rows.start, component_count(spec)), dtype=torch.int64, device=self.device.torch
        )
        sums[:, : kept.sums.shape[1]] = kept.sums[rows]
        for output, run in outputs:
            found = run(read(layers, output)).to(torch.int64)
            if output.shift < 0:
                found <<= -output.shift
            sums[:, output.first : output.first + output.width] += found
        return _Chunk(layers, sums)

    def _runners(
        self, segments: Sequence[S], parameters: Parameters, peaks: Sequence[int]
    ) -> list[tuple[S, Runner]]:
        """Each run of the segments as one, ready on the device."""
        whole = zip(*joined_segments(segments, parameters, peaks), strict=True)
        return [(segment, self._ready(segment, given, peak)) for segment, given, peak in whole]

    def _ready(self, segment: HiddenSegment | Output, given: SegmentParameters, peak: int) -> Runner:
        with self._lock:
            known = self._prepared.get(given)
        if known is not None and known[:2] == (segment, peak):
            return known[2]
        made = runner(segment, given, peak, self.device)
        with self._lock:
            self._prepared[given] = (segment, peak, made)
        return made
