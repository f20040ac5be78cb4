"""Rounds with many actors on one real node, without a clock: a block is mined whenever all wait for one.

So windows of a few blocks are long enough for any training, and a test takes as long as its work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from engram.consensus.chainspec import ChainSpec
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.node.client import HEARTBEAT_S, RpcClient
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.node import Node
from engram.participant.author import Author, EpochReport
from engram.participant.journal import Journal
from engram.participant.notices import Notice
from engram.participant.opener import Opener
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.reconnect import PatientClient
from engram.participant.round_plan import ModelPlan, RoundPlan, draft_founding, draft_round
from engram.participant.selection import Selection
from engram.participant.strategies import Plan, honest
from engram.participant.task import Strategy
from engram.participant.training.qat import Budget
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.records import Account, Model
from engram.statemachine.rounds.records import Round
from engram.statemachine.rules import Rules
from tests.support.dev_node import address_of, dev_spec, running_node
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


class Pacer:
    """Knows who waits at which height."""

    def __init__(self) -> None:
        self.height = 0
        self.before_block: Callable[[], Coroutine[Any, Any, bool]] | None = None
        """Called before each block, with everybody waiting; True if everybody has to look again first."""
        self._seen: dict[object, int | None] = {}
        """Height that a waiting actor has seen; None for one that is busy."""
        self._changed = asyncio.Event()
        self._mined = asyncio.Event()

    def set(self, actor: object, seen: int | None) -> None:
        self._seen[actor] = seen
        self._changed.set()

    def leave(self, actor: object) -> None:
        self._seen.pop(actor, None)
        self._changed.set()

    async def settled(self, height: int) -> None:
        """Waits until the node has done everything that its head of this height asks for."""
        while self.height < height:
            self._mined.clear()
            await self._mined.wait()

    async def run(self, mine: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """Mines for ever."""
        while True:
            while not self._seen or any(at is None or at < self.height for at in self._seen.values()):
                self._changed.clear()
                await self._changed.wait()
            if self.before_block is not None:
                before = dict(self._seen)
                self._seen = dict.fromkeys(before)
                if await self.before_block():
                    continue
                self._seen = before
            self.height = await mine()
            self._mined.set()


class PacedClient(PatientClient):
    """The client of one actor. It hears of a head when the node's mempool has dropped what that head refuses:
    the news of a drop could come after the next block.
    """

    def __init__(self, find: Callable[[], str], pacer: Pacer) -> None:
        super().__init__(find, lambda notice: None, patience_s=60.0)
        self._pacer = pacer

    @asynccontextmanager
    async def subscribe(
        self, *topics: str, heartbeat_s: float | None = HEARTBEAT_S
    ) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with super().subscribe(*topics, heartbeat_s=heartbeat_s) as events:
            seen = int((await self.call("chain_head"))["height"])
            await self._pacer.settled(seen)
            yield self._paced(events, seen)

    async def _paced(
        self, events: AsyncIterator[tuple[str, Any]], seen: int
    ) -> AsyncIterator[tuple[str, Any]]:
        while True:
            self._pacer.set(self, seen)
            try:
                topic, event = await anext(events)
            finally:
                self._pacer.set(self, None)
            if topic == "heads":
                seen = int(event["height"])
                await self._pacer.settled(seen)
            yield topic, event


class Stage:
    """A node, its pacer, and what everyone has said."""

    def __init__(self, folder: Path, spec: ChainSpec) -> None:
        self.folder: Final = folder
        self.pacer: Final = Pacer()
        self.said: Final[list[Notice]] = []
        self.restarts = 0
        self._awaited: dict[str, asyncio.Event] = {}
        self._spec = spec
        self._node: AbstractContextManager[Node] | None = None
        self._url = ""

    def start(self) -> None:
        """Starts the node, at a port of its choice. Blocks."""
        address = address_of("miner")
        config = Config(data_dir=self.folder, rpc_port=0, p2p_port=0, miner_address=address)
        self._node = running_node(config, self._spec)
        self._node.__enter__()

    def stop(self) -> None:
        """Stops it; what waited in its mempool is forgotten. Blocks."""
        if self._node is not None:
            self._node.__exit__(None, None, None)
            self._node = None

    async def restart(self) -> None:
        """Stops and starts it, while everybody waits for a block."""
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

    def find(self) -> str:
        """Where the node answers, or did before it was stopped."""
        running = find_run_info(self.folder)
        self._url = running.rpc_url if running is not None else self._url
        return self._url

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RpcClient]:
        """A client of somebody who only looks."""
        async with RpcClient(self.find()) as client:
            yield client

    @asynccontextmanager
    async def actor(self, name: str) -> AsyncIterator[Wallet]:
        """The wallet of an actor; inside the block, no block is mined unless he waits too."""
        async with PacedClient(self.find, self.pacer) as client:
            self.pacer.set(client, None)
            try:
                yield Wallet(client, KEYS[name])
            finally:
                self.pacer.leave(client)

    async def open(self, plan: RoundPlan, model: ModelPlan | Hash) -> Hash:
        """The opener opens a round; its id."""
        async with self.actor("opener") as wallet:
            if isinstance(model, ModelPlan):
                opening = await draft_founding(wallet, plan, model)
            else:
                opening = await draft_round(wallet, plan, model)
            return await self.opener(wallet).open(opening.payload, opening.secrets)

    async def play(
        self,
        round_id: Hash,
        authors: Mapping[str, Strategy],
        opener: Callable[[Wallet], Awaitable[Round]] | None = None,
        **others: Callable[[Wallet], Awaitable[object]],
    ) -> Ended:
        """The opener, these authors and others play to the end."""

        async def enter(name: str, act: Callable[[Wallet], Awaitable[T]]) -> T:
            async with self.actor(name) as wallet:
                await entered.wait()
                return await act(wallet)

        async def open_and_settle(wallet: Wallet) -> Round:
            return await self.opener(wallet).run(round_id)

        def author(strategy: Strategy) -> Callable[[Wallet], Awaitable[list[EpochReport]]]:
            return lambda wallet: self.author(wallet, strategy).play(round_id)

        entered = asyncio.Barrier(len(authors) + len(others) + 1)
        async with asyncio.TaskGroup() as group:
            ran = group.create_task(enter("opener", opener or open_and_settle))
            played = {name: group.create_task(enter(name, author(does))) for name, does in authors.items()}
            for name, act in others.items():
                group.create_task(enter(name, act))
        return Ended(ran.result(), {name: task.result() for name, task in played.items()})

    def opener(self, wallet: Wallet) -> Opener:
        return Opener(wallet, self.folder / ROUNDS_DIRECTORY, self.tell)

    def author(self, wallet: Wallet, strategy: Strategy, **options: Any) -> Author:
        journal = Journal(self.folder / ROUNDS_DIRECTORY)
        return Author(wallet, strategy, self.tell, journal=journal, **options)

    async def model(self, model_id: Hash) -> Model:
        async with self.client() as client:
            return await ChainView(client).get(Model, model_id)

    async def account(self, name: str) -> Account:
        """The account of an actor."""
        async with self.client() as client:
            return await ChainView(client).get(Account, KEYS[name].address)

    async def maturing(self, name: str) -> list[dict[str, Any]]:
        """The rewards of an actor that were not claimed yet."""
        async with self.client() as client:
            return list((await Wallet(client, KEYS[name]).account())["maturing"])

    async def mine(self) -> int:
        """One block that the mempool has followed; the height it has."""
        async with RpcClient.of_data_dir(self.find(), self.folder) as client:
            (block,) = await client.call("miner_mine", blocks=1)
            height = int(block["height"])
            while int((await client.call("mempool_info"))["height"]) < height:
                continue
        return height


@dataclass(frozen=True)
class Ended:
    """A round that has ended, and how it went for each author."""

    round: Round
    reports: dict[str, list[EpochReport]]

    def codes(self, author: str) -> list[str]:
        """The codes of an author's epochs."""
        return [report.code for report in self.reports[author]]


@asynccontextmanager
async def running_stage(folder: Path, spec: ChainSpec | None = None) -> AsyncIterator[Stage]:
    """A stage on a node of its own."""
    stage = Stage(folder, spec or stage_spec())
    await asyncio.to_thread(stage.start)
    try:
        async with asyncio.TaskGroup() as group:
            pacing = group.create_task(stage.pacer.run(stage.mine))
            yield stage
            pacing.cancel()
    finally:
        await asyncio.to_thread(stage.stop)


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
