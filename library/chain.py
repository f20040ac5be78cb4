"""A chain through one of its nodes: its models, rounds and accounts; `sync.py` has the other face."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy.typing as npt

from engram.library.connection import Connection
from engram.library.model import AsyncModel
from engram.library.rounds import AsyncRound
from engram.library.rows import dataset_of
from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.node.errors import NodeUnreachable
from engram.participant.coins import Coins, coins_of, sparks_of
from engram.participant.finding import find_model, find_round
from engram.participant.mustering import mustered
from engram.participant.opener import Opener
from engram.participant.round_plan import ModelPlan, RoundPlan, draft_founding, draft_round
from engram.participant.selection import GivenRows
from engram.participant.tables.examining import part_doubts, refuse_doubtful
from engram.primitives.keys import PrivateKey, parse_address
from engram.statemachine.records import NamedWitness
from engram.statemachine.rounds.judging import PPM


@dataclass(frozen=True)
class Head:
    """The newest block of a chain."""

    height: int
    id: str
    ticks: int
    """Of the clock that rounds go by."""


@dataclass(frozen=True)
class AccountFacts:
    """What the chain knows of an address."""

    address: str
    balance: Decimal
    """Coins that can be spent."""
    maturing: Decimal
    """Coins of the last rewards, which become spendable by a claim once they are mature."""


class AsyncChain(Connection):
    """A chain through one node. Open it with `async with`; `engram.connect` gives the face without `async`.

    Methods raise `NodeUnreachable` if no node answers, and `RemoteError` with the node's code if it refuses.
    """

    def using(self, key: str | PrivateKey, passphrase: str | None = None) -> AsyncChain:
        """The same chain, not yet open, acting with another key; arguments as for the constructor."""
        config = self._node.loaded.config
        return AsyncChain(
            self._node.rpc,
            data_dir=config.data_dir,
            key=key,
            passphrase=passphrase,
            windows=self._windows,
            keys=self._keys,
        )

    async def head(self) -> Head:
        """The newest block of the node's best chain."""
        found = await self.client.call("chain_head")
        return Head(int(found["height"]), str(found["id"]), int(found["ticks"]))

    async def account(self, address: str | None = None) -> AccountFacts:
        """An account; by default that of the key. Raises `KeyMissing`."""
        name = self.address if address is None else address
        found = await self.client.call("account_get", address=name)
        maturing = sum(int(item["amount"]) for item in found["maturing"])
        return AccountFacts(name, coins_of(int(found["balance"])), coins_of(maturing))

    async def transfer(self, to: str, coins: Coins) -> str:
        """Sends coins and waits until a block holds the transaction; returns its id. Raises `KeyMissing`."""
        txid = await self.wallet.transfer(to, sparks_of(coins))
        await self.wallet.confirm(txid)
        return txid.hex()

    async def models(self) -> list[AsyncModel]:
        """The models of the chain."""
        return [AsyncModel(self, str(item["id"])) for item in await self.client.call("model_list")]

    async def model(self, id: str | None = None) -> AsyncModel:
        """The model whose id begins so; None means the only one. Raises `IdNotFound`, `IdAmbiguous`."""
        return AsyncModel(self, await find_model(self.client, id))

    async def rounds(self, model: str | None = None) -> list[AsyncRound]:
        """The rounds of the chain, or of the model whose id begins so; the oldest first."""
        wanted = None if model is None else await find_model(self.client, model)
        return [
            AsyncRound(self, str(item["id"])) for item in await self.client.call("round_list", model=wanted)
        ]

    async def round(self, id: str | None = None) -> AsyncRound:
        """The round whose id begins so; None means the one that goes on, and of several the key's own.

        Raises `IdNotFound`, `IdAmbiguous`.
        """
        own = None if self._wallet is None else self.address
        return AsyncRound(self, await find_round(self.client, id, lambda item: item["opener"] == own))

    async def events(self, *topics: str) -> AsyncIterator[tuple[str, Any]]:
        """Every event of these topics from the first step on, as (topic, event).

        Topics are heads, transactions, rounds, versions, peers. The stream goes on after a restart of the
        node, without what happened meanwhile.
        """
        async for item in self.subscribed(*topics):
            if item is not None:
                yield item

    async def subscribed(self, *topics: str) -> AsyncIterator[tuple[str, Any] | None]:
        """As `events`, with a None whenever the subscription stands: from then on nothing is missed."""
        while True:
            try:
                async with self.client.subscribe(*topics) as stream:
                    yield None
                    async for topic, event in stream:
                        yield topic, event
            except NodeUnreachable:
                await self.client.call("chain_head")  # waits for the node, and raises if it stays away

    async def open_round(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        model: str | None = None,
        bounty: Coins = 0,
        epochs: int = 1,
        parts: int | None = None,
        rows: int | None = None,
        validation: int | None = None,
        sealed: int | None = None,
        windows: Mapping[str, int] | None = None,
        witnesses: Sequence[str] = (),
        old_witnesses: Sequence[str] = (),
        witness_fee: Coins = 0,
        new_classes: int = 0,
        neurons: int = 32,
        classes: int | None = None,
        hidden: Sequence[int] = (32,),
        activation: str = "relu",
        weight_bits: int = 8,
        loss: str = "softmax_cross_entropy",
        threshold: float = 0.2,
        policy: str = "strict",
        epsilon: float = 0.02,
        delta: float = 0.25,
        lost_cap: float = 0.2,
        members: Sequence[str] = (),
        seed: int | None = None,
        wait_for: int | None = None,
        sure: bool = False,
    ) -> AsyncRound:
        """Opens a round with rows of your own, which decide it, and returns the round. `round.run` plays it.

        `model` is the beginning of a model's id: the round grows the model if its neurons are frozen, by
        `new_classes` and at most `neurons`, and trains it further if they are not. None founds a new model
        with `classes`, `hidden` and what follows; these are fixed for good. The options mean what they mean
        in `engram round open`, which describes each.

        The rows are split into parts, and only commitments to these are sent. What reveals them is saved in
        the data directory before anything is sent; if it is lost, so are bond and bounty. `wait_for`: on a
        test network, so many programs must play before its blocks go on. `sure`: go on although `engram data
        check` would warn about the rows.

        Raises `DataDoubtful`, `KeyMissing`, as `dataset_of`, and as `draft_founding` and `draft_round`.
        """
        data = dataset_of(X, y)
        if not sure:
            founds = model is None
            found = await asyncio.to_thread(
                part_doubts, data.features, data.labels, founds=founds, classes=classes
            )
            refuse_doubtful("the rows", found, "to go on all the same, say sure=True")
        plan = RoundPlan(
            GivenRows(data),
            parts=parts,
            rows=rows,
            validation=validation,
            sealed=sealed,
            epochs=epochs,
            windows=self._windows if windows is None else windows,
            new_classes=new_classes,
            neurons=neurons,
            bounty=sparks_of(bounty),
            witnesses=self._witnesses(witnesses, old_witnesses),
            witness_fee=sparks_of(witness_fee),
            seed=secrets.randbelow(2**63) if seed is None else seed,
        )
        wallet = self.wallet
        if model is not None:
            drafted = await draft_round(wallet, plan, bytes.fromhex(await find_model(self.client, model)))
        else:
            founding = ModelPlan(
                loss_kind=LossKind[loss.upper()],
                policy=Policy[policy.upper()],
                threshold_ppm=round(threshold * PPM),
                retention_epsilon_ppm=round(epsilon * PPM),
                retention_delta_ppm=round(delta * PPM),
                lost_cap_ppm=round(lost_cap * PPM),
                members=tuple(parse_address(member, self.hrp) for member in members),
                classes=classes,
                hidden=tuple(hidden),
                activation=activation,
                weight_bits=weight_bits,
            )
            drafted = await draft_founding(wallet, plan, founding)
        opener = Opener(wallet, self.rounds_folder, lambda notice: None)
        async with mustered(self.client, wait_for):
            identity = await opener.open(drafted.payload, drafted.secrets)
        return AsyncRound(self, identity.hex())

    def _witnesses(self, full: Sequence[str], old_only: Sequence[str]) -> tuple[NamedWitness, ...]:
        named = [NamedWitness(parse_address(each, self.hrp), old_only=False) for each in full]
        named += [NamedWitness(parse_address(each, self.hrp), old_only=True) for each in old_only]
        return tuple(named)
