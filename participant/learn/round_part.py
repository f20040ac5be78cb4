"""What this participant does in rounds: drafts and opens one, and plays one as author, and as opener of one's
own, with the classes of `participant/` that everybody uses.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from engram.node.errors import NodeUnreachable
from engram.participant.agent import Agent
from engram.participant.errors import (
    BondAboveLimit,
    FeeAboveLimit,
    SecretsInvalid,
    SecretsNotFound,
    VersionMismatch,
)
from engram.participant.journal import Journal
from engram.participant.learn.errors import ClassesForeign, RowsMissing
from engram.participant.learn.lessons import (
    Lessons,
    classes_in,
    lesson_of,
    record_of,
    taught_rows,
)
from engram.participant.learn.memories import Memories
from engram.participant.learn.opening import LabelPair, OpeningRecord, Openings, cut_off, rows_in
from engram.participant.learn.rehearsal import Rehearsal, RoundPrice, rehearse, round_price
from engram.participant.learn.settings import LearnSettings, NodeAccess
from engram.participant.learn.threads import in_thread
from engram.participant.memory.playing import taught as teaching
from engram.participant.notices import Notice, Report
from engram.participant.opener import Opener, secrets_path, settle_round
from engram.participant.parts import RoundSecrets, load_secrets, save_secrets
from engram.participant.pricing import Limits
from engram.participant.round_plan import RoundPlan, draft_round
from engram.participant.scoring import withdraw_updates
from engram.participant.selection import GivenRows
from engram.participant.task import Draft, Strategy, Task, unwatched
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.errors import ChainError, InvalidInput, StorageError
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Address, Hash
from engram.statemachine.rounds.terms import entry_of

T = TypeVar("T")

TRIES: Final = 3
"""How often a refused step of a round is tried, each time after another block."""


@dataclass(frozen=True)
class Drafted:
    """A round that may be opened, and what it costs. Nothing was sent or saved."""

    record: OpeningRecord
    secrets: RoundSecrets
    price: RoundPrice
    rehearsal: Rehearsal
    epsilon_ppm: int
    taught: int
    """Rows that are taught."""
    unseen: int
    """Rows of old classes in the parts that stay sealed."""

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON values; `odds` is the chance that the growth forgets no more than it may."""
        terms = self.record.payload.terms
        return {
            "classes": self.record.became,
            "taught_rows": self.taught,
            "parts": len(terms.commitments),
            "part_rows": terms.rows,
            **self.price.to_json(),
            **self.rehearsal.to_json(),
            "unseen_old_rows": self.unseen,
            "forgettable": self.rehearsal.allowed(self.epsilon_ppm, self.unseen),
            "odds": self.rehearsal.odds(self.epsilon_ppm, self.unseen),
        }


