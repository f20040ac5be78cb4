"""All engines by their names, each with what it takes to have it on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engram.nn.engine import FAST, Engine
from engram.node.errors import EngineMissing
from engram.node.extras import install_command

AUTO: Final = "auto"
"""What stands for the fastest engine that is exact here."""
NUMPY: Final = "numpy"
TORCH: Final = "torch"
CUDA: Final = "cuda"

_INSTRUCTIONS: Final = re.compile(r"\b(avx512_vnni|avx_vnni|amx_int8)\b")
_PROCESSOR: Final = Path("/proc/cpuinfo")
_CARDS: Final = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""What Linux has where the driver of a card is loaded; the second in Windows' subsystem."""


def numpy_engine() -> Engine:
    """The engine that is always there."""
    return FAST


def torch_engine() -> Engine:
    """PyTorch on this machine's processor. Raises `EngineMissing`."""
    if not has_int8_instructions():
        raise EngineMissing(
            "this processor has no instructions for products of 8-bit integers, without which PyTorch is "
            "slower than numpy or inexact: choose the engine numpy",
            got=TORCH,
        )
    _need_torch(TORCH)
    from engram.node.engines.torch_device import processor
    from engram.node.engines.torch_engine import TorchEngine

    return TorchEngine(TORCH, processor())


def cuda_engine() -> Engine:
    """PyTorch on a graphics card. Raises `EngineMissing`."""
    _need_torch(CUDA)
    from engram.node.engines.torch_device import card
    from engram.node.engines.torch_engine import TorchEngine

    found = card()
    if found is None:
        raise EngineMissing(
            "PyTorch finds no graphics card that it can use: install a driver and a build of PyTorch for "
            "CUDA, or choose the engine numpy",
            got=CUDA,
        )
    return TorchEngine(CUDA, found)


ENGINES: Final[dict[str, Callable[[], Engine]]] = {
    CUDA: cuda_engine,
    TORCH: torch_engine,
    NUMPY: numpy_engine,
}
"""By name what makes each engine; `auto` tries them in this order."""


def worth_trying(name: str) -> str | None:
    """Why `auto` need not even import what an engine needs; None if it should.

    PyTorch takes seconds to import and hundreds of megabytes, which a machine that has no use for it is
    spared.
    """
    if name not in (TORCH, CUDA):
        return None
    if find_spec("torch") is None:
        return "PyTorch is not installed"
    if name == TORCH:
        return None if has_int8_instructions() else "the processor has no instructions for int8"
    return None if any(card.exists() for card in _CARDS) else "there is no graphics card"


def has_int8_instructions() -> bool:
    """Whether this processor multiplies and adds 8-bit integers into 32 bits by instructions of their own."""
    try:
        return _INSTRUCTIONS.search(_PROCESSOR.read_text(encoding="ascii", errors="replace")) is not None
    except OSError:
        return False


def _need_torch(name: str) -> None:
    if find_spec("torch") is None:
        raise EngineMissing(
            f"the engine {name} needs PyTorch, which is not installed: install it with "
            f"{install_command('torch')}, or choose the engine numpy",
            got=name,
        )
