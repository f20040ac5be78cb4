"""A chain through one of its nodes: its models, rounds and accounts; `sync.py` has the other face."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Unpack

import numpy.typing as npt

from engram.library.checks import beginning, whole
from engram.library.connection import Connection
from engram.library.errors import OptionInvalid
from engram.library.model import AsyncModel
from engram.library.opening import OpeningOptions, accounts_given, checked, model_plan, round_plan
from engram.library.rounds import AsyncRound
from engram.library.rows import dataset_of
from engram.library.words import in_words
from engram.node.client import RpcClient
from engram.node.errors import NodeUnreachable, RemoteError
from engram.participant.coins import Coins, coins_of, sparks_of
from engram.participant.errors import TransactionDropped, TransactionRefused
from engram.participant.finding import find_model, find_round
from engram.participant.mustering import mustered
from engram.participant.opener import Opener
from engram.participant.reconnect import Streams
from engram.participant.round_plan import draft_founding, draft_round
from engram.participant.tables.examining import part_doubts, refuse_doubtful
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import PrivateKey
from engram.primitives.types import ZERO_HASH, Hash

UNAUTHORIZED: Final = "unauthorized"
"""The node's code for a request without its token."""
_MOST_PROGRAMS: Final = 1_000


@dataclass(frozen=True)
class Head:
    """The newest block of a chain."""

    height: int
    id: str
    ticks: int
    """Of the clock that rounds go by: what the next block sees. Calendars of rounds count in them."""


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

    Methods raise `NodeUnreachable` if no node answers, `RemoteError` with the node's code if it refuses, and
    `AnswerInvalid` if it answers with what no node says.
    """

    def using(self, key: str | PrivateKey, passphrase: str | None = None) -> AsyncChain:
        """The same chain, not yet open, acting with another key; arguments as for the constructor."""
        return AsyncChain(
            self._node.rpc,
            data_dir=self._node.data_dir,
            key=key,
            passphrase=passphrase,
            windows=self._windows,
            patience_s=self._patience_s,
            keys=self._keys,
            accounts=self._accounts,
        )

    async def call(self, method: str, **params: Any) -> Any:
        """Sends any request to the node; docs/rpc describes the methods."""
        return await self.client.call(method, **params)

    async def head(self) -> Head:
        """The newest block of the node's best chain."""
        return _head_of(await self.client.call("chain_head"))

    async def account(self, address: str | PrivateKey | None = None) -> AccountFacts:
        """An account, by its address, its name or its key; by default that of the key.

        Raises `KeyMissing`, `BadAddress`.
        """
        name = self.address if address is None else await self.address_of(address)
        found = await self.client.call("account_get", address=name)
        maturing = sum(int(item["amount"]) for item in found["maturing"])
        return AccountFacts(name, coins_of(int(found["balance"])), coins_of(maturing))

    async def transfer(self, to: str | PrivateKey, coins: Coins) -> str:
        """Sends coins to an address, a known name or a key's account; the id of the transaction.

        It waits for the block.

        Raises `KeyMissing`, `BadAddress`, `AmountInvalid`, and as `Wallet.send` and `Wallet.confirm`.
        If the wait ends with another error, the coins may still go their way, and whoever calls this again
        pays twice: the error's note names the transaction, for which `confirmed` goes on waiting.
        """
        txid = await self.wallet.transfer(await self.address_of(to), sparks_of(coins))
        with _sent(txid, f"chain.confirmed('{txid.hex()}') waits for it"):
            await self.wallet.confirm(txid)
        return txid.hex()

    async def advance(
        self, blocks: int | None = None, *, ticks: int | None = None, phase: str | None = None
    ) -> Head:
        """Moves the time of a chain without work; returns the new head.

        It makes so many blocks, or lets so many ticks pass, or goes on until the next block stands in a phase
        of the running round, such as "reveal"; the head's `ticks` are then the first tick of the phase in the
        round's calendar, or a later one if the phase had begun. Without arguments it makes one block.

        It needs the token of the node's data directory. Raises `RemoteError` with the node's code, such as
        `blocks_cost_work` on any other chain, and as `round`.
        """
        wanted = {"blocks": blocks, "ticks": ticks, "phase": phase}
        given = {name: value for name, value in wanted.items() if value is not None} or {"blocks": 1}
        if "phase" in given:
            given["round"] = (await self.round()).id
        return _head_of(await self._changed("dev_advance", **given))

    async def snapshot(self) -> str:
        """The id of the newest block of a chain without work, to which `revert` can take the chain back."""
        return str((await self._changed("dev_snapshot"))["id"])

    async def revert(self, snapshot: str) -> Head:
        """Takes a chain without work back to a block; what came after is gone, with all that waits.

        A snapshot can be used again and again. Raises `RemoteError` with the node's code, such as
        `has_peers`, `block_not_found` or `blocks_cost_work`.
        """
        return _head_of(await self._changed("dev_revert", id=snapshot))

    async def confirmed(self, txid: str) -> dict[str, Any]:
        """Waits until a block holds a transaction of this key that was sent already; gives its receipt.

        Harmless to call again, also in another process. Raises `KeyMissing`, `OptionInvalid` for no id,
        `TransactionRefused`, `TransactionDropped` if the node does not know it, so that it can be sent again,
        and `NotIncluded`.
        """
        receipt: dict[str, Any] = in_words(await self.wallet.confirm(_txid(txid)))
        return receipt

    async def opened_round(self, txid: str) -> AsyncRound:
        """The round that a transaction of this key opens, as soon as a block holds it.

        This repeats the wait of an `open_round` that failed or was stopped after it had sent its transaction:
        nothing is paid again. Raises as `confirmed`.
        """
        await self.confirmed(txid)
        return AsyncRound(self, tagged_hash(Tag.ROUND, _txid(txid)).hex())

    async def models(self) -> list[AsyncModel]:
        """The models of the chain."""
        return [AsyncModel(self, str(item["id"])) for item in await self.client.call("model_list")]

    async def model(self, id: str | None = None) -> AsyncModel:
        """The model whose id begins so; None means the only one. Raises `IdNotFound`, `IdAmbiguous`."""
        beginning("model", id)
        return AsyncModel(self, await find_model(self.client, id))

    async def rounds(self, model: str | None = None) -> list[AsyncRound]:
        """The rounds of the chain, or of the model whose id begins so; the oldest first."""
        beginning("model", model)
        wanted = None if model is None else await find_model(self.client, model)
        return [
            AsyncRound(self, str(item["id"])) for item in await self.client.call("round_list", model=wanted)
        ]

    async def round(self, id: str | None = None) -> AsyncRound:
        """The round whose id begins so; None means the one that goes on, and of several the key's own.

        Raises `IdNotFound`, `IdAmbiguous`.
        """
        beginning("round", id)
        own = None if self._wallet is None else self.address
        return AsyncRound(self, await find_round(self.client, id, lambda item: item["opener"] == own))

    async def events(self, *topics: str) -> AsyncIterator[tuple[str, Any]]:
        """Every event of these topics from the first step on, as (topic, event).

        docs/rpc describes the topics. The stream goes on after a restart of the node, without what happened
        meanwhile. To miss nothing, use `subscribed`, which says when to look at the chain again.
        """
        async for item in self.subscribed(*topics):
            if item is not None:
                yield item

    async def subscribed(self, *topics: str) -> AsyncIterator[tuple[str, Any] | None]:
        """As `events`, with a None whenever the subscription stands: at first, and after each restart of the
        node. What happened before it is told by no event: look at the chain at each None.
        """
        streams = Streams()
        while True:
            try:
                async with self.client.subscribe(*topics) as stream:
                    yield None
                    async for topic, event in stream:
                        streams.lives()
                        yield topic, event
            except NodeUnreachable as error:
                self.check_open()  # a stream that outlives its connection is no node that is away
                await streams.broken(self.client, error)

    async def open_round(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        model: str | None = None,
        wait_for: int | None = None,
        sure: bool = False,
        **options: Unpack[OpeningOptions],
    ) -> AsyncRound:
        """Opens a round with rows of your own, which decide it, and returns the round. `round.run` plays it.

        `model` is the beginning of a model's id: the round grows the model if its neurons are frozen, and
        trains it further if they are not. None founds a new model. `options` are those of `engram round
        open`, see `OpeningOptions`; those of founding are fixed for good. Accounts are addresses or names. An
        option that is None takes its default.

        The rows are split into parts, and only commitments to these are sent. What reveals them is saved in
        the data directory before anything is sent; if it is lost, so are bond and bounty. `wait_for`: on a
        test network, so many programs must play before its blocks go on, which then wait until the round has
        ended for each that leaves before it has finished. `sure`: go on although `engram data check` would
        warn about the rows.

        If this fails or is stopped after the transaction was sent, do not call it again: that would pay for
        another round. The error's note names the transaction, and `opened_round` goes on waiting for it.

        Raises `OptionUnused`, `OptionInvalid`, `BadAddress`, `DataDoubtful`, `KeyMissing`, as `dataset_of`,
        and as `draft_founding` and `draft_round`.
        """
        founds = model is None
        options = checked(options, founds=founds)
        beginning("model", model)
        if wait_for is not None:
            whole("wait_for", wait_for, 0, _MOST_PROGRAMS)
        for name, accounts in accounts_given(options).items():
            options[name] = [await self.address_of(each) for each in accounts]  # type: ignore[literal-required]
        data, wallet = dataset_of(X, y), self.wallet
        if not sure:
            found = await asyncio.to_thread(
                part_doubts, data.features, data.labels, founds=founds, classes=options.get("classes")
            )
            refuse_doubtful("the rows", found, "to go on all the same, say sure=True")
        plan = round_plan(data, options, self._windows, self.hrp)
        if model is None:
            drafted = await draft_founding(wallet, plan, model_plan(options, self.hrp))
        else:
            drafted = await draft_round(wallet, plan, bytes.fromhex(await find_model(self.client, model)))
        opener = Opener(wallet, self.rounds_folder, lambda notice: None)
        async with self.naming_errors(), mustered(self.client, wait_for):
            txid = await opener.send(drafted.payload, drafted.secrets)
            with _sent(txid, f"chain.opened_round('{txid.hex()}') waits for it and gives the round"):
                return await self.opened_round(txid.hex())

    async def _changed(self, method: str, **params: Any) -> Any:
        """What the node answers to its operator: the request carries the token of the data directory."""
        async with RpcClient.of_data_dir(self.client.url, self.node.data_dir) as operator:
            try:
                return await operator.call(method, **params)
            except RemoteError as error:
                if error.code != UNAUTHORIZED:
                    raise
                raise RemoteError(
                    "only the chain's operator moves its time, with the token that stands in the node's data "
                    f"directory; {self.node.data_dir} holds no token of the node at {self.url}: open the "
                    "chain with connect(url, data_dir=FOLDER), where FOLDER is that of the node",
                    code=error.code,
                ) from None


def _head_of(found: Mapping[str, Any]) -> Head:
    return Head(int(found["height"]), str(found["id"]), int(found["ticks"]))


@contextmanager
def _sent(txid: Hash, remedy: str) -> Iterator[None]:
    """A wait for a transaction. If it ends before the transaction has, the error's note says what to do."""
    try:
        yield
    except (TransactionRefused, TransactionDropped):
        raise
    except BaseException as error:
        error.add_note(f"the transaction {txid.hex()} was sent, so do not send it again: {remedy}")
        raise


def _txid(text: str) -> Hash:
    try:
        found = bytes.fromhex(text)
    except (ValueError, TypeError):
        found = b""
    if len(found) != len(ZERO_HASH):
        raise OptionInvalid("a transaction's id has 64 hexadecimal digits", got=str(text)[:80])
    return found
