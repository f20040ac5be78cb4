"""What an author may know before it commits, and what it answers: the contract between calendar and strategy.

No node, no calendar: checks and roots are computed from what is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engram.nn.data import PartData
from engram.nn.growth import null_growth_logits
from engram.nn.loss import score
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.errors import VersionMismatch
from engram.participant.pricing import whole_of
from engram.primitives.hashing import Tag, hash_object
from engram.primitives.types import Hash
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.update import Update

Progress = Callable[[int, float], None]
"""Called by a strategy as it trains, with the step and the batch's loss in nats; what it raises ends the
training.
"""


def unwatched(step: int, loss: float) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Task:
    """All that an author may look at before it commits; everything but its own data is public."""

    round: Round
    model: Model
    version: Version
    epoch: int
    parameters: Parameters
    """Of version t."""
    rivals: tuple[tuple[NetworkSpec, Parameters], ...]
    """Networks of other authors' candidates from earlier epochs; their parameters are public. None in GROW.
    """
    validation: tuple[PartData, ...]
    """The revealed parts D_k, in the order of the chain."""
    progress: Progress = unwatched


@dataclass(frozen=True)
class Draft:
    """What an author is going to claim, before it is bound by a commit."""

    update: Update
    base: Hash
    parameters: Hash
    """Parameters root of the network that the update makes."""
    loss: int


Strategy = Callable[[Task], Draft | None]
"""Called in a worker thread; None sits the epoch out."""


def verify_baseline(
    round_: Round, model: Model, version: Version, parameters: Parameters, parts: list[PartData]
) -> None:
    """Recomputes the version's loss on each revealed part from downloaded bytes. Raises `VersionMismatch`."""
    for opened, part in zip(round_.validation_opened, parts, strict=True):
        added = round_.classes - version.spec.classes
        logits = null_growth_logits(forward(version.spec, parameters, part.features), added)
        found = score(model.loss_function, logits, part.labels)
        if (found.loss, found.correct) != (opened.baseline.loss, opened.baseline.correct):
            raise VersionMismatch(expected=opened.baseline.loss, got=found.loss)


def network_root(task: Task, update: Update) -> Hash:
    """Parameters root of the network that the update makes of version t."""
    return hash_object(Tag.PARAMETERS, whole_of(task.version, update))
