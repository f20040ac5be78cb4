"""The author's side of a round: verify the version, train, commit, reveal, have the candidates scored.

This file follows the round's calendar. What to propose is decided by a `Strategy`: honest ones stand in
`strategies.py`, dishonest ones in `adversaries.py`. How a commit is sent and revealed stands in
`committing.py`.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engram.nn.network import Parameters
from engram.nn.spec import NetworkSpec
from engram.node.concurrency import finished
from engram.participant.committing import ADMITTED, REVEALED, Commitments
from engram.participant.errors import (
    BondAboveLimit,
    FeeAboveLimit,
    RoundOver,
    SecretsNotFound,
    TrainingStopped,
)
from engram.participant.journal import CommitSecret, Journal
from engram.participant.notices import Notice, Report
from engram.participant.obligations import REFUSALS, fulfil, refusal_code
from engram.participant.opener import settle_round
from engram.participant.pricing import Limits, bonds_held, check_price, price_of, whole_of
from engram.participant.task import Draft, Progress, Strategy, Task, unwatched, verify_baseline
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.errors import InsufficientBalance
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.calendar import Calendar, DueStep, Phase
from engram.statemachine.rounds.records import Candidate, Round, RoundKind
from engram.statemachine.rounds.update import UpdateClaim
from engram.statemachine.transaction import TxPayload
from engram.statemachine.transactions.score_retention import ScoreRetention

SAT_OUT: Final = "sat_out"
"""Code of an epoch for which the strategy proposed nothing."""
_IN_WORDS: Final = {
    ADMITTED: "every node has verified the loss, and the update is a candidate",
    "candidate_refused": "the loss is true, but other candidates have all places; the bond is back",
    "candidate_unfunded": "the loss is true, but the balance does not cover the scorings; the bond is back",
    "no_improvement": "the loss is true, but does not improve enough on the version; the bond is back",
    REVEALED: "an earlier run has committed, and the chain holds no candidate of it",
    SAT_OUT: "no update is proposed in this epoch",
    SecretsNotFound.code: "the secret of the commit is not on this disk, so it cannot be revealed",
}
"""What an `EpochReport.code` means. Any other code is that of the rule by which the reveal was refused."""


@dataclass(frozen=True)
class EpochReport:
    """What came of one epoch for an author."""

    epoch: int
    code: str
    """`candidate_admitted`, or the name of another event that says what became of the reveal; `revealed` if
    an earlier run revealed and no candidate stands; `sat_out` if the strategy proposed nothing; or the code
    of the error that kept the update out.
    """
    loss: int
    """The claimed loss on the validation parts in Q24 nats, summed over rows; 0 if nothing was committed."""
    commit: Hash
    """Id of the transaction that committed; empty if this run sent none."""
    reveal: Hash
    """Id of the transaction that revealed; empty if this run sent none."""


class Author:
    """Plays one round with one account through one node."""

    def __init__(
        self,
        wallet: Wallet,
        strategy: Strategy,
        report: Report,
        *,
        journal: Journal | None = None,
        limits: Limits | None = None,
        epochs: int | None = None,
        progress: Progress = unwatched,
    ) -> None:
        """`epochs` is the most epochs to play; None plays all.

        Without a journal, a crash between commit and reveal costs the bond, because nobody else knows the
        secret.
        """
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._strategy = strategy
        self._report = report
        self._commitments = Commitments(wallet, self.view, journal)
        self._limits = limits or Limits()
        self._epochs = epochs
        self._progress = progress
        self._fees_before = wallet.fees

    async def play(self, round_id: Hash) -> list[EpochReport]:
        """Plays every epoch that is not settled yet, has the candidates scored, and waits for the end.

        Safe to call again after a crash: what an earlier run has committed to is revealed. An epoch whose
        phases have passed is reported and skipped. Raises `VersionMismatch`, before anything is trained, if
        the version does not have the loss that the chain has recorded.
        """
        reports: list[EpochReport] = []
        round_ = await self.view.get(Round, round_id)
        for epoch in range(round_.settled_epochs, round_.terms.epochs):
            if len(reports) == self._epochs:
                break
            try:
                reports.append(await self.play_epoch(round_id, epoch))
            except RoundOver as error:
                self._report(Notice(f"epoch {epoch}: {error}", "epoch_missed", epoch=epoch, code=error.code))
                if await self._is_aborting(round_id):
                    break
        try:
            await self.score_retention(round_id)
        except RoundOver as error:
            self._report(Notice(f"retention: {error}", "retention_missed", code=error.code))
        await settle_round(self.view, self.wallet, round_id)
        self._commitments.forget(round_id)
        return reports

    async def play_epoch(self, round_id: Hash, epoch: int) -> EpochReport:
        """Plays one epoch: train, commit, reveal. Raises `RoundOver` if one of these phases has passed.

        What the journal and the chain already hold decides where it goes on: a commit that stands is
        revealed, and a saved secret whose commit phase has passed is only reported. A standing commit without
        its secret cannot be revealed, and its bond is lost.
        """
        secret, commit = self._commitments.saved(round_id, epoch), b""
        standing = await self._commitments.standing(round_id, epoch)
        if standing is not None and (secret is None or secret.digest != standing.digest):
            return self._told(EpochReport(epoch, SecretsNotFound.code, 0, b"", b""))
        if standing is None and secret is not None and await self._is_past_commits(round_id, epoch):
            outcome = await self._commitments.outcome(secret)
            return self._told(EpochReport(epoch, outcome, secret.claim.loss, b"", b""))
        if standing is None:
            round_ = await self._wait_commits(round_id, epoch)
            if len(round_.validation_opened) < round_.terms.validation:
                raise RoundOver("the opener has not revealed the validation parts", got=round_id)
            try:
                secret = secret or await self._prepare(round_, epoch)
                if secret is None:
                    return self._told(EpochReport(epoch, SAT_OUT, 0, b"", b""))
                commit = await self._commitments.commit(round_, secret)
            except (BondAboveLimit, FeeAboveLimit, InsufficientBalance, *REFUSALS) as error:
                return self._told(EpochReport(epoch, refusal_code(error), 0, b"", b""), error)
        assert secret is not None, "it was found in the journal or has just been prepared"
        return await self._open(round_id, secret, commit)

    async def task(self, round_: Round, epoch: int) -> Task:
        """Everything public that a strategy may use in this epoch.

        The version's loss is recomputed from its own bytes before it is trusted, as steps 2c and 2d of the
        paper ask. Raises `VersionMismatch`.
        """
        model = await self.view.get(Model, round_.model)
        version = await self.view.get(Version, round_.model, u32(round_.version))
        parameters = await self.view.parameters(version)
        parts = [await self.view.part(part.commitment) for part in round_.validation_opened]
        await asyncio.to_thread(verify_baseline, round_, model, version, parameters, parts)
        rivals = await self._rivals(round_) if round_.terms.kind == RoundKind.TRAIN else ()
        return Task(round_, model, version, epoch, parameters, rivals, tuple(parts))

    async def score_retention(self, round_id: Hash) -> None:
        """Has each candidate of this account scored on each retention part.

        Raises `RoundOver` if the phase for it has passed.
        """
        if count := await score_candidates(self.view, self.wallet, round_id):
            text = f"the chain has scored the candidates on the retention parts ({count} scorings)"
            self._report(Notice(text, "retention_scored", scorings=count))

    async def _prepare(self, round_: Round, epoch: int) -> CommitSecret | None:
        """An update that the author can and may pay for; None if the strategy proposes none.

        Raises `BondAboveLimit`, `FeeAboveLimit`, `InsufficientBalance`.
        """
        task = await self.task(round_, epoch)
        self._report(
            Notice(
                f"epoch {epoch}: version {task.version.number} is verified, its loss is the one on record",
                "verified",
                epoch=epoch,
            )
        )
        draft = await self._trained(task)
        if draft is None:
            return None
        facts = await self.wallet.facts()
        whole = whole_of(task.version, draft.update)
        exponent = await self.wallet.exponent()
        price = price_of(facts.rules, exponent, round_, task.model, task.version, whole, draft.update)
        check_price(
            self._limits,
            price,
            held=bonds_held(round_, self.wallet.key.address),
            spent=self.wallet.fees - self._fees_before,
            balance=int((await self.wallet.account())["balance"]),
        )
        claim = UpdateClaim(
            facts.chain_id,
            self.wallet.key.address,
            round_.id,
            epoch,
            draft.base,
            draft.parameters,
            draft.loss,
            secrets.token_bytes(32),
        )
        return CommitSecret.of(claim, draft.update)

    async def _trained(self, task: Task) -> Draft | None:
        """Runs the strategy in a thread and returns its proposal.

        A thread cannot be cancelled from outside. If the caller is cancelled, the training's next progress
        call raises `TrainingStopped`, and the cancellation goes on only when the thread has ended.
        """
        stopped = threading.Event()

        def watched(step: int, loss: float) -> None:
            if stopped.is_set():
                raise TrainingStopped(got=step)
            self._progress(step, loss)

        task = replace(task, progress=watched)
        running = asyncio.get_running_loop().run_in_executor(None, self._strategy, task)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stopped.set()
            await finished(running)
            running.exception()  # fetched, so that asyncio does not log it as an exception nobody handled
            raise

    async def _open(self, round_id: Hash, secret: CommitSecret, commit: Hash) -> EpochReport:
        """Reveals what is committed to. If it is cancelled before, reports that the bond is at stake."""
        round_, epoch = await self.view.get(Round, round_id), secret.claim.epoch
        window = await self.view.span(round_, Phase.UPDATE, epoch)
        stake = {"epoch": epoch, "bond": round_.terms.author_bond, "until": window.last}
        text = f"epoch {epoch}: committed to an update, which must be revealed by tick {window.last}"
        self._report(Notice(text, "committed", **stake))
        try:
            code, reveal = await self._commitments.reveal(round_, secret)
        except asyncio.CancelledError:
            text = (
                f"epoch {epoch}: committed and not revealed; the bond is lost after tick {window.last} "
                "unless you start again and reveal before"
            )
            self._report(Notice(text, "left_committed", **stake))
            raise
        return self._told(EpochReport(epoch, code, secret.claim.loss, commit, reveal))

    async def _wait_commits(self, round_id: Hash, epoch: int) -> Round:
        """Waits for the epoch's commit window and returns the round. Raises `RoundOver` if it has passed."""
        window = await self.view.span(await self.view.get(Round, round_id), Phase.COMMIT, epoch)
        if await self.view.tick() < window.first:
            text = f"epoch {epoch}: waiting for tick {window.first}, from which authors can commit"
            self._report(Notice(text, "waiting", phase="commit", tick=window.first))
        return await self.view.wait_phase(round_id, Phase.COMMIT, epoch)

    async def _is_aborting(self, round_id: Hash) -> bool:
        """Whether the opener has missed the reveal, so that no later epoch can be played."""
        round_, tick = await self.view.get(Round, round_id), await self.view.tick()
        calendar = Calendar.of(round_, (await self.view.spec()).rules)
        return calendar.due(round_, tick) is DueStep.UNREVEALED

    async def _is_past_commits(self, round_id: Hash, epoch: int) -> bool:
        window = await self.view.span(await self.view.get(Round, round_id), Phase.COMMIT, epoch)
        return await self.view.tick() > window.last

    async def _rivals(self, round_: Round) -> tuple[tuple[NetworkSpec, Parameters], ...]:
        found = []
        for item in round_.candidates:
            if item.author != self.wallet.key.address:
                candidate = await self.view.get(Candidate, round_.id, bytes([item.epoch]), item.author)
                network = await self.view.network_of(candidate.spec, candidate.hidden, candidate.outputs)
                found.append((candidate.spec, network.load()[0]))
        return tuple(found)

    def _told(self, report: EpochReport, reason: Exception | None = None) -> EpochReport:
        """Reports what came of an epoch, in the words of `reason` if an error kept the update out."""
        words = _IN_WORDS.get(report.code, "the reveal was refused")
        text = f"epoch {report.epoch}: {words if reason is None else reason} [{report.code}]"
        event = "admitted" if report.code == ADMITTED else "epoch_ended"
        self._report(Notice(text, event, epoch=report.epoch, code=report.code, loss=report.loss))
        return report


async def score_candidates(view: ChainView, wallet: Wallet, round_id: Hash) -> int:
    """Waits for the retention phase and has every candidate of the account scored on every retention part.

    The author has prepaid the scorings with the update, and anybody may ask for them; what somebody else has
    asked for already is not asked for again. Returns how many scorings the account's candidates have in the
    end: 0 without candidates, without retention parts, or in a TRAIN round. Raises `RoundOver` if the phase
    has passed.
    """
    round_ = await view.get(Round, round_id)
    model = await view.get(Model, round_.model)
    mine = [item for item in round_.candidates if item.author == wallet.key.address]
    if not mine or not model.retention or round_.terms.kind != RoundKind.GROW:
        return 0
    await view.wait_phase(round_id, Phase.RETENTION)

    async def owed() -> Sequence[TxPayload]:
        missing: list[TxPayload] = []
        for item in mine:
            candidate = await view.get(Candidate, round_id, bytes([item.epoch]), item.author)
            scored = {score.part for score in candidate.retention}
            missing += [
                ScoreRetention(round_id, item.epoch, item.author, part.part)
                for part in model.retention
                if part.part not in scored
            ]
        return missing

    await fulfil(wallet, owed)
    return len(mine) * len(model.retention)
