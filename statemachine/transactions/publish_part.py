"""Publish part: anyone publishes labelled rows outside of rounds, such as a test set for `score_version`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.nn.data import parse_part, part_commitment, part_size
from engram.nn.errors import BadPart
from engram.nn.spec import check_count
from engram.primitives.types import U16, U32, ZERO_HASH, Address, Hash
from engram.statemachine.content import (
    Content,
    bring,
    carried_blobs,
    content_size,
    hold,
    note_part_bytes,
    resolve,
)
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import PartKnown
from engram.statemachine.receipt import Event
from engram.statemachine.records import Part
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class PublishPart:
    """The bytes of a part, inline or uploaded before, and the salt; together they give its commitment."""

    KIND: ClassVar[int] = 4
    NAME: ClassVar[str] = "publish_part"
    rows: U32
    inputs: U32
    classes: U16
    """Every label is below this number."""
    salt: Hash
    content: Content

    def check(self, rules: Rules) -> None:
        """Raises `DimensionOutOfRange`."""
        check_count("rows", self.rows, rules.networks.max_rows)
        check_count("inputs", self.inputs, rules.networks.max_inputs)
        check_count("classes", self.classes, rules.networks.max_classes)

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """Three records, and the MACs of loading the part. Raises `BadPart` and what `usable_blob` raises."""
        size = content_size(state, ctx, self.content)
        if size != (expected := part_size(self.rows, self.inputs)):
            raise BadPart("the part's bytes do not fit its rows and inputs", expected=expected, got=size)
        return Cost(macs=ctx.rules.macs_per_loaded_byte * size, records=3)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Raises `BadPart`, `LabelOutOfRange`, `PartKnown`; `MissingBlob`."""
        raw = resolve(state, ctx, self.content)
        parse_part(raw, rows=self.rows, inputs=self.inputs, classes=self.classes)
        part = part_commitment(self.salt, raw)
        if state.find(Part, part) is not None:
            raise PartKnown(got=part)
        blob = bring(state, ctx, raw)
        hold(state, blob)
        note_part_bytes(state, ctx, blob)
        state.put(Part(part, blob, self.rows, self.inputs, self.classes, sender, ZERO_HASH, ctx.height))
        event = Event("part_published", part, (self.rows, self.inputs, self.classes))
        return Outcome((event,), blobs=carried_blobs(self.content))
