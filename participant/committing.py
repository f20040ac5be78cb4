"""Commits to an author's update and reveals it. What the update is was decided before; nothing trains here.

The secret is saved on disk before the commit is sent. Each step can be repeated after a crash: what the chain
or the node's mempool already holds is not sent a second time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from engram.participant.errors import RoundOver
from engram.participant.journal import CommitSecret, Journal
from engram.participant.obligations import LATE, REFUSALS, refusal_code
from engram.participant.upload import fit_inside, upload
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.additions import Update
from engram.statemachine.rounds.calendar import Phase
from engram.statemachine.rounds.errors import CommitMissing, CommitRepeated
from engram.statemachine.rounds.records import Candidate, Commit, Round
from engram.statemachine.rounds.update import update_size
from engram.statemachine.rules import ENVELOPE_BYTES, Rules
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.reveal_update import RevealUpdate

ADMITTED: Final = "candidate_admitted"
REVEALED: Final = "revealed"
"""The outcome if an earlier run may have revealed and the chain holds no candidate of it."""
NO_IMPROVEMENT: Final = "no_improvement"
"""The outcome if the loss is true and not below the baseline; the bond is back."""
_OUTCOMES: Final = frozenset({ADMITTED, NO_IMPROVEMENT})
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
        """Saves the secret, then commits.

        Returns the transaction's id; empty if the commit is on the chain already. Raises `RoundOver` if the
        commit window has passed, and any other refusal of the chain.
        """
        if self._journal is not None:
            self._journal.save(secret)
        epoch = secret.claim.epoch
        try:
            txid = await self._wallet.send(CommitUpdate(round_.id, epoch, secret.digest))
            await self._wallet.confirm(txid)
        except REFUSALS as error:
            code = refusal_code(error)
            standing = await self.standing(round_.id, epoch)
            if code == CommitRepeated.code and standing and standing.digest == secret.digest:
                return b""
            raise _late(code) or error from error
        return txid

    async def reveal(self, round_: Round, secret: CommitSecret, claimed: bytes = b"") -> tuple[str, Hash]:
        """Waits for the update window, sends the reveal, and waits for its block.

        `claimed` are the claimed rows of the validation parts, where authors claim scores. Returns what
        became of the reveal (see `EpochReport.code`) and the transaction's id. Raises `RoundOver` if the
        update window has passed.
        """
        claim = secret.claim
        commits = await self._view.span(round_, Phase.COMMIT, claim.epoch)
        # Uploads make tensors public. While commits are still possible, a rival could commit to a copy.
        await self._view.wait_tick(commits.last + 1)
        update = await self._carried(round_, secret)
        await self._view.wait_phase(claim.round, Phase.UPDATE, claim.epoch)
        if await self.standing(claim.round, claim.epoch) is None:
            return await self.outcome(secret), b""
        place = claim.round, claim.epoch, claim.base, claim.parameters, claim.loss, claim.salt
        payload = RevealUpdate(*place, update, claimed)
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


def _late(code: str) -> RoundOver | None:
    """The error to raise if a refusal's code says that the step came too late; None for any other code."""
    if code not in LATE:
        return None
    return RoundOver("this step came too late for its phase: train with fewer steps", got=code)


def _outcome(receipt: dict[str, Any]) -> str:
    """What became of a reveal with a true claim, by the first such event of its receipt."""
    names: list[str] = [event["name"] for event in receipt["events"]]
    return next(name for name in names if name in _OUTCOMES)
