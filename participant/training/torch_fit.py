"""The trainer by PyTorch: the same interface as `qat.fit`, on a processor or a graphics card, alone or many.

Under `torchrun` every process has a number. Process 0 plays the rounds; the others wait in `serve` for what
it trains, and compute their share of each batch. `DistributedDataParallel` averages the gradients, so all of
them hold the same weights after every step. What process 0 sends are Python objects, pickled: run these
processes on machines of your own and on a network of your own, as `torchrun` itself asks for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from engram.nn.loss import LossKind
from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset
from engram.participant.errors import DeviceMissing
from engram.participant.training.qat import Budget, Progress, batches, range_of, rate_at
from engram.participant.training.stopping import Watch
from engram.participant.training.torch_network import QuantizedNetwork, loss_of_rows

WAITING: Final = timedelta(days=365)
"""How long a process waits for the next training; between two rounds there may be days."""
CONTROL: Final = torch.device("cpu")
"""Where processes exchange what they are to train."""


@dataclass(frozen=True, eq=False)
class _Job:
    """What process 0 sends to the others."""

    spec: NetworkSpec
    parameters: Parameters
    trainable: tuple[bool, ...]
    data: Dataset
    budget: Budget
    rng: np.random.Generator
    loss_kind: LossKind


@dataclass(frozen=True)
class TorchTrainer:
    """Trains networks on one device, or with its share of the processes that `torchrun` has started."""

    device: torch.device
    rank: int = 0
    """The number of this process."""
    processes: int = 1

    @property
    def plays(self) -> bool:
        """Whether this process plays the rounds; otherwise it has to `serve`."""
        return self.rank == 0

    def fit(
        self,
        spec: NetworkSpec,
        parameters: Parameters,
        trainable: tuple[bool, ...],
        data: Dataset,
        budget: Budget,
        rng: np.random.Generator,
        progress: Progress | None = None,
        loss_kind: LossKind = LossKind.SOFTMAX_CROSS_ENTROPY,
        /,
    ) -> Parameters:
        """As `qat.fit`. Float32 sums differ between devices, so the integers that come out may, too."""
        if not any(trainable) or budget.steps == 0:
            return parameters
        job = _Job(spec, parameters, trainable, data, budget, rng, loss_kind)
        if self.processes > 1:
            dist.broadcast_object_list([job], src=0, device=CONTROL)
        return self._train(job, progress)

    def serve(self) -> None:
        """Helps process 0 to train until it is done. Returns then."""
        while True:
            received: list[_Job | None] = [None]
            dist.broadcast_object_list(received, src=0, device=CONTROL)
            if received[0] is None:
                return
            self._train(received[0], None)

    def _train(self, job: _Job, progress: Progress | None) -> Parameters:
        network = QuantizedNetwork(job.spec, job.parameters, job.trainable).to(self.device)
        module: torch.nn.Module = network
        if self.processes > 1:
            module = DistributedDataParallel(network)
        steps = _Steps(network, job)
        every = max(1, job.budget.steps // 100)
        classes, watch, data = job.spec.classes, None, job.data
        if job.budget.patience:
            # All processes set the same rows aside, hold the same weights, and so end at the same step.
            watch = Watch(job.spec, data, job.budget.patience, job.loss_kind, job.rng)
            data = watch.training
        for number, index in enumerate(batches(data.labels, classes, job.budget, job.rng), start=1):
            own = index[self.rank :: self.processes]
            x = torch.from_numpy(data.features[own]).to(self.device, torch.float32)
            labels = torch.from_numpy(data.labels[own].astype(np.int64)).to(self.device)
            # Gradients are averaged over the processes, whose shares of a batch may differ by a row.
            loss = loss_of_rows(module(x), labels, job.loss_kind) * (self.processes / len(index))
            steps.take(loss, number)
            if number % every and number != job.budget.steps:
                continue
            if progress is not None and number % every == 0:
                progress(number, float(loss.detach()))
            if watch is not None and watch.ends(_trained(network, job)):
                break
        return _trained(network, job) if watch is None else watch.best


def _trained(network: QuantizedNetwork, job: _Job) -> Parameters:
    """The parameters of a job with the integers of the segments that learn."""
    trained = network.integers()
    return tuple(
        new if learns else old
        for new, old, learns in zip(trained, job.parameters, job.trainable, strict=True)
    )


class _Steps:
    """Adam with decoupled weight decay, at the rates of `qat.py`."""

    def __init__(self, network: QuantizedNetwork, job: _Job) -> None:
        self._budget = job.budget
        self._limits: list[tuple[torch.nn.Parameter, float]] = []
        groups: list[dict[str, Any]] = []
        segments = (*job.spec.hidden, *job.spec.outputs)
        for segment, weights, bias in zip(segments, network.weights, network.biases, strict=True):
            if weights.requires_grad:
                limit, fineness = range_of(segment)
                decay = job.budget.weight_decay / fineness
                groups.append({"params": [weights], "weight_decay": decay, "fineness": fineness})
                groups.append({"params": [bias], "weight_decay": 0.0, "fineness": 1.0})
                self._limits.append((weights, limit))
        self._adam = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-12)

    def take(self, loss: torch.Tensor, number: int) -> None:
        """One step against the gradient of the loss."""
        rate = rate_at(self._budget, number)
        for group in self._adam.param_groups:
            group["lr"] = rate * group["fineness"]
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        with torch.no_grad():
            for weights, limit in self._limits:
                weights.clamp_(-limit, limit)


@contextmanager
def torch_trainer(device: str = "auto") -> Iterator[TorchTrainer]:
    """A trainer for as long as it is needed; with it ends what other processes of `torchrun` wait for.

    `device` is one of PyTorch's names, or auto: a graphics card if there is one. Raises `DeviceMissing`.
    """
    if not dist.is_torchelastic_launched():
        yield TorchTrainer(_device(device, 0))
        return
    chosen = _device(device, int(os.environ["LOCAL_RANK"]))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # Functions of this module keep the group of that moment as their default. If an optimizer imported it
    # later, the group would never end, and its threads would now and then abort the process at its end.
    import_module("torch.distributed.nn")
    dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=WAITING)
    try:
        trainer = TorchTrainer(chosen, dist.get_rank(), dist.get_world_size())
        yield trainer
        if trainer.plays and trainer.processes > 1:
            dist.broadcast_object_list([None], src=0, device=CONTROL)
    finally:
        dist.destroy_process_group()


def _device(name: str, local: int) -> torch.device:
    """The device of a process, which is the `local`-th of its machine."""
    cards = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if cards else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceMissing(expected="auto, cpu, cuda or cuda:N", got=name) from error
    if device.type == "cuda":
        number = local if device.index is None else device.index
        if number >= cards:
            raise DeviceMissing(f"{cards} cards are there", expected=f"cuda:0..{cards - 1}", got=name)
        return torch.device("cuda", number)
    if device.type != "cpu":
        raise DeviceMissing(expected="auto, cpu, cuda or cuda:N", got=name)
    return device
