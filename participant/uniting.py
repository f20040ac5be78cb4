"""The joint strategy: grow alone first, then unite the own growth with the best one of somebody else.

It asks no node. Both growths are public by then, and so are the validation parts, so the loss of the union is
known before anything is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engram.nn.errors import GrowthsDisagree
from engram.nn.evaluate import FrozenActivations
from engram.nn.growth import forward_frozen, forward_growth
from engram.nn.loss import evaluate_loss
from engram.nn.network import Parameters
from engram.participant.task import Draft, PublicGrowth, Strategy, Task, network_root
from engram.statemachine.additions import GrowUpdate
from engram.statemachine.rounds.judging import RUNG
from engram.statemachine.rounds.records import RoundKind
from engram.statemachine.rounds.union import FIRST_EPOCH, united_update

UNITING_EPOCH: Final = FIRST_EPOCH + 1
"""The epoch in which growths are united: the first one that allows it."""


def joint(alone: Strategy) -> Strategy:
    """A strategy that proposes what `alone` does in the first epoch, and in the second a union.

    The union is that of the own growth and another one, by which the loss on the validation parts is lowest.
    It is proposed only if that loss is an eighth below those of both, because no other one can become a rung.
    Of the two authors only the one with the lower loss proposes it: one sender is enough, and each pays an
    entry. In later epochs it proposes nothing, and in a TRAIN round what `alone` does.
    """

    def propose(task: Task) -> Draft | None:
        if task.epoch == FIRST_EPOCH or task.round.terms.kind == RoundKind.TRAIN:
            return alone(task)
        return best_union(task) if task.epoch == UNITING_EPOCH else None

    return propose


def best_union(task: Task) -> Draft | None:
    """The best union of the author's own growth, if it promises a rung and is the author's to send."""
    own = next((growth for growth in task.growths if growth.author == task.author), None)
    if own is None:
        return None
    unions = list(_unions(task, own))
    if not unions:
        return None
    draft, other = min(unions, key=lambda union: union[0].loss)
    lower = min(own, other, key=lambda growth: (growth.candidate.loss, growth.author))
    promising = draft.loss * RUNG[1] <= lower.candidate.loss * RUNG[0]
    return draft if promising and lower is own else None


def _unions(task: Task, own: PublicGrowth) -> Iterator[tuple[Draft, PublicGrowth]]:
    """The own growth united with each other one with which it can be, and that other one."""
    rows = [
        forward_frozen(task.base.spec, task.parameters, part.features, engine=task.engine)
        for part in task.validation
    ]
    for other in task.growths:
        if other is own:
            continue
        try:
            update = united_update(task.base.spec, (own.candidate, other.candidate))
        except GrowthsDisagree:
            continue
        if sum(segment.width for segment in update.growth.hidden) > task.model.growth_limits.neurons:
            continue
        first, second = sorted((own, other), key=lambda growth: growth.author)
        loss = _loss(task, update, _united_parameters(first, second), rows)
        yield Draft(update, task.round.base, network_root(task, update), loss), other


def _united_parameters(first: PublicGrowth, second: PublicGrowth) -> Parameters:
    """The parameters of a union: hidden segments of both halves, then the output segments of both."""
    ends = len(first.update.hidden), len(second.update.hidden)
    mine, theirs = first.parameters, second.parameters
    return mine[: ends[0]] + theirs[: ends[1]] + mine[ends[0] :] + theirs[ends[1] :]


def _loss(task: Task, update: GrowUpdate, added: Parameters, rows: list[FrozenActivations]) -> int:
    """The loss of version t with a growth, on the validation parts, of which the activations are given."""
    kind, loss = task.model.loss_function, 0
    for part, frozen in zip(task.validation, rows, strict=True):
        logits = forward_growth(task.base.spec, frozen, update.growth, added, task.engine)
        loss += evaluate_loss(kind, logits, part.labels)
    return loss
