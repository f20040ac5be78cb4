"""A network of the chain as a PyTorch module of integers.

Products run in float64, where no sum of a segment is rounded: the bound proof keeps them below 2^31. They are
plain matrix products of gathered values, which no library replaces by a transform that rounds. Everything
else is int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engram.library.errors import ExportMismatch, LayerUnsupported
from engram.library.integers import IntegerNetwork
from engram.library.sampling import sample_rows
from engram.library.tables import components_of_entries, entries_of_stages, taps
from engram.nn.fixed import EXP_CUT_NATS, LOGIT_BITS, exp_table, ln_table
from engram.nn.layers import HiddenSegment, MaxPool, Output
from engram.nn.layers.conv import Conv2d
from engram.nn.layers.dense import Dense
from engram.nn.layers.maps import maps_read
from engram.nn.layers.steps import Clip, Root, RoundShift, Square, Step
from engram.nn.logits import GATED_LIMIT, LOGIT_LIMIT, layout_of
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec, component_classes, component_count

_ABSENT = -(2**40)
"""An entry that fills up a stage: further below every other than exp sees."""


class TorchNetwork(nn.Module):
    """Logits (rows, classes) int64 in units of 2^-16 nat, of features from 0 to 255, as rows or images.

    Its numbers are buffers: it moves between devices and is saved as every module is, and nothing trains it.
    """

    def __init__(self, spec: NetworkSpec, parameters: Parameters) -> None:
        super().__init__()
        self.spec = spec
        self._segments: tuple[HiddenSegment | Output, ...] = (*spec.hidden, *spec.outputs)
        for number, (segment, given) in enumerate(zip(self._segments, parameters, strict=True)):
            self._keep(f"weights_{number}", given.weights)
            self._keep(f"bias_{number}", given.bias)
            if isinstance(segment, MaxPool | Conv2d):
                groups = maps_read(segment) if isinstance(segment, MaxPool) else _groups(segment)
                self._keep(f"taps_{number}", taps(segment, groups))
        roots = Root().exact(np.arange(2**16, dtype=np.int64))
        self._keep("roots", roots.astype(np.uint8))
        layout = layout_of(component_classes(spec))
        self._keep("components", components_of_entries(layout))
        self._gated = len(layout.stages) > 1
        if self._gated:
            self._keep_gates(spec)

    def _keep(self, name: str, values: Any) -> None:
        self.register_buffer(name, torch.from_numpy(np.array(values)))

    def _keep_gates(self, spec: NetworkSpec) -> None:
        """The tables of `nn.logits` and `nn.fixed`."""
        layout = layout_of(component_classes(spec))
        count, gates = len(layout.starts), layout.stages[1:]
        limits = np.full(count, GATED_LIMIT, dtype=np.int64)
        limits[: layout.stages[1]] = LOGIT_LIMIT
        self._keep("limits", limits)
        self._keep("gates", gates)
        self._keep("own", np.setdiff1d(np.arange(count), gates))
        self._keep("stages", entries_of_stages(layout))
        self._keep("stage_of_class", layout.stage_of_class)
        self._keep("exp", exp_table())
        self._keep("ln", ln_table())

    def forward(self, features: Tensor) -> Tensor:
        layers: dict[int, list[Tensor]] = {0: [features.flatten(1).to(torch.int64)]}
        for number, segment in enumerate(self.spec.hidden):
            made = self._accumulators(number, segment, layers)
            for step in segment.steps():
                made = self._stepped(step, made)
            layers.setdefault(segment.layer, []).append(made)
        count = component_count(self.spec)
        sums = layers[0][0].new_zeros((len(features), count))
        for number, output in enumerate(self.spec.outputs, start=len(self.spec.hidden)):
            made = self._accumulators(number, output, layers)
            for step in output.steps():
                made = self._stepped(step, made)
            sums[:, output.first : output.first + output.width] += output.scaled(made)
        best = sums[:, self.components].amax(dim=2)
        return (self._lifted(best) if self._gated else best).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)

    def _accumulators(
        self, number: int, segment: HiddenSegment | Output, layers: dict[int, list[Tensor]]
    ) -> Tensor:
        whole = {each.layer: torch.cat(layers[each.layer], dim=1) for each in segment.intervals}
        x = torch.cat([whole[each.layer][:, each.lo : each.hi] for each in segment.intervals], dim=1)
        weights = self.get_buffer(f"weights_{number}").to(torch.float64)
        bias = self.get_buffer(f"bias_{number}").to(torch.int64)
        if isinstance(segment, MaxPool):
            best = self._seen(number, x).amax(dim=2)
            return (best * weights.to(torch.int64)[:, None] + bias[:, None]).flatten(1)
        if isinstance(segment, Conv2d):
            groups = _groups(segment)
            kernels = weights.reshape(groups, len(weights) // groups, -1)
            made = torch.matmul(kernels, self._seen(number, x).to(torch.float64)).to(torch.int64)
            return (made + bias.reshape(groups, -1)[:, :, None]).flatten(1)
        if isinstance(segment, Dense):
            return torch.matmul(x.to(torch.float64), weights).to(torch.int64) + bias
        raise LayerUnsupported(f"segment {number} is a {type(segment).__name__}, unknown to PyTorch here")

    def _seen(self, number: int, x: Tensor) -> Tensor:
        """What each group sees under each tap (rows, groups, taps, pixels); 0 outside its maps."""
        return nn.functional.pad(x, (1, 0))[:, self.get_buffer(f"taps_{number}")]

    def _stepped(self, step: Step, value: Tensor) -> Tensor:
        match step:
            case RoundShift(bits):
                return (value + step.half) >> bits
            case Clip(lo, hi):
                return value.clamp(lo, hi)
            case Square():
                return value * value
            case Root():
                return self.get_buffer("roots")[value].to(torch.int64)

    def _lifted(self, best: Tensor) -> Tensor:
        """As `nn.logits._lifted`."""
        entries = torch.minimum(torch.maximum(best, -self.limits), self.limits)
        found = nn.functional.pad(entries, (0, 1), value=_ABSENT)[:, self.stages]
        top = found.amax(dim=2)
        shift = 32 - LOGIT_BITS
        logarithm = self._ln_q32(self._exp_q32(top[:, :, None] - found).sum(dim=2))
        norms = top + ((logarithm + (1 << (shift - 1))) >> shift)
        added = entries[:, self.gates] - norms[:, :-1]
        lifts = nn.functional.pad(added.flip(1).cumsum(dim=1).flip(1), (0, 1))
        return entries[:, self.own] + lifts[:, self.stage_of_class]

    def _exp_q32(self, d: Tensor) -> Tensor:
        return _interpolated(self.get_buffer("exp"), d.clamp(max=EXP_CUT_NATS << LOGIT_BITS), 6)

    def _ln_q32(self, s: Tensor) -> Tensor:
        powers = torch.tensor([1 << (32 + k) for k in range(1, 16)], device=s.device)
        exponent = (s[..., None] >= powers).sum(dim=-1)
        table = self.get_buffer("ln")
        return _interpolated(table, (s << (16 - exponent)) - (1 << 48), 37) + exponent * table[-1]


def _interpolated(entries: Tensor, value: Tensor, bits: int) -> Tensor:
    """The interpolation rule of `fixed` for a value ≥ 0."""
    index, fraction = value >> bits, value & ((1 << bits) - 1)
    after = entries[(index + 1).clamp(max=len(entries) - 1)]
    return entries[index] + (((after - entries[index]) * fraction + (1 << (bits - 1))) >> bits)


def _groups(segment: Any) -> int:
    return int(segment.groups)


def torch_network(network: IntegerNetwork) -> TorchNetwork:
    """The network as a module, which has computed its logits on random and on extreme rows.

    Raises `ExportMismatch` if they differ.
    """
    module = TorchNetwork(network.spec, network.parameters)
    module.eval()
    rows = sample_rows(network.spec.inputs)
    with torch.no_grad():
        found = module(torch.from_numpy(rows)).numpy()
    if not np.array_equal(found, wanted := network.logits(rows)):
        row, column = (int(each) for each in np.argwhere(found != wanted)[0])
        raise ExportMismatch(
            f"logit {column} of row {row} differs",
            expected=int(wanted[row, column]),
            got=int(found[row, column]),
        )
    return module
