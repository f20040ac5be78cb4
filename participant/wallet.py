"""The account of one key, seen through a node: signs, sends, waits for receipts, uploads. Keeps no state on
disk, decides nothing about rounds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from engram.node.client import RpcClient
from engram.node.errors import RemoteError
from engram.participant.errors import (
    NotIncluded,
    TransactionDropped,
    TransactionRefused,
    UploadUnfinished,
)
from engram.primitives.codec import encode, from_json
from engram.primitives.keys import PrivateKey, format_address, parse_address
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id
from engram.statemachine.errors import BlobKnown, ChunkRepeated
from engram.statemachine.fees import fee_of
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Cost, TxPayload, sign
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer

CONFIRM_BLOCKS: Final = 100
"""Blocks that `confirm` waits for, unless told otherwise."""
UPLOAD_WINDOW: Final = 16
"""Chunks of one upload that wait at once: 4 MiB, a block's worth, half of what a mempool takes from one
sender.
"""
_ENVELOPE_BYTES: Final = 256
"""More than what a chunk's transaction has besides its data."""
_UPLOADED: Final = frozenset({BlobKnown.code, ChunkRepeated.code})


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
        self._facts: ChainFacts | None = None

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
            nonce = int((await self.account())["next_nonce"])
            tx = sign(self.key, facts.chain_id, nonce, fee, payload)
            reply = await self.client.call("tx_submit", raw=encode(tx))
        return bytes.fromhex(reply["txid"])

    async def confirm(self, txid: Hash, timeout_blocks: int = CONFIRM_BLOCKS) -> dict[str, Any]:
        """Waits until a block holds the transaction; its receipt as JSON values.

        Wakes on the node's events only. Raises `TransactionRefused` with the receipt's code where it FAILED,
        `TransactionDropped` where the mempool gave it up (`got`: why), `NotIncluded` after `timeout_blocks`.
        """
        blocks = 0
        async with self.client.subscribe("heads", "transactions") as events:
            receipt = await self._receipt(txid)
            while receipt is None and blocks < timeout_blocks:
                topic, event = await anext(events)
                if topic == "heads":
                    blocks += len(event["connected"])
                elif event["txid"] != txid.hex():
                    continue
                receipt = await self._receipt(txid)
        if receipt is None:
            raise NotIncluded(expected=f"within {timeout_blocks} blocks", got=txid)
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

    async def publish(self, raw: bytes) -> Hash:
        """Uploads bytes that are too long for one transaction; their content id, nameable from the next
        block.

        Chunks that the chain has already are not sent again, so that an interrupted upload goes on where it
        stood. Raises `UploadUnfinished` where it expired on the way, and as `send` and `confirm` do.
        """
        rules = (await self.facts()).rules
        chunks = split_chunks(raw, rules.chunk_bytes)
        missing = [chunk for chunk in chunks if not await self._stands(chunk)]
        waiting: list[Hash] = []
        for chunk in missing:
            cost = _chunk_cost(rules, chunk, first=chunk is missing[0], last=chunk is missing[-1])
            if (txid := await self._send_chunk(chunk, fee_of(rules.fees, cost))) is not None:
                waiting.append(txid)
            if len(waiting) == UPLOAD_WINDOW:
                await self._confirm_chunk(waiting.pop(0))
        for txid in waiting:
            await self._confirm_chunk(txid)
        await self._check_complete(chunks[0])
        return chunks[0].blob

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
            case _:
                raise TransactionDropped(got=answer.get("code") or answer["status"])

    async def _stands(self, chunk: PublishChunk) -> bool:
        """Whether the chain has this chunk, or the whole, as far as its head knows."""
        try:
            await self.estimate(chunk)
        except RemoteError as error:
            if error.code in _UPLOADED:
                return True
            raise
        return False

    async def _send_chunk(self, chunk: PublishChunk, fee: int) -> Hash | None:
        try:
            return await self.send(chunk, fee=fee)
        except RemoteError as error:
            if error.code in _UPLOADED:
                return None
            raise

    async def _confirm_chunk(self, txid: Hash) -> None:
        """As `confirm`; a chunk that came by another transaction in the meantime is as good."""
        try:
            await self.confirm(txid)
        except TransactionDropped as error:
            if error.got not in _UPLOADED:
                raise
        except TransactionRefused as error:
            if error.code not in _UPLOADED:
                raise

    async def _check_complete(self, chunk: PublishChunk) -> None:
        try:
            await self.estimate(chunk)
        except RemoteError as error:
            if error.code == BlobKnown.code:
                return
            if error.code != ChunkRepeated.code:
                raise
        raise UploadUnfinished(got=chunk.blob)


def split_chunks(raw: bytes, chunk_bytes: int) -> list[PublishChunk]:
    """The transactions that bring `raw`, in order; all but the last carry exactly `chunk_bytes`."""
    blob, starts = blob_id(raw), range(0, max(1, len(raw)), chunk_bytes)
    return [
        PublishChunk(blob, len(raw), index, raw[start : start + chunk_bytes])
        for index, start in enumerate(starts)
    ]


def _chunk_cost(rules: Rules, chunk: PublishChunk, *, first: bool, last: bool) -> Cost:
    """What one of an upload's missing chunks costs, sent in order: the first may begin the upload, the last
    completes it. The node's own estimate cannot know, it is of a head without the chunks that still wait.
    """
    work = rules.macs_per_loaded_byte * chunk.size_bytes if last else 0
    return Cost(size_bytes=len(chunk.data) + _ENVELOPE_BYTES, macs=work, records=2 if first else 0)
