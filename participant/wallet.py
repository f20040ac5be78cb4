"""The account of one key, used through a node: it signs and sends transactions and waits for their receipts.

Nothing is kept on disk, and nothing about rounds is decided here.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from engram.consensus.chainspec import load_spec
from engram.node.client import RpcClient
from engram.node.errors import NonceOccupied, RemoteError
from engram.node.offers import Offer
from engram.participant.errors import NotIncluded, TransactionDropped, TransactionRefused
from engram.participant.reconnect import watch
from engram.primitives.codec import decode, encode
from engram.primitives.errors import Invalid
from engram.primitives.keys import PrivateKey, format_address, parse_address
from engram.primitives.types import Hash
from engram.statemachine.errors import NonceMismatch
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Transaction, TxPayload, sign
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions.transfer import Transfer

CONFIRM_TICKS: Final = 100
"""How many ticks `confirm` waits, unless told otherwise. Crowded blocks do not count."""
_NONCE_TRIES: Final = 100
"""Whoever loses a nonce loses it to another transaction of the account, of which a node keeps 64 waiting."""
_NONCE_TAKEN: Final = frozenset({NonceMismatch.code, NonceOccupied.code})
"""Codes which say that another program with the same key has just used the nonce."""


@dataclass(frozen=True)
class ChainFacts:
    """What a wallet must know about the chain it signs for. It never changes."""

    chain_id: int
    hrp: str
    rules: Rules


class Wallet:
    """One account. Tasks of one event loop may share it: their sends take turns, so that each nonce is used
    once.
    """

    def __init__(self, client: RpcClient, key: PrivateKey) -> None:
        self.key: Final = key
        self.client: Final = client
        self._lock = asyncio.Lock()
        self.uploading: Final = asyncio.Lock()
        """Held during an upload, so that uploads of several tasks run one after another."""
        self._facts: ChainFacts | None = None
        self._sent: dict[Hash, Transaction] = {}
        """Sent transactions whose block is not known yet. A node that knows one no more, because its disk was
        lost or it is another node, is sent it again from here.
        """
        self._charged = 0
        """Sparks that receipts say were charged."""

    @property
    def fees(self) -> int:
        """Sparks spent on fees so far: what receipts say was charged, and the caps of transactions whose
        block is not known yet.
        """
        return self._charged + sum(tx.max_fee for tx in self._sent.values())

    async def facts(self) -> ChainFacts:
        """The chain's id, address prefix and rules; the node is asked once. Raises `NodeUnreachable`."""
        if self._facts is None:
            info = await self.client.call("node_info")
            spec = await self.client.call("chain_spec")
            with self.client.understood("chain_spec"):
                rules = load_spec(json.dumps(spec)).rules
            self._facts = ChainFacts(info["chain_id"], info["hrp"], rules)
        return self._facts

    async def address(self) -> str:
        """The account's address as text."""
        return format_address(self.key.address, (await self.facts()).hrp)

    async def account(self) -> dict[str, Any]:
        """The account as `account_get` gives it: balance, nonces, rewards, waiting transactions."""
        account: dict[str, Any] = await self.client.call("account_get", address=await self.address())
        return account

    async def exponent(self) -> int:
        """The base exponent of fees in the next block."""
        return int((await self.client.call("chain_head"))["exponent"])

    async def estimate(self, payload: TxPayload) -> dict[str, Any]:
        """What the payload would cost in the next block: minimum fee, bytes, multiply-accumulates, records;
        and the cap and tip to offer for it.

        Raises `RemoteError` with the rule's code if no block could include the payload now.
        """
        estimate: dict[str, Any] = await self.client.call(
            "tx_estimate", kind=payload.KIND, payload=encode(payload), sender=await self.address()
        )
        return estimate

    async def send(self, payload: TxPayload, *, max_fee: int | None = None, tip: int | None = None) -> Hash:
        """Signs the payload with the account's next nonce, sends it to the node, and returns its id.

        `max_fee` is the most that may be charged, `tip` what the miner gets besides the minimum fee, in
        sparks; None takes what the node suggests. Does not wait for a block. Raises `RemoteError` with the
        node's code, `NodeUnreachable`.
        """
        facts = await self.facts()
        async with self._lock:
            offer = await self._offer(payload, max_fee, tip)
            for tries_left in reversed(range(_NONCE_TRIES)):
                nonce = int((await self.account())["next_nonce"])
                tx = sign(self.key, facts.chain_id, nonce, offer.max_fee, offer.tip, payload)
                try:
                    await self._submit_new(tx)
                    break
                except RemoteError as error:
                    if error.code not in _NONCE_TAKEN or not tries_left:
                        raise
        self._sent[tx.id] = tx
        return tx.id

    async def pending(self) -> list[tuple[Hash, TxPayload]]:
        """This account's transactions in the node's mempool, by nonce: their ids and payloads."""
        found = []
        for entry in (await self.account())["pending"]:
            try:
                raw = (await self.client.call("tx_get", txid=entry["txid"]))["raw"]
                payload = decode_payload(decode(Transaction, bytes.fromhex(raw)))
            except (RemoteError, Invalid):
                continue  # meanwhile a block holds it, or the node has dropped it
            found.append((bytes.fromhex(entry["txid"]), payload))
        return found

    async def confirm(self, txid: Hash, timeout_ticks: int = CONFIRM_TICKS) -> dict[str, Any]:
        """Waits until a block holds the transaction, and returns its receipt as JSON values.

        The wait looks again after each of the node's events, never by a timer. If the node does not know a
        transaction of this wallet any more, it is sent again; if an earlier nonce has become free, it is
        filled. Raises `TransactionRefused` with the receipt's code if the transaction FAILED,
        `TransactionDropped` if the node gave it up (`got` is the reason's code), `NotIncluded` after
        `timeout_ticks` ticks of the round clock.
        """
        first: int | None = None

        async def look() -> dict[str, Any] | None:
            nonlocal first
            if (receipt := await self._receipt(txid)) is not None:
                return receipt
            tick = int((await self.client.call("chain_head"))["ticks"])
            first = tick if first is None else first
            if tick - first >= timeout_ticks:
                raise NotIncluded(expected=f"within {timeout_ticks} ticks", got=txid)
            return None

        def concerns(topic: str, event: Any) -> bool:
            return topic == "heads" or bool(event["txid"] == txid.hex())

        try:
            return await watch(self.client, look, "heads", "transactions", concerns=concerns)
        except TransactionDropped:
            self._sent.pop(txid, None)
            raise

    async def execute(
        self,
        payload: TxPayload,
        *,
        max_fee: int | None = None,
        tip: int | None = None,
        timeout_ticks: int = CONFIRM_TICKS,
    ) -> dict[str, Any]:
        """Calls `send`, then `confirm`; raises as both do."""
        return await self.confirm(await self.send(payload, max_fee=max_fee, tip=tip), timeout_ticks)

    async def transfer(
        self, target: str, amount: int, *, max_fee: int | None = None, tip: int | None = None
    ) -> Hash:
        """Sends `amount` sparks to the address `target`; returns the transaction's id.

        Raises `BadAddress`, and as `send` does.
        """
        recipient = parse_address(target, (await self.facts()).hrp)
        return await self.send(Transfer(recipient, amount), max_fee=max_fee, tip=tip)

    async def _offer(self, payload: TxPayload, max_fee: int | None, tip: int | None) -> Offer:
        """The given amounts, and for those that are missing the node's suggestion that goes with them."""
        if max_fee is not None and tip is not None:
            return Offer(max_fee, tip)
        suggested = await self.estimate(payload)
        if max_fee is not None:
            return Offer(max_fee, min(suggested["tip"], max(0, max_fee - suggested["minimum"])))
        if tip is not None:
            return Offer(suggested["max_fee"] - suggested["tip"] + tip, tip)
        return Offer(suggested["max_fee"], suggested["tip"])

    async def _submit(self, tx: Transaction) -> bool:
        """Sends a transaction to the node; True if the node knew it already."""
        return bool((await self.client.call("tx_submit", raw=encode(tx)))["known"])

    async def _submit_new(self, tx: Transaction) -> None:
        """Sends a transaction that was signed just now. Raises `RemoteError` with the node's code.

        If the node knows it, another program has sent an equal payload at the same moment: then the nonce is
        taken, and this payload is not sent yet.
        """
        if await self._submit(tx):
            message = "an equal transaction has just been sent"
            raise RemoteError(message, code=NonceOccupied.code, got=tx.nonce)

    async def _receipt(self, txid: Hash) -> dict[str, Any] | None:
        answer = await self.client.call("tx_status", txid=txid)
        match answer["status"]:
            case "pending":
                if answer["waits"] == NonceMismatch.code and txid in self._sent:
                    await self._fill_gap(self._sent[txid].nonce)
                return None
            case "included":
                receipt: dict[str, Any] = answer["receipt"]
                self._settle(txid, receipt)
                return receipt
            case "failed":
                code = answer["code"]
                self._settle(txid, answer["receipt"])
                raise TransactionRefused(f"transaction {txid.hex()} FAILED: {code}", code=code, got=txid)
            case "unknown" if txid in self._sent:
                await self._resubmit(txid)
                return None
            case _:
                raise TransactionDropped(got=answer.get("code") or answer["status"])

    def _settle(self, txid: Hash, receipt: dict[str, Any]) -> None:
        if self._sent.pop(txid, None) is not None:
            self._charged += receipt["fee"]

    async def _fill_gap(self, end: int) -> None:
        """Fills the account's lowest free nonce, if that is below `end`.

        If this wallet waits for a transaction with this nonce, which the node does not know any more, that is
        sent again. Otherwise the wallet sends a transfer to the account itself: a transaction that was in a
        block can be refused on the branch that replaces it, and all later ones would wait for ever.
        """
        facts = await self.facts()
        async with self._lock:
            nonce = int((await self.account())["next_nonce"])
            if nonce >= end:
                return
            for waiting in [tx for tx in self._sent.values() if tx.nonce == nonce]:
                with suppress(RemoteError):  # refused by now: whoever waits for it is told by `confirm`
                    await self._submit(waiting)
                    return
            payload = Transfer(self.key.address, 1)
            offer = await self._offer(payload, None, None)
            tx = sign(self.key, facts.chain_id, nonce, offer.max_fee, offer.tip, payload)
            try:
                await self._submit_new(tx)
            except RemoteError as error:
                if error.code not in _NONCE_TAKEN:
                    raise
            else:
                self._sent[tx.id] = tx

    async def _resubmit(self, txid: Hash) -> None:
        try:
            await self._submit(self._sent[txid])
        except RemoteError as error:
            raise TransactionDropped(got=error.code) from error
