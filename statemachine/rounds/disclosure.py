"""A drawn part opens: commitment, rows and labels are checked, version t is scored on it. Moves no coins."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engram.nn.data import PartData, parse_part, part_commitment, part_size
from engram.nn.errors import BadPart
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.content import Content, Inline, blob_id, bring, content_size, hold
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.record import u32
from engram.statemachine.records import Part, RecentBlock, ScoreEntry
from engram.statemachine.rounds.draw import draw_parts, draw_seed, nonce_hash
from engram.statemachine.rounds.entry import EnteredRound
from engram.statemachine.rounds.errors import (
    CommitmentMismatch,
    DrawNonceMismatch,
    PartNotDrawn,
    PartOpened,
    PartRepeated,
)
from engram.statemachine.rounds.records import OpenedPart, Round
from engram.statemachine.rounds.update import score_baseline
from engram.statemachine.scoring import DataPart, network_macs
from engram.statemachine.state import State


@dataclass(frozen=True)
class Disclosure:
    """One part, as its owner discloses it."""

    owner: Address
    part: Hash
    """Its commitment."""
    salt: Hash
    content: Content


def with_draw(
    state: State, ctx: BlockContext, entry: EnteredRound, nonce: Hash
) -> tuple[Round, tuple[Event, ...]]:
    """The round after its draw, which happens once. Does not store. Raises `DrawNonceMismatch`."""
    round_ = entry.round
    check_nonce(round_, nonce)
    if round_.validation_drawn:
        return round_, ()
    terms = round_.terms
    seed = draw_seed([_block_at(state, ctx, height) for height in entry.calendar.draw_heights], nonce)
    validation, sealed = draw_parts(seed, terms.commitments, terms.validation, terms.sealed)
    drawn = replace(round_, seed=seed, validation_drawn=validation, sealed_drawn=sealed)
    return drawn, (Event("parts_drawn", round_.id, (len(validation), len(sealed))),)


def check_nonce(round_: Round, nonce: Hash) -> None:
    """The opener's half of the seed was fixed when the round opened. Raises `DrawNonceMismatch`."""
    if (got := nonce_hash(nonce)) != round_.terms.nonce_hash:
        raise DrawNonceMismatch(expected=round_.terms.nonce_hash, got=got)


def check_drawn(round_: Round, part: Hash, drawn: tuple[Hash, ...]) -> None:
    """The part is one of `drawn` and still closed. Raises `PartNotDrawn`, `PartOpened`."""
    if part not in drawn:
        raise PartNotDrawn(got=part)
    if any(opened.commitment == part for opened in _opened(round_)):
        raise PartOpened(got=part)


def check_commitment(part: Hash, salt: Hash, raw: bytes) -> None:
    """Raises `CommitmentMismatch` unless the part's owner committed to exactly these bytes."""
    if (got := part_commitment(salt, raw)) != part:
        raise CommitmentMismatch(expected=part, got=got)


def check_content(state: State, ctx: BlockContext, entry: EnteredRound, opening: Disclosure) -> None:
    """What can be told before stored bytes are read: the size, and of inline bytes the commitment.

    Raises `BadPart`, `CommitmentMismatch`, and what `usable_blob` raises.
    """
    expected = part_size(entry.round.terms.rows, entry.base.spec.inputs)
    if (size := content_size(state, ctx, opening.content)) != expected:
        raise BadPart("the part has another length", expected=expected, got=size)
    if isinstance(opening.content, Inline):
        check_commitment(opening.part, opening.salt, opening.content.data)


def opening_macs(ctx: BlockContext, entry: EnteredRound) -> int:
    """Charge for reading a part and scoring version t on it."""
    return network_macs(ctx.rules, entry.base, entry.round.terms.rows, entry.round.classes)


def read_rows(state: State, entry: EnteredRound, opening: Disclosure, raw: bytes) -> PartData:
    """The rows of bytes that match the commitment. What it raises, the owner committed to.

    Raises `BadPart`, `LabelOutOfRange`; `PartRepeated` if its owner opened the same bytes earlier.
    """
    round_ = entry.round
    rows = parse_part(raw, rows=round_.terms.rows, inputs=entry.base.spec.inputs, classes=round_.classes)
    mine = [part for part in _opened(round_) if part.owner == opening.owner]
    check_distinct([state.get(Part, part.commitment).blob for part in mine], blob_id(raw))
    return rows


def check_distinct(opened: list[Hash], blob: Hash) -> None:
    """Salts hide that two commitments hold the same bytes until both are open. Raises `PartRepeated`."""
    if blob in opened:
        raise PartRepeated(got=blob)


def publish(
    state: State, ctx: BlockContext, entry: EnteredRound, opening: Disclosure, raw: bytes, rows: PartData
) -> tuple[OpenedPart, DataPart]:
    """Records the part and the incumbent's score on it.

    The first round that reveals a part writes its record, over that of whoever published the bytes on their
    own: a commitment that another round copies must not change what the ledger says of it.
    """
    blob = bring(state, ctx, raw)
    known = state.find(Part, opening.part)
    if known is None:
        hold(state, blob)
    round_, base, owner = entry.round, entry.base, opening.owner
    count, inputs = rows.features.shape
    if known is None or known.round == ZERO_HASH:
        state.put(Part(opening.part, blob, count, inputs, round_.classes, owner, round_.id, ctx.height))
    part = DataPart(opening.part, lambda: rows)
    score = score_baseline(state, ctx, round_, entry.model, base, part)
    state.put(ScoreEntry(round_.model, base.number, opening.part, score.loss, score.correct, count))
    complete = len(set(rows.labels.tolist())) == round_.classes
    return OpenedPart(opening.part, owner, score, complete), part


def _opened(round_: Round) -> tuple[OpenedPart, ...]:
    return (*round_.validation_opened, *round_.sealed_opened)


def _block_at(state: State, ctx: BlockContext, height: int) -> Hash:
    block = state.get(RecentBlock, u32(height % ctx.rules.block_ring))
    assert block.height == height, "the calendar keeps the blocks of the draw in the ring"
    return block.block
