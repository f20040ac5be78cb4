"""Finds what was caught in a round: transactions that failed in their block, and claims that were refuted.

A failed transaction leaves no record in the state, only a receipt with a code. So the receipts of the blocks
in which the round was open are read, from where it was opened to where it ended. Of a claimed loss it is
computed again what the loss is, as long as the state before the block is kept. What no block may hold, such
as a copied update, is not on the chain and cannot be found here.

Where authors claim scores, a false claim fails nowhere: whoever disputes it sends a transaction that
succeeds. So events tell of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

from engram.consensus.context import block_context
from engram.node.amounts import mean_loss
from engram.node.errors import StatePruned
from engram.node.rpc.headview import HeadView
from engram.node.rpc.render import Renderer
from engram.node.rpc.roundblocks import MOST_BLOCKS, RoundBlocks
from engram.node.storage.store import BlockRef
from engram.primitives import keys
from engram.primitives.errors import ChainError, Invalid, NotReady, error_classes
from engram.primitives.types import Hash
from engram.statemachine.receipt import Event, Receipt, Status
from engram.statemachine.rounds.claims import ROW_BYTES
from engram.statemachine.rounds.errors import LossMismatch
from engram.statemachine.rounds.records import Round
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transactions import TX_TYPES, decode_payload
from engram.statemachine.transactions.confirm_update import ConfirmUpdate
from engram.statemachine.transactions.dispute_claim import DisputeClaim
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.reveal_sealed import RevealSealed
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transition import begin_block

MOST_FAILURES: Final = 16
"""After so many failures a call reads no further block, because each can cost the scoring of an update."""
_REFUTED: Final = "claim_refuted"
_ACTIONS: Final = {
    RevealUpdate: "revealed an update",
    RevealPart: "revealed a validation part",
    RevealSealed: "opened a sealed part",
}


@dataclass(frozen=True)
class RoundFailures:
    """Looks for what failed in one round, as of one head."""

    view: HeadView
    scorer: Scorer
    render: Renderer
    round: Round

    def read(self, first: int | None) -> dict[str, Any]:
        """Failures and refuted claims in the order of the chain, at most those of `MOST_BLOCKS` blocks.

        `first` is the height to go on from, the `next` of an earlier answer. It reads the disk and may score
        updates. Raises `DamagedBody`.
        """
        blocks = RoundBlocks(self.view, self.round)
        opened, is_whole = blocks.opening()
        first = opened if first is None else max(opened, first)
        found: list[dict[str, Any]] = []
        refuted: list[dict[str, Any]] = []
        height, has_ended = first, False
        while height <= self.view.head.height and height - first < MOST_BLOCKS and not has_ended:
            ref = self.view.block(height, None)
            receipts = self.view.store.receipts(ref)
            found += self._of_block(ref, receipts)
            refuted += self._refuted(ref, receipts)
            has_ended = blocks.is_last(receipts)
            height += 1
            if len(found) >= MOST_FAILURES:
                break
        return {
            "failed": found,
            "refuted": refuted,
            "from_height": first,
            "to_height": height - 1,
            "next": None if has_ended or height > self.view.head.height else height,
            "before_snapshot": not is_whole,
        }

    def _of_block(self, ref: BlockRef, receipts: tuple[Receipt, ...]) -> Iterator[dict[str, Any]]:
        if all(receipt.status == Status.OK for receipt in receipts):
            return  # its body need not be read
        for tx, receipt in zip(self.view.store.get_block(ref).transactions, receipts, strict=True):
            if receipt.status == Status.OK:
                continue
            payload = _payload(tx)
            if payload is not None and getattr(payload, "round", None) == self.round.id:
                yield self._failure(ref, tx, payload, receipt)

    def _refuted(self, ref: BlockRef, receipts: tuple[Receipt, ...]) -> Iterator[dict[str, Any]]:
        for place, receipt in enumerate(receipts):
            for event, after in pairwise((*receipt.events, None)):
                assert event is not None, "only the last of them is"
                if event.name == _REFUTED and event.subject == self.round.id:
                    tx = self.view.store.get_block(ref).transactions[place]
                    yield self._refutation(ref, tx, receipt, event, after)

    def _refutation(
        self, ref: BlockRef, tx: Transaction, receipt: Receipt, event: Event, burned: Event | None
    ) -> dict[str, Any]:
        """`burned` is the event after the one that tells of the refutation: what burns of the bond."""
        (epoch, part, chunk, reward), (author, challenger) = event.values, event.text
        payload = _payload(tx)
        assert isinstance(payload, DisputeClaim | ConfirmUpdate), "no other transaction refutes a claim"
        assert burned is not None, "`refute` burns what the challenger does not get"
        quoted = (payload.chunk,) if isinstance(payload, DisputeClaim) else payload.chunks
        (rows,) = (each.rows for each in quoted if (each.part, each.number) == (part, chunk))
        return {
            "height": ref.height,
            "block": ref.id.hex(),
            "txid": receipt.txid.hex(),
            "kind": payload.NAME,
            "epoch": epoch,
            "author": self.render.address(bytes.fromhex(author)),
            "challenger": self.render.address(bytes.fromhex(challenger)),
            "part": part,
            "chunk": chunk,
            "rows": len(rows) // ROW_BYTES,
            "bond": reward + burned.values[0],
            "reward": reward,
            "bond_burned": burned.values[0],
        }

    def _failure(
        self, ref: BlockRef, tx: Transaction, payload: TxPayload, receipt: Receipt
    ) -> dict[str, Any]:
        sender = keys.address(tx.sender)
        burned = [event for event in receipt.events if event.name == "bond_burned"]
        claim = payload if isinstance(payload, RevealUpdate) else None
        recomputed = None
        if claim is not None and receipt.code == LossMismatch.code:
            recomputed = self._recomputed(ref, sender, claim)
        rows = self.round.terms.rows * self.round.terms.validation
        kind = TX_TYPES[tx.kind].NAME
        return {
            "height": ref.height,
            "block": ref.id.hex(),
            "txid": receipt.txid.hex(),
            "kind": kind,
            "epoch": None if claim is None else claim.epoch,
            "author": self.render.address(sender),
            "action": _ACTIONS.get(type(payload), kind.replace("_", " ")),
            "code": receipt.code,
            "claimed_loss": None if claim is None else claim.loss,
            "recomputed_loss": recomputed,
            "rows": None if claim is None else rows,
            "why": _why(receipt.code, None if claim is None else claim.loss, recomputed, rows),
            "bond_burned": sum(event.values[0] for event in burned if sender.hex() in event.text),
        }

    def _recomputed(self, ref: BlockRef, sender: bytes, claim: RevealUpdate) -> int | None:
        """The loss that the update has, if the state before the block and all content are still here.

        Nothing in a block before a reveal changes what the reveal is judged by: its commit, the opened parts
        and earlier epochs are there since earlier blocks.
        """
        store, parent = self.view.store, self.view.store.parent_of(ref)
        try:
            store.require_state(parent.height)
            state = State(store, parent.state_root)
            ctx = block_context(self.view.spec, parent.header, state, ref.header.miner, store, self.scorer)
            error = claim.fault(begin_block(state, ctx), ctx, sender)
        except (StatePruned, NotReady):
            return None
        return error.expected if isinstance(error, LossMismatch) and isinstance(error.expected, int) else None


def failures(
    view: HeadView, scorer: Scorer, render: Renderer, round_id: Hash, first: int | None
) -> dict[str, Any]:
    """What failed in a round, see `RoundFailures.read`. Raises `MissingRecord` for an unknown round."""
    return RoundFailures(view, scorer, render, view.state.get(Round, round_id)).read(first)


def _payload(tx: Transaction) -> TxPayload | None:
    try:
        return decode_payload(tx)
    except Invalid:
        return None  # a type that this version does not know: it belongs to no round


def _why(code: str, claimed: int | None, recomputed: int | None, rows: int) -> str:
    """Why it failed, in words that continue a sentence."""
    if code == LossMismatch.code and claimed is not None:
        said = f"claimed loss {mean_loss(claimed, rows)} a row on the revealed parts"
        if recomputed is None:
            return f"{said}, and every node computed another one"
        true = mean_loss(recomputed, rows)
        if true == mean_loss(claimed, rows):
            return f"{said}, and the recomputed one differs by {abs(recomputed - claimed)} / 2^24 nat in all"
        return f"{said}, recomputed {true}"
    message = _messages().get(code, code.replace("_", " "))
    return f"{message[:1].lower()}{message[1:]}"


@cache
def _messages() -> dict[str, str]:
    """What each code of an error means, in the words of its class."""
    plain = (cls for cls in error_classes() if cls.__init__ is ChainError.__init__)
    return {cls.code: cls().message for cls in plain}
