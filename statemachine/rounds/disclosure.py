"""The opening of a drawn part: its commitment and rows are checked, and version t is scored on it.

Moves no coins.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace

import numpy as np

from engram.nn.data import PartData, parse_part, part_commitment, part_size
from engram.nn.errors import BadPart
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.content import Content, Inline, blob_id, bring, content_size, hold, note_part_bytes
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import composition_of, version_network
from engram.statemachine.receipt import Event
from engram.statemachine.records import Part, PartBytes, ScoreEntry
from engram.statemachine.roundclock import block_of_tick
from engram.statemachine.rounds.draw import draw_parts, draw_seed, nonce_hash
from engram.statemachine.rounds.entry import EnteredRound
from engram.statemachine.rounds.errors import (
    CommitmentMismatch,
    DrawNonceMismatch,
    PartNotDrawn,
    PartOpened,
    PartPublic,
    PartRepeated,
    TooFewOldRows,
)
from engram.statemachine.rounds.records import OpenedPart, Round, RoundKind
from engram.statemachine.rounds.update import reading_macs
from engram.statemachine.scoring import DataPart, network_macs
from engram.statemachine.state import State


@dataclass(frozen=True)
class Disclosure:
    """One part as its owner discloses it."""

    owner: Address
    part: Hash
    """Its commitment."""
    salt: Hash
    content: Content


def with_draw(
    state: State, ctx: BlockContext, entry: EnteredRound, nonce: Hash
) -> tuple[Round, tuple[Event, ...]]:
    """The round with its parts drawn; the first call performs the draw. Does not store the round.

    Raises `DrawNonceMismatch`.
    """
    round_ = entry.round
    check_nonce(round_, nonce)
    if round_.validation_drawn:
        return round_, ()
    terms = round_.terms
    seed = draw_seed([block_of_tick(state, ctx.rules, tick) for tick in entry.calendar.draw_ticks], nonce)
    validation, sealed = draw_parts(seed, terms.commitments, terms.validation, terms.sealed)
    drawn = replace(round_, seed=seed, validation_drawn=validation, sealed_drawn=sealed)
    return drawn, (Event("parts_drawn", round_.id, (len(validation), len(sealed))),)


def check_nonce(round_: Round, nonce: Hash) -> None:
    """Raises `DrawNonceMismatch` unless the opener committed to this nonce when the round opened."""
    if (got := nonce_hash(nonce)) != round_.terms.nonce_hash:
        raise DrawNonceMismatch(expected=round_.terms.nonce_hash, got=got)


def check_drawn(round_: Round, part: Hash, drawn: tuple[Hash, ...]) -> None:
    """Raises `PartNotDrawn` unless the part is one of `drawn`, `PartOpened` if it has been opened already."""
    if part not in drawn:
        raise PartNotDrawn(got=part)
    if any(opened.commitment == part for opened in _opened(round_)):
        raise PartOpened(got=part)


def check_commitment(part: Hash, salt: Hash, raw: bytes) -> None:
    """Raises `CommitmentMismatch` unless the commitment was made of exactly this salt and these bytes."""
    if (got := part_commitment(salt, raw)) != part:
        raise CommitmentMismatch(expected=part, got=got)


def check_content(state: State, ctx: BlockContext, entry: EnteredRound, opening: Disclosure) -> None:
    """Checks what is known before stored bytes are read: the size, and for inline bytes the commitment.

    Raises `BadPart`, `CommitmentMismatch`, and what `usable_blob` raises.
    """
    expected = part_size(entry.round.terms.rows, entry.model.inputs)
    if (size := content_size(state, ctx, opening.content)) != expected:
        raise BadPart("the part's bytes do not fit the round's rows and inputs", expected=expected, got=size)
    if isinstance(opening.content, Inline):
        check_commitment(opening.part, opening.salt, opening.content.data)


def opening_macs(state: State, ctx: BlockContext, entry: EnteredRound) -> int:
    """MACs charged for reading a part, and for scoring version t on it unless authors claim scores."""
    if entry.model.claims is not None:
        return reading_macs(ctx.rules, entry.model.inputs, entry.round.terms.rows)
    base = composition_of(state, ctx, entry.version)
    return network_macs(ctx.rules, base, entry.round.terms.rows, entry.round.classes)


def read_rows(state: State, entry: EnteredRound, opening: Disclosure, raw: bytes, least_old: int) -> PartData:
    """The rows of a part whose bytes match the commitment; at least `least_old` must be of old classes.

    An error here is the owner's fault, who committed to these bytes. Raises `BadPart`, `LabelOutOfRange`,
    `TooFewOldRows`, `PartRepeated` if the owner has opened the same bytes in this round, and `PartPublic` if
    they were public before it opened.
    """
    round_ = entry.round
    rows = parse_part(raw, rows=round_.terms.rows, inputs=entry.model.inputs, classes=round_.classes)
    if (old := int(np.count_nonzero(rows.labels < round_.old_classes))) < least_old:
        raise TooFewOldRows(expected=least_old, got=old)
    mine = [part for part in _opened(round_) if part.owner == opening.owner]
    check_distinct([state.get(Part, part.commitment).blob for part in mine], blob_id(raw))
    check_secret(state, round_, blob_id(raw))
    return rows


def check_distinct(opened: list[Hash], blob: Hash) -> None:
    """Raises `PartRepeated` if the same bytes were opened before.

    It cannot be noticed earlier: with different salts, the same bytes have different commitments.
    """
    if blob in opened:
        raise PartRepeated(got=blob)


def check_secret(state: State, round_: Round, blob: Hash) -> None:
    """Raises `PartPublic` if the bytes were a part before the round opened, under whatever salt.

    What became public later does not count. Otherwise somebody could publish a part as soon as its opening is
    seen on the network, and so make it worthless.
    """
    known = state.find(PartBytes, blob)
    if known is not None and known.tick < round_.opened:
        raise PartPublic(expected=round_.opened, got=known.tick)


def publish(
    state: State, ctx: BlockContext, entry: EnteredRound, opening: Disclosure, raw: bytes, rows: PartData
) -> OpenedPart:
    """Records the part and the score of version t on it, unless the authors of the model claim scores.

    The first round that reveals a part writes its record, in place of one that `publish_part` made. Later
    rounds leave that record alone. Commitments are public, so another round can copy one and open it once the
    salt is known; that must not change what the record says about the part.
    """
    blob = bring(state, ctx, raw)
    known = state.find(Part, opening.part)
    if known is None:
        hold(state, blob)
    note_part_bytes(state, ctx, blob)
    round_, base, owner = entry.round, entry.version, opening.owner
    count, inputs = rows.features.shape
    if known is None or known.round == ZERO_HASH:
        state.put(Part(opening.part, blob, count, inputs, round_.classes, owner, round_.id, ctx.height))
    old = rows.labels < round_.old_classes
    complete = len(set(rows.labels.tolist())) == round_.classes
    if entry.model.claims is not None:
        return OpenedPart(opening.part, owner, int(np.count_nonzero(old)), 0, 0, complete)
    part, kind = DataPart(opening.part, lambda: rows), entry.model.loss_function
    network = version_network(state, ctx, base)
    keep = round_.terms.kind == RoundKind.GROW
    scores = ctx.scorer.network_rows(network, part, round_.classes, kind, keep=keep)
    total = scores.total
    state.put(ScoreEntry(round_.model, base.number, opening.part, total.loss, total.correct, count))
    if round_.classes > round_.old_classes:  # else the network would run twice, and it is charged once
        scores = ctx.scorer.network_rows(network, part, round_.old_classes, kind, keep=keep)
    return OpenedPart(
        opening.part,
        owner,
        int(np.count_nonzero(old)),
        int(np.count_nonzero(scores.right & old)),
        int(np.sum(scores.losses[old], dtype=np.int64)),
        complete,
    )


def with_counts(counts: tuple[int, ...], rows: PartData, classes: int) -> tuple[int, ...]:
    """Rows by class, with those of one more part; `counts` is empty before the first."""
    found: list[int] = np.bincount(rows.labels, minlength=classes).tolist()
    return tuple(map(operator.add, counts or (0,) * classes, found))


def _opened(round_: Round) -> tuple[OpenedPart, ...]:
    return (*round_.validation_opened, *round_.unseen)
