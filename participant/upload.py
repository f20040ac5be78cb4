"""Uploads: bytes longer than a transaction, brought to the chain in chunks, from wherever the upload stands.

A chunk that stands on the chain or waits in the mempool already is not sent again: a second one would be
dropped, and leave a gap in the account's nonces that holds up what follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from engram.node.errors import RemoteError
from engram.participant.errors import TransactionDropped, TransactionRefused, UploadUnfinished
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id
from engram.statemachine.errors import BlobKnown, ChunkRepeated
from engram.statemachine.fees import fee_of
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Cost
from engram.statemachine.transactions.publish_chunk import PublishChunk

UPLOAD_WINDOW: Final = 16
"""Chunks that wait at once: 4 MiB, a block's worth, half of what a mempool takes from one sender."""
_ENVELOPE_BYTES: Final = 256
"""More than what a chunk's transaction has besides its data."""
_FRAME_BYTES: Final = 8
"""More than what msgpack puts before a tensor, and one more tensor before their list."""


async def upload(wallet: Wallet, raw: bytes) -> Hash:
    """Uploads bytes that are too long for one transaction; their content id, nameable from the next block.

    An interrupted upload goes on where it stood; uploads of several tasks queue up. Raises
    `UploadUnfinished` where it expired on the way, and as `Wallet.send` and `Wallet.confirm` do.
    """
    async with wallet.uploading:
        running = ChunkedUpload(wallet, raw, (await wallet.facts()).rules)
        await running.run()
    return running.blob


class ChunkedUpload:
    """One blob on its way to the chain from one wallet."""

    def __init__(self, wallet: Wallet, raw: bytes, rules: Rules) -> None:
        self._wallet = wallet
        self._rules = rules
        self._chunks = split_chunks(raw, rules.chunk_bytes)
        self._waiting: deque[Hash] = deque()
        self._known = False
        """The chain has the whole."""

    @property
    def blob(self) -> Hash:
        """Content id of the whole."""
        return self._chunks[0].blob

    async def run(self) -> None:
        """Sends what is missing, and returns once the chain has the whole.

        Raises `UploadUnfinished` where it expired on the way, and as `Wallet.send` and `Wallet.confirm` do.
        """
        pending = await self._pending()
        self._waiting.extend(pending.values())
        missing = [chunk for chunk in self._chunks if chunk.index not in pending]
        missing = [chunk for chunk in missing if not await self._stands(chunk)]
        for chunk in missing:
            if self._known:
                break
            first = chunk is missing[0] and not pending
            cost = chunk_cost(self._rules, chunk, first=first, last=chunk is missing[-1])
            self._waiting.append(await self._wallet.send(chunk, fee=fee_of(self._rules.fees, cost)))
            if len(self._waiting) >= UPLOAD_WINDOW:
                await self._confirm(self._waiting.popleft())
        while self._waiting and not self._known:
            await self._confirm(self._waiting.popleft())
        if not self._known:
            await self._stands(self._chunks[0])
        if not self._known:
            raise UploadUnfinished(got=self.blob)

    async def _pending(self) -> dict[int, Hash]:
        """Chunks of this blob that wait in the node's mempool, from an upload that was interrupted."""
        found: dict[int, Hash] = {}
        for entry in (await self._wallet.account())["pending"]:
            try:
                tx = await self._wallet.client.call("tx_get", txid=entry["txid"])
            except RemoteError:
                continue  # dropped since
            payload = tx["payload"] or {}
            if tx["kind"] == PublishChunk.KIND and payload.get("blob") == self.blob.hex():
                found[int(payload["index"])] = bytes.fromhex(entry["txid"])
        return found

    async def _stands(self, chunk: PublishChunk) -> bool:
        """Whether the chain has this chunk, or the whole, as far as its head knows."""
        try:
            await self._wallet.estimate(chunk)
        except RemoteError as error:
            return self._is_there(error.code, error)
        return False

    async def _confirm(self, txid: Hash) -> None:
        """Waits for a chunk's block; that it came by another transaction is as good."""
        try:
            await self._wallet.confirm(txid)
        except TransactionRefused as error:
            self._is_there(error.code, error)
        except TransactionDropped as error:
            self._is_there(str(error.got), error)

    def _is_there(self, code: str, error: Exception) -> bool:
        """True for a refusal that says that the chain has it already; raises any other."""
        if code == BlobKnown.code:
            self._known = True
        elif code != ChunkRepeated.code:
            raise error
        return True


def split_chunks(raw: bytes, chunk_bytes: int) -> list[PublishChunk]:
    """The transactions that bring `raw`, in order; all but the last carry exactly `chunk_bytes`."""
    blob, starts = blob_id(raw), range(0, max(1, len(raw)), chunk_bytes)
    return [
        PublishChunk(blob, len(raw), index, raw[start : start + chunk_bytes])
        for index, start in enumerate(starts)
    ]


def chunk_cost(rules: Rules, chunk: PublishChunk, *, first: bool, last: bool) -> Cost:
    """What one of an upload's missing chunks costs, sent in order: the first may begin the upload, the last
    completes it. The node's own estimate cannot know, it is of a head without the chunks that still wait.
    """
    work = rules.macs_per_loaded_byte * chunk.size_bytes if last else 0
    return Cost(size_bytes=len(chunk.data) + _ENVELOPE_BYTES, macs=work, records=2 if first else 0)


def fit_inside(tensors: Sequence[bytes], room: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Those that travel in a transaction with so many bytes left, in order, and the others, largest first,
    which have to be uploaded before.
    """
    outside: list[bytes] = []
    total = sum(len(raw) + _FRAME_BYTES for raw in tensors)
    for raw in sorted(tensors, key=len, reverse=True):
        if total <= room:
            break
        outside.append(raw)
        total -= len(raw) + _FRAME_BYTES
    return tuple(raw for raw in tensors if raw not in outside), tuple(outside)
