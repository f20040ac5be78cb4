"""Reveal sealed: after the last update, the opener or an auditor discloses a sealed part.

Every node scores version t and all candidates on it. The sender pays for version t, and the escrow of each
candidate for that candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from engram.primitives.errors import Invalid
from engram.primitives.types import Address, Hash
from engram.statemachine.content import Content, carried_blobs, resolve
from engram.statemachine.context import BlockContext
from engram.statemachine.loading import open_network, version_network
from engram.statemachine.money import give
from engram.statemachine.receipt import Event
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.candidates import candidates_of, charge_scoring
from engram.statemachine.rounds.disclosure import (
    Disclosure,
    check_commitment,
    check_content,
    check_drawn,
    opening_macs,
    publish,
    read_rows,
)
from engram.statemachine.rounds.entry import EnteredRound, enter
from engram.statemachine.rounds.escrow import sealed_macs
from engram.statemachine.rounds.records import Round
from engram.statemachine.rounds.settlement import abort, forfeit_to_pot
from engram.statemachine.rounds.update import score_proposal
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import DataPart
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome


@dataclass(frozen=True)
class RevealSealed:
    """Discloses one of the opener's s sealed parts, or the part of an auditor."""

    KIND: ClassVar[int] = 21
    NAME: ClassVar[str] = "reveal_sealed"
    round: Hash
    part: Hash
    """Its commitment."""
    salt: Hash
    content: Content

    def check(self, rules: Rules) -> None:
        """Checks nothing: whether the values are right depends on the round."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """The MACs of version t and of every candidate on the part, of which escrows prepay the candidates'.

        Three records: the part, its blob and a score. Raises what `enter`, `check_drawn` and `check_content`
        raise.
        """
        trial = state.child()
        entry = self._enter(trial, ctx, sender)
        check_content(trial, ctx, entry, self._opening(sender))
        candidates = candidates_of(trial, entry.round)
        prepaid = sum(sealed_macs(ctx.rules, entry.round, entry.base, c) for c in candidates)
        return Cost(macs=opening_macs(ctx, entry) + prepaid, prepaid_macs=prepaid, records=3)

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Publishes the part with all scores, and returns an auditor's bond; FAILED if the bytes are broken.

        Broken are bytes that match the commitment but are no part of this round. If they are the opener's,
        the round aborts. If they are an auditor's, the auditor loses the bond and the part no longer counts.
        Raises what `cost` raises, `CommitmentMismatch` for stored bytes, and `MissingBlob`.
        """
        entry = self._enter(state, ctx, sender)
        opening = self._opening(sender)
        raw = resolve(state, ctx, self.content)
        check_commitment(self.part, self.salt, raw)
        try:
            rows = read_rows(state, entry, opening, raw)
        except Invalid as error:
            round_, happened = self._broken(state, ctx, entry.round, sender)
            state.put(round_)
            return Outcome((*entry.events, *happened), failed=error.code)
        opened, part = publish(state, ctx, entry, opening, raw, rows)
        _score_candidates(state, ctx, entry, part)
        round_ = _return_seal_bond(state, entry.round, sender)
        state.put(replace(round_, sealed_opened=(*round_.sealed_opened, opened)))
        event = Event("sealed_opened", self.round, (opened.baseline.loss,), (sender.hex(), self.part.hex()))
        return Outcome((*entry.events, event), blobs=carried_blobs(self.content))

    def _opening(self, sender: Address) -> Disclosure:
        return Disclosure(sender, self.part, self.salt, self.content)

    def _enter(self, state: State, ctx: BlockContext, sender: Address) -> EnteredRound:
        entry = enter(state, ctx, self.round, Phase.AUDIT)
        check_drawn(entry.round, self.part, openable(entry.round, sender))
        return entry

    def _broken(
        self, state: State, ctx: BlockContext, round_: Round, sender: Address
    ) -> tuple[Round, tuple[Event, ...]]:
        if sender == round_.opener:
            return abort(state, ctx, round_)
        bond = sum(sealed.bond for sealed in round_.third_party if sealed.author == sender)
        kept = tuple(sealed for sealed in round_.third_party if sealed.author != sender)
        return forfeit_to_pot(state, replace(round_, third_party=kept), sender, bond)


def openable(round_: Round, sender: Address) -> tuple[Hash, ...]:
    """The commitments that this sender has to open in the audit: the opener's, or an auditor's own."""
    if sender == round_.opener:
        return round_.sealed_drawn
    return tuple(sealed.commitment for sealed in round_.third_party if sealed.author == sender)


def _score_candidates(state: State, ctx: BlockContext, entry: EnteredRound, part: DataPart) -> None:
    round_, base = entry.round, version_network(state, ctx, entry.base)
    for candidate in candidates_of(state, round_):
        network = open_network(state, ctx, candidate.spec, candidate.hidden, candidate.outputs)
        score = score_proposal(ctx, round_, entry.model, base, network, part)
        macs = sealed_macs(ctx.rules, round_, entry.base, candidate)
        paid = charge_scoring(state, ctx, candidate, macs)
        state.put(replace(paid, sealed=(*paid.sealed, score)))


def _return_seal_bond(state: State, round_: Round, author: Address) -> Round:
    parts = []
    for sealed in round_.third_party:
        mine = sealed.author == author
        if mine:
            give(state, author, sealed.bond)
        parts.append(replace(sealed, bond=0) if mine else sealed)
    return replace(round_, third_party=tuple(parts))
