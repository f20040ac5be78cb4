"""What trains networks: numpy, which is always there, or PyTorch, which is an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from engram.node.extras import install_command
from engram.participant.errors import TorchMissing
from engram.participant.training import qat
from engram.participant.training.qat import Fit

BACKENDS: Final = ("numpy", "torch")


class Backend(Protocol):
    """A way to train that is ready."""

    @property
    def fit(self) -> Fit:
        """Trains a network."""
        ...

    @property
    def plays(self) -> bool:
        """Whether this process plays rounds; if not, it has to `serve` the one that does."""
        ...

    def serve(self) -> None:
        """Helps another process to train until that one is done."""
        ...


class NumpyBackend:
    """`qat.fit`, in one process."""

    fit: Fit = staticmethod(qat.fit)
    plays = True

    def serve(self) -> None:
        """There is nobody to help."""


@contextmanager
def backend_named(name: str, device: str = "auto") -> Iterator[Backend]:
    """One of `BACKENDS`, for as long as it is needed. `device` is for torch. Raises `TorchMissing`,
    `DeviceMissing`.
    """
    if name == "numpy":
        yield NumpyBackend()
        return
    try:
        from engram.participant.training.torch_fit import torch_trainer
    except ModuleNotFoundError as error:
        raise TorchMissing(
            f"PyTorch is not installed: install it with {install_command('torch')}, or train with numpy",
            got=str(error),
        ) from error
    with torch_trainer(device) as trainer:
        yield trainer
