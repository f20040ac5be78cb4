"""What PyTorch's products ask for on a device, and what a device has to offer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

Fused = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

_LOGGER: Final = logging.getLogger("engram.engine")

LAID_ON_PROCESSOR: Final = 2**22
"""Values under the kernel of a convolution that are laid out at a time: they fit a processor's cache."""
LAID_ON_CARD: Final = 2**30
BYTES_A_VALUE: Final = 32
"""Roughly what a card's memory holds at one time for each value of a chunk: the value itself, the int32 sum
that it comes from, and copies on the way."""
SHARE_KEPT: Final = 4
"""Kept activations may take one of so many bytes that the card has free at the start."""


@dataclass(frozen=True)
class Device:
    """Where tensors lie, and what its products are like."""

    torch: torch.device
    multiple: int
    """The sides of a product's operands are padded to multiples of this."""
    least_rows: int
    """A product has at least so many rows."""
    least_operands: int
    """A product runs over at least so many operands."""
    laid: int
    """So many values under the kernel of a convolution are laid out at a time."""
    chunk_values: int | None
    """So many neurons, of all layers and rows, are computed at a time; None: in the chunks of numpy."""
    keeps_bytes: int | None
    """Bytes of the card's memory that kept activations may take; None for a processor."""
    fused: Fused | None
    """Adds, shifts, clips and narrows in one pass, where the device has something for it."""

    def numbers(self, array: np.ndarray[Any, Any], dtype: torch.dtype) -> Tensor:
        """A copy of numpy's integers as a tensor of this type."""
        return torch.from_numpy(array.astype(np.int64)).to(self.torch, dtype)


def processor() -> Device:
    """This machine's processor."""
    # PyTorch 2.13 is wrong where a product runs over one operand; the self-check has such a product.
    return Device(torch.device("cpu"), 1, 1, 2, LAID_ON_PROCESSOR, None, None, None)


def card() -> Device | None:
    """The graphics card that PyTorch takes first; None if there is none that it can use."""
    if not torch.cuda.is_available():
        return None
    try:
        device = torch.device("cuda", torch.cuda.current_device())
        free, _ = torch.cuda.mem_get_info(device)
    except RuntimeError:  # it is there, and another program has it, or it has failed
        return None
    chunk = max(2**20, free // (2 * BYTES_A_VALUE))
    # Its products want operands of whole 16 bytes, and more rows than 16.
    return Device(device, 16, 32, 16, LAID_ON_CARD, chunk, free // SHARE_KEPT, _fused_on())


def described(device: Device) -> str:
    """The name of the card, or that it is a processor."""
    return torch.cuda.get_device_name(device.torch) if device.torch.type == "cuda" else "processor"


def requantised(total: Tensor, offset: Tensor, shift: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """(total + offset) >> shift, clipped to [lo, hi], as int8; all operands are int32."""
    return torch.bitwise_right_shift(total + offset, shift).clamp(lo, hi).to(torch.int8)


class Fusing:
    """`requantised` as one kernel while PyTorch's compiler gives one; else its steps, one after the other.

    The compiler needs a C compiler on the machine, and makes a kernel when it first sees operands of another
    kind. Once that fails, the steps run one after the other, only slower, and the log says so.
    """

    def __init__(self, kernel: Fused) -> None:
        self._kernel: Fused | None = kernel

    def __call__(self, total: Tensor, offset: Tensor, shift: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        kernel = self._kernel
        if kernel is not None:
            try:
                return kernel(total, offset, shift, lo, hi)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                self._kernel = None
                _LOGGER.warning(
                    "PyTorch makes no kernel of the steps between two products, so they run one after the "
                    "other, which is slower: is there a C compiler? (%s: %s)",
                    type(error).__name__,
                    error,
                )
        return requantised(total, offset, shift, lo, hi)


def _fused_on() -> Fusing:
    """With PyTorch's compiler. What it gives is held against the reference by the self-check of engines."""
    return Fusing(torch.compile(requantised, dynamic=True))
