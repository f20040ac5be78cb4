"""A participant that learns, answers, consolidates and forgets: the daemon as a library.

async with Learner.opened(folder, place, key, trust, access, settings, clock, report) as learner:
    await learner.learn(rows, labels)
    answers = await learner.answer(rows)
    await learner.run()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy.typing as npt

from engram.node.errors import NodeUnreachable
from engram.participant.datasets import Dataset
from engram.participant.learn.consolidator import Consolidator, Outlook
from engram.participant.learn.intake import Intake
from engram.participant.learn.memories import Answer, LearnedBatch, Memories
from engram.participant.learn.policy import Surprise
from engram.participant.learn.round_part import RoundPart
from engram.participant.learn.settings import LearnSettings, NodeAccess
from engram.participant.learn.states import AwaitingProof
from engram.participant.learn.threads import in_thread
from engram.participant.memory.fast_store import FastStore
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.reading import FrozenReader, reader_of
from engram.participant.memory.slow import SlowMemory, Trust
from engram.participant.memory.trunk import trunk_in
from engram.participant.memory.trust_point import load_trust_point, save_trust_point
from engram.participant.notices import Notice, Report
from engram.participant.view import ChainView
from engram.primitives.errors import ChainError
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Hash

LOOK_S: Final = 60.0
"""The program looks again after so many seconds, even if nothing seems to have happened."""
TRUST_NAME: Final = "trust.json"


@dataclass(frozen=True)
class Places:
    """Where a learner keeps its files."""

    own: Path
    """Its own: the fast memory, journals, the state."""
    rounds: Path
    """Secrets of rounds, as for every participant."""


class Learner:
    """Both memories of one participant, and what it does with them. `opened` makes it."""

    def __init__(
        self,
        memories: Memories,
        consolidator: Consolidator,
        access: NodeAccess,
        trust_file: Path,
        report: Report,
    ) -> None:
        self.memories: Final = memories
        self.consolidator: Final = consolidator
        self._access = access
        self._trust_file = trust_file
        self._report = report
        self._stirred = asyncio.Event()
        self._refreshing = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        folder: MemoryFolder,
        places: Places,
        key: PrivateKey,
        trust: Trust,
        access: NodeAccess,
        settings: LearnSettings,
        clock: Callable[[], int],
        report: Report,
    ) -> AsyncIterator[Self]:
        """A learner with its files open, and the model's current version proven.

        Raises what `SlowMemory.refresh`, `FastStore.open`, `Intake`, `StateFile` and `MemoryFolder` raise.
        Nothing of the participant's is changed by a node that cannot prove the model.
        """
        trust_file = places.own / TRUST_NAME
        slow = SlowMemory(trust, clock, load_trust_point(trust_file, trust.spec, trust.model))
        async with access.look() as client:
            await slow.refresh(ChainView(client))
        save_trust_point(trust_file, trust.spec, trust.model, slow.verified.point)
        async with AsyncExitStack() as stack:
            store = await in_thread(
                lambda: FastStore.open(
                    *(places.own / "fast", key, reader_in(slow, folder), settings.limits),
                    seed=settings.seed,
                    report=report,
                )
            )
            stack.callback(store.close)
            intake = Intake(places.own / "intake.journal", store.memory.next_number)
            stack.callback(intake.close)
            policy = settings.policy
            surprise = Surprise(policy.window) if policy.surprise is not None else None
            memories = await in_thread(
                lambda: Memories(
                    *(store, slow, folder, intake, surprise),
                    numbering=settings.numbering,
                    rule=settings.rule,
                )
            )
            rounds = RoundPart(
                *(memories, trust.model, key.address, access, places.rounds, places.own, settings, report)
            )
            stack.push_async_callback(rounds.close)
            consolidator = Consolidator(memories, places.own, rounds, settings, clock, report)
            yield cls(memories, consolidator, access, trust_file, report)

    async def learn(
        self, rows: npt.NDArray[Any], labels: npt.NDArray[Any], names: Mapping[int, str] | None = None
    ) -> LearnedBatch:
        """Learns labelled rows (n, inputs); they are on the disk when this returns. Raises as
        `Memories.learn` does.
        """
        learned = await in_thread(lambda: self.memories.learn(rows, labels, names))
        self._stirred.set()
        return learned

    async def take(self, name: Hash, data: Dataset) -> int | None:
        """Learns a batch of this name exactly once; see `Memories.take`."""
        rows = await in_thread(lambda: self.memories.take(name, data))
        self._stirred.set()
        return rows

    async def answer(self, rows: npt.NDArray[Any]) -> list[Answer]:
        """What the memories say about rows (n, inputs). Raises as `Memories.answer` does."""
        return await in_thread(lambda: self.memories.answer(rows))

    async def status(self) -> dict[str, Any]:
        """What the learner is and does, as JSON values."""
        return await in_thread(self._status)

    async def outlook(self) -> Outlook:
        """What would be done now, and what that would cost. Sends nothing."""
        async with self._access.look() as client:
            return await self.consolidator.outlook(ChainView(client))

    async def refresh(self, view: ChainView) -> bool:
        """Has the node prove the model's current version; whether it is another one.

        What a node is refused for is reported, and the last proven version goes on answering. Raises
        `NodeUnreachable`.
        """
        slow = self.memories.slow
        async with self._refreshing:
            try:
                new = await slow.refresh(view)
            except NodeUnreachable:
                raise
            except ChainError as error:
                text = f"{error}; version {slow.verified.number} goes on answering"
                self._report(Notice(text, "version_refused", code=error.code))
                return False
            save_trust_point(self._trust_file, slow.trust.spec, slow.trust.model, slow.verified.point)
        if new:
            text = f"version {slow.verified.number} is verified and answers"
            self._report(Notice(text, "version_verified", number=slow.verified.number))
            await in_thread(self.memories.hand_over)
        return new

    async def step(self, view: ChainView) -> bool:
        """Proves the model anew if it has changed, and does what is due; whether there may be more to do."""
        waits = isinstance(self.consolidator.states.now.at, AwaitingProof)
        if waits or await self.memories.slow.outdated(view):
            await self.refresh(view)
        return await self.consolidator.step(view)

    async def run(self) -> None:
        """Follows the chain and does what is due, for ever. What goes wrong is reported and tried again.

        Raises `NodeUnreachable` when a client gives up.
        """
        async with self._access.look() as client, asyncio.TaskGroup() as group:
            group.create_task(self._heads(ChainView(client)))
            group.create_task(self._steps(ChainView(client)))

    async def _steps(self, view: ChainView) -> None:
        while True:
            self._stirred.clear()
            try:
                while await self.step(view):
                    pass
            except NodeUnreachable:
                raise
            except (ChainError, OSError) as error:
                text = f"{error}; it is tried again with the next block"
                self._report(Notice(text, "step_failed", code=getattr(error, "code", "")))
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _heads(self, view: ChainView) -> None:
        while True:
            try:
                async with view.client.subscribe("heads") as events:
                    async for _ in events:
                        self._stirred.set()
            except NodeUnreachable:
                await view.client.call("chain_head")

    def _status(self) -> dict[str, Any]:
        memories, state = self.memories, self.consolidator.states.now
        known = memories.slow.verified
        names = memories.names()
        return {
            "state": type(state.at).__name__,
            "failures": state.failures,
            "not_before_ms": state.not_before_ms,
            "model": memories.slow.trust.model.hex(),
            "version": known.number,
            "classes": known.report.network.spec.classes,
            "proof_age_ms": memories.slow.age_ms,
            "unknown": [
                {"label": label, "name": names.get(label, ""), "examples": count}
                for label, count in memories.unknown().items()
            ],
            "known": [
                {"label": label, "name": names.get(label, ""), "class": number}
                for label, number in memories.known().items()
            ],
            "surprise": memories.surprise,
            **memories.facts,
        }


def reader_in(slow: SlowMemory, folder: MemoryFolder) -> FrozenReader:
    """Reads what the trunk of the proven version computes. Raises what `trunk_in` raises."""
    version = slow.verified
    spec, parameters = version.report.network.spec, version.parameters
    return reader_of(trunk_in(spec, parameters, folder.memory.trunk_segments), spec, parameters)
