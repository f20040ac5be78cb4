"""The fields of kinds whose activation is scaled by one shift: those of a ReLU and of a square root agree."""

from __future__ import annotations

from dataclasses import dataclass

from engram.nn.layers.activations import ShiftActivation
from engram.nn.layers.conv import Conv2d
from engram.nn.layers.dense import Dense
from engram.nn.layers.reading import Further
from engram.primitives.types import U8, U16, U32


@dataclass(frozen=True)
class ShiftedDense(ShiftActivation, Dense):
    """A dense segment with such an activation."""

    layer: U8
    """The hidden layer, from 1, of its neurons. Its first interval lies in the layer below."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of the layer below."""
    width: U32
    """The number of neurons that it makes."""
    shift: U8
    """0 to 31: how far an accumulator is shifted right."""
    bits: U8
    """The bits of an activation, from 1 to `MOST_BITS`."""
    weight_bits: U8
    """8 or 16."""
    more: Further = ()
    """What it reads after that."""

    def check(self) -> None:
        self.check_fields()
        self.check_activation()


@dataclass(frozen=True)
class ShiftedConv(ShiftActivation, Conv2d):
    """A convolution with such an activation."""

    layer: U8
    """The hidden layer, from 1, of its neurons. Its first interval lies in the layer below."""
    lo: U32
    hi: U32
    """It reads neurons lo, …, hi - 1 of the layer below, as maps."""
    height: U16
    breadth: U16
    """Height and width in pixels of every map that it reads."""
    channels: U16
    """The number of maps that it makes."""
    kernel: U8
    stride: U8
    padding: U8
    groups: U16
    shift: U8
    """0 to 31: how far an accumulator is shifted right."""
    bits: U8
    """The bits of an activation, from 1 to `MOST_BITS`."""
    weight_bits: U8
    """8 or 16."""
    more: Further = ()
    """What it reads after that."""

    def check(self) -> None:
        self.check_fields()
        self.check_activation()
