"""Claims of scores: how far they have come, and what their authors have claimed row by row.

The state keeps the roots of what was claimed; the rows themselves stand in the blocks. Whoever disputes or
confirms a claim needs the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engram.node.rpc.headview import HeadView
from engram.node.rpc.judgedstate import judged_state
from engram.node.rpc.render import Renderer
from engram.node.rpc.roundblocks import MOST_BLOCKS, RoundBlocks
from engram.node.storage.recordindex import records
from engram.node.storage.store import BlockRef
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.receipt import Event, Receipt, Status
from engram.statemachine.record import u32
from engram.statemachine.records import Model, RecentBlock
from engram.statemachine.rounds.audit import audit_ticks, first_tick_to_confirm
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.candidates import is_scored_on_all
from engram.statemachine.rounds.claims import (
    HEAD_BYTES,
    ROW_BYTES,
    audited_chunks,
    chunk_count,
    claimed_parts,
    rows_of,
)
from engram.statemachine.rounds.draw import draw_seed
from engram.statemachine.rounds.records import Candidate, ClaimStatus, Round, RoundKind, RoundStatus
from engram.statemachine.rules import Rules
from engram.statemachine.state import State
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_update import ScoreUpdate

_ADMITTED = "candidate_admitted"
_SCORED = "update_scored"


def claims(view: HeadView, render: Renderer, round_id: Hash) -> list[dict[str, Any]]:
    """How far the claim of each candidate of a round has come, or had come when the round ended.

    Empty on models of which every node computes every score. Raises `MissingRecord` for an unknown round,
    `StatePruned` if it has ended and the states in which it was open are deleted.
    """
    if view.state.get(Model, view.state.get(Round, round_id).model).claims is None:
        return []
    state = judged_state(view, round_id)
    round_ = state.get(Round, round_id)
    model = state.get(Model, round_.model)
    is_over = view.clock.ticks > Calendar.of(round_, view.spec.rules).span(Phase.SCORE).last
    has_ended = view.state.get(Round, round_id).status != RoundStatus.OPEN
    return [
        _claim(view, state, render, round_, model, candidate, is_over=is_over or has_ended)
        for candidate in records(view.store.database, state, Candidate, round_id)
        if candidate.claim is not None
    ]


def _claim(
    view: HeadView,
    state: State,
    render: Renderer,
    round_: Round,
    model: Model,
    candidate: Candidate,
    *,
    is_over: bool,
) -> dict[str, Any]:
    claim, terms, rules = candidate.claim, model.claims, view.spec.rules
    assert claim is not None, "only candidates with a claim are shown here"
    assert terms is not None, "a candidate has a claim on a model with claims only"
    parts = claimed_parts(round_, model)
    first = drawn = None
    if is_scored_on_all(round_, model, candidate) and round_.unseen:
        first = first_tick_to_confirm(rules, terms.window, claim.last)
        drawn = _drawn(state, rules, round_, model, candidate)
    can_be_decided = claim.status == ClaimStatus.OPEN and not is_over
    return {
        "epoch": candidate.epoch,
        "author": render.address(candidate.author),
        "status": ClaimStatus(claim.status).name.lower(),
        "parts": len(parts),
        "parts_claimed": sum(root != ZERO_HASH for root in claim.roots),
        "chunks": sum(chunk_count(rows_of(round_, part)) for part in parts),
        "chunks_audited": terms.audited,
        "chunks_drawn": None if claim.status == ClaimStatus.REFUTED else drawn,
        "last_tick": claim.last,
        "confirm_tick": first,
        "window_left": max(0, first - view.clock.ticks) if can_be_decided and first is not None else None,
        "dispute_until": Calendar.of(round_, rules).span(Phase.SCORE).last if can_be_decided else None,
        "expired": claim.status == ClaimStatus.OPEN and is_over,
        "bond": candidate.bond,
    }


def _drawn(
    state: State, rules: Rules, round_: Round, model: Model, candidate: Candidate
) -> list[dict[str, int]] | None:
    """The chunks of the audit; None until they are drawn, or if the chain has forgotten the blocks."""
    assert candidate.claim is not None, "only candidates with a claim are shown here"
    ids = []
    for tick in audit_ticks(rules, candidate.claim.last):
        block = state.find(RecentBlock, u32(tick % rules.tick_ring))
        if block is None or block.tick != tick:
            return None
        ids.append(block.block)
    seed = draw_seed([*ids, candidate.root], round_.id)
    return [{"part": part, "chunk": chunk} for part, chunk in audited_chunks(round_, model, seed)]


@dataclass(frozen=True)
class ClaimedRows:
    """Looks for what one author has claimed in one epoch of a round, as of one head."""

    view: HeadView
    round: Round
    model: Model
    epoch: int
    author: Address

    def read(self, first: int | None) -> dict[str, Any]:
        """The claimed rows by part, from at most `MOST_BLOCKS` blocks.

        `first` is the height to go on from, the `next` of an earlier answer. It reads the disk. Raises
        `DamagedBody`.
        """
        blocks = RoundBlocks(self.view, self.round)
        opened, is_whole = blocks.opening()
        height = first = opened if first is None else max(opened, first)
        found: list[dict[str, Any]] = []
        has_ended = False
        while height <= self.view.head.height and height - first < MOST_BLOCKS and not has_ended:
            ref = self.view.block(height, None)
            receipts = self.view.store.receipts(ref)
            found += self._of_block(ref, receipts)
            has_ended = blocks.is_last(receipts)
            height += 1
        return {
            "parts": found,
            "next": None if has_ended or height > self.view.head.height else height,
            "before_snapshot": not is_whole,
        }

    def _of_block(self, ref: BlockRef, receipts: tuple[Receipt, ...]) -> Iterator[dict[str, Any]]:
        wanted = {
            place: event
            for place, receipt in enumerate(receipts)
            if receipt.status == Status.OK
            for event in receipt.events
            if self._concerns(event)
        }
        if not wanted:
            return  # its body need not be read
        transactions = self.view.store.get_block(ref).transactions
        for place, event in wanted.items():
            payload = decode_payload(transactions[place])
            assert isinstance(payload, RevealUpdate | ScoreUpdate), (
                "these two make the events, and no other does"
            )
            first, numbers = len(self.round.validation_opened), [number for number in event.values[1:]]
            if isinstance(payload, RevealUpdate):
                first, numbers = 0, list(range(len(self.round.validation_opened)))
            for number, rows in self._split(payload.claimed, [first + number for number in numbers]):
                yield {
                    "part": number,
                    "rows": rows.hex(),
                    "height": ref.height,
                    "txid": receipts[place].txid.hex(),
                }

    def _concerns(self, event: Event) -> bool:
        place = event.name in (_ADMITTED, _SCORED), event.subject, event.values[:1], event.text[:1]
        return place == (True, self.round.id, (self.epoch,), (self.author.hex(),))

    def _split(self, raw: bytes, numbers: list[int]) -> Iterator[tuple[int, bytes]]:
        parts, start = claimed_parts(self.round, self.model), HEAD_BYTES
        for number in numbers:
            size = ROW_BYTES * rows_of(self.round, parts[number])
            yield number, raw[start : start + size]
            start += size


def claimed_rows(
    view: HeadView, round_id: Hash, epoch: int, author: Address, first: int | None
) -> dict[str, Any]:
    """What an author has claimed, see `ClaimedRows.read`.

    Raises `MissingRecord` for an unknown round, or a candidate that does not stand, and for a growth
    `StatePruned` as `claims` does.
    """
    candidate = view.state.get(Candidate, round_id, bytes([epoch]), author)
    if candidate.claim is None:
        return {"parts": [], "next": None, "before_snapshot": False}
    round_ = view.state.get(Round, round_id)
    is_train = round_.terms.kind == RoundKind.TRAIN  # whose end changes no part of which scores are claimed
    model = (view.state if is_train else judged_state(view, round_id)).get(Model, round_.model)
    return ClaimedRows(view, round_, model, epoch, author).read(first)
