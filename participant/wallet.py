"""The account of one key, seen through a node: signs, sends, waits for receipts. Keeps no state on
disk, decides nothing about rounds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from engram.node.client import RpcClient
from engram.node.errors import AlreadyIncluded, AlreadyPooled, RemoteError, ReplacementFee
from engram.participant.errors import NotIncluded, TransactionDropped, TransactionRefused
from engram.participant.reconnect import watch
from engram.primitives.codec import decode, encode, from_json
from engram.primitives.errors import Invalid
from engram.primitives.keys import PrivateKey, format_address, parse_address
from engram.primitives.types import Hash
from engram.statemachine.errors import NonceMismatch
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Transaction, TxPayload, sign
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions.transfer import Transfer

CONFIRM_BLOCKS: Final = 100
"""Blocks that `confirm` waits for, unless told otherwise."""
_NONCE_TRIES: Final = 5
_NONCE_TAKEN: Final = frozenset({NonceMismatch.code, ReplacementFee.code})
"""Another program with the same key was faster."""
_AT_HAND: Final = frozenset({AlreadyPooled.code, AlreadyIncluded.code})
"""The node has the transaction: it was handed in before."""


@dataclass(frozen=True)
class ChainFacts:
    """What a wallet must know of the chain it signs for; the same for the life of the chain."""

    chain_id: int
    hrp: str
    rules: Rules


class Wallet:
    """One account. Safe to share between tasks of one event loop: their transactions keep their order."""

    def __init__(self, client: RpcClient, key: PrivateKey) -> None:
        self.key: Final = key
        self.client: Final = client
        self._lock = asyncio.Lock()
        self.uploading: Final = asyncio.Lock()
        """Held while a blob is uploaded: uploads of several tasks queue up."""
        self._facts: ChainFacts | None = None
        self._sent: dict[Hash, bytes] = {}
        """Transactions whose block is not known yet: a node that restarts forgets what waited."""
        self.fees = 0
        """Sparks offered as fees for everything sent so far."""

    async def facts(self) -> ChainFacts:
        """The chain's id, address prefix and rules, asked once. Raises `NodeUnreachable`."""
        if self._facts is None:
            info = await self.client.call("node_info")
            spec = await self.client.call("chain_spec")
            self._facts = ChainFacts(info["chain_id"], info["hrp"], from_json(Rules, spec["rules"]))
        return self._facts

    async def address(self) -> str:
        """The account's address as text."""
        return format_address(self.key.address, (await self.facts()).hrp)

    async def account(self) -> dict[str, Any]:
        """The account as `account_get` gives it: balance, nonces, rewards that mature."""
        account: dict[str, Any] = await self.client.call("account_get", address=await self.address())
        return account

    async def estimate(self, payload: TxPayload) -> dict[str, Any]:
        """Fee, bytes, MACs and records of the payload in the next block.

        Raises `RemoteError` with the payload's own code where it could not even start.
        """
        estimate: dict[str, Any] = await self.client.call(
            "tx_estimate", kind=payload.KIND, payload=encode(payload), sender=await self.address()
        )
        return estimate

    async def send(self, payload: TxPayload, *, fee: int | None = None) -> Hash:
        """Signs the payload with the account's next nonce and hands it to the node; the transaction's id.

        `fee` in sparks; None pays the least that the next block asks for. Sends of several tasks queue up
        here, so that each nonce is used once. Raises `RemoteError` with the node's code, `NodeUnreachable`.
        """
        facts = await self.facts()
        async with self._lock:
            if fee is None:
                fee = int((await self.estimate(payload))["fee"])
            for tries_left in reversed(range(_NONCE_TRIES)):
                nonce = int((await self.account())["next_nonce"])
                tx = sign(self.key, facts.chain_id, nonce, fee, payload)
                name, raw = tx.id, encode(tx)
                try:
                    await self._submit(raw)
                    break
                except RemoteError as error:
                    if error.code not in _NONCE_TAKEN or not tries_left:
                        raise
        self._sent[name] = raw
        self.fees += fee
        return name

    async def pending(self) -> list[tuple[Hash, TxPayload]]:
        """What waits in the node's mempool from this account, by nonce."""
        found = []
        for entry in (await self.account())["pending"]:
            try:
                raw = (await self.client.call("tx_get", txid=entry["txid"]))["raw"]
                payload = decode_payload(decode(Transaction, bytes.fromhex(raw)))
            except (RemoteError, Invalid):
                continue  # in a block or dropped since
            found.append((bytes.fromhex(entry["txid"]), payload))
        return found

    async def confirm(self, txid: Hash, timeout_blocks: int = CONFIRM_BLOCKS) -> dict[str, Any]:
        """Waits until a block holds the transaction; its receipt as JSON values.

        Wakes on the node's events only. What a restarted node has forgotten is handed in again. Raises
        `TransactionRefused` with the receipt's code where it FAILED, `TransactionDropped` where the mempool
        gave it up (`got`: why), `NotIncluded` after `timeout_blocks`.
        """
        first: int | None = None

        async def look() -> dict[str, Any] | None:
            nonlocal first
            if (receipt := await self._receipt(txid)) is not None:
                return receipt
            height = int((await self.client.call("chain_head"))["height"])
            first = height if first is None else first
            if height - first >= timeout_blocks:
                raise NotIncluded(expected=f"within {timeout_blocks} blocks", got=txid)
            return None

        def concerns(topic: str, event: Any) -> bool:
            return topic == "heads" or bool(event["txid"] == txid.hex())

        try:
            receipt = await watch(self.client, look, "heads", "transactions", concerns=concerns)
        except (TransactionDropped, TransactionRefused):
            self._sent.pop(txid, None)
            raise
        self._sent.pop(txid, None)
        return receipt

    async def execute(
        self, payload: TxPayload, *, fee: int | None = None, timeout_blocks: int = CONFIRM_BLOCKS
    ) -> dict[str, Any]:
        """`send`, then `confirm`."""
        return await self.confirm(await self.send(payload, fee=fee), timeout_blocks)

    async def transfer(self, target: str, amount: int, *, fee: int | None = None) -> Hash:
        """Sends `amount` sparks to an address text. Raises `BadAddress`, and as `send` does."""
        recipient = parse_address(target, (await self.facts()).hrp)
        return await self.send(Transfer(recipient, amount), fee=fee)

    async def _submit(self, raw: bytes) -> None:
        try:
            await self.client.call("tx_submit", raw=raw)
        except RemoteError as error:
            if error.code not in _AT_HAND:
                raise

    async def _receipt(self, txid: Hash) -> dict[str, Any] | None:
        answer = await self.client.call("tx_status", txid=txid)
        match answer["status"]:
            case "pending":
                return None
            case "included":
                receipt: dict[str, Any] = answer["receipt"]
                return receipt
            case "failed":
                code = answer["code"]
                raise TransactionRefused(f"transaction {txid.hex()} FAILED: {code}", code=code, got=txid)
            case "unknown" if txid in self._sent:
                await self._resubmit(txid)
                return None
            case _:
                raise TransactionDropped(got=answer.get("code") or answer["status"])

    async def _resubmit(self, txid: Hash) -> None:
        try:
            await self._submit(self._sent[txid])
        except RemoteError as error:
            raise TransactionDropped(got=error.code) from error
