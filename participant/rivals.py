"""What authors have made public in a round: whole networks in TRAIN, growths of the first epoch in GROW."""

from __future__ import annotations

from typing import Final

from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.participant.task import PublicGrowth
from engram.participant.view import ChainView
from engram.primitives.types import Address
from engram.statemachine.additions import GrowUpdate, TrainUpdate
from engram.statemachine.parameters import read_parameters
from engram.statemachine.rounds.records import Candidate, Round, RoundKind
from engram.statemachine.rounds.union import FIRST_EPOCH

_MOST_LOOKED_AT: Final = 16
"""So many candidates, those with the lowest losses, are looked at before training."""


async def rival_networks(
    view: ChainView, round_: Round, own: Address
) -> tuple[tuple[NetworkSpec, Parameters], ...]:
    """The networks of the best candidates of others in a TRAIN round; none in GROW."""
    if round_.terms.kind != RoundKind.TRAIN:
        return ()
    others = [candidate for candidate in await view.candidates(round_) if candidate.author != own]
    found = []
    for candidate in _best(others):
        update = candidate.update
        assert isinstance(update, TrainUpdate), "a TRAIN round admits whole networks only"
        network = await view.network_of(candidate.root, update.spec, (*update.hidden, *update.outputs))
        found.append((update.spec, network.load()[0]))
    return tuple(found)


async def public_growths(view: ChainView, round_: Round) -> tuple[PublicGrowth, ...]:
    """The best candidates of the first epoch of a GROW round, one's own among them; none in TRAIN."""
    if round_.terms.kind != RoundKind.GROW:
        return ()
    first = [candidate for candidate in await view.candidates(round_) if candidate.epoch == FIRST_EPOCH]
    found = []
    for candidate in _best(first):
        update = candidate.update
        assert isinstance(update, GrowUpdate), "a GROW round admits growths only"
        sources = (*update.hidden, *update.outputs)
        tensors = await view.tensors(sources)
        found.append(PublicGrowth(candidate, update, read_parameters(sources, tensors.__getitem__)))
    return tuple(found)


def _best(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.loss)[:_MOST_LOOKED_AT]
