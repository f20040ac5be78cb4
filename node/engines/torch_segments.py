"""Segments of every kind by PyTorch, with their parameters on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engram.nn.dtypes import IntArray
from engram.nn.gemm import FLOAT32_LIMIT, FLOATS, Kernel
from engram.nn.layers import (
    ConvRelu,
    ConvRoot,
    ConvSquare,
    DenseRelu,
    DenseRoot,
    DenseSquare,
    HiddenSegment,
    MaxPool,
    Output,
)
from engram.nn.layers.conv import maps_of_a_group
from engram.nn.layers.maps import MapFields, made, maps_read, pixels_made
from engram.nn.parameters import SegmentParameters
from engram.node.engines.torch_device import Device
from engram.node.engines.torch_products import Finish, Product
from engram.node.engines.torch_values import (
    NARROW_ZERO,
    WIDE_ZERO,
    downloaded,
    plain,
    uploaded,
)

AnyConv = ConvRelu | ConvSquare | ConvRoot

FEW_MAPS: Final = 8
"""Groups that make fewer maps are added up tap by tap: a matrix product of so few columns is slower."""


class Runner(Protocol):
    """A segment with its parameters on the device."""

    def __call__(self, x: Tensor) -> Tensor:
        """For kept values (rows, fan_in): the values that a hidden segment makes, as they are kept, or the
        accumulators of an output after all steps. Both are (rows, width)."""
        ...


def runner(segment: HiddenSegment | Output, given: SegmentParameters, peak: int, device: Device) -> Runner:
    """Prepares a segment, or a joined run of them, for which `prove_peak` found this peak.

    A kind that has no product here is computed by numpy, which is exact as well.
    """
    made = _KINDS.get(type(segment))
    if made is None:
        return _OnHost(segment, FLOATS.kernel(segment, given.weights, given.bias, peak), device)
    return made(segment, given, peak, device)


def _convolution(segment: AnyConv, given: SegmentParameters, peak: int, device: Device) -> Runner:
    if segment.groups > 1 and segment.channels // segment.groups < FEW_MAPS:
        return _TapByTap(segment, given, peak, device)
    return _Convolution(segment, given, peak, device)


class _Finishes:
    """The `Finish` of a product for each of the two forms in which its operands may be kept."""

    def __init__(self, segment: HiddenSegment | Output, product: Product, bias: IntArray, reach: int) -> None:
        self._made = {
            kept: Finish.of(
                segment,
                bias + product.left_out(kept),
                reach,
                short=product.is_short(kept),
                device=product.device,
            )
            for kept in (torch.int8, torch.int16)
        }

    def __getitem__(self, kept: torch.dtype) -> Finish:
        return self._made[kept]


def _reach(segment: HiddenSegment | Output, given: SegmentParameters, peak: int) -> int:
    """What `Finish` asks of the sums of a product: kept values count as much as 255, whatever their bits."""
    half = next((step.half for step in segment.steps()[:1] if hasattr(step, "half")), 0)
    return max(peak, segment.reach(given.weights, given.bias, 2 * NARROW_ZERO - 1) + half)


class _Dense:
    """x·W + b and its steps."""

    def __init__(
        self, segment: HiddenSegment | Output, given: SegmentParameters, peak: int, device: Device
    ) -> None:
        self._product = Product.of(given.weights, device)
        self._finishes = _Finishes(segment, self._product, given.bias, _reach(segment, given, peak))

    def __call__(self, x: Tensor) -> Tensor:
        return self._finishes[x.dtype](self._product(x))


class _Convolution:
    """A convolution as one product a group: each pixel's values under the kernel are a row of it."""

    def __init__(self, segment: AnyConv, given: SegmentParameters, peak: int, device: Device) -> None:
        self._segment, self._device = segment, device
        self._groups: list[tuple[Product, _Finishes]] = []
        reach, size = _reach(segment, given, peak), segment.channels // segment.groups
        for begin in range(0, segment.channels, size):
            kernels = given.weights[begin : begin + size].reshape(size, -1)
            product = Product.of(np.ascontiguousarray(kernels.T), device)
            bias = given.bias[begin : begin + size]
            self._groups.append((product, _Finishes(segment, product, bias, reach)))

    def __call__(self, x: Tensor) -> Tensor:
        taps = pixels_made(self._segment) * maps_read(self._segment) * self._segment.kernel**2
        size = max(1, self._device.laid // taps)
        chunks = [self._convolved(x[begin : begin + size]) for begin in range(0, max(1, len(x)), size)]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def _convolved(self, x: Tensor) -> Tensor:
        segment, pixels = self._segment, pixels_made(self._segment)
        kernel, step, each = segment.kernel, segment.stride, maps_of_a_group(segment)
        seen = _padded(segment, x).unfold(2, kernel, step).unfold(3, kernel, step)
        made_maps = []
        for number, (product, finishes) in enumerate(self._groups):
            own = seen[:, number * each : (number + 1) * each].permute(0, 2, 3, 1, 4, 5)
            values = finishes[x.dtype](product(own.reshape(len(x) * pixels, each * kernel**2)))
            made_maps.append(values.reshape(len(x), pixels, -1).transpose(1, 2))
        return torch.cat(made_maps, dim=1).reshape(len(x), segment.width)


class _TapByTap:
    """A convolution whose groups make few maps: for each place under the kernel, whole maps are added up.

    The rows are the innermost axis, so that every sum runs over long stretches of memory. Where no sum leaves
    the integers that float32 holds, it is the faster type, and as exact.
    """

    def __init__(self, segment: AnyConv, given: SegmentParameters, peak: int, device: Device) -> None:
        self._segment = segment
        self._dtype = torch.float32 if peak < FLOAT32_LIMIT else torch.int32
        shape = (segment.groups, segment.channels // segment.groups, maps_of_a_group(segment))
        self._weights = device.numbers(given.weights, self._dtype).reshape(*shape, segment.kernel**2)
        # The sums are those of the values themselves, which no partial sum exceeds: nothing is left out.
        bias = given.bias.astype(np.int64)
        self._finish = Finish.of(segment, bias, peak, short=True, device=device)
        self._offset = self._finish.offset.reshape(*shape[:2], 1, 1, 1)

    def __call__(self, x: Tensor) -> Tensor:
        segment, edge = self._segment, self._segment.padding
        groups, own, each, _ = self._weights.shape
        maps = x.t().contiguous().reshape(groups, each, segment.height, segment.breadth, len(x))
        if edge:
            maps = functional.pad(maps, (0, 0, edge, edge, edge, edge), value=_nothing(x.dtype))
        maps = plain(maps, self._dtype)
        down, right = (
            segment.stride * (made(segment, length) - 1) + 1 for length in (segment.height, segment.breadth)
        )
        pixels = (made(segment, segment.height), made(segment, segment.breadth))
        sums = torch.zeros((groups, own, *pixels, len(x)), dtype=self._dtype, device=x.device)
        for number in range(each):
            for v in range(segment.kernel):
                for u in range(segment.kernel):
                    seen = maps[:, number, v : v + down : segment.stride, u : u + right : segment.stride]
                    weight = self._weights[:, :, number, v * segment.kernel + u]
                    sums.addcmul_(seen.unsqueeze(1), weight[:, :, None, None, None])
        return self._finish(sums.to(torch.int32), self._offset).reshape(segment.width, len(x)).t()


class _Pool:
    """The largest value under a window, scaled map by map."""

    def __init__(self, segment: MaxPool, given: SegmentParameters, peak: int, device: Device) -> None:
        self._segment = segment
        self._weights = device.numbers(given.weights, torch.int32)[:, None, None]
        bias = given.bias.astype(np.int64)
        self._finish = Finish.of(segment, bias, peak, short=True, device=device)

    def __call__(self, x: Tensor) -> Tensor:
        segment = self._segment
        maps = _padded(segment, x)
        for axis, length in ((2, segment.height), (3, segment.breadth)):
            span = segment.stride * (made(segment, length) - 1) + 1
            best = maps.narrow(axis, 0, span)
            for tap in range(1, segment.kernel):
                best = torch.maximum(best, maps.narrow(axis, tap, span))
            maps = best[:, :, :: segment.stride] if axis == 2 else best[..., :: segment.stride]
        sums = plain(maps) * self._weights
        return self._finish(sums, self._finish.offset[:, None, None]).reshape(len(x), segment.width)


@dataclass(frozen=True, eq=False)
class _OnHost:
    """A kind without a product of its own here."""

    segment: HiddenSegment | Output
    kernel: Kernel
    device: Device

    def __call__(self, x: Tensor) -> Tensor:
        values = downloaded(x.contiguous()).astype(FLOATS.activations)
        out = np.empty((len(values), self.segment.width), dtype=np.float64)
        self.kernel(values, out)
        if isinstance(self.segment, Output):
            return self.device.numbers(out, torch.int64)
        return uploaded(out.astype(np.uint8 if self.segment.bits <= 8 else np.uint16), self.device.torch)


def _padded(segment: MapFields, x: Tensor) -> Tensor:
    """Kept values (rows, fan_in) as maps (rows, maps, height, breadth) with zeros around each map."""
    maps = x.reshape(len(x), -1, segment.height, segment.breadth)
    if not segment.padding:
        return maps
    return functional.pad(maps, (segment.padding,) * 4, value=_nothing(x.dtype))


def _nothing(kept: torch.dtype) -> int:
    """How 0 is kept."""
    return -(NARROW_ZERO if kept == torch.int8 else WIDE_ZERO)


_KINDS: Final[Mapping[type, Callable[[Any, SegmentParameters, int, Device], Runner]]] = {
    DenseRelu: _Dense,
    DenseSquare: _Dense,
    DenseRoot: _Dense,
    Output: _Dense,
    ConvRelu: _convolution,
    ConvSquare: _convolution,
    ConvRoot: _convolution,
    MaxPool: _Pool,
}
"""What computes each kind of segment."""
