"""RPC methods on transactions and the mempool: hand in, look up, price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engram.consensus.chainspec import chain_id
from engram.node.errors import AlreadyIncluded, AlreadyPooled, TransactionNotFound
from engram.node.mempool.mempool import Mempool
from engram.node.mempool.pool import PooledTx
from engram.node.offers import offer_for
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.parameters import IdBytes
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.chain import (
    EstimateResult,
    FoundTransaction,
    MempoolResult,
    StatusResult,
    SubmittedTransaction,
    WaitingTransaction,
)
from engram.node.storage.store import BlockRef
from engram.primitives import keys
from engram.primitives.codec import encode
from engram.primitives.types import Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import TransactionTooHeavy, TransactionTooLarge
from engram.statemachine.fees import fee_of
from engram.statemachine.receipt import Receipt, Status
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Transaction, decode_transaction
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transition import begin_block, check_transaction

_DECODED_AT_ONCE = 4_096
"""Up to so many bytes, a thread would take longer to begin than to decode a transaction."""
_MOST_KEY = bytes(32)
_MOST_SIGNATURE = bytes(64)


@dataclass(frozen=True)
class _Included:
    """Where a transaction stands on the best chain."""

    ref: BlockRef
    tx: Transaction
    receipt: Receipt


@dataclass(frozen=True)
class TransactionMethods:
    """Transactions and the mempool."""

    views: HeadViews
    mempool: Mempool
    render: Renderer
    max_bytes: int

    @rpc_method(SubmittedTransaction, changes=True)
    async def tx_submit(self, raw: bytes, replace: bool = False) -> dict[str, Any]:
        """Hand a signed transaction to the mempool; refused with the code of the rule that it breaks.

        `known` is true if these very bytes wait already or stand in a block: they take effect once. Another
        transaction with the same sender and nonce is pushed aside only with `replace`, and for a higher fee.
        An answered transaction outlives a restart of the node.
        """
        if len(raw) > _DECODED_AT_ONCE:
            tx = await self.views.threads.run(decode_transaction, raw)
        else:
            tx = decode_transaction(raw)
        outcome = await self.mempool.admit(tx, replace=replace)
        known = isinstance(outcome.error, (AlreadyPooled, AlreadyIncluded))
        if outcome.error is not None and not known:
            raise outcome.error
        return {"txid": outcome.txid.hex(), "known": known}

    @rpc_method(StatusResult)
    async def tx_status(self, txid: IdBytes) -> dict[str, Any]:
        """How a transaction stands: pending, included, failed, dropped or unknown; with its receipt, or the
        code of what a pending one waits for.
        """
        tx = self.mempool.get(txid)
        if tx is None or not self.mempool.is_settled:  # else no block of the best chain holds it
            included = await self.views.threads.run(self._included, txid)
            if included is not None:
                return self._outcome(included)
            tx = self.mempool.get(txid)
        if tx is not None:
            hindrances = await self.mempool.hindrances([keys.address(tx.sender)])
            return {**_status("pending"), "waits": hindrances.get(txid, "")}
        if later := self.mempool.returns_later(txid):
            return {**_status("pending"), "waits": later}
        code = self.mempool.drop_reason(txid)
        return _status("dropped", code) if code else _status("unknown")

    @rpc_method(FoundTransaction)
    async def tx_get(self, txid: IdBytes, cut: int | None = None) -> dict[str, Any]:
        """A transaction of the best chain or the mempool: its bytes, and decoded. `cut` is that of
        `chain_block`, and cuts `raw`, too.
        """
        included = await self.views.threads.run(self._included, txid)
        tx = included.tx if included is not None else self.mempool.get(txid)
        if tx is None:
            raise TransactionNotFound(got=txid)
        status = self._outcome(included) if included is not None else _status("pending")
        raw, render = encode(tx), self.render.cutting(cut)
        return {**render.transaction(tx, len(raw)), "raw": render.hex(raw), **status}

    @rpc_method(EstimateResult)
    async def tx_estimate(self, kind: int, payload: bytes, sender: str) -> dict[str, Any]:
        """What a payload costs in the next block, and what to offer for it; refused with its own code where
        it could not even start.
        """
        address = self.render.parse_address(sender)
        nonce = self.mempool.next_nonce(address)
        return await self.views.threads.run(self._estimate, kind, payload, address, nonce)

    @rpc_method(MempoolResult)
    async def mempool_info(self) -> dict[str, Any]:
        """How much waits, how much of it the base has outgrown, how much may wait, and the height of the head
        that all of it was adjusted to.
        """
        return {
            "height": self.mempool.followed,
            "count": len(self.mempool),
            "parked": self.mempool.parked,
            "bytes": self.mempool.memory_bytes,
            "max_bytes": self.max_bytes,
        }

    @rpc_method(list[WaitingTransaction])
    async def mempool_list(self) -> list[dict[str, Any]]:
        """What waits, in the order in which blocks would take it, with the code of what holds it up."""
        hindrances = await self.mempool.hindrances({entry.sender for entry in self.mempool.entries()})
        return [self._waiting(entry, hindrances.get(entry.txid, "")) for entry in self.mempool.entries()]

    def _included(self, name: Hash) -> _Included | None:
        store = self.views.chain.store
        location = store.find_transaction(name)
        if location is None:
            return None
        ref = store.get_ref(location.block)
        block, receipts = store.get_block(ref), store.receipts(ref)
        return _Included(ref, block.transactions[location.index], receipts[location.index])

    def _outcome(self, included: _Included) -> dict[str, Any]:
        receipt = included.receipt
        status = "included" if receipt.status == Status.OK else "failed"
        return {
            **_status(status, receipt.code),
            "height": included.ref.height,
            "block": included.ref.id.hex(),
            "receipt": self.render.record(receipt),
        }

    def _waiting(self, entry: PooledTx, waits: str) -> dict[str, Any]:
        return {
            "txid": entry.txid.hex(),
            "sender": self.render.address(entry.sender),
            "nonce": entry.tx.nonce,
            "kind": entry.tx.kind,
            "name": cls.NAME if (cls := TX_TYPES.get(entry.tx.kind)) is not None else None,
            "max_fee": entry.tx.max_fee,
            "tip": entry.tx.tip,
            "size_bytes": entry.size_bytes,
            "minimum": self.mempool.minimum_fee(entry),
            "queued": entry.tentative,
            "waits": waits,
        }

    def _estimate(self, kind: int, payload: bytes, sender: Address, nonce: int) -> dict[str, Any]:
        view = self.views.now()
        ctx = self.views.next_block(view)
        number = chain_id(view.spec)
        draft = Transaction(number, _MOST_KEY, nonce, 0, 0, kind, payload, _MOST_SIGNATURE)
        draft, cost = _offered(ctx, draft, _cost(begin_block(view.state, ctx), ctx, draft, sender))
        if draft.size_bytes > ctx.rules.max_transaction_bytes:
            raise TransactionTooLarge(expected=ctx.rules.max_transaction_bytes, got=draft.size_bytes)
        return {
            "minimum": fee_of(ctx.rules.fees, cost, ctx.exponent),
            "exponent": ctx.exponent,
            "max_fee": draft.max_fee,
            "tip": draft.tip,
            "macs": cost.macs,
            "size_bytes": draft.size_bytes,
            "records": cost.records,
            "funds": cost.funds,
        }


def _cost(state: State, ctx: BlockContext, draft: Transaction, sender: Address) -> Cost:
    cost = check_transaction(ctx, draft).cost(state, ctx, sender)
    if cost.macs > ctx.rules.max_block_macs:
        raise TransactionTooHeavy(expected=ctx.rules.max_block_macs, got=cost.macs)
    return cost


def _offered(ctx: BlockContext, draft: Transaction, cost: Cost) -> tuple[Transaction, Cost]:
    """The draft with the suggested offer, and its cost: larger amounts may take more bytes."""
    while True:
        cost = replace(cost, size_bytes=draft.size_bytes)
        offer = offer_for(ctx.rules, cost, ctx.exponent)
        offered = replace(draft, max_fee=offer.max_fee, tip=offer.tip)
        if offered == draft:
            return draft, cost
        draft = offered


def _status(status: str, code: str = "") -> dict[str, Any]:
    return {"status": status, "code": code, "height": None, "block": None, "receipt": None}
