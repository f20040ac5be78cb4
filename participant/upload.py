"""Uploads bytes that are too long for one transaction, in chunks, and goes on with an interrupted upload.

A chunk that is on the chain or waits in the mempool already is not sent again. The node would drop a second
one, which leaves a gap in the account's nonces, and every later transaction of the account would wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from engram.node.errors import NonceOccupied, RemoteError
from engram.node.offers import offer_for
from engram.participant.errors import TransactionDropped, TransactionRefused, UploadUnfinished
from engram.participant.wallet import Wallet
from engram.primitives.types import Hash
from engram.statemachine.content import blob_id
from engram.statemachine.errors import BlobKnown, ChunkRepeated
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Cost
from engram.statemachine.transactions.publish_chunk import PublishChunk

MOST_WAITING: Final = 63
"""How many chunks wait for a block at one time, at most: a mempool takes 64 transactions of one account."""
TRIES: Final = 5
"""How often an upload looks at what is missing, if its chunks are outrun in forks."""
_ENVELOPE_BYTES: Final = 256
"""Bytes that a chunk's transaction has besides its data, rounded up."""
_FRAME_BYTES: Final = 8
"""Bytes that msgpack puts before each tensor, rounded up so that the list's own prefix is covered, too."""


async def upload(wallet: Wallet, raw: bytes) -> Hash:
    """Uploads bytes of any length and returns their content id, which the next block's transactions may name.

    An interrupted upload goes on where it stopped. Uploads of several tasks run one after another. Raises
    `UploadUnfinished` if the chain gave the upload up because it took too long, and as `Wallet.send` and
    `Wallet.confirm` do.
    """
    async with wallet.uploading:
        rules = (await wallet.facts()).rules
        for _ in range(TRIES):
            running = ChunkedUpload(wallet, raw, rules)
            await running.run()
            if not running.outrun:
                break
        else:
            raise UploadUnfinished(got=running.blob)
    return running.blob


class ChunkedUpload:
    """The upload of one blob from one wallet."""

    def __init__(self, wallet: Wallet, raw: bytes, rules: Rules) -> None:
        self._wallet = wallet
        self._rules = rules
        self._chunks = split_chunks(raw, rules.chunk_bytes)
        self._window = upload_window(rules)
        self._waiting: deque[Hash] = deque()
        self._known = False
        """Whether the chain has all of the blob."""
        self.outrun = False
        """Whether a chunk lost its nonce to another transaction of the account, as a fork can bring about.

        Then the upload has to look again at what is missing.
        """

    @property
    def blob(self) -> Hash:
        """Content id of the whole blob."""
        return self._chunks[0].blob

    async def run(self) -> None:
        """Sends the missing chunks and returns once the chain has all of the blob.

        Raises as `upload` does.
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
            offer = offer_for(self._rules, cost, await self._wallet.exponent())
            self._waiting.append(await self._wallet.send(chunk, max_fee=offer.max_fee, tip=offer.tip))
            if len(self._waiting) >= self._window:
                await self._confirm(self._waiting.popleft())
        while self._waiting and not self._known:
            await self._confirm(self._waiting.popleft())
        if not self._known:
            await self._stands(self._chunks[0])
        if self._known:
            self.outrun = False
        elif not self.outrun:
            raise UploadUnfinished(got=self.blob)

    async def _pending(self) -> dict[int, Hash]:
        """Index and transaction id of each chunk that an interrupted upload has left in the mempool."""
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
        """Whether the chain has this chunk, or all of the blob, at the node's head."""
        try:
            await self._wallet.estimate(chunk)
        except RemoteError as error:
            return self._is_there(error.code, error)
        return False

    async def _confirm(self, txid: Hash) -> None:
        """Waits for a chunk's block. It is no error if another transaction has brought the chunk before."""
        try:
            await self._wallet.confirm(txid)
        except TransactionRefused as error:
            self._is_there(error.code, error)
        except TransactionDropped as error:
            if error.got == NonceOccupied.code:
                self.outrun = True
            else:
                self._is_there(str(error.got), error)

    def _is_there(self, code: str, error: Exception) -> bool:
        """True for a refusal which says that the chain has the chunk or the blob; raises any other error."""
        if code == BlobKnown.code:
            self._known = True
        elif code != ChunkRepeated.code:
            raise error
        return True


def upload_window(rules: Rules) -> int:
    """How many chunks wait for a block at one time, at least one.

    Together with what each has beside its data, they are less than half a body. A block that holds no more
    leaves half of its bytes free, so that an upload alone neither stops the round clock nor raises the base
    of fees.
    """
    chunks = (rules.max_body_bytes // 2 - 1) // (rules.chunk_bytes + _ENVELOPE_BYTES)
    return max(1, min(MOST_WAITING, chunks))


def split_chunks(raw: bytes, chunk_bytes: int) -> list[PublishChunk]:
    """The payloads that bring `raw`, in order; all but the last carry exactly `chunk_bytes` bytes."""
    blob, starts = blob_id(raw), range(0, max(1, len(raw)), chunk_bytes)
    return [
        PublishChunk(blob, len(raw), index, raw[start : start + chunk_bytes])
        for index, start in enumerate(starts)
    ]


def chunk_cost(rules: Rules, chunk: PublishChunk, *, first: bool, last: bool) -> Cost:
    """What one of the missing chunks costs if they are sent in order.

    The `first` may begin the upload, which writes records; the `last` completes it, which makes the node load
    the whole blob. The node's own estimate is no help: it is made at the head, where the chunks before this
    one are still missing.
    """
    work = rules.macs_per_loaded_byte * chunk.size_bytes if last else 0
    return Cost(size_bytes=len(chunk.data) + _ENVELOPE_BYTES, macs=work, records=2 if first else 0)


def fit_inside(tensors: Sequence[bytes], room: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Divides tensors into those that fit into `room` bytes of a transaction and those to upload before.

    The largest are uploaded first, so that the fewest uploads are needed. The first result keeps the order of
    `tensors`; the second begins with the largest.
    """
    outside: list[bytes] = []
    total = sum(len(raw) + _FRAME_BYTES for raw in tensors)
    for raw in sorted(tensors, key=len, reverse=True):
        if total <= room:
            break
        outside.append(raw)
        total -= len(raw) + _FRAME_BYTES
    return tuple(raw for raw in tensors if raw not in outside), tuple(outside)
