"""An author in a round: follows it, re-verifies the version it builds on, trains, commits, reveals, claims
rewards.

What to propose is a `Strategy`; honest ones stand in `strategies`, dishonest ones in `adversaries`. The
author only knows the calendar: it commits within the window, reveals at the height it reserved, prepays the
scorings.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from engram.nn.data import PartData
from engram.nn.growth import grown_spec, null_growth_logits
from engram.nn.loss import score
from engram.nn.network import Parameters, forward
from engram.nn.spec import NetworkSpec
from engram.node.errors import RemoteError
from engram.participant.errors import RoundOver, TransactionDropped, TransactionRefused, VersionMismatch
from engram.participant.opener import Report, settle_round
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.parameters import parameters_root
from engram.statemachine.phases import Phase
from engram.statemachine.records import Model, Version
from engram.statemachine.round_errors import ReservationFull, RetentionScored, WrongPhase
from engram.statemachine.round_records import Candidate, Commit, Round, RoundKind
from engram.statemachine.transactions.commit_update import CommitUpdate
from engram.statemachine.transactions.reveal_update import RevealUpdate
from engram.statemachine.transactions.score_retention import ScoreRetention
from engram.statemachine.update import TrainUpdate, Update, UpdateClaim, commit_digest

_OUTCOMES: Final = frozenset(
    {"candidate_admitted", "candidate_refused", "candidate_unfunded", "no_improvement"}
)
"""Events that say what became of a true claim."""


@dataclass(frozen=True)
class Task:
    """All that an author may look at before it commits; everything but its own data is public."""

    round: Round
    model: Model
    version: Version
    epoch: int
    parameters: Parameters
    """Of version t."""
    rivals: tuple[tuple[NetworkSpec, Parameters], ...]
    """Networks of other authors' candidates from earlier epochs; their parameters are public. None in GROW.
    """
    validation: tuple[PartData, ...]
    """The revealed parts D_k, in the order of the chain."""


@dataclass(frozen=True)
class Draft:
    """What an author is going to claim, before it is bound by a commit."""

    update: Update
    base: Hash
    parameters: Hash
    """Parameters root of the network that the update makes."""
    loss: int


Strategy = Callable[[Task], Draft | None]
"""Called in a worker thread; None sits the epoch out."""


@dataclass(frozen=True)
class EpochReport:
    """How one epoch went for an author."""

    epoch: int
    code: str
    """`candidate_admitted` or the name of the event that says why not, `sat_out`, or the code of a FAILED
    receipt."""
    loss: int
    commit: Hash
    reveal: Hash


class Author:
    """Plays one round with one account, through one node."""

    def __init__(self, wallet: Wallet, strategy: Strategy, report: Report) -> None:
        self.wallet: Final = wallet
        self.view: Final = ChainView(wallet.client)
        self._strategy = strategy
        self._report = report

    async def play(self, round_id: Hash) -> list[EpochReport]:
        """Every epoch that is still to come, then the retention scorings, then the end.

        Raises `VersionMismatch` before anything is trained if the version is not what the chain says.
        """
        reports: list[EpochReport] = []
        round_ = await self.view.get(Round, round_id)
        for epoch in range(round_.settled_epochs, round_.terms.epochs):
            try:
                reports.append(await self.play_epoch(round_id, epoch))
            except RoundOver as error:
                self._report(f"epoch {epoch}: {error}")
        await self.score_retention(round_id)
        await settle_round(self.view, self.wallet, round_id)
        return reports

    async def play_epoch(self, round_id: Hash, epoch: int) -> EpochReport:
        """One epoch: look, train, commit, reveal. Raises `RoundOver` if its commit window has passed."""
        round_ = await self.view.wait_phase(round_id, Phase.COMMIT, epoch)
        task = await self.task(round_, epoch)
        draft = await asyncio.to_thread(self._strategy, task)
        if draft is None:
            return EpochReport(epoch, "sat_out", 0, b"", b"")
        claim = UpdateClaim(
            (await self.wallet.facts()).chain_id,
            self.wallet.key.address,
            round_id,
            epoch,
            draft.base,
            draft.parameters,
            draft.loss,
            secrets.token_bytes(32),
        )
        commit = await self._commit(round_, epoch, commit_digest(claim))
        self._report(f"epoch {epoch}: committed")
        code, reveal = await self._reveal(claim, draft.update)
        self._report(f"epoch {epoch}: {code}")
        return EpochReport(epoch, code, draft.loss, commit, reveal)

    async def task(self, round_: Round, epoch: int) -> Task:
        """What is public about the epoch; the version is recomputed before it is trusted (paper, 2c-d)."""
        model = await self.view.get(Model, round_.model)
        version = await self.view.get(Version, round_.model, round_.version.to_bytes(4, "big"))
        parameters = await self.view.parameters(version)
        parts = [await self.view.part(part.commitment) for part in round_.validation_opened]
        await asyncio.to_thread(verify_baseline, round_, model, version, parameters, parts)
        rivals = await self._rivals(round_) if round_.terms.kind == RoundKind.TRAIN else ()
        return Task(round_, model, version, epoch, parameters, rivals, tuple(parts))

    async def score_retention(self, round_id: Hash) -> None:
        """Has each of our candidates scored on each retention part; the candidate prepaid it."""
        round_ = await self.view.get(Round, round_id)
        model = await self.view.get(Model, round_.model)
        mine = [item for item in round_.candidates if item.author == self.wallet.key.address]
        if not mine or not model.retention or round_.terms.kind != RoundKind.GROW:
            return
        await self.view.wait_phase(round_id, Phase.RETENTION)
        payloads = [
            ScoreRetention(round_id, item.epoch, item.author, part.part)
            for item in mine
            for part in model.retention
        ]
        waiting = [await self.wallet.send(payload) for payload in payloads]
        for txid in waiting:
            try:
                await self.wallet.confirm(txid)
            except (TransactionDropped, TransactionRefused) as error:
                if RetentionScored.code not in (error.code, error.got):
                    raise  # else somebody else had it scored

    async def _rivals(self, round_: Round) -> tuple[tuple[NetworkSpec, Parameters], ...]:
        found = []
        for item in round_.candidates:
            if item.author != self.wallet.key.address:
                candidate = await self.view.get(Candidate, round_.id, bytes([item.epoch]), item.author)
                network = await self.view.network_of(candidate.spec, candidate.hidden, candidate.outputs)
                found.append((candidate.spec, network.load()[0]))
        return tuple(found)

    async def _commit(self, round_: Round, epoch: int, digest: Hash) -> Hash:
        """Commits, reserving the first height of the update window that has room."""
        window = await self.view.span(round_, Phase.UPDATE, epoch)
        for slot in range(window.first, window.last + 1):
            try:
                txid = await self.wallet.send(CommitUpdate(round_.id, epoch, digest, slot))
                await self.wallet.confirm(txid)
            except RemoteError as error:
                if error.code == ReservationFull.code and slot < window.last:
                    continue
                raise _late(error.code) or error from error
            except (TransactionDropped, TransactionRefused) as error:
                raise _late(error.code, error.got) or error from error
            return txid
        raise AssertionError("an update window has at least one height")

    async def _reveal(self, claim: UpdateClaim, update: Update) -> tuple[str, Hash]:
        """Sends the reveal for the height reserved; what became of it."""
        await self.view.wait_phase(claim.round, Phase.UPDATE, claim.epoch)
        commit = await self.view.get(Commit, claim.round, bytes([claim.epoch]), claim.author)
        await self.view.wait_height(commit.slot - 1)
        payload = RevealUpdate(
            claim.round, claim.epoch, claim.base, claim.parameters, claim.loss, claim.salt, 0, update
        )
        txid = await self.wallet.send(payload)
        try:
            return _outcome(await self.wallet.confirm(txid)), txid
        except TransactionRefused as error:
            return error.code, txid
        except TransactionDropped as error:
            return str(error.got), txid


def _late(*codes: object) -> RoundOver | None:
    """What to raise for a commit that met another phase: training took longer than its window."""
    if WrongPhase.code not in codes:
        return None
    return RoundOver(
        "the commit came too late: train less, or ask for longer windows", expected=Phase.COMMIT.name
    )


def verify_baseline(
    round_: Round, model: Model, version: Version, parameters: Parameters, parts: list[PartData]
) -> None:
    """Recomputes the version's loss on each revealed part from downloaded bytes. Raises `VersionMismatch`."""
    for opened, part in zip(round_.validation_opened, parts, strict=True):
        added = round_.classes - version.spec.classes
        logits = null_growth_logits(forward(version.spec, parameters, part.features), added)
        found = score(model.loss_kind, logits, part.labels)
        if (found.loss, found.correct) != (opened.baseline.loss, opened.baseline.correct):
            raise VersionMismatch(expected=opened.baseline.loss, got=found.loss)


def network_root(task: Task, update: Update) -> Hash:
    """Parameters root of the network that the update makes of version t."""
    if isinstance(update, TrainUpdate):
        return parameters_root(update.spec, update.hidden, update.outputs)
    version = task.version
    spec = grown_spec(version.spec, update.growth)
    return parameters_root(spec, (*version.hidden, *update.hidden), (*version.outputs, *update.outputs))


def _outcome(receipt: dict[str, Any]) -> str:
    names: list[str] = [event["name"] for event in receipt["events"]]
    return next(name for name in names if name in _OUTCOMES)
