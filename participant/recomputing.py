"""Computes what version t and an update lose on each row, as every node would, on this machine.

An author computes so what to claim, and whoever watches computes it again. Nothing is sent here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from engram.nn.data import PartData
from engram.nn.engine import FAST, Engine
from engram.nn.loss import RowScores
from engram.node.chain.verification import VerificationCache
from engram.participant.view import ChainView
from engram.primitives.types import Address, Hash
from engram.statemachine.additions import TrainUpdate, Update, explicit_tensors, parameters_root
from engram.statemachine.content import blob_id
from engram.statemachine.parameters import GrownNetwork, WholeNetwork
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.claims import ClaimedPart, name_of
from engram.statemachine.rounds.records import Round
from engram.statemachine.scoring import AnyNetwork, Scorer


@dataclass(frozen=True)
class Pair:
    """Version t, and what an update makes of it."""

    base: WholeNetwork
    update: AnyNetwork


class Recomputer:
    """Runs the networks of candidates on parts."""

    def __init__(self, view: ChainView, engine: Engine = FAST) -> None:
        """All engines give the same integers."""
        self._view = view
        self._scorer = Scorer(VerificationCache(), engine)

    async def pair(self, round_: Round, author: Address, update: Update) -> Pair:
        """The networks of an update of this author, whose tensors travel in it or are on the chain.

        Raises as `ChainView.blob` does.
        """
        version = await self._view.get(Version, round_.model, u32(round_.version))
        base = await self._view.network(version)
        tensors: dict[Hash, bytes] = {blob_id(raw): raw for raw in update.tensors}
        for identity in explicit_tensors((*update.hidden, *update.outputs)):
            if identity not in tensors:
                tensors[identity] = await self._view.blob(identity)
        return Pair(base, _proposed(base, author, update, tensors))

    async def part(self, part: ClaimedPart) -> PartData:
        """The rows of an opened part or of a retention part."""
        return await self._view.part(name_of(part))

    async def rows(
        self, pair: Pair, round_: Round, model: Model, part: PartData
    ) -> tuple[RowScores, RowScores]:
        """What version t and the update lose on each row of the part; computed in a thread."""
        classes = round_.old_classes, round_.classes
        return await asyncio.to_thread(
            self._scorer.both_rows, pair.base, pair.update, part, classes, model.loss_function
        )


def _proposed(
    base: WholeNetwork, author: Address, update: Update, tensors: Mapping[Hash, bytes]
) -> AnyNetwork:
    root = parameters_root(base.root, author, update)
    if isinstance(update, TrainUpdate):
        return WholeNetwork(root, update.spec, (*update.hidden, *update.outputs), tensors.__getitem__)
    return GrownNetwork(root, base, update, tensors.__getitem__)
