"""Commit and reveal of one author: what is on disk first, what waits, what became of it. Trains nothing.

Each step can be taken again after a crash: what the chain or the mempool has is not sent a second time.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

from engram.participant.errors import RoundOver
from engram.participant.journal import CommitSecret, Journal
from engram.participant.obligations import LATE, REFUSALS, refusal_code
from engram.participant.upload import UPLOAD_WINDOW, fit_inside, upload
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.record import u32
from engram.statemachine.records import Version
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import (
    CommitMissing,
    CommitRepeated,
    ReservationFull,
)
from engram.statemachine.rounds.records import Candidate, Commit, Round
from engram.statemachine.rounds.terms import reserved_share
from engram.statemachine.rounds.update import Update, update_size
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transactions.commit_update import CommitUpdate, reveal_share
from engram.statemachine.transactions.reveal_update import RevealUpdate

ADMITTED: Final = "candidate_admitted"
REVEALED: Final = "revealed"
"""Revealed by an earlier run, and no candidate stands."""
_OUTCOMES: Final = frozenset({ADMITTED, "candidate_refused", "candidate_unfunded", "no_improvement"})
"""Events that say what became of a true claim."""


class Commitments:
    """The commits of one account."""

    def __init__(self, wallet: Wallet, view: ChainView, journal: Journal | None) -> None:
        """Without a journal, a crash between commit and reveal costs the bond."""
        self._wallet = wallet
        self._view = view
        self._journal = journal

    def saved(self, round_id: Hash, epoch: int) -> CommitSecret | None:
        """What an earlier run has committed to, or was about to. Raises `SecretsInvalid`."""
        author = self._wallet.key.address
        return self._journal.find(round_id, epoch, author) if self._journal else None

    async def standing(self, round_id: Hash, epoch: int) -> Commit | None:
        """The commit that waits for its reveal."""
        return await self._view.find(Commit, round_id, bytes([epoch]), self._wallet.key.address)

    async def commit(self, round_: Round, secret: CommitSecret) -> Hash:
        """Saves the secret, then commits, reserving a height of the update window that has room.

        The transaction's id; empty if the commit stands already. Raises `RoundOver` where the commit window
        has passed, `ReservationFull`, and what else the chain refuses it with.
        """
        if self._journal is not None:
            self._journal.save(secret)
        claim, tried = secret.claim, set[int]()
        while slots := await self._slots(round_, secret, tried):
            slot = slots[0]
            tried.add(slot)
            try:
                txid = await self._wallet.send(CommitUpdate(round_.id, claim.epoch, secret.digest, slot))
                await self._wallet.confirm(txid)
            except REFUSALS as error:
                code = refusal_code(error)
                if code == ReservationFull.code:
                    continue
                standing = await self.standing(round_.id, claim.epoch)
                if code == CommitRepeated.code and standing and standing.digest == secret.digest:
                    return b""
                raise _late(code) or error from error
            return txid
        raise ReservationFull("no height of the update window has room for another reveal")

    async def reveal(self, round_: Round, secret: CommitSecret) -> tuple[str, Hash]:
        """Sends the reveal for the height reserved; what became of it, and the transaction's id.

        Raises `RoundOver` where the update window has passed.
        """
        claim = secret.claim
        commits = await self._view.span(round_, Phase.COMMIT, claim.epoch)
        await self._view.wait_height(commits.last)  # earlier, others could still commit to what they see
        update = await self._carried(round_, secret)
        await self._view.wait_phase(claim.round, Phase.UPDATE, claim.epoch)
        commit = await self.standing(claim.round, claim.epoch)
        if commit is None:
            return await self.outcome(secret), b""
        await self._view.wait_height(commit.slot - 1)
        payload = RevealUpdate(
            claim.round, claim.epoch, claim.base, claim.parameters, claim.loss, claim.salt, 0, update
        )
        txid = b""
        try:
            waiting = {pending: txid for txid, pending in await self._wallet.pending()}
            txid = waiting.get(payload) or await self._wallet.send(payload)
            return _outcome(await self._wallet.confirm(txid)), txid
        except REFUSALS as error:
            code = refusal_code(error)
            if code == CommitMissing.code:
                return await self.outcome(secret), b""
            if late := _late(code):
                raise late from error
            return code, txid

    async def outcome(self, secret: CommitSecret) -> str:
        """What became of a reveal that an earlier run sent."""
        claim = secret.claim
        found = await self._view.find(Candidate, claim.round, bytes([claim.epoch]), claim.author)
        return ADMITTED if found is not None else REVEALED

    def forget(self, round_id: Hash) -> None:
        """The round is over."""
        if self._journal is not None:
            self._journal.forget(round_id, self._wallet.key.address)

    async def _slots(self, round_: Round, secret: CommitSecret, tried: set[int]) -> list[int]:
        """Heights of the update window that have room, best first.

        Those of its first half come in random order: whoever commits at the same time should not want the
        same one. A reveal that misses an early height still finds later ones. What is uploaded before may
        not wait for long, and takes the first.
        """
        rules = (await self._view.spec()).rules
        window = await self._view.span(round_, Phase.UPDATE, secret.claim.epoch)
        taken = await self._view.reservations(window)
        base = await self._view.get(Version, round_.model, u32(round_.version))
        size_bytes, macs = reveal_share(rules, round_, base)
        room = reserved_share(rules, rules.max_body_bytes), reserved_share(rules, rules.max_block_macs)
        free = []
        for slot in range(window.first, window.last + 1):
            held_bytes, held_macs = taken.get(slot, (0, 0))
            if slot not in tried and held_bytes + size_bytes <= room[0] and held_macs + macs <= room[1]:
                free.append(slot)
        uploading = _upload_blocks(rules, round_, secret)
        ready = min(window.last, window.first + uploading)
        late = (window.first + window.last + 1) // 2
        early = [slot for slot in free if ready <= slot < late]
        if not uploading:
            secrets.SystemRandom().shuffle(early)
        return early + [slot for slot in free if slot >= max(ready, late)]

    async def _carried(self, round_: Round, secret: CommitSecret) -> Update:
        """The update as its transaction carries it: tensors that do not fit are on the chain by now."""
        inside, outside = split_tensors((await self._view.spec()).rules, round_, secret)
        for raw in outside:
            await upload(self._wallet, raw)
        return replace(secret.update, tensors=inside)


def split_tensors(
    rules: Rules, round_: Round, secret: CommitSecret
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The tensors that travel in the reveal, and those that have to be uploaded before."""
    room = min(round_.terms.max_update_bytes, rules.max_transaction_bytes - ENVELOPE_BYTES)
    return fit_inside(secret.tensors, room - update_size(secret.update))


def _upload_blocks(rules: Rules, round_: Round, secret: CommitSecret) -> int:
    """Blocks of the update window that uploads may take before the reveal."""
    _, outside = split_tensors(rules, round_, secret)
    chunks = sum(-(-len(raw) // rules.chunk_bytes) for raw in outside)
    return 2 * len(outside) + chunks // UPLOAD_WINDOW


def _late(code: str) -> RoundOver | None:
    """What to raise for a step that met another phase: training took longer than its window."""
    if code not in LATE:
        return None
    return RoundOver("this step came too late: train less, or ask for longer windows", got=code)


def _outcome(receipt: dict[str, Any]) -> str:
    names: list[str] = [event["name"] for event in receipt["events"]]
    return next(name for name in names if name in _OUTCOMES)
