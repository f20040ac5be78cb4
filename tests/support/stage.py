"""Rounds with many actors on one real node, without a clock: a block is mined whenever all wait for one.

So windows of a few blocks are long enough for any training, and a test takes as long as its work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from engram.consensus.chainspec import ChainSpec
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.participant.arena.arena import Arena
from engram.participant.arena.venue import Ended
from engram.participant.notices import Notice
from engram.participant.round_plan import DraftedRound, ModelPlan, RoundPlan, draft_founding, draft_round
from engram.participant.selection import Selection
from engram.participant.strategies import Plan, honest
from engram.participant.task import Strategy
from engram.participant.training.qat import Budget
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import Round
from engram.statemachine.rules import Rules
from tests.support.dev_node import dev_spec
from tests.support.round_matter import ALICE, BOB, CAROL, COIN, OPENER, WITNESS

T = TypeVar("T")

KEYS: Final = {"opener": OPENER, "alice": ALICE, "bob": BOB, "carol": CAROL, "witness": WITNESS}
WINDOWS: Final = {
    **{"open": 3, "reveal": 4, "commit": 4, "update": 4},
    **{"witness": 4, "audit": 4, "score": 4, "gap": 1},
}
QUICK: Final = Budget(steps=150, batch=16)
_TARGET: Final = (1 << 255).to_bytes(32, "big")


def stage_spec(rules: Rules | None = None) -> ChainSpec:
    """The chain of `dev_spec` with a proof of work that every second digest meets, for ever."""
    spec = dev_spec()
    easy = replace(spec, pow="sha256d", genesis_target=_TARGET, max_target=_TARGET, half_life_ms=10**15)
    return replace(easy, rules=rules or easy.rules)


class Stage(Arena):
    """An arena of the actors of `round_matter`, and what everyone has said."""

    def __init__(self, folder: Path, spec: ChainSpec) -> None:
        super().__init__(folder, spec, self.tell, KEYS)
        self.said: Final[list[Notice]] = []
        self.restarts = 0
        self._awaited: dict[str, asyncio.Event] = {}

    async def restart(self) -> None:
        """Stops and starts the node, while everybody waits for a block."""
        self.restarts += 1
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)

    def on_event(self, name: str, happened: asyncio.Event) -> None:
        """Sets `happened` when somebody tells of an event of this name."""
        self._awaited[name] = happened

    def tell(self, notice: Notice) -> None:
        """What every actor here reports to."""
        self.said.append(notice)
        if notice.event in self._awaited:
            self._awaited[notice.event].set()

    def restart_for_everything(self) -> None:
        """From now on the node is restarted whenever something waits that it has not forgotten once."""
        forgotten: set[str] = set()

        async def before_block() -> bool:
            async with self.client() as client:
                waiting = {entry["txid"] for entry in await client.call("mempool_list")}
            if waiting <= forgotten:
                return False
            forgotten.update(waiting)
            await self.restart()
            return True

        self.pacer.before_block = before_block

    async def begin(self, plan: RoundPlan, model: ModelPlan | Hash) -> Hash:
        """The opener opens a round; its id."""

        async def draft(wallet: Wallet) -> DraftedRound:
            if isinstance(model, ModelPlan):
                return await draft_founding(wallet, plan, model)
            return await draft_round(wallet, plan, model)

        return await self.open("opener", draft)

    async def finish(
        self,
        round_id: Hash,
        authors: Mapping[str, Strategy],
        opener: Callable[[Wallet], Awaitable[Round]] | None = None,
        **others: Callable[[Wallet], Awaitable[object]],
    ) -> Ended:
        """The opener, these authors and others play to the end."""

        async def open_and_settle(wallet: Wallet) -> Round:
            return await self.opener(wallet).run(round_id)

        return await self.play(round_id, opener or open_and_settle, authors, others)

    async def maturing(self, name: str) -> list[dict[str, Any]]:
        """The rewards of an actor that were not claimed yet."""
        async with self.client() as client:
            return list((await Wallet(client, KEYS[name]).account())["maturing"])


@asynccontextmanager
async def running_stage(folder: Path, spec: ChainSpec | None = None) -> AsyncIterator[Stage]:
    """A stage on a node of its own."""
    async with Stage(folder, spec or stage_spec()).running() as stage:
        yield stage


def digits(share: int, *classes: int, rows: int | None = None) -> Selection:
    """One of four shares of the digits, these classes of it."""
    return Selection("digits", (share, 4), classes, rows=rows)


def small_round(data: Selection, **changes: Any) -> RoundPlan:
    """k = s = 1, one epoch, three parts of 24 rows, short windows."""
    plan = RoundPlan(
        data, parts=3, rows=24, validation=1, sealed=1, epochs=1, windows=WINDOWS, neurons=16, bounty=COIN
    )
    return replace(plan, **changes)


def small_model(**changes: Any) -> ModelPlan:
    """A network 64-16-classes whose neurons freeze at half of ln(classes), and that may forget a little."""
    plan = ModelPlan(
        loss_kind=LossKind.SOFTMAX_CROSS_ENTROPY,
        policy=Policy.STRICT,
        threshold_ppm=500_000,
        retention_epsilon_ppm=300_000,
        retention_delta_ppm=5_000_000,
        lost_cap_ppm=1_000_000,
        hidden=(16,),
    )
    return replace(plan, **changes)


def learner(share: int, *classes: int, seed: int = 0, neurons: int | None = None) -> Strategy:
    """An honest author with a share of the digits and a quick training."""
    return honest(Plan(digits(share, *classes).rows_of(seed), QUICK, neurons, seed))
