"""One model that is founded and taught group by group, in rounds of a real node."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engram.nn.data import part_size
from engram.nn.loss import LossKind
from engram.participant.arena.arena import WINDOWS, Arena, Ended, key_of
from engram.participant.experiments.lifelong.errors import GrowthRefused
from engram.participant.experiments.lifelong.knowledge import Knowledge
from engram.participant.experiments.lifelong.rows import CutRows
from engram.participant.experiments.lifelong.streams import Line, Stream
from engram.participant.memory import mixtures
from engram.participant.memory.engines import ENGINES, Handover
from engram.participant.memory.founding import Founded, found
from engram.participant.memory.mixtures import Mixture
from engram.participant.memory.playing import Lesson, Memory, founding_of, taught, trained
from engram.participant.memory.statistics import Statistics, added
from engram.participant.round_plan import DraftedRound, RoundPlan, draft_round, draft_whole
from engram.participant.selection import GivenRows
from engram.participant.task import Draft, Strategy, Task
from engram.participant.wallet import Wallet
from engram.participant.witness import Witness, sealed_part
from engram.primitives.types import Hash
from engram.statemachine.records import GrowthLimits, NamedWitness
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rounds.terms import Founding

KEEPER, WITNESS, SCORER = "keeper", "witness", "scorer"
PARTS: Final = 6
"""Parts that an opener commits to: one is revealed for validation, `Stream.sealed` stay sealed."""
BOUNTY: Final = 10**9
THRESHOLD_PPM: Final = 600_000
"""A model freezes at this share of ln(classes) nats a row, and no growth may end above it."""
DELTA_PPM: Final = 1_000_000
OPEN_PPM: Final = 1_000_000
"""Threshold, epsilon and the cap of a model whose gate is founded open."""
OPEN_DELTA_PPM: Final = 10_000_000
LOST_CAP_PPM: Final = 1_000_000
MOST_NEURONS: Final = 4_096
"""The most neurons of a growth that a founding allows."""
TRIES: Final = 3
"""How often a round is opened for one group, if the rows that were drawn refuse an honest growth."""


def owner_of(group: int) -> str:
    """The name of the actor who owns the rows of a group."""
    return f"owner{group}"


@dataclass(frozen=True)
class Taught:
    """One group that a model has learned."""

    version: int
    """The version that knows it."""
    rounds: int
    """The rounds that it took."""
    part_bytes: int
    """Bytes of the parts that the last of these rounds has made public."""
    author_fees: int
    """Sparks."""
    opener_fees: int
    author_s: float
    """Processor seconds of the owner: values, sums and the growth itself."""
    others_s: float
    """Processor seconds of the node and of everybody else in the rounds."""


class _Clocked:
    """A strategy whose processor seconds are counted: strategies run in a thread of their own."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.seconds = 0.0

    def __call__(self, task: Task) -> Draft | None:
        begin = time.thread_time()
        draft = self._strategy(task)
        self.seconds += time.thread_time() - begin
        return draft


