"""Training with PyTorch: it learns, keeps what is frozen, and does the same with two processes as alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engram.nn.growth import grown_spec, merge_parameters
from engram.nn.loss import LossKind
from engram.nn.network import forward
from engram.nn.parameters import prove_bounds
from engram.participant import datasets
from engram.participant.errors import DeviceMissing
from engram.participant.training import trainer
from engram.participant.training.architect import dense_network
from engram.participant.training.backends import backend_named
from engram.participant.training.qat import Budget

torch = pytest.importorskip("torch", reason="PyTorch is not here: `make test-torch` brings it")

SOFTMAX = LossKind.SOFTMAX_CROSS_ENTROPY
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digits() -> datasets.Dataset:
    return datasets.load_digits().shuffled(np.random.default_rng(7))


@pytest.mark.parametrize("weight_bits", [8, 16])
@pytest.mark.parametrize("loss_kind", LossKind)
def test_it_learns_and_grows_as_the_numpy_trainer_does(
    digits: datasets.Dataset, weight_bits: int, loss_kind: LossKind
) -> None:
    own, unseen = digits.take(np.arange(900)), digits.take(np.arange(900, 1797))
    old = own.of_classes(range(6))
    rng = np.random.default_rng(1)
    spec, fresh = dense_network(old, (24,), 6, rng, weight_bits=weight_bits)
    with backend_named("torch", "cpu") as backend:
        parameters = trainer.train(
            spec, fresh, old, Budget(steps=400, batch=32), rng, None, loss_kind, backend.fit
        )
        prove_bounds(spec, parameters)
        known = trainer.evaluate(spec, parameters, unseen.of_classes(range(6)), loss_kind)
        assert known.correct >= 0.93 * known.rows
        growth, added = trainer.grow(
            spec,
            parameters,
            own,
            new_classes=4,
            neurons=24,
            budget=Budget(steps=600, batch=32),
            rng=rng,
            loss_kind=loss_kind,
            fit=backend.fit,
        )
    whole, merged = grown_spec(spec, growth), merge_parameters(spec, parameters, growth, added)
    grown = trainer.evaluate(whole, merged, unseen, loss_kind)
    assert grown.correct >= 0.85 * grown.rows
    before = forward(spec, parameters, unseen.features)
    assert np.array_equal(forward(whole, merged, unseen.features)[:, :6], before)


def test_progress_is_told_and_may_end_the_training(digits: datasets.Dataset) -> None:
    spec, fresh = dense_network(digits, (8,), 10, np.random.default_rng(1))
    told: list[int] = []

    def progress(step: int, loss: float) -> None:
        told.append(step)
        if step == 3:
            raise InterruptedError

    with backend_named("torch", "cpu") as backend, pytest.raises(InterruptedError):
        backend.fit(
            spec, fresh, (True, True), digits, Budget(50, 8), np.random.default_rng(1), progress, SOFTMAX
        )
    assert told == [1, 2, 3]


def test_it_ends_where_labels_have_no_pattern_to_learn(digits: datasets.Dataset) -> None:
    shuffled = np.random.default_rng(2).permutation(digits.labels[:600])
    data = datasets.Dataset(digits.features[:600], shuffled)
    spec, fresh = dense_network(data, (16,), 10, np.random.default_rng(1))
    told: list[int] = []
    with backend_named("torch", "cpu") as backend:
        budget = Budget(400, 32, learning_rate=4.0, patience=3)
        backend.fit(
            spec,
            fresh,
            (True, True),
            data,
            budget,
            np.random.default_rng(1),
            lambda step, loss: told.append(step),
            SOFTMAX,
        )
    assert 12 <= max(told) < 400


@pytest.mark.parametrize("device", ["cuda:99", "meta", "no such thing"])
def test_devices_that_are_not_there(device: str) -> None:
    with pytest.raises(DeviceMissing), backend_named("torch", device):
        raise AssertionError("a device that is not there was given")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no graphics card for CUDA")
def test_a_graphics_card_learns_as_well(digits: datasets.Dataset) -> None:
    rng = np.random.default_rng(1)
    spec, fresh = dense_network(digits, (24,), 10, rng)
    with backend_named("torch", "cuda") as backend:
        parameters = trainer.train(spec, fresh, digits, Budget(400, 32), rng, None, SOFTMAX, backend.fit)
    found = trainer.evaluate(spec, parameters, digits, SOFTMAX)
    assert found.correct >= 0.93 * found.rows


PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from engram.nn.loss import LossKind
from engram.participant import datasets
from engram.participant.training import trainer
from engram.participant.training.architect import dense_network
from engram.participant.training.backends import backend_named
from engram.participant.training.qat import Budget

def play(backend):
    own = datasets.load_digits()
    for number in (1, 2):
        rng = np.random.default_rng(number)
        spec, fresh = dense_network(own, (24,), 10, rng)
        trained = trainer.train(
            spec, fresh, own, Budget(60, 33), rng, None, LossKind.SOFTMAX_CROSS_ENTROPY, backend.fit
        )
        arrays = [each for block in trained for each in (block.weights, block.bias)]
        np.savez(f"{sys.argv[1]}/{number}.npz", *arrays, draw=rng.integers(2**32))

with backend_named("torch", "cpu") as backend:
    play(backend) if backend.plays else backend.serve()
threads = [each.read_text().strip() for each in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in threads if "gloo" in name], threads
"""


def ran(folder: Path, *launcher: str) -> dict[int, dict[str, np.ndarray]]:
    """What the program has written, started with a launcher or without one."""
    folder.mkdir()
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, *launcher, str(program), str(folder)], check=True, cwd=ROOT, env=environment
    )
    return {number: dict(np.load(folder / f"{number}.npz")) for number in (1, 2)}


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """They sum the gradients in another order, so a weight may be rounded otherwise here and there."""
    alone = ran(tmp_path / "alone")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    together = ran(tmp_path / "together", *launcher)
    for number, arrays in alone.items():
        assert arrays.keys() == together[number].keys()
        assert arrays["draw"] == together[number]["draw"], "the same batches were drawn"
        for name in ("arr_0", "arr_2"):
            found, wanted = together[number][name].astype(int), arrays[name].astype(int)
            assert np.abs(found - wanted).max() <= 2
            assert np.mean(found == wanted) > 0.95
            assert len(np.unique(wanted)) > 20
