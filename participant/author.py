"""The author's side of a round: verify the version, train, commit, reveal, have it scored, withdraw.

This file follows the round's calendar. What to propose is decided by a `Strategy`: honest ones stand in
`strategies.py`, dishonest ones in `adversaries.py`. How a commit is sent and revealed stands in
`committing.py`.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from engram.nn.engine import FAST, Engine
from engram.node.concurrency import finished
from engram.node.epochs import in_epoch
from engram.participant.claiming import Claims, Telling, decided, truly
from engram.participant.committing import ADMITTED, Commitments
from engram.participant.deciders import why_opener_decides
from engram.participant.epoch_reports import CLAIMED, IN_WORDS, NOT_WORTH, SAT_OUT, EpochReport
from engram.participant.errors import (
    BondAboveLimit,
    FeeAboveLimit,
    RoundOver,
    SecretsNotFound,
    TrainingStopped,
)
from engram.participant.journal import CommitSecret, Journal
from engram.participant.notices import Notice, Report
from engram.participant.obligations import REFUSALS, refusal_code
from engram.participant.opener import settle_round
from engram.participant.pricing import Limits, check_price, price_of
from engram.participant.rivals import public_growths, rival_networks
from engram.participant.scoring import Withdrawn, score_candidates, withdraw_updates
from engram.participant.task import Draft, Strategy, Task, unwatched, verify_baseline
from engram.participant.training.qat import Progress
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.errors import Invalid
from engram.primitives.types import Hash
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.record import u32
from engram.statemachine.records import Model, Version
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.candidates import validation_bar
from engram.statemachine.rounds.records import Candidate, Round, RoundStatus
from engram.statemachine.rounds.update import UpdateClaim, check_update

_SPARKS_PER_COIN: Final = 10**8


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
        checks: bool = True,
        unites: bool = False,
        engine: Engine = FAST,
        telling: Telling = truly,
    ) -> None:
        """`epochs` is the most epochs to play; None plays all. `unites` says that the strategy unites
        growths: those of others are downloaded for it.

        An update that breaks a rule is not committed to, because its bond would be lost; only adversaries
        do without `checks`. `telling` is what is claimed on models whose authors claim scores.

        Without a journal, a crash between commit and reveal costs the bond, because nobody else knows the
        secret.
        """
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._strategy = strategy
        self._report = report
        self._commitments = Commitments(wallet, self.view, journal)
        self._claiming = False
        """Whether no node computes the losses in the round that is played."""
        self._claims = Claims(wallet, self.view, telling, engine)
        self._limits = limits or Limits()
        self._epochs = epochs
        self._progress = progress
        self._checks = checks
        self._unites = unites
        self._engine = engine
        self._fees_before = wallet.fees
        self._warns = False
        """Whether to tell in the next epoch who knows the rows that decide."""
        self.withdrawn = Withdrawn()
        """What became of the bonds that this account has withdrawn."""

    async def play(self, round_id: Hash) -> list[EpochReport]:
        """Plays every epoch that is not over, has the candidates scored, waits for the end, and withdraws.

        Safe to call again after a crash: what an earlier run has committed to is revealed. An epoch whose
        phases pass meanwhile is reported and skipped. Raises `VersionMismatch`, before anything is trained,
        if the version does not have the loss that the chain has recorded. Before the first training, tells if
        the opener may know all rows that decide.
        """
        self._warns = True
        reports: list[EpochReport] = []
        round_ = await self.view.get(Round, round_id)
        self._claiming = (await self.view.get(Model, round_.model)).claims is not None
        standing = await self.view.updates_of(round_, self.wallet.key.address)
        before = any(isinstance(update, Candidate) for update in standing)
        try:
            await self._play_epochs(round_id, reports)
            await self._try_score(round_id)
        except asyncio.CancelledError:
            if before or any(report.code == ADMITTED for report in reports):
                text = (
                    "an update is not scored on the parts that decide: it cannot win, and its bond is lost, "
                    "unless you start again in time or somebody else has it scored (`engram round score`)"
                )
                self._report(Notice(text, "left_unscored"))
            raise
        await self.finish(round_id)
        return reports

    async def _play_epochs(self, round_id: Hash, reports: list[EpochReport]) -> None:
        epochs = (await self.view.get(Round, round_id)).terms.epochs
        for epoch in range(await self._running(round_id), epochs):
            if len(reports) == self._epochs:
                break
            try:
                reports.append(await self.play_epoch(round_id, epoch))
            except RoundOver as error:
                self._report(
                    Notice(f"{in_epoch(epoch)}: {error}", "epoch_missed", epoch=epoch, code=error.code)
                )
                if await self._is_ending(round_id):
                    break

    async def conclude(self, round_id: Hash) -> Withdrawn:
        """Has the account's candidates scored, waits for the end of the round, and withdraws them.

        Returns what became of the bonds. Nothing is owed after it, and saved secrets are deleted.
        """
        await self._try_score(round_id)
        return await self.finish(round_id)

    async def _try_score(self, round_id: Hash) -> None:
        await self._try(self.score, round_id)

    async def _try(self, scoring: Callable[[Hash], Awaitable[None]], round_id: Hash) -> None:
        try:
            await scoring(round_id)
        except RoundOver as error:
            self._report(Notice(f"scoring: {error}", "score_missed", code=error.code))

    async def finish(self, round_id: Hash) -> Withdrawn:
        """Waits for the end of the round and withdraws the account's updates, as `conclude` does.

        Where authors claim scores, claims and confirms again what a reorganisation undoes meanwhile.
        """
        await self._try(self._claims.hold, round_id)
        await settle_round(self.view, self.wallet, round_id)
        done = await withdraw_updates(self.view, self.wallet, round_id, self.wallet.key.address)
        if done != Withdrawn():
            coins = [f"{amount / _SPARKS_PER_COIN:g}" for amount in (done.returned, done.burned)]
            text = (
                f"the updates are withdrawn; of bonds, in coins, {coins[0]} came back and {coins[1]} burned"
            )
            self._report(Notice(text, "withdrawn", returned=done.returned, burned=done.burned))
        self.withdrawn = Withdrawn(
            self.withdrawn.returned + done.returned, self.withdrawn.burned + done.burned
        )
        self._commitments.forget(round_id)
        self._claims.forget(round_id)
        return done

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
            self._warn(round_)
            if len(round_.validation_opened) < round_.terms.validation:
                raise RoundOver("the opener has not revealed the validation parts", got=round_id)
            try:
                prepared = secret or await self._prepare(round_, epoch)
                if isinstance(prepared, str):
                    return self._told(EpochReport(epoch, prepared, 0, b"", b""))
                secret = prepared
                commit = await self._commitments.commit(round_, secret)
            except (BondAboveLimit, FeeAboveLimit, Invalid, *REFUSALS) as error:
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
        base = await self.view.composition(version)
        parameters = await self.view.parameters(version)
        parts = [await self.view.part(part.commitment) for part in round_.validation_opened]
        await asyncio.to_thread(verify_baseline, round_, model, base, parameters, parts, self._engine)
        author = self.wallet.key.address
        rivals = await rival_networks(self.view, round_, author)
        growths = await public_growths(self.view, round_) if self._unites and epoch else ()
        task = Task(round_, model, base, author, epoch, parameters, rivals, tuple(parts), growths=growths)
        return replace(task, engine=self._engine)

    async def score(self, round_id: Hash) -> None:
        """Has each candidate of this account scored on every part that decides.

        Where authors claim scores, claims them, waits for the dispute window, and confirms the claims. Raises
        `RoundOver` if the phase for it has passed.
        """
        model = await self.view.get(Model, (await self.view.get(Round, round_id)).model)
        if model.claims is not None:
            return await self._claim(round_id, model.claims)
        if count := await score_candidates(self.view, self.wallet, round_id, self.wallet.key.address):
            text = f"the chain has scored the {_counted(count)} on the parts that its author could not see"
            self._report(Notice(text, "scored", candidates=count))

    async def _claim(self, round_id: Hash, terms: ClaimTerms) -> None:
        if count := await self._claims.score(round_id):
            text = (
                f"the scores of the {_counted(count)} are claimed; anyone may dispute them for "
                f"{terms.window} ticks, then they are confirmed"
            )
            self._report(Notice(text, "claimed", candidates=count, window=terms.window))
            await self._claims.confirm(round_id)
            for update in await self.view.updates_of(
                await self.view.get(Round, round_id), self.wallet.key.address
            ):
                if isinstance(update, Candidate) and update.claim is not None:
                    self._report(decided(update))

    async def _prepare(self, round_: Round, epoch: int) -> CommitSecret | str:
        """An update that the author can and may pay for, or the code that says why there is none.

        Raises `BondAboveLimit`, `FeeAboveLimit`, `InsufficientBalance`, and what `check_update` raises.
        """
        task = await self.task(round_, epoch)
        found = "its rows are those on record" if self._claiming else "its loss is the one on record"
        text = f"{in_epoch(epoch)}: version {round_.version} is verified, {found}"
        self._report(Notice(text, "verified", epoch=epoch))
        draft = await self._trained(task)
        if draft is None:
            return SAT_OUT
        facts, base_loss = await self.wallet.facts(), None
        if self._checks:
            shape = replace(draft.update, tensors=())  # what does not fit into the reveal is uploaded before
            check_update(facts.rules, round_, task.model, task.base, shape)
        if task.model.claims is not None:
            claimed = await self._claims.of_reveal(round_, task.model, epoch, draft.update)
            draft, base_loss = replace(draft, loss=claimed.loss), claimed.base_loss
        if draft.loss >= validation_bar(round_, task.model, base_loss):
            return NOT_WORTH
        exponent = await self.wallet.exponent()
        price = price_of(facts.rules, exponent, round_, task.model, task.base, epoch, draft.update)
        updates = await self.view.updates_of(round_, self.wallet.key.address)
        check_price(
            self._limits,
            price,
            held=sum(update.bond for update in updates),
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
        text = f"{in_epoch(epoch)}: committed to an update, which must be revealed by tick {window.last}"
        self._report(Notice(text, "committed", **stake))
        try:
            code, reveal = await self._commitments.reveal(round_, secret, await self._claimed(round_, secret))
        except asyncio.CancelledError:
            text = (
                f"{in_epoch(epoch)}: committed and not revealed; the bond is lost after tick {window.last} "
                "unless you start again and reveal before"
            )
            self._report(Notice(text, "left_committed", **stake))
            raise
        return self._told(EpochReport(epoch, code, secret.claim.loss, commit, reveal))

    async def _claimed(self, round_: Round, secret: CommitSecret) -> bytes:
        """The claimed rows that the reveal carries; none where every node computes them."""
        model = await self.view.get(Model, round_.model)
        if model.claims is None:
            return b""
        update = replace(secret.update, tensors=secret.tensors)
        return (await self._claims.of_reveal(round_, model, secret.claim.epoch, update)).rows

    async def _wait_commits(self, round_id: Hash, epoch: int) -> Round:
        """Waits for the epoch's commit window and returns the round. Raises `RoundOver` if it has passed."""
        window = await self.view.span(await self.view.get(Round, round_id), Phase.COMMIT, epoch)
        if await self.view.tick() < window.first:
            text = (
                f"{in_epoch(epoch)}: waiting until authors can commit, from tick {window.first} at the latest"
            )
            self._report(Notice(text, "waiting", phase="commit", tick=window.first))
        return await self.view.wait_phase(round_id, Phase.COMMIT, epoch)

    async def _running(self, round_id: Hash) -> int:
        """The first epoch of which the last phase is not over."""
        round_, tick = await self.view.get(Round, round_id), await self.view.tick()
        calendar = Calendar.of(round_, (await self.view.spec()).rules)
        epochs = round_.terms.epochs
        over = (epoch for epoch in range(epochs) if not calendar.is_over(tick, Phase.UPDATE, epoch))
        return next(over, epochs)

    async def _is_ending(self, round_id: Hash) -> bool:
        """Whether the round has ended or is to end, so that no later epoch can be played."""
        round_ = await self.view.get(Round, round_id)
        return round_.status != RoundStatus.OPEN or await self.view.due(round_) is not None

    async def _is_past_commits(self, round_id: Hash, epoch: int) -> bool:
        window = await self.view.span(await self.view.get(Round, round_id), Phase.COMMIT, epoch)
        return await self.view.tick() > window.last

    def _warn(self, round_: Round) -> None:
        """Tells once in a round, after its first phase, if the opener may know all rows that decide."""
        if self._warns and (why := why_opener_decides(round_)) is not None:
            self._report(Notice(f"note: {why}", "opener_decides"))
        self._warns = False

    def _told(self, report: EpochReport, reason: Exception | None = None) -> EpochReport:
        """Reports what came of an epoch, in the words of `reason` if an error kept the update out."""
        admitted = report.code == ADMITTED
        words = IN_WORDS.get(report.code, "the reveal was refused")
        words = CLAIMED if admitted and self._claiming else words
        code = "" if admitted else f" [{report.code}]"
        text = f"{in_epoch(report.epoch)}: {words if reason is None else reason}{code}"
        event = "admitted" if admitted else "epoch_ended"
        self._report(Notice(text, event, epoch=report.epoch, code=report.code, loss=report.loss))
        return report


def _counted(candidates: int) -> str:
    return "candidate" if candidates == 1 else f"{candidates} candidates"