class TaughtModel:
    """A model, and what its owners hand over to each other."""

    def __init__(
        self,
        arena: Arena,
        stream: Stream,
        place: int,
        name: str,
        line: Line,
        rows: CutRows,
        knowledge: Knowledge,
        seed: int,
    ) -> None:
        """`place` is the model's number on its chain: a part may be opened once, so models share none."""
        self.name, self.line, self.stream, self._place = name, line, stream, place
        self._arena, self._rows, self._knowledge, self._seed = arena, rows, knowledge, seed
        self._groups = (
            (range(stream.classes),)
            if line.joint
            else tuple(stream.group(number) for number in range(len(stream.sizes)))
        )
        self._rule = knowledge.rule(line)
        self._sums: Statistics | None = None
        self._mixtures: dict[int, Mixture] = {}
        self._memory: Memory | None = None
        self.model: Hash = b""
        self.taught: list[Taught] = []
        """What came of each group, in their order."""

    async def found(self) -> None:
        """The first group founds the model; if it is a single class, the second group grows it at once.

        Raises `GrowthRefused`.
        """
        begin = time.process_time()
        founded = self._found()
        await self._open_first(founded, time.process_time() - begin)

    async def teach(self, number: int) -> bool:
        """Teaches a group, unless the model knows it already or has no such group; whether it was taught.

        Raises `GrowthRefused`.
        """
        if not len(self.taught) <= number < len(self._groups):
            return False
        await self._teach(number)
        return True

    def _found(self) -> Founded:
        """The founding, from the rows of the first group."""
        line, first = self.line, self._groups[0]
        own = self._knowledge.values(line, first)
        founded = found(
            line.engine,
            self._rule,
            own.features,
            own.labels,
            policy=line.policy,
            settings=line.settings,
            calibration=self.stream.calibration,
            seed=self._seed,
        )
        trunk = self._knowledge.trunk(line)
        self._memory = Memory(line.engine, len(trunk.hidden), self._rule, founded.calibration, line.settings)
        self._hand_over(0, founded.statistics)
        return founded

    async def _open_first(self, founded: Founded, founding_s: float) -> None:
        """The round that founds the model. From two classes on it also brings what the founder learned."""
        line = self.line
        template = Founding(
            founded.spec,
            (),
            (),
            policy=int(line.policy),
            loss_kind=int(LossKind.SOFTMAX_CROSS_ENTROPY),
            threshold_ppm=OPEN_PPM if line.open_gate else THRESHOLD_PPM,
            retention_epsilon_ppm=OPEN_PPM if line.open_gate else self.stream.epsilon_ppm,
            retention_delta_ppm=OPEN_DELTA_PPM if line.open_gate else DELTA_PPM,
            lost_cap_ppm=LOST_CAP_PPM,
            growth_limits=GrowthLimits(neurons=MOST_NEURONS),
        )
        trunk = self._knowledge.trunk(line)
        founding = founding_of(trunk, founded, template)
        single = len(self._groups[0]) == 1
        plan = self._plan(1 if single else 0)

        async def draft(wallet: Wallet) -> DraftedRound:
            return await draft_whole(wallet, plan, founding)

        clock = _Clocked(self._strategy(1) if single else trained(trunk, founded))
        begin = time.process_time()
        round_id = await self._arena.open(KEEPER, draft)
        if single:
            self.taught.append(Taught(0, 0, 0, 0, 0, 0.0, 0.0))
        number = 1 if single else 0
        ended = await self._finish(round_id, number, clock, plan.seed)
        self.model = ended.round.model
        spent = time.process_time() - begin - clock.seconds
        self._note(number, ended, 1, clock.seconds + founding_s, spent)

    async def _teach(self, number: int) -> None:
        """One growth: its owner has rows of the new classes, and of the others what was handed over."""
        strategy = self._strategy(number)
        begin = time.process_time()
        for tries in range(1, TRIES + 1):
            clock = _Clocked(strategy)
            plan = self._plan(number, tries)

            async def draft(wallet: Wallet, plan: RoundPlan = plan) -> DraftedRound:
                return await draft_round(wallet, plan, self.model)

            round_id = await self._arena.open(KEEPER, draft)
            try:
                ended = await self._finish(round_id, number, clock, plan.seed)
                break
            except GrowthRefused:
                if tries == TRIES:
                    raise
        self._note(number, ended, tries, clock.seconds, time.process_time() - begin - clock.seconds)

    def _strategy(self, number: int) -> Strategy:
        """The growth by a group, as its owner makes it. The sums of this group are handed over at once."""
        group, line = self._groups[number], self.line
        needs = ENGINES[line.engine].needs is Handover.STATISTICS
        own = self._knowledge.values(line, group)
        sums = self._knowledge.sums(line, self._rule, group) if needs else None
        lesson = Lesson(
            own,
            self._sums,
            dict(self._mixtures),
            seed=self._seed,
            values=own.features,
            own_statistics=sums,
        )
        assert self._memory is not None, "a model is founded before it is taught"
        self._hand_over(number, sums)
        return taught(self._memory, lesson)

    def _hand_over(self, number: int, sums: Statistics | None) -> None:
        """What later owners will know of the classes of a group."""
        needs = ENGINES[self.line.engine].needs
        if needs is Handover.STATISTICS and sums is not None:
            self._sums = added([each for each in (self._sums, sums) if each is not None])
        if needs is Handover.MIXTURES:
            rng = np.random.default_rng([self._seed, number, 2])
            own, settings = self._knowledge.values(self.line, self._groups[number]), self.line.settings
            for label in self._groups[number]:
                mine = own.features[own.labels == label]
                self._mixtures[label] = mixtures.fit(
                    mine, components=settings.components, rank=settings.rank, rng=rng
                )

    def _plan(self, number: int, tries: int = 1) -> RoundPlan:
        """The round of a group, with rows of all classes so far; of the new ones alone for an open gate."""
        group, stream = self._groups[number], self.stream
        seen = group if self.line.open_gate and number else range(group.stop)
        rows = self._rows.opener.of_classes(seen)
        growing = number > 0
        witnesses = (NamedWitness(key_of(WITNESS).address, old_only=False),)
        return RoundPlan(
            GivenRows(rows),
            parts=PARTS,
            rows=rows.rows // PARTS,
            validation=1,
            sealed=stream.sealed,
            epochs=1,
            windows=WINDOWS,
            new_classes=len(group) if growing else 0,
            neurons=self.line.cap or max(self._rule.width, self.line.settings.neurons),
            old_rows=0 if self.line.open_gate else None,
            bounty=BOUNTY,
            witnesses=witnesses if self._witnessed(growing) else (),
            seed=self._drawn(number, tries),
        )

    def _drawn(self, number: int, tries: int) -> int:
        """A seed of its own for each round: a part may be opened once."""
        return int(np.random.default_rng([self._seed, self._place, number, tries]).integers(2**31))

    def _witnessed(self, growing: bool) -> bool:
        return growing and self.stream.witness_rows > 0 and not self.line.open_gate

    async def _finish(self, round_id: Hash, number: int, strategy: Strategy, seed: int) -> Ended:
        """The round is played to its end. Raises `GrowthRefused` if the update did not win."""
        owner = owner_of(number)

        async def keep(wallet: Wallet) -> Round:
            return await self._arena.opener(wallet).run(round_id)

        async def witness(wallet: Wallet) -> None:
            rows = self._rows.witness.of_classes(range(self._groups[number].stop))
            secrets = await sealed_part(wallet, GivenRows(rows), round_id, seed)
            acting = Witness(wallet, Path(self._arena.folder) / "witness", self._arena.report)
            await acting.seal(round_id, secrets)
            await acting.open_sealed(round_id, secrets)

        others: dict[str, Callable[[Wallet], Awaitable[object]]] = {}
        if self._witnessed(number > 0):
            others[WITNESS] = witness
        ended = await self._arena.play(round_id, keep, {owner: strategy}, others, KEEPER)
        if ended.round.status != RoundStatus.DECIDED:
            raise GrowthRefused(
                f"{self.name} of {self.stream.name}: the update of group {number} did not win its round",
                expected="decided",
                got=(RoundStatus(ended.round.status).name.lower(), *ended.codes(owner)),
            )
        return ended

    def _note(self, number: int, ended: Ended, rounds: int, author_s: float, others_s: float) -> None:
        own = author_s + self._knowledge.spent(self.line, self._rule, number)
        fees, terms = ended.fees, ended.round.terms
        opened = (*ended.round.validation_opened, *ended.round.unseen)
        self.taught.append(
            Taught(
                int(ended.round.new_version),
                rounds,
                len(opened) * part_size(terms.rows, self._rows.opener.inputs),
                fees[owner_of(number)],
                fees[KEEPER],
                own,
                max(0.0, others_s),
            )
        )
