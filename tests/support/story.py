"""The paper's story on one real node: real proof of work, RPC over loopback, real digits.

Opener, auditor, honest authors and adversaries are the participant's own classes, each with a wallet and no
other way to the node.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engram.consensus.chainspec import Allocation, local
from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.node import Node
from engram.participant import adversaries, drafting
from engram.participant.architect import dense_network
from engram.participant.author import Author, EpochReport, Strategy
from engram.participant.datasets import Dataset
from engram.participant.demo.data import SEALED, VALIDATION, DemoData
from engram.participant.opener import Auditor, Opener
from engram.participant.parts import RoundSecrets, split_parts
from engram.participant.view import ChainView
from engram.participant.wallet import Wallet
from engram.primitives.keys import PrivateKey, format_address
from engram.primitives.types import Hash
from engram.statemachine.records import Model
from engram.statemachine.round_records import Round, RoundKind, RoundTerms
from engram.statemachine.terms import Founding
from engram.statemachine.transactions.open_round import OpenRound

COIN: Final = 10**8
PURSE: Final = 1_000 * COIN
BOND: Final = 5 * COIN
ACTORS: Final = ("founder", "auditor", "a0", "a1", "a2", "liar", "copycat", "leaker", "forger")
WINDOWS: Final = drafting.Windows(open=5, reveal=5, commit=16, update=5, audit=5, retention=5, gap=2)
"""Long enough to train in on a loaded machine."""


def key_of(name: str) -> PrivateKey:
    """The key of an actor, the same in every run."""
    return PrivateKey.from_seed(hashlib.sha256(f"story {name}".encode()).digest())


@dataclass(frozen=True)
class Played:
    """A round that has ended, and how it went for each author."""

    round: Round
    reports: Mapping[str, list[EpochReport]]
    copied: str
    """Code that the copycat was refused with; "" if nobody copied."""


class Story:
    """Plays rounds on one model."""

    def __init__(self, client: RpcClient, data: DemoData, folder: Path) -> None:
        self.view: Final = ChainView(client)
        self.data: Final = data
        self.wallets: Final = {name: Wallet(client, key_of(name)) for name in ACTORS}
        self._folder = folder
        self._rng = np.random.default_rng(0)

    async def balance(self, name: str) -> int:
        """Spendable sparks of an actor."""
        return int((await self.wallets[name].account())["balance"])

    async def train(self, strategies: Mapping[str, Strategy]) -> Played:
        """Founds the model and plays its first round; the copycat lies in wait for a0's reveal."""
        rows = self.data.founder_old
        spec, parameters = dense_network(rows, (self.data.size.hidden,), 6, self._rng)
        template = Founding(spec, (), (), 0, 0, 1, 200_000, 150_000, 1_000_000)
        rules = (await self.view.spec()).rules
        caps = drafting.Caps.for_network(rules, spec, self.data.size.rows)
        secrets = self._secrets(rows, self.data.size.parts)
        terms = self._terms(secrets, RoundKind.TRAIN, 0, caps)
        payload = OpenRound(terms, founding=drafting.founding_of(spec, parameters, template))
        return await self._play(payload, secrets, self.data.auditor_old, strategies, copies=True)

    async def grow(self, model_id: Hash, strategies: Mapping[str, Strategy]) -> Played:
        """Teaches four more classes."""
        version = await self.view.head_version(await self.view.get(Model, model_id))
        size, rules = self.data.size, (await self.view.spec()).rules
        caps = drafting.Caps.for_growth(rules, version.spec, size.neurons, 4, size.rows)
        secrets = self._secrets(self.data.founder_all, size.parts)
        payload = OpenRound(self._terms(secrets, RoundKind.GROW, 4, caps), model=model_id)
        return await self._play(payload, secrets, self.data.auditor_all, strategies, copies=False)

    async def _play(
        self,
        payload: OpenRound,
        secrets: RoundSecrets,
        audited: Dataset,
        strategies: Mapping[str, Strategy],
        *,
        copies: bool,
    ) -> Played:
        opener = Opener(self.wallets["founder"], self._folder, _silent)
        round_id = await opener.open(payload, secrets)
        victim = key_of("a0").address
        async with asyncio.TaskGroup() as group:
            copy = self.wallets["copycat"]
            copied = group.create_task(adversaries.copy_reveal(copy, round_id, victim)) if copies else None
            group.create_task(self._audit(round_id, self._secrets(audited, 1)))
            authors = {
                name: group.create_task(Author(self.wallets[name], strategy, _silent).play(round_id))
                for name, strategy in strategies.items()
            }
            round_ = await opener.run(round_id)
        reports = {name: task.result() for name, task in authors.items()}
        return Played(round_, reports, copied.result() if copied else "")

    async def _audit(self, round_id: Hash, secrets: RoundSecrets) -> None:
        auditor = Auditor(self.wallets["auditor"], self._folder, _silent)
        await auditor.seal(round_id, secrets)
        await auditor.open_sealed(round_id, secrets)

    def _secrets(self, rows: Dataset, parts: int) -> RoundSecrets:
        salted = split_parts(rows, parts, self.data.size.rows, self._rng, os.urandom)
        return RoundSecrets(os.urandom(32), tuple(salted))

    def _terms(
        self, secrets: RoundSecrets, kind: RoundKind, new_classes: int, caps: drafting.Caps
    ) -> RoundTerms:
        return drafting.round_terms(
            secrets,
            kind=kind,
            new_classes=new_classes,
            rows=self.data.size.rows,
            validation=VALIDATION,
            sealed=SEALED,
            epochs=2,
            windows=WINDOWS,
            caps=caps,
            opener_bond=20 * COIN,
            author_bond=BOND,
            bounty=50 * COIN,
            auditors=(key_of("auditor").address,),
        )


@asynccontextmanager
async def running_story(data: DemoData, folder: Path) -> AsyncIterator[Story]:
    """A story on a node of its own that mines all the time; the node is stopped at the end."""
    allocations = tuple(Allocation(key_of(name).address, PURSE) for name in ACTORS)
    spec = local(allocations, time.time_ns() // 1_000_000)
    miner = format_address(key_of("miner").address, spec.hrp)
    config = Config(
        data_dir=folder / "node", rpc_port=0, p2p_port=0, mine=True, miner_address=miner, max_hashes_per_s=500
    )
    node = Node(config, spec)
    async with asyncio.TaskGroup() as group:
        group.create_task(node.run())
        try:
            await node.ready.wait()
            assert node.info is not None
            async with RpcClient(node.info.rpc_url) as client:
                yield Story(client, data, folder / "secrets")
        finally:
            node.stop()


def _silent(line: str) -> None:
    """Nobody watches a test."""
