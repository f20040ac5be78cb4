"""Score version: anyone can have a version scored on a published part; the chain keeps the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.errors import ShapeMismatch
from engram.primitives.types import U32, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import ScoreKnown
from engram.statemachine.loading import check_version_usable, composed_network, composition_of, open_part
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Part, ScoreEntry, Version
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import network_macs
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class ScoreVersion:
    """Asks for the loss and correct rows of a version on a part; classes that it lacks have logit 0."""

    KIND: ClassVar[int] = 5
    NAME: ClassVar[str] = "score_version"
    model: Hash
    version: U32
    part: Hash
    """Commitment of a part that a round revealed or its owner published."""

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether version and part exist depends on the state."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """One record, and the MACs of a full forward pass over the part.

        Raises `MissingRecord`, `ShapeMismatch`, `ScoreKnown`, `BlobNotUsable`, and what `usable_blob` raises
        for the part.
        """
        version = state.get(Version, self.model, u32(self.version))
        part = state.get(Part, self.part)
        if part.inputs != (inputs := state.get(Model, self.model).inputs):
            raise ShapeMismatch("the part and the model differ in inputs", expected=inputs, got=part.inputs)
        if state.find(ScoreEntry, self.model, u32(self.version), self.part) is not None:
            raise ScoreKnown(got=self.part)
        check_version_usable(ctx, version)
        open_part(state, ctx, part)
        network = composition_of(state, ctx, version)
        return Cost(macs=network_macs(ctx.rules, network, part.rows, part.classes), records=1)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Computes the score and records it. Raises what `cost` raises, and `MissingBlob`."""
        model = state.get(Model, self.model)
        version = state.get(Version, self.model, u32(self.version))
        part = state.get(Part, self.part)
        composition = composition_of(state, ctx, version)
        classes = max(part.classes, composition.spec.classes)
        network, rows = composed_network(ctx, composition), open_part(state, ctx, part)
        score = ctx.scorer.score_network(network, rows, classes, model.loss_function)
        state.put(ScoreEntry(self.model, self.version, self.part, score.loss, score.correct, score.rows))
        values = (self.version, score.loss, score.correct, score.rows)
        return Outcome((Event("version_scored", self.model, values, (self.part.hex(),)),))
