"""A venue of several real nodes, each a process that mines, with blocks at the pace of a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from engram.node.client import RpcClient
from engram.node.engines.registry import NUMPY
from engram.node.localnet.localnet import Localnet
from engram.node.localnet.nodeprocess import NodeProcess
from engram.participant.arena.arena import key_of
from engram.participant.arena.venue import Venue
from engram.participant.notices import Notice, Report
from engram.participant.reconnect import PatientClient
from engram.participant.round_plan import DraftedRound
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Hash
from engram.statemachine.rounds.records import Round


class NetworkVenue(Venue):
    """Actors on the nodes of a localnet that runs: each actor uses the node whose turn it is by name."""

    def __init__(
        self, folder: Path, net: Localnet, actors: tuple[str, ...], report: Report, engine: str = NUMPY
    ) -> None:
        """`engine` names what evaluates networks for the actors; the nodes of `net` have their own."""
        super().__init__(folder, report, engine)
        self.net: Final = net
        self._actors = actors

    def key(self, name: str) -> PrivateKey:
        return key_of(name)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RpcClient]:
        """A client of the first node, for which no block waits."""
        async with self._client_of(0) as client:
            yield client

    @asynccontextmanager
    async def actor(self, name: str) -> AsyncIterator[Wallet]:
        number = self._actors.index(name) % len(self.net.nodes)
        async with self._client_of(number) as client, client.holding():
            yield Wallet(client, self.key(name))

    async def open(self, name: str, draft: Callable[[Wallet], Awaitable[DraftedRound]]) -> Hash:
        """An actor opens a round, and every node knows it; its id."""
        round_id = await super().open(name, draft)
        for node in self.net.nodes:
            await ChainView(node.client).wait_record(Round, round_id)
        return round_id

    def _client_of(self, number: int) -> PatientClient:
        return PatientClient(partial(_url, self.net.nodes[number]), _untold)


def _url(node: NodeProcess) -> str:
    assert node.info is not None, "nobody plays before the nodes have started"
    return node.info.rpc_url


def _untold(notice: Notice) -> None:
    """That a node does not answer for a while concerns nobody here."""
