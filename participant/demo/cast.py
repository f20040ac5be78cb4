"""Who takes part in the demonstration: keys by seed, coins at genesis, and the node that each one uses."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import Final

from engram.consensus.chainspec import Allocation
from engram.node.client import RpcClient
from engram.node.localnet.localnet import Localnet
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Address

COIN: Final = 10**8
PURSE: Final = 1_000 * COIN
"""What everyone but the miners holds at genesis."""
FOUNDER: Final = "founder"
AUDITOR: Final = "auditor"
AUTHORS: Final = ("alice", "bob", "carol")
"""Honest participants."""
LIAR, COPYCAT, LEAKER, FORGER = "liar", "copycat", "leaker", "forger"

_NODES: Final = MappingProxyType(
    {FOUNDER: 0, AUDITOR: 1, "alice": 1, "bob": 2, "carol": 3, LIAR: 2, COPYCAT: 3, LEAKER: 0, FORGER: 3}
)
"""Which node everyone uses: the copycat another one than alice, whose reveal it copies."""


class Cast:
    """The keys of one run: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._names = {self.key(name).address: name for name in _NODES}

    def key(self, name: str) -> PrivateKey:
        """The key of an actor, or of any other name."""
        return PrivateKey.from_seed(hashlib.sha256(f"engram demo {self._seed} {name}".encode()).digest())

    def name(self, address: Address) -> str:
        """The actor who holds an address; "" for anybody else."""
        return self._names.get(address, "")

    def allocations(self) -> tuple[Allocation, ...]:
        """The coins of genesis."""
        return tuple(Allocation(address, PURSE) for address in self._names)

    def miners(self, nodes: int) -> list[Address]:
        """Whom each node mines for."""
        return [self.key(f"miner of node {number}").address for number in range(nodes)]

    @asynccontextmanager
    async def wallets(self, net: Localnet) -> AsyncIterator[dict[str, Wallet]]:
        """Everyone's account, seen through his own node, with no more rights than any user has."""
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(RpcClient(node.info.rpc_url))
                for node in net.nodes
                if node.info is not None
            ]
            yield {
                name: Wallet(clients[number % len(clients)], self.key(name))
                for name, number in _NODES.items()
            }
