"""Honest ways to improve a version: train it further, grow it, or append a pre-trained network. No node,
no money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engram.nn.growth import Growth, adopt, forward_frozen, forward_growth
from engram.nn.loss import evaluate_loss
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.participant import trainer
from engram.participant.datasets import Dataset
from engram.participant.drafting import explicit_sources
from engram.participant.qat import Budget
from engram.participant.task import Draft, Strategy, Task, network_root
from engram.statemachine.round_records import RoundKind
from engram.statemachine.update import GrowUpdate, TrainUpdate


@dataclass(frozen=True)
class Plan:
    """What an honest author brings to a round."""

    data: Dataset
    budget: Budget
    neurons: int
    """New neurons of a growth; 0 leaves new classes to the neurons there are."""
    seed: int


def honest(plan: Plan) -> Strategy:
    """Trains in a TRAIN round, grows in a GROW round; the claim is the exact loss on the validation parts."""

    def propose(task: Task) -> Draft:
        rng = np.random.default_rng([plan.seed, task.epoch])
        known = plan.data.of_classes(range(task.round.classes))
        if task.round.terms.kind == RoundKind.TRAIN:
            spec, start = best_start(task, known)
            budget = replace(plan.budget, learning_rate=_LATER_RATE) if task.rivals else plan.budget
            return train_draft(task, spec, trainer.train(spec, start, known, budget, rng, task.progress))
        growth, added = trainer.grow(
            task.version.spec,
            task.parameters,
            known,
            new_classes=task.round.terms.new_classes,
            neurons=plan.neurons,
            budget=plan.budget,
            rng=rng,
            progress=task.progress,
        )
        return grow_draft(task, growth, added)

    return propose


def best_start(task: Task, own: Dataset) -> tuple[NetworkSpec, Parameters]:
    """The rival that does best on our own rows, which its author has never seen; version t before there is
    any.

    Whoever merely fitted the revealed rows leads there, not here.
    """
    if not task.rivals:
        return task.version.spec, task.parameters
    kind = task.model.loss_kind
    return min(task.rivals, key=lambda rival: trainer.evaluate(rival[0], rival[1], own, kind).loss)


def adopting(donor: NetworkSpec, parameters: Parameters) -> Strategy:
    """Appends a pre-trained network as a column of its own, its classes as the round's new classes,
    untrained.
    """

    def propose(task: Task) -> Draft:
        growth = adopt(task.version.spec, donor, new_classes=task.round.terms.new_classes)
        return grow_draft(task, growth, parameters)

    return propose


_LATER_RATE = 0.3
"""Learning rate from a trained network on."""


def train_draft(task: Task, spec: NetworkSpec, parameters: Parameters) -> Draft:
    """The update that replaces version t by this network, with its true loss."""
    hidden, outputs, tensors = explicit_sources(len(spec.hidden), parameters)
    update = TrainUpdate(spec, hidden, outputs, tensors)
    loss = sum(
        evaluate_loss(task.model.loss_kind, forward(spec, parameters, part.features), part.labels)
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
        loss += evaluate_loss(task.model.loss_kind, logits, part.labels)
    return Draft(update, task.round.base, network_root(task, update), loss)