class RoundPart:
    """The rounds of one account on one model."""

    def __init__(
        self,
        memories: Memories,
        model: Hash,
        address: Address,
        access: NodeAccess,
        folder: Path,
        own: Path,
        settings: LearnSettings,
        report: Report,
    ) -> None:
        """`folder` keeps secrets of rounds, as for every participant; `own` holds the daemon's files."""
        self.model: Final = model
        self.address: Final = address
        self.folder: Final = folder
        self.lessons: Final = Lessons(own / "lessons")
        self.openings: Final = Openings(own / "openings")
        self._memories = memories
        self._access = access
        self._settings = settings
        self._report = report
        self._bridge = AsyncExitStack()
        """A connection that stands from the opening of a round until it is played: on a test network no block
        comes in between."""

    async def draft(self, became: Mapping[int, int], limits: Limits) -> Drafted:
        """Drafts a round of one's own in which labels become classes of the chain, and rehearses its growth.

        Raises `RowsMissing`, `GrowthWouldFail`, `BondAboveLimit`, `FeeAboveLimit`, what an engine refuses,
        and what the node refuses.
        """
        settings, memories = self._settings, self._memories
        version = memories.slow.verified
        old_classes = version.report.network.spec.classes
        used = await in_thread(self.used)
        known = await in_thread(memories.examples)
        async with self._access.act() as wallet:
            rules, exponent = (await wallet.facts()).rules, await wallet.exponent()
            cut = cut_off(
                *(known, memories.known(), became, rules, used),
                part_rows=settings.part_rows,
                share=settings.hold_share,
                least_rows=settings.policy.least_rows,
            )
            held = frozenset(row.tobytes() for row in cut.data.features)
            taught = taught_rows(known, became, held)
            lesson = await in_thread(lambda: lesson_of(memories, taught, became, old_classes, settings.seed))
            rehearsal = await in_thread(lambda: rehearse(memories.folder.memory, lesson, version, cut))
            epsilon = version.report.model.retention_epsilon_ppm
            rehearsal.check(epsilon)
            plan = RoundPlan(
                GivenRows(cut.data),
                parts=cut.parts,
                rows=cut.rows,
                epochs=settings.epochs,
                windows=settings.windows,
                new_classes=len(became),
                neurons=max(memories.folder.memory.rule.width, _neurons(rehearsal)),
                bounty=settings.bounty,
                seed=secrets.randbelow(2**63),
            )
            drafted = await draft_round(wallet, plan, self.model)
            fee = int((await wallet.estimate(drafted.payload))["max_fee"])
            price = round_price(
                *(rules, exponent, drafted.payload, self.address, version, rehearsal.update, fee)
            )
        if limits.max_bond is not None and price.bonds > limits.max_bond:
            raise BondAboveLimit(expected=limits.max_bond, got=price.bonds)
        if limits.max_fee is not None and price.costs > limits.max_fee:
            raise FeeAboveLimit(expected=limits.max_fee, got=price.costs)
        pairs = tuple(LabelPair(label, number) for label, number in sorted(became.items()))
        record = OpeningRecord(drafted.payload, pairs)
        old = int(np.count_nonzero(cut.data.labels < old_classes)) // cut.parts
        unseen = drafted.payload.terms.sealed * old
        return Drafted(record, drafted.secrets, price, rehearsal, epsilon, len(taught.labels), unseen)

    def save(self, drafted: Drafted) -> None:
        """Saves what is needed to open the round and to play it, before anything of it is sent."""
        nonce = drafted.record.payload.terms.nonce_hash
        save_secrets(secrets_path(self.folder, nonce), drafted.secrets)
        self.openings.save(drafted.record)

    async def find(self, view: ChainView, nonce: Hash) -> Hash | None:
        """The round with this nonce hash on the chain; None if there is none."""
        for item in await view.client.call("round_list", model=self.model):
            if item["terms"]["nonce_hash"] == nonce.hex():
                return bytes.fromhex(item["id"])
        return None

    async def open(self, record: OpeningRecord) -> Hash:
        """Opens the round, unless the node has its transaction already, and waits for its block; its id.

        Raises as `Opener.open` does.
        """
        payload = record.payload
        async with self._access.act() as wallet:
            found = [txid for txid, waiting in await wallet.pending() if waiting == payload]
            if found:
                await wallet.confirm(found[0])
                round_id = tagged_hash(Tag.ROUND, found[0])
            else:
                secret = self._secrets(payload.terms.nonce_hash)
                round_id = await Opener(wallet, self.folder, self._report).open(payload, secret)
            await self._bridge.enter_async_context(self._access.act())
        return round_id

    async def close(self) -> None:
        """Gives up what connects an opening with the play."""
        await self._bridge.aclose()

    async def play(
        self,
        round_id: Hash,
        opening: OpeningRecord | None,
        nonce: Hash | None,
        limits: Limits,
    ) -> int | None:
        """Plays the round to its end as author and, if it is the one with this nonce hash, as its opener.

        What the author has paid for good, in sparks; None if that is not known. What goes wrong for the
        author is reported, and the opener goes on. Raises `NodeUnreachable` and errors of the disk.
        """
        strategy = self._strategy(round_id, opening, nonce)
        async with AsyncExitStack() as stack:
            as_author, as_opener = AsyncExitStack(), AsyncExitStack()
            for each in (as_author, as_opener):
                stack.push_async_callback(each.aclose)
            wallet = await as_author.enter_async_context(self._access.act())
            opener = await as_opener.enter_async_context(self._access.act()) if nonce is not None else None
            await self._bridge.aclose()
            try:
                async with asyncio.TaskGroup() as group:
                    if opener is not None:
                        group.create_task(self._run(as_opener, opener, round_id))
                    paid = group.create_task(self._author(as_author, wallet, round_id, strategy, limits))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed
        return paid.result()

    async def _run(self, connection: AsyncExitStack, wallet: Wallet, round_id: Hash) -> None:
        async with connection:
            opener = Opener(wallet, self.folder, self._report)
            await self._tried("opener", opener.view, lambda: opener.run(round_id))

    async def _author(
        self,
        connection: AsyncExitStack,
        wallet: Wallet,
        round_id: Hash,
        strategy: Strategy,
        limits: Limits,
    ) -> int | None:
        async with connection:
            agent = Agent(
                *(wallet, strategy, self.folder, self._report),
                data=None,
                limits=limits,
                epochs=None,
                progress=unwatched,
            )
            played = await self._tried("author", agent.view, lambda: agent.play(round_id))
            if played is None:
                await settle_round(agent.view, wallet, round_id)
                await withdraw_updates(agent.view, wallet, round_id, self.address)
                return None
            rules, terms = (await wallet.facts()).rules, played.round.terms
            return played.fees + sum(
                entry_of(rules, terms, each.epoch) for each in played.epochs if each.commit
            )

    async def _tried(self, role: str, view: ChainView, act: Callable[[], Awaitable[T]]) -> T | None:
        """The result of `act`, which may be tried again after another block; None if it goes on failing.

        Raises `NodeUnreachable` and `StorageError`: then the round is played again when they are over.
        """
        for left in reversed(range(TRIES)):
            try:
                return await act()
            except (NodeUnreachable, StorageError):
                raise
            except ChainError as error:
                self._report(Notice(f"as {role}: {error}", f"{role}_failed", code=error.code))
                if not left or isinstance(error, InvalidInput | VersionMismatch):
                    break
                await view.wait_height(await view.height() + 1)
        return None

    def _strategy(self, round_id: Hash, opening: OpeningRecord | None, nonce: Hash | None) -> Strategy:
        """Teaches what was learned once in a round, without the rows of the round's own parts.

        If these cannot be read, nothing is taught. The lesson is on disk before its growth leaves this
        function.
        """

        def propose(task: Task) -> Draft | None:
            memories, journal = self._memories, Journal(self.folder)
            if any(journal.find(round_id, epoch, self.address) for epoch in range(task.epoch)):
                return None  # the growth of a later epoch would be the same, and cost another entry
            try:
                became = classes_in(memories, task) if opening is None else opening.became
                held = rows_in(self._secrets(nonce)) if nonce is not None else frozenset[bytes]()
                taught = taught_rows(memories.examples(), became, held)
                if missing := sorted(set(became) - set(taught.labels.tolist())):
                    raise RowsMissing(f"no example of label {missing[0]} is left", got=missing[0])
            except (ClassesForeign, RowsMissing, SecretsNotFound, SecretsInvalid) as error:
                self._report(Notice(f"nothing is taught: {error}", "sat_out", code=error.code))
                return None
            lesson = lesson_of(memories, taught, became, task.base.spec.classes, self._settings.seed)
            draft = teaching(memories.folder.memory, lesson)(task)
            self.lessons.save(round_id, record_of(memories, taught, became))
            return draft

        return propose

    def _secrets(self, nonce: Hash) -> RoundSecrets:
        return load_secrets(secrets_path(self.folder, nonce))

    def used(self) -> frozenset[bytes]:
        """Features of all rows in the parts of rounds whose secrets are in the folder."""
        found: frozenset[bytes] = frozenset()
        for path in self.folder.glob(f"{'[0-9a-f]' * 64}.secrets"):
            found |= rows_in(load_secrets(path))
        return found


def _neurons(rehearsal: Rehearsal) -> int:
    return sum(segment.width for segment in rehearsal.update.growth.hidden)
