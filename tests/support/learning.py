"""A founded model of three digits on an arena, and a participant who learns the others on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from engram.nn.loss import LossKind
from engram.node.client import RpcClient
from engram.participant.datasets import Dataset
from engram.participant.learn.learner import Learner, Places
from engram.participant.learn.policy import LearnPolicy
from engram.participant.learn.settings import LearnSettings, NodeAccess
from engram.participant.memory.banks import declare
from engram.participant.memory.consolidation import Settings
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.founding import found
from engram.participant.memory.making import handed_over
from engram.participant.memory.memory_file import save_memory
from engram.participant.memory.playing import Lesson, Memory, founding_of, taught, trained
from engram.participant.memory.slow import Trust
from engram.participant.memory.trunk import convolution_trunk
from engram.participant.notices import Notice
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.round_plan import DraftedRound, draft_whole
from engram.participant.task import Strategy
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rounds.terms import Founding
from tests.support.round_matter import SMALL_RULES
from tests.support.stage import WINDOWS, Stage, digits, small_round, stage_spec

OLD: Final = (0, 1, 2)
NEW: Final = (3, 4)
WIDTH: Final = 150
SETTINGS: Final = Settings(ridge=1e-2)
START_MS: Final = 4_102_444_800_000
"""Far ahead, so that no block is ahead of it."""
RULES: Final = replace(
    SMALL_RULES, networks=replace(SMALL_RULES.networks, max_macs_per_row=2**25), min_parts=3
)
DEFAULTS: Final = LearnSettings(
    policy=LearnPolicy(after_rows=60),
    opens=True,
    bounty=10**9,
    windows=WINDOWS,
    confirmations=2,
    part_rows=40,
)


class Clock:
    """A clock turned by hand."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class School:
    """An arena with a model of three digits that the opener has founded, and files of the participants."""

    def __init__(self, stage: Stage, engine: str) -> None:
        self.stage: Final = stage
        self.engine: Final = engine
        self.clock: Final = Clock()
        self.model: Hash = b""
        self.said: Final[list[Notice]] = []
        self.fails_at: Callable[[Notice], bool] = lambda notice: False
        self._awaited: dict[str, asyncio.Event] = {}

    async def found(self) -> None:
        """Founds the model; the folder of what is known of it is `memory` in the stage's folder."""
        first = digits(2, *OLD).rows_of(0)
        trunk = convolution_trunk(first.features, seed=bytes(32), side=8, values=64)
        values = trunk.run(first.features)
        rule = declare(values, seed=bytes(32), width=WIDTH, count=3)
        policy = ENGINES[self.engine].policies[0]
        founded = found(self.engine, rule, values, first.labels, policy=policy, settings=SETTINGS)
        memory = Memory(self.engine, len(trunk.hidden), rule, founded.calibration, SETTINGS)
        template = Founding(
            *(founded.spec, (), ()),
            policy=int(policy),
            loss_kind=int(LossKind.SOFTMAX_CROSS_ENTROPY),
            threshold_ppm=600_000,
            retention_epsilon_ppm=200_000,
            retention_delta_ppm=5_000_000,
            lost_cap_ppm=900_000,
        )
        founding = founding_of(trunk, founded, template)
        plan = small_round(digits(1, *OLD), rows=44, parts=3, bounty=10**9)

        async def draft(wallet: Wallet) -> DraftedRound:
            return await draft_whole(wallet, plan, founding)

        round_id = await self.stage.open("opener", draft)
        ended = await self.stage.finish(round_id, {"alice": trained(trunk, founded)})
        assert ended.round.status == RoundStatus.DECIDED
        self.model = ended.round.model
        save_memory(self.folder.path / "memory.json", memory)
        self.folder.keep(handed_over(memory, values, first.labels))

    @property
    def folder(self) -> MemoryFolder:
        return MemoryFolder(self.stage.folder / "memory")

    def tell(self, notice: Notice) -> None:
        """What a learner reports to; `fails_at` may let the process die there."""
        self.said.append(notice)
        if notice.event in self._awaited:
            self._awaited[notice.event].set()
        if self.fails_at(notice):
            raise Died

    def told(self, event: str) -> asyncio.Event:
        """Is set when a learner tells of such an event from now on."""
        return self._awaited.setdefault(event, asyncio.Event())

    async def offered(self, *classes: int, epochs: int = 1) -> Hash:
        """The opener opens a round in which the model is to learn these digits."""
        new = len(classes) - (await self.stage.model(self.model)).classes
        plan = small_round(digits(1, *classes), rows=44, new_classes=new, neurons=WIDTH, bounty=10**9)
        plan = replace(plan, epochs=epochs)
        return await self.stage.begin(plan, self.model)

    async def played(self, learner: Learner, round_id: Hash, authors: Mapping[str, Strategy]) -> Round:
        """The opener, these authors and the learner play a round to its end."""
        playing = self.told("playing")
        async with self.stage.client() as client, asyncio.TaskGroup() as group:
            view = ChainView(client)
            assert await learner.step(view), "the learner takes part"
            step = group.create_task(learner.step(view))
            await playing.wait()
            ended = await self.stage.finish(round_id, authors)
            await step
        return ended.round

    def lesson(self, *classes: int) -> Strategy:
        """An author who teaches these digits, with the sums of the folder."""
        rows = digits(3, *classes).rows_of(0)
        return taught(self.folder.memory, Lesson(rows, self.folder.statistics()))

    def events(self) -> list[str]:
        return [notice.event for notice in self.said]

    def states(self) -> list[str]:
        return [notice.facts["state"] for notice in self.said if notice.event == "state"]

    @asynccontextmanager
    async def learner(
        self,
        name: str = "opener",
        settings: LearnSettings = DEFAULTS,
        look: Callable[[], AbstractAsyncContextManager[RpcClient]] | None = None,
    ) -> AsyncIterator[Learner]:
        """The learner of an actor; the opener may open rounds. `look` gives clients of another node."""
        spec = self.stage.spec
        trust = Trust(spec, self.model, 1, settings.confirmations)
        places = Places(self.stage.folder / f"learn-{name}", self.stage.folder / ROUNDS_DIRECTORY)
        access = NodeAccess(look or self.stage.client, lambda: self.stage.actor(name))
        async with Learner.opened(
            *(self.folder, places, self.stage.key(name), trust, access, settings, self.clock, self.tell)
        ) as learner:
            yield learner

    async def consolidated(self, learner: Learner, blocks: int = 40) -> None:
        """Steps, with a block after every step that waits, until the learner rests again."""
        async with self.stage.client() as client:
            view = ChainView(client)
            for _ in range(blocks):
                while await learner.step(view):
                    pass
                if type(learner.consolidator.states.now.at).__name__ == "Resting":
                    return
                await self.mine()
        raise AssertionError(f"after so many blocks nothing is consolidated: {self.said[-3:]}")

    async def mine(self) -> None:
        """One block, although nobody waits for one."""
        self.stage.pacer.height = await self.stage.mine()

    def rows(self, *classes: int, share: int = 2) -> Dataset:
        """Rows of some digits."""
        return digits(share, *classes).rows_of(0)


class Died(BaseException):
    """The process is gone."""


def died(error: BaseException) -> bool:
    """Whether the process has died, and nothing else has happened."""
    if isinstance(error, BaseExceptionGroup):
        return all(died(each) for each in error.exceptions)
    return isinstance(error, Died)


@asynccontextmanager
async def running_school(folder: Path, engine: str = "gate") -> AsyncIterator[School]:
    """A school whose model is founded."""
    async with Stage(folder, stage_spec(RULES)).running() as stage:
        school = School(stage, engine)
        await school.found()
        yield school


def facts_of(learner: Learner) -> dict[str, Any]:
    """Everything that is on the learner's disk, without what differs from run to run."""
    memories = learner.memories
    sums = memories.folder.statistics()
    return {
        "unknown": memories.unknown(),
        "known": memories.known(),
        "sums": None if sums is None else dict(zip(sums.classes, sums.counts.tolist(), strict=True)),
    }
