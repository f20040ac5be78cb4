"""Honest strategies: train a version further, grow it, or add a network that is trained already.

A strategy turns a `Task` into a `Draft` (see `task.py`). It asks no node and knows nothing of fees and bonds.
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
from engram.participant.training import qat, trainer
from engram.participant.training.qat import Budget, Fit
from engram.participant.training.shapes import Reach
from engram.statemachine.additions import GrowUpdate, SegmentSources, TrainUpdate
from engram.statemachine.rounds.records import RoundKind

_LATER_RATE: Final = 0.3
"""Learning rate if training starts from a rival's trained network."""
_HALVINGS: Final = 8
"""How many scales are tried for the logits of an adopted network."""


@dataclass(frozen=True)
class Plan:
    """What an honest author trains with."""

    data: Dataset
    budget: Budget
    neurons: int | None
    """New neurons of a growth. 0 adds none, so new classes read the old neurons; None adds as many as the
    round allows.
    """
    seed: int
    """Fixes the randomness of the training, together with the epoch."""
    fit: Fit = qat.fit
    """What trains."""


def honest(plan: Plan) -> Strategy:
    """A strategy that trains in a TRAIN round and grows in a GROW round. Its claimed losses are exact."""

    def propose(task: Task) -> Draft:
        rng = np.random.default_rng([plan.seed, task.epoch])
        known = plan.data.of_classes(range(task.round.classes))
        if task.round.terms.kind == RoundKind.TRAIN:
            spec, start = best_start(task, known)
            budget = replace(plan.budget, learning_rate=_LATER_RATE) if task.rivals else plan.budget
            return train_draft(task, spec, _trained(plan, task, spec, start, known, budget, rng))
        growth, added = trainer.grow(
            task.base.spec,
            task.parameters,
            known,
            new_classes=task.round.terms.new_classes,
            neurons=_neurons(plan, task),
            budget=plan.budget,
            rng=rng,
            reach=Reach(task.model.growth_policy, task.model.classes_before_growth),
            progress=task.progress,
            loss_kind=task.model.loss_function,
            fit=plan.fit,
        )
        return grow_draft(task, growth, added)

    return propose


def _neurons(plan: Plan, task: Task) -> int:
    return task.round.terms.max_update_neurons if plan.neurons is None else plan.neurons


def best_start(task: Task, own: Dataset) -> tuple[NetworkSpec, Parameters]:
    """The network to train further: the rival with the lowest loss on `own`, or version t without rivals.

    The revealed validation rows are a bad judge of rivals: a rival who trained on these very rows has a low
    loss there and may still be bad on all others. The author's own rows are unknown to the rivals, so a low
    loss on them cannot come from over-fitting.
    """
    if not task.rivals:
        return task.base.spec, task.parameters
    kind = task.model.loss_function
    return min(task.rivals, key=lambda rival: trainer.evaluate(rival[0], rival[1], own, kind).loss)


@dataclass(frozen=True)
class Donor:
    """A trained network to adopt."""

    spec: NetworkSpec
    parameters: Parameters
    hidden: tuple[SegmentSources, ...] = ()
    """Sources on the chain of the hidden segments; empty for a network whose tensors have to be sent."""
    outputs: tuple[SegmentSources, ...] = ()
    """Sources on the chain of the output segments; empty as `hidden` is."""


def adopting(donor: Donor) -> Strategy:
    """A strategy that adds a trained network beside the old one; its classes become the round's new classes.

    The network's integers are not changed. Only the scale of its logits is chosen: the power of two with the
    lowest loss on the revealed rows. The reason is that the network has never seen rows of the old classes,
    so unscaled it gives its own classes high logits on them, too.
    """

    def propose(task: Task) -> Draft:
        new_classes = task.round.terms.new_classes
        drafts = [
            grow_draft(task, adopt(task.base.spec, scaled, new_classes=new_classes), donor.parameters)
            for scaled in _scalings(donor.spec)
        ]
        best = min(drafts, key=lambda draft: draft.loss)
        if not donor.outputs:
            return best
        assert isinstance(best.update, GrowUpdate), "`grow_draft` makes growths and nothing else"
        update = replace(best.update, hidden=donor.hidden, outputs=donor.outputs, tensors=())
        return replace(best, update=update, parameters=network_root(task, update))

    return propose


def _scalings(spec: NetworkSpec) -> Iterator[NetworkSpec]:
    """The network with its logits unscaled, halved, quartered and so on, as far as the shifts allow."""
    for halvings in range(_HALVINGS):
        if all(output.shift + halvings <= MAX_SHIFT for output in spec.outputs):
            outputs = (replace(output, shift=output.shift + halvings) for output in spec.outputs)
            yield replace(spec, outputs=tuple(outputs))


def _trained(
    plan: Plan,
    task: Task,
    spec: NetworkSpec,
    start: Parameters,
    data: Dataset,
    budget: Budget,
    rng: np.random.Generator,
) -> Parameters:
    kind = task.model.loss_function
    return trainer.train(spec, start, data, budget, rng, task.progress, kind, plan.fit)


def train_draft(task: Task, spec: NetworkSpec, parameters: Parameters) -> Draft:
    """The draft that replaces version t by this network and claims its true loss on the validation parts."""
    hidden, outputs, tensors = explicit_sources(len(spec.hidden), parameters)
    update = TrainUpdate(spec, hidden, outputs, tensors)
    return Draft(update, task.round.base, network_root(task, update), loss_of(task, spec, parameters))


def loss_of(task: Task, spec: NetworkSpec, parameters: Parameters) -> int:
    """The loss of a whole network on the validation parts, in Q24 nats, summed over rows."""
    return sum(
        evaluate_loss(
            task.model.loss_function,
            forward(spec, parameters, part.features, engine=task.engine),
            part.labels,
        )
        for part in task.validation
    )


def grow_draft(task: Task, growth: Growth, added: Parameters) -> Draft:
    """The draft that adds this growth to version t and claims its true loss on the validation parts."""
    hidden, outputs, tensors = explicit_sources(len(growth.hidden), added)
    update = GrowUpdate(growth, hidden, outputs, tensors)
    return Draft(update, task.round.base, network_root(task, update), grown_loss(task, growth, added))


def grown_loss(task: Task, growth: Growth, added: Parameters) -> int:
    """The loss of version t with a growth on the validation parts, in Q24 nats, summed over rows."""
    spec, loss = task.base.spec, 0
    for part in task.validation:
        frozen = forward_frozen(spec, task.parameters, part.features, engine=task.engine)
        logits = forward_growth(spec, frozen, growth, added, task.engine)
        loss += evaluate_loss(task.model.loss_function, logits, part.labels)
    return loss
