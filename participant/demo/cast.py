"""The actors of the demonstration: their names, keys, first coins, and the node that each of them uses."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Final

from engram.consensus.chainspec import Allocation
from engram.node.localnet.localnet import Localnet
from engram.node.localnet.nodeprocess import NodeProcess
from engram.participant.notices import Notice
from engram.participant.reconnect import PatientClient
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Address

COIN: Final = 10**8
PURSE: Final = 1_000 * COIN
"""Sparks that every actor holds from the first block on. Miners hold none."""
FOUNDER: Final = "founder"
WITNESS: Final = "witness"
AUTHORS: Final = ("alice", "bob", "carol")
"""The honest authors."""
LIAR, COPYCAT, LEAKER, FORGER = "liar", "copycat", "leaker", "forger"

_NODES: Final = MappingProxyType(
    {FOUNDER: 0, WITNESS: 1, "alice": 1, "bob": 2, "carol": 3, LIAR: 2, COPYCAT: 3, LEAKER: 0, FORGER: 3}
)
"""The number of the node that each actor uses. The copycat's node is another one than that of alice, whose
reveal it copies.
"""


class Cast:
    """The actors' keys. The same seed gives the same keys."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._names = {self.key(name).address: name for name in _NODES}

    def key(self, name: str) -> PrivateKey:
        """The key of an actor, or of any other name."""
        return PrivateKey.from_seed(hashlib.sha256(f"engram demo {self._seed} {name}".encode()).digest())

    def name(self, address: Address) -> str:
        """The name of the actor with this address; "" if it is nobody's."""
        return self._names.get(address, "")

    def allocations(self) -> tuple[Allocation, ...]:
        """The coins that the actors hold at genesis."""
        return tuple(Allocation(address, PURSE) for address in self._names)

    def miners(self, nodes: int) -> list[Address]:
        """The address for which each node mines."""
        return [self.key(f"miner of node {number}").address for number in range(nodes)]

    @asynccontextmanager
    async def wallets(self, net: Localnet) -> AsyncIterator[dict[str, Wallet]]:
        """A wallet for each actor, by name, with a client of its own for the actor's node.

        With fewer nodes than the table names, actors share nodes. The clients carry no token, so they have no
        more rights than any user has.
        """
        async with AsyncExitStack() as stack:
            wallets = {}
            for name, number in _NODES.items():
                client = await stack.enter_async_context(client_of(net, number))
                wallets[name] = Wallet(client, self.key(name))
            yield wallets


def client_of(net: Localnet, number: int) -> PatientClient:
    """A new client of the node with this number, or of another one if there are fewer nodes."""
    return PatientClient(partial(_url, net.nodes[number % len(net.nodes)]), _untold)


def _url(node: NodeProcess) -> str:
    assert node.info is not None, "the demonstration stops no node"
    return node.info.rpc_url


def _untold(notice: Notice) -> None:
    """A node that does not answer for a while is not part of the story."""
