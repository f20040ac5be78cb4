"""Commits to an author's update and reveals it. What the update is was decided before; nothing trains here.

The secret is saved on disk before the commit is sent. Each step can be repeated after a crash: what the chain
or the node's mempool already holds is not sent a second time.
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
"""The outcome if an earlier run may have revealed and the chain holds no candidate of it."""
_OUTCOMES: Final = frozenset({ADMITTED, "candidate_refused", "candidate_unfunded", "no_improvement"})
"""Names of the events one of which a reveal's receipt holds if the claimed loss was true."""


class Commitments:
    """Sends and reveals the commits of one account."""

    def __init__(self, wallet: Wallet, view: ChainView, journal: Journal | None) -> None:
        """Without a journal, a crash between commit and reveal costs the bond: the secret is lost."""
        self._wallet = wallet
        self._view = view
        self._journal = journal

    def saved(self, round_id: Hash, epoch: int) -> CommitSecret | None:
        """The secret that an earlier run saved before it committed; None if there is none.

        The commit itself may not have been sent. Raises `SecretsInvalid` if the file is damaged.
        """
        author = self._wallet.key.address
        return self._journal.find(round_id, epoch, author) if self._journal else None

    async def standing(self, round_id: Hash, epoch: int) -> Commit | None:
        """The account's commit on the chain that is not revealed yet; None if there is none."""
        return await self._view.find(Commit, round_id, bytes([epoch]), self._wallet.key.address)

    async def commit(self, round_: Round, secret: CommitSecret) -> Hash:
        """Saves the secret, then commits and reserves room for the reveal at a height of the update window.

        Returns the transaction's id; empty if the commit is on the chain already. Raises `RoundOver` if the
        commit window has passed, `ReservationFull` if no height has room, and any other refusal of the chain.
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
        """Waits for the reserved height, sends the reveal, and waits for its block.

        Returns what became of the reveal (see `EpochReport.code`) and the transaction's id. Raises
        `RoundOver` if the update window has passed.
        """
        claim = secret.claim
        commits = await self._view.span(round_, Phase.COMMIT, claim.epoch)
        # Uploads make tensors public. While commits are still possible, a rival could commit to a copy.
        await self._view.wait_height(commits.last)
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
        """What became of a reveal that an earlier run sent: ADMITTED or REVEALED."""
        claim = secret.claim
        found = await self._view.find(Candidate, claim.round, bytes([claim.epoch]), claim.author)
        return ADMITTED if found is not None else REVEALED

    def forget(self, round_id: Hash) -> None:
        """Deletes the saved secrets of a round that is over."""
        if self._journal is not None:
            self._journal.forget(round_id, self._wallet.key.address)

    async def _slots(self, round_: Round, secret: CommitSecret, tried: set[int]) -> list[int]:
        """Heights of the update window that have room for this reveal and were not `tried`, best first.

        Early heights are better, because a reveal that misses its height can still enter a later block. The
        first half of the window is in random order, so that authors who commit at the same time do not all
        ask for the same height. If tensors have to be uploaded before, heights that come too early for the
        uploads are left out, and the order is not random: the first height that leaves time for them is best,
        because uploaded tensors may expire.
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
        """The update as the reveal carries it. Uploads the tensors that do not fit into the transaction."""
        inside, outside = split_tensors((await self._view.spec()).rules, round_, secret)
        for raw in outside:
            await upload(self._wallet, raw)
        return replace(secret.update, tensors=inside)


def split_tensors(
    rules: Rules, round_: Round, secret: CommitSecret
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The tensors that travel inside the reveal, and those that have to be uploaded before it."""
    room = min(round_.terms.max_update_bytes, rules.max_transaction_bytes - ENVELOPE_BYTES)
    return fit_inside(secret.tensors, room - update_size(secret.update))


def _upload_blocks(rules: Rules, round_: Round, secret: CommitSecret) -> int:
    """How many blocks of the update window to leave for the uploads before the reveal."""
    _, outside = split_tensors(rules, round_, secret)
    chunks = sum(-(-len(raw) // rules.chunk_bytes) for raw in outside)
    return 2 * len(outside) + chunks // UPLOAD_WINDOW


def _late(code: str) -> RoundOver | None:
    """The error to raise if a refusal's code says that the step came too late; None for any other code."""
    if code not in LATE:
        return None
    return RoundOver("this step came too late for its phase: train with fewer steps", got=code)


def _outcome(receipt: dict[str, Any]) -> str:
    """What became of a reveal with a true claim, by the first such event of its receipt."""
    names: list[str] = [event["name"] for event in receipt["events"]]
    return next(name for name in names if name in _OUTCOMES)
