"""Honest ways to improve a version: train it further, grow it, or append a pre-trained network. No node,
no money.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engram.nn.growth import Growth, adopt, forward_frozen, forward_growth
from engram.nn.layers.segment import MAX_SHIFT
from engram.nn.loss import evaluate_loss
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant.datasets import Dataset
from engram.participant.round_plan import explicit_sources
from engram.participant.task import Draft, Strategy, Task, network_root
from engram.participant.training import trainer
from engram.participant.training.qat import Budget
from engram.participant.training.shapes import reached_classes
from engram.statemachine.parameters import SegmentSources
from engram.statemachine.rounds.records import RoundKind
from engram.statemachine.rounds.update import GrowUpdate, TrainUpdate

_LATER_RATE: Final = 0.3
"""Learning rate from a trained network on."""
_HALVINGS: Final = 8
"""Scalings that are tried for an adopted network."""


@dataclass(frozen=True)
class Plan:
    """What an honest author brings to a round."""

    data: Dataset
    budget: Budget
    neurons: int | None
    """New neurons of a growth; 0 leaves new classes to the neurons there are, None adds all that may be."""
    seed: int


def honest(plan: Plan) -> Strategy:
    """Trains in a TRAIN round, grows in a GROW round; the claim is the exact loss on the validation parts."""

    def propose(task: Task) -> Draft:
        rng = np.random.default_rng([plan.seed, task.epoch])
        known = plan.data.of_classes(range(task.round.classes))
        if task.round.terms.kind == RoundKind.TRAIN:
            spec, start = best_start(task, known)
            budget = replace(plan.budget, learning_rate=_LATER_RATE) if task.rivals else plan.budget
            return train_draft(task, spec, _trained(task, spec, start, known, budget, rng))
        growth, added = trainer.grow(
            task.version.spec,
            task.parameters,
            known,
            new_classes=task.round.terms.new_classes,
            neurons=_neurons(plan, task),
            budget=plan.budget,
            rng=rng,
            reach=reached_classes(
                task.model.growth_policy, task.round.terms.new_classes, task.model.classes_before_growth
            ),
            progress=task.progress,
            loss_kind=task.model.loss_function,
        )
        return grow_draft(task, growth, added)

    return propose


def _neurons(plan: Plan, task: Task) -> int:
    return task.round.terms.max_update_neurons if plan.neurons is None else plan.neurons


def best_start(task: Task, own: Dataset) -> tuple[NetworkSpec, Parameters]:
    """The rival that does best on our own rows, which its author has never seen; version t before there is
    any.

    Whoever merely fitted the revealed rows leads there, not here.
    """
    if not task.rivals:
        return task.version.spec, task.parameters
    kind = task.model.loss_function
    return min(task.rivals, key=lambda rival: trainer.evaluate(rival[0], rival[1], own, kind).loss)


@dataclass(frozen=True)
class Donor:
    """A pre-trained network to adopt."""

    spec: NetworkSpec
    parameters: Parameters
    hidden: tuple[SegmentSources, ...] = ()
    """Where the chain has its numbers; empty for a network from elsewhere, whose numbers have to travel."""
    outputs: tuple[SegmentSources, ...] = ()


def adopting(donor: Donor) -> Strategy:
    """Appends a pre-trained network as a column of its own, its classes as the round's new classes.

    Its numbers stay as they are. Its logits are scaled by the power of two that does best on the revealed
    rows: a network that has never seen the old classes is too sure of its own.
    """

    def propose(task: Task) -> Draft:
        new_classes = task.round.terms.new_classes
        drafts = [
            grow_draft(task, adopt(task.version.spec, scaled, new_classes=new_classes), donor.parameters)
            for scaled in _scalings(donor.spec)
        ]
        best = min(drafts, key=lambda draft: draft.loss)
        if not donor.outputs:
            return best
        assert isinstance(best.update, GrowUpdate)
        update = replace(best.update, hidden=donor.hidden, outputs=donor.outputs, tensors=())
        return replace(best, update=update, parameters=network_root(task, update))

    return propose


def _scalings(spec: NetworkSpec) -> Iterator[NetworkSpec]:
    """The network with its logits as they are, halved, and so on."""
    for halvings in range(_HALVINGS):
        if all(output.shift + halvings <= MAX_SHIFT for output in spec.outputs):
            outputs = (replace(output, shift=output.shift + halvings) for output in spec.outputs)
            yield replace(spec, outputs=tuple(outputs))


def _trained(
    task: Task,
    spec: NetworkSpec,
    start: Parameters,
    data: Dataset,
    budget: Budget,
    rng: np.random.Generator,
) -> Parameters:
    return trainer.train(spec, start, data, budget, rng, task.progress, task.model.loss_function)


def train_draft(task: Task, spec: NetworkSpec, parameters: Parameters) -> Draft:
    """The update that replaces version t by this network, with its true loss."""
    hidden, outputs, tensors = explicit_sources(len(spec.hidden), parameters)
    update = TrainUpdate(spec, hidden, outputs, tensors)
    loss = sum(
        evaluate_loss(task.model.loss_function, forward(spec, parameters, part.features), part.labels)
        for part in task.validation
    )
    return Draft(update, task.round.base, network_root(task, update), loss)


def grow_draft(task: Task, growth: Growth, added: Parameters) -> Draft:
    """The update that appends this growth to version t, with its true loss."""
    hidden, outputs, tensors = explicit_sources(len(growth.hidden), added)
    update = GrowUpdate(growth, hidden, outputs, tensors)
    spec, loss = task.version.spec, 0
    for part in task.validation:
        frozen = forward_frozen(spec, task.parameters, part.features)
        logits = forward_growth(spec, frozen, growth, added)
        loss += evaluate_loss(task.model.loss_function, logits, part.labels)
    return Draft(update, task.round.base, network_root(task, update), loss)
