"""From examples to a proven version, one step after another; each step can be taken again after a crash.

`step` looks at the state on disk, does what is due in it, and writes the next state. What is sent to the
chain is sent by the opener and the author of `participant/`, who find out by themselves what is still owed.
Rows are forgotten only when a proof of the version was checked that has learned them, and when that version,
asked here, says of them what the lesson says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engram.participant.learn.budget import left_of, noted, renamed
from engram.participant.learn.choosing import (
    agreeing,
    classes_to_teach,
    hindrance,
    joinable,
    numbered_alike,
)
from engram.participant.learn.errors import ClassesForeign, DayBudgetSpent, GrowthWouldFail, RowsMissing
from engram.participant.learn.lessons import LessonRecord, Lessons, contents, record_of, taught_rows
from engram.participant.learn.memories import Memories, Numbering
from engram.participant.learn.opening import Openings
from engram.participant.learn.policy import Observed, backoff_ms, due
from engram.participant.learn.round_part import Drafted, RoundPart
from engram.participant.learn.settings import LearnSettings
from engram.participant.learn.states import (
    MAX_OPENED,
    AwaitingProof,
    ConsolidationState,
    ForgettingRows,
    KeepingSums,
    OpeningRound,
    PlayingRound,
    Resting,
    Spent,
    StateFile,
)
from engram.participant.learn.threads import in_thread
from engram.participant.memory.errors import StatisticsRepeated, TooFewRowsToHide
from engram.participant.notices import Notice, Report
from engram.participant.obligations import REFUSALS
from engram.participant.opener import secrets_path
from engram.participant.pricing import Limits
from engram.participant.view import ChainView
from engram.primitives.errors import Invalid
from engram.primitives.types import ZERO_HASH, Hash
from engram.statemachine.records import Model
from engram.statemachine.rounds.records import Round, RoundStatus

STATE_NAME: Final = "state.json"
LESSONS_NAME: Final = "lessons"
OPENINGS_NAME: Final = "openings"


@dataclass(frozen=True)
class Outlook:
    """What would be done now."""

    action: str
    """`wait`, `open`, `take_part`, or the name of the state that goes on."""
    reason: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The outlook as JSON values."""
        return {"action": self.action, "reason": self.reason, **self.facts}


