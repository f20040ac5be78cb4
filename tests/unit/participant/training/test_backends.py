"""What trains: numpy is always there, PyTorch only where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from engram.participant.errors import TorchMissing
from engram.participant.training import qat
from engram.participant.training.backends import backend_named


def test_numpy_plays_and_nobody_waits_for_it() -> None:
    with backend_named("numpy") as backend:
        assert backend.plays
        assert backend.fit is qat.fit
        backend.serve()


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is here: `make test-torch` tests it")
def test_without_pytorch_the_error_says_how_to_get_it() -> None:
    with pytest.raises(TorchMissing, match=r'-m pip install "engram\[torch\]"'), backend_named("torch"):
        raise AssertionError("a trainer that is not installed was given")
