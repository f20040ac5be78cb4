"""The contract between an author and a strategy: a `Task` goes in, a `Draft` comes out.

The task holds everything public that an author may know before the commit; the draft is what the author will
claim. Checks and roots are computed from these alone: no node is asked here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engram.nn.data import PartData
from engram.nn.engine import FAST, Engine
from engram.nn.loss import evaluate_loss
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.errors import VersionMismatch
from engram.participant.training.qat import Progress
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import GrowUpdate, Update, parameters_root
from engram.statemachine.parameters import Composition
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import Candidate, Round


def unwatched(step: int, loss: float) -> None:
    """A `Progress` that does nothing."""


@dataclass(frozen=True)
class PublicGrowth:
    """A candidate of the first epoch of a GROW round, with its numbers."""

    candidate: Candidate
    update: GrowUpdate
    """That of the candidate."""
    parameters: Parameters
    """The numbers of its new segments, hidden ones first."""

    @property
    def author(self) -> Address:
        return self.candidate.author


@dataclass(frozen=True)
class Task:
    """Everything public that an author may use before the commit. The author's own data come in addition."""

    round: Round
    model: Model
    base: Composition
    """Version t: its whole network, without the numbers."""
    author: Address
    """Whose update it will be: the root that names its network commits to the author."""
    epoch: int
    parameters: Parameters
    """The parameters of version t."""
    rivals: tuple[tuple[NetworkSpec, Parameters], ...]
    """The networks of other authors' candidates from earlier epochs, whose parameters are public. Empty in a
    GROW round.
    """
    validation: tuple[PartData, ...]
    """The revealed parts D_k, in the order of the chain."""
    progress: Progress = unwatched
    engine: Engine = FAST
    """What evaluates networks on the validation parts."""
    growths: tuple[PublicGrowth, ...] = ()
    """What the first epoch of a GROW round has made public, if the author means to unite growths."""


@dataclass(frozen=True)
class Draft:
    """What an author is going to claim; nothing is committed yet."""

    update: Update
    base: Hash
    """Parameters root of the version that the update builds on."""
    parameters: Hash
    """Parameters root of the network that results from the update."""
    loss: int
    """The loss on all validation parts, in Q24 nats, summed over rows."""


Strategy = Callable[[Task], Draft | None]
"""Proposes an update for an epoch, or None to leave the epoch out. It is called in a worker thread."""


def verify_baseline(
    round_: Round,
    model: Model,
    base: Composition,
    parameters: Parameters,
    parts: list[PartData],
    engine: Engine = FAST,
) -> None:
    """Checks the version's recorded results on each revealed part by computing them again.

    `parts` holds the downloaded rows in the order of `round_.validation_opened`. Where authors claim scores,
    the chain has recorded no loss, and only the rows of old classes are counted. Raises `VersionMismatch` if
    a loss or a number of rows of old classes differs from the record.
    """
    for opened, part in zip(round_.validation_opened, parts, strict=True):
        old = part.labels < round_.old_classes
        count, loss = int(np.count_nonzero(old)), 0
        if count and model.claims is None:
            logits = forward(base.spec, parameters, part.features[old], engine=engine)
            loss = evaluate_loss(model.loss_function, logits, part.labels[old])
        if (count, loss) != (opened.old, opened.old_loss):
            raise VersionMismatch(expected=opened.old_loss, got=loss)


def network_root(task: Task, update: Update) -> Hash:
    """Parameters root of the network into which the update turns version t."""
    return parameters_root(task.base.root, task.author, update)