class Consolidator:
    """The consolidations of one participant, for one model. One task calls `step`."""

    def __init__(
        self,
        memories: Memories,
        folder: Path,
        rounds: RoundPart,
        settings: LearnSettings,
        clock: Callable[[], int],
        report: Report,
    ) -> None:
        """`folder` holds the daemon's own files, `clock` gives milliseconds since 1970."""
        self.states: Final = StateFile(folder / STATE_NAME)
        self._memories = memories
        self._rounds = rounds
        self._settings = settings
        self._clock = clock
        self._report = report
        self._lessons: Lessons = rounds.lessons
        self._openings: Openings = rounds.openings
        self._told = ""
        self.clean()

    def clean(self) -> None:
        """Removes files that no state needs: of a step that a crash has cut short before its state.

        A round that was drafted and never sent leaves no secrets either, so its rows may be sealed again.
        """
        state = self.states.now
        at = state.at
        lesson = at.round if isinstance(at, PlayingRound) else getattr(at, "lesson", None)
        self._lessons.keep_only(lesson)
        for nonce in self._openings.names():
            if nonce not in state.opened:
                secrets_path(self._rounds.folder, nonce).unlink(missing_ok=True)
            if nonce != getattr(at, "nonce", None):
                self._openings.remove(nonce)

    async def step(self, view: ChainView) -> bool:
        """Does what is due now; whether there may be more to do at once. False: nothing before a new block,
        new rows or another hour.

        Raises what a node or a disk refuses; then the state is as it was, or the next one.
        """
        match self.states.now.at:
            case Resting():
                return await self._rest(view)
            case OpeningRound() as opening:
                return await self._open(view, opening)
            case PlayingRound() as playing:
                return await self._play(view, playing)
            case AwaitingProof() as awaiting:
                return await self._await_proof(view, awaiting)
            case KeepingSums() as keeping:
                return await in_thread(lambda: self._keep(keeping))
            case ForgettingRows() as forgetting:
                return await in_thread(lambda: self._forget(forgetting))

    def observed(self) -> Observed:
        """What the policy decides from; notes when the oldest example of an unknown class was seen first."""
        counts, state = self._memories.unknown(), self.states.now
        if bool(counts) != (state.waiting_since_ms is not None):
            self._change(waiting_since_ms=self._clock() if counts else None)
        return Observed(counts, self.states.now.waiting_since_ms, self._memories.surprise)

    async def outlook(self, view: ChainView) -> Outlook:
        """What `step` would do now, and what that would cost. Sends nothing and changes nothing."""
        state = self.states.now
        if not isinstance(state.at, Resting):
            return Outlook(_name(state.at), "a consolidation is under way and goes on", {})
        seen = Observed(self._memories.unknown(), state.waiting_since_ms, self._memories.surprise)
        record = await view.get(Model, self._rounds.model)
        if (round_ := await self._joinable(view, record)) is not None:
            facts = {"round": round_.id.hex(), "author_bond": round_.terms.author_bond}
            return Outlook("take_part", "a round is open whose classes were learned here", facts)
        reason = due(self._settings.policy, seen, self._clock())
        if reason is None:
            return Outlook("wait", "the policy asks for nothing yet", {"examples": seen.counts})
        if (why := await self._hindrance(view, record)) is not None:
            return Outlook("wait", why, {"due": reason})
        try:
            drafted = await self._draft(record)
        except (RowsMissing, GrowthWouldFail, DayBudgetSpent, Invalid, *REFUSALS) as error:
            return Outlook("wait", str(error), {"due": reason, "code": getattr(error, "code", "")})
        return Outlook("open", reason, drafted.to_json())

    async def _rest(self, view: ChainView) -> bool:
        record = await view.get(Model, self._rounds.model)
        if await in_thread(self._adopt):
            return True
        seen, state, now = self.observed(), self.states.now, self._clock()
        if (own := await self._own_round(view, record)) is not None:
            self._go(PlayingRound(own.id, own.terms.nonce_hash))
            return True
        if now < state.not_before_ms:
            return False
        if (round_ := await self._joinable(view, record)) is not None:
            try:
                left_of(self._settings.spending, state.spent, now)
            except DayBudgetSpent as error:
                self._tell_once(Notice(str(error), "budget_spent", code=error.code))
                return False
            spent = self._noted(round_.id, 0, round_.terms.author_bond)
            self._go(PlayingRound(round_.id, None), spent=spent)
            return True
        reason = due(self._settings.policy, seen, now)
        if reason is None:
            return False
        if (why := await self._hindrance(view, record)) is not None:
            self._tell_once(Notice(f"{reason}; but {why}", "waiting_for_round"))
            return False
        try:
            drafted = await self._draft(record)
        except RowsMissing as error:
            self._tell_once(Notice(f"{reason}; but {error}", "waiting_for_rows", code=error.code))
            return False
        except (GrowthWouldFail, DayBudgetSpent, Invalid, *REFUSALS) as error:
            self._fail(Notice(f"{reason}; but {error}", "no_round", code=getattr(error, "code", "")))
            return False
        self._report(Notice(f"{reason}: a round is opened", "consolidating", **drafted.to_json()))
        self._rounds.save(drafted)
        nonce = drafted.record.payload.terms.nonce_hash
        spent = self._noted(nonce, drafted.price.costs, drafted.price.bonds)
        self._go(OpeningRound(nonce), spent=spent, opened=self._opened_with(nonce))
        return True

    async def _open(self, view: ChainView, at: OpeningRound) -> bool:
        record = self._openings.find(at.nonce)
        found = await self._rounds.find(view, at.nonce)
        if found is None and record is not None:
            try:
                found = await self._rounds.open(record)
            except (Invalid, *REFUSALS) as error:
                found = await self._rounds.find(view, at.nonce)
                if found is None:
                    self._fail(Notice(f"the round was not opened: {error}", "no_round"))
                    return False
        if found is None:
            self._fail(Notice("the round was not opened, and its draft is gone", "no_round"))
            return False
        self._go(PlayingRound(found, at.nonce), spent=renamed(self.states.now.spent, at.nonce, found))
        return True

    async def _play(self, view: ChainView, at: PlayingRound) -> bool:
        opening = None if at.nonce is None else self._openings.find(at.nonce)
        try:
            limits = left_of(self._settings.spending, self._others(at.round), self._clock())
        except DayBudgetSpent:
            limits = Limits(0, 0)  # the opener's duties are owed all the same
        paid = await self._rounds.play(at.round, opening, at.nonce, limits)
        round_ = await view.get(Round, at.round)
        if paid is not None and at.nonce is None:
            self._change(spent=self._noted(at.round, paid, round_.terms.author_bond))
        if round_.status == RoundStatus.OPEN:
            return False
        lesson = self._lessons.find(at.round)
        if round_.status == RoundStatus.DECIDED and lesson is not None:
            text = f"version {round_.new_version} is said to have learned it; its proof is awaited"
            self._report(Notice(text, "round_won", round=at.round.hex(), version=round_.new_version))
            self._go(AwaitingProof(at.round, round_.new_version))
            return True
        status = RoundStatus(round_.status).name.lower()
        self._fail(Notice(f"the round is {status}; the rows are kept", "round_lost", round=at.round.hex()))
        return False

    async def _await_proof(self, view: ChainView, at: AwaitingProof) -> bool:
        known = self._memories.slow.known
        if known is None or known.number < at.version:
            round_ = await view.find(Round, at.lesson)
            if round_ is None or round_.status != RoundStatus.DECIDED:
                self._fail(Notice("another branch of the chain has undone the version", "version_undone"))
            return False
        report = known.report
        if report.head.height - report.version.height < self._settings.confirmations:
            return False
        lesson = self._lessons.find(at.lesson)
        if lesson is None or not await in_thread(lambda: self._is_answered(lesson)):
            error = ClassesForeign(
                "the proven version does not answer the taught rows as the round said: they are kept"
            )
            self._fail(Notice(error.message, "version_foreign", code=error.code, version=known.number))
            return False
        self._go(KeepingSums(at.lesson, known.number))
        return True

    def _keep(self, at: KeepingSums) -> bool:
        lesson = self._lessons.find(at.lesson)
        for given in contents(self._memories, lesson) if lesson is not None else []:
            try:
                path = self._memories.folder.keep(given)
                self._report(Notice(f"sums of the taught rows are in {path}", "sums_kept", path=str(path)))
            except (StatisticsRepeated, TooFewRowsToHide) as error:
                self._report(Notice(f"no sums are kept: {error}", "sums_refused", code=error.code))
        self._memories.hand_over()
        self._go(ForgettingRows(at.lesson, at.version))
        return True

    def _forget(self, at: ForgettingRows) -> bool:
        lesson = self._lessons.find(at.lesson)
        gone = 0 if lesson is None else self._memories.forget(lesson.before, lesson.became)
        waiting = self._clock() if self._memories.unknown() else None
        self._report(
            Notice(f"{gone} examples are forgotten: the chain answers for them now", "forgotten", rows=gone)
        )
        self._go(Resting(), failures=0, not_before_ms=0, examined=at.version, waiting_since_ms=waiting)
        self.clean()
        return True

    def _adopt(self) -> bool:
        """Whether a version that came without this participant knows classes that were learned here."""
        known, state = self._memories.slow.known, self.states.now
        if known is None or known.number <= state.examined:
            return False
        classes = known.report.network.spec.classes
        labels = [label for label in self._memories.unknown() if label < classes]
        became: dict[int, int] = {}
        if labels and self._memories.numbering is Numbering.CHAIN:
            became = numbered_alike(self._memories, labels)
        if not became:
            if labels:
                text = "the chain has classes of the numbers of own labels, but does not answer their rows so"
                self._report(Notice(text, "classes_foreign", labels=labels))
            self._change(examined=known.number)
            return False
        lesson = known.report.version.root
        taught = taught_rows(self._memories.examples(), became, frozenset())
        self._lessons.save(lesson, record_of(self._memories, taught, became))
        self._go(AwaitingProof(lesson, known.number))
        return True

    def _is_answered(self, lesson: LessonRecord) -> bool:
        return len(agreeing(self._memories, lesson.before, lesson.became)) == len(lesson.became)

    async def _hindrance(self, view: ChainView, record: Model) -> str | None:
        return await hindrance(view, record, self._rounds.address, opens=self._settings.opens)

    async def _own_round(self, view: ChainView, record: Model) -> Round | None:
        """The open round of the model if it was opened here: given up as lost, and now on the chain."""
        if record.open_round == ZERO_HASH or not self.states.now.opened:
            return None
        round_ = await view.get(Round, record.open_round)
        mine = round_.terms.nonce_hash in self.states.now.opened and round_.status == RoundStatus.OPEN
        return round_ if mine else None

    async def _joinable(self, view: ChainView, record: Model) -> Round | None:
        return await joinable(view, self._memories, record, self._least)

    @property
    def _least(self) -> int:
        return self._settings.policy.least_rows

    async def _draft(self, record: Model) -> Drafted:
        became = classes_to_teach(self._memories, record, self._least)
        limits = left_of(self._settings.spending, self.states.now.spent, self._clock())
        return await self._rounds.draft(became, limits)

    def _others(self, key: Hash) -> tuple[Spent, ...]:
        return tuple(each for each in self.states.now.spent if each.key != key)

    def _noted(self, key: Hash, fee: int, bond: int) -> tuple[Spent, ...]:
        return noted(self.states.now.spent, Spent(self._clock(), key, fee, bond))

    def _opened_with(self, nonce: Hash) -> tuple[Hash, ...]:
        opened = (*self.states.now.opened, nonce)
        for old in opened[:-MAX_OPENED]:
            secrets_path(self._rounds.folder, old).unlink(missing_ok=True)
        return opened[-MAX_OPENED:]

    def _go(self, at: ConsolidationState, **changes: object) -> None:
        self.states.go(at, **changes)
        self._told = ""
        self._report(Notice(f"state {_name(at)}", "state", state=_name(at)))

    def _change(self, **changes: object) -> None:
        self.states.save(replace(self.states.now, **changes))  # type: ignore[arg-type]

    def _fail(self, notice: Notice) -> None:
        """Goes to rest, and waits before the next attempt; longer after each failure."""
        failures = self.states.now.failures + 1
        again = {"failures": failures, "not_before_ms": self._clock() + backoff_ms(failures)}
        if isinstance(self.states.now.at, Resting):
            self._change(**again)
        else:
            self._go(Resting(), **again)
            self.clean()
        minutes = backoff_ms(failures) // 60_000
        self._report(
            Notice(f"{notice}; the next attempt is in {minutes} minutes", notice.event, **notice.facts)
        )

    def _tell_once(self, notice: Notice) -> None:
        if self._told != notice.event:
            self._told = notice.event
            self._report(notice)


def _name(state: ConsolidationState) -> str:
    return type(state).__name__
