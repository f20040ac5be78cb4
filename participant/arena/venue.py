"""Where rounds are played: whoever takes part has a wallet, and everybody plays at the same time."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from engram.node.client import RpcClient
from engram.node.engines.choosing import engine_for
from engram.participant.author import Author
from engram.participant.epoch_reports import EpochReport
from engram.participant.journal import Journal
from engram.participant.notices import Report
from engram.participant.opener import Opener
from engram.participant.parts import ROUNDS_DIRECTORY
from engram.participant.round_plan import DraftedRound
from engram.participant.task import Strategy
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Hash
from engram.statemachine.records import Account, Model
from engram.statemachine.rounds.records import Round

T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """A round that has ended, and how it went for each author."""

    round: Round
    reports: Mapping[str, list[EpochReport]]
    fees: Mapping[str, int]
    """Sparks that each actor has paid in fees while playing."""

    def codes(self, author: str) -> list[str]:
        """The codes of an author's epochs."""
        return [report.code for report in self.reports[author]]


class Venue(ABC):
    """Nodes of some kind, the wallets of the actors, and the play."""

    def __init__(self, folder: Path, report: Report, engine: str) -> None:
        """`folder` keeps the secrets of rounds; `report` is told what everybody does; `engine` names what
        evaluates networks.
        """
        self.folder: Final = folder
        self.report: Final = report
        self.engine: Final = engine

    @abstractmethod
    def key(self, name: str) -> PrivateKey:
        """The key of an actor."""

    @abstractmethod
    def client(self) -> AbstractAsyncContextManager[RpcClient]:
        """A client of somebody who only looks."""

    @abstractmethod
    def actor(self, name: str) -> AbstractAsyncContextManager[Wallet]:
        """The wallet of an actor; inside the block, no block is mined unless they wait too."""

    async def open(self, name: str, draft: Callable[[Wallet], Awaitable[DraftedRound]]) -> Hash:
        """An actor opens the round that they draft; its id."""
        async with self.actor(name) as wallet:
            opening = await draft(wallet)
            return await self.opener(wallet).open(opening.payload, opening.secrets)

    async def play(
        self,
        round_id: Hash,
        opener: Callable[[Wallet], Awaitable[Round]],
        authors: Mapping[str, Strategy],
        others: Mapping[str, Callable[[Wallet], Awaitable[object]]],
        opener_name: str = "opener",
    ) -> Ended:
        """The opener, these authors and others play to the end."""

        async def enter(name: str, act: Callable[[Wallet], Awaitable[T]]) -> T:
            async with self.actor(name) as wallet:
                await entered.wait()
                result = await act(wallet)
                fees[name] = wallet.fees
                return result

        def author(strategy: Strategy) -> Callable[[Wallet], Awaitable[list[EpochReport]]]:
            return lambda wallet: self.author(wallet, strategy).play(round_id)

        fees: dict[str, int] = {}
        entered = asyncio.Barrier(len(authors) + len(others) + 1)
        async with asyncio.TaskGroup() as group:
            ran = group.create_task(enter(opener_name, opener))
            played = {name: group.create_task(enter(name, author(does))) for name, does in authors.items()}
            for name, act in others.items():
                group.create_task(enter(name, act))
        return Ended(ran.result(), {name: task.result() for name, task in played.items()}, fees)

    def opener(self, wallet: Wallet) -> Opener:
        """The opener's side of rounds, with their secrets in the folder."""
        return Opener(wallet, self.folder / ROUNDS_DIRECTORY, self.report)

    def author(self, wallet: Wallet, strategy: Strategy, **options: Any) -> Author:
        """The author's side of rounds, with their secrets in the folder. Raises what `engine_for` raises."""
        journal = Journal(self.folder / ROUNDS_DIRECTORY)
        engine = engine_for(self.engine)
        return Author(wallet, strategy, self.report, journal=journal, engine=engine, **options)

    async def model(self, model_id: Hash) -> Model:
        """The record of a model."""
        async with self.client() as client:
            return await ChainView(client).get(Model, model_id)

    async def account(self, name: str) -> Account:
        """The account of an actor."""
        async with self.client() as client:
            return await ChainView(client).get(Account, self.key(name).address)
