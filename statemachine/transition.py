"""Applies transactions and whole block bodies to a state. Knows no header, no parent chain, no storage.

If no block may hold a transaction, applying it raises and nothing changes. Otherwise it pays its fee and uses
up its nonce, whatever happens next. Then it either does what it asks for, or its receipt is FAILED with a
code; in that case nothing else changes, except for penalties that the transaction type itself imposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from engram.primitives import keys
from engram.primitives.errors import Invalid
from engram.primitives.types import Address, Hash
from engram.statemachine import money
from engram.statemachine.context import BlobReader, BlockContext
from engram.statemachine.errors import (
    BlockBytesExceeded,
    BlockMacsExceeded,
    BlockTransactionsExceeded,
    FeeTooLow,
    InsufficientBalance,
    NonceMismatch,
    TransactionTooHeavy,
    TransactionTooLarge,
    WrongChain,
)
from engram.statemachine.fees import fee_of
from engram.statemachine.receipt import Event, Receipt, Status
from engram.statemachine.records import Account, RecentBlock
from engram.statemachine.roundclock import is_light, next_clock, round_clock
from engram.statemachine.rules import subsidy_at
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Outcome, Transaction, TxPayload, verify_transaction
from engram.statemachine.transactions import decode_payload
from engram.statemachine.upgrades import check_active, check_upgrades


@dataclass(frozen=True)
class Prepared:
    """A transaction that may be included next, with everything that was found out about it."""

    txid: Hash
    minimum: int
    """Sparks that it is charged besides the tip."""
    tip: int
    sender: Address
    payload: TxPayload
    cost: Cost

    @property
    def fee(self) -> int:
        """Sparks that it is charged."""
        return self.minimum + self.tip


@dataclass(frozen=True)
class TransitionResult:
    """What a block body did to the state."""

    root: Hash
    """Root of the state after it."""
    nodes: Mapping[Hash, bytes]
    """Tree nodes that are new."""
    receipts: tuple[Receipt, ...]
    """One for each transaction, in order."""
    blobs: Mapping[Hash, bytes]
    """Bytes that this block brought to the chain, by content id or chunk hash."""
    changes: Mapping[Hash, bytes | None]
    """Tree key -> new leaf value, None for a removed record; a record that never was is not named."""
    size_bytes: int
    macs: int

    @property
    def events(self) -> tuple[Event, ...]:
        """Events of all receipts, in order."""
        return tuple(event for receipt in self.receipts for event in receipt.events)


def check_transaction(ctx: BlockContext, tx: Transaction) -> TxPayload:
    """Checks the rules that need neither state nor signature; returns the decoded payload.

    Raises `WrongChain`, `UnknownTransactionType`, `CodecError`, `NotActivated`, and what `payload.check`
    raises.
    """
    if tx.chain_id != ctx.chain_id:
        raise WrongChain(expected=ctx.chain_id, got=tx.chain_id)
    payload = decode_payload(tx)
    check_active(ctx.active, tx.kind, ctx.height)
    payload.check(ctx.rules)
    return payload


def begin_block(state: State, ctx: BlockContext) -> State:
    """A child of the state after the parent: what the first transaction of the block is judged on.

    If the parent has ticked, its id stands in the ring of recent ticks. Whoever judges or prices a
    transaction for a block begins here, be the block mined or not. `state` itself is not changed. Raises
    `UpgradeRequired`.
    """
    check_upgrades(ctx.active, ctx.height)
    begun, clock = state.child(), round_clock(state)
    if clock.ticked == ctx.height - 1:
        begun.put(RecentBlock(clock.ticks % ctx.rules.tick_ring, clock.ticks, ctx.parent))
    return begun


def prepare(
    state: State,
    ctx: BlockContext,
    tx: Transaction,
    *,
    verified: frozenset[Hash] = frozenset(),
    payload: TxPayload | None = None,
) -> Prepared:
    """Checks every rule of inclusion except the room in the block; changes nothing.

    `state` is what `begin_block` returned, with the transactions before this one applied.
    `verified` are ids of transactions whose signatures are known to be good. `payload` is what
    `check_transaction` has returned for this transaction at this height, if it was asked before.

    Raises `TransactionTooLarge`, what `check_transaction` raises, `BadPublicKey`, `BadSignature`,
    `NonceMismatch`, what `payload.cost` raises, `TransactionTooHeavy`, `FeeTooLow`, `InsufficientBalance`.
    """
    if tx.size_bytes > ctx.rules.max_transaction_bytes:
        raise TransactionTooLarge(expected=ctx.rules.max_transaction_bytes, got=tx.size_bytes)
    if payload is None:
        payload = check_transaction(ctx, tx)
    if tx.id not in verified:
        verify_transaction(tx)
    sender = keys.address(tx.sender)
    account = state.account(sender)
    if tx.nonce != account.nonce:
        raise NonceMismatch(expected=account.nonce, got=tx.nonce)
    cost = payload.cost(state, ctx, sender).of_size(tx.size_bytes)
    if cost.macs > ctx.rules.max_block_macs:
        raise TransactionTooHeavy(expected=ctx.rules.max_block_macs, got=cost.macs)
    prepared = Prepared(tx.id, fee_of(ctx.rules.fees, cost, ctx.exponent), tx.tip, sender, payload, cost)
    if tx.max_fee < prepared.fee:
        raise FeeTooLow(expected=prepared.fee, got=tx.max_fee)
    if (held := account.balance + cost.brings) < (needed := prepared.fee + cost.funds):
        raise InsufficientBalance(expected=needed, got=held)
    return prepared


def apply_transaction(
    state: State, ctx: BlockContext, tx: Transaction, *, verified: frozenset[Hash] = frozenset()
) -> tuple[State, Receipt, Cost]:
    """Applies one transaction; returns a child of `state` to be absorbed, the receipt and the cost.

    `state` itself stays as it is. Raises what `prepare` raises if no block may hold the transaction, and
    `NotReady` if this node cannot judge it.
    """
    prepared = prepare(state, ctx, tx, verified=verified)
    after, receipt, _ = _execute(state, ctx, prepared)
    return after, receipt, prepared.cost


class BlockExecution:
    """Applies a block body transaction by transaction, within the budgets of the block.

    The builder of a block and its judges use the same class, so the judges accept what the builder put
    together. A block has a budget of transactions, one of bytes and one of MACs. A flood of transactions can
    keep another one out of a block, but while it lasts, no deadline comes nearer: see `roundclock`.
    """

    def __init__(self, state: State, ctx: BlockContext) -> None:
        """Begins on the state after the parent, which is not changed. Raises `UpgradeRequired`."""
        self._state = begin_block(state, ctx)
        self._blobs: dict[Hash, bytes] = {}
        self._ctx = replace(ctx, blobs=_BlobsSoFar(self._blobs, ctx.blobs))
        self._receipts: list[Receipt] = []
        self._used = _Usage()

    def add(
        self,
        tx: Transaction,
        *,
        verified: frozenset[Hash] = frozenset(),
        payload: TxPayload | None = None,
    ) -> Receipt:
        """Applies the next transaction. If it raises, the execution stays as it was. Arguments as `prepare`.

        Raises what `prepare` raises; `BlockTransactionsExceeded`, `BlockBytesExceeded` or `BlockMacsExceeded`
        if the block has no room; `NotReady` if this node cannot judge the transaction.
        """
        prepared = prepare(self._state, self._ctx, tx, verified=verified, payload=payload)
        self._check_budget(prepared.cost)
        after, receipt, blobs = _execute(self._state, self._ctx, prepared)
        self._state.absorb(after)
        self._blobs.update(blobs)
        self._receipts.append(receipt)
        self._used.add(prepared.cost)
        return receipt

    def finish(self) -> TransitionResult:
        """Gives the miner the subsidy, moves the clock of rounds, and computes the new root."""
        rules, height, used = self._ctx.rules, self._ctx.height, self._used
        subsidy = subsidy_at(rules, height)
        state = self._state.child()
        money.issue(state, subsidy)
        money.mature(state, self._ctx, self._ctx.miner, subsidy)
        light = is_light(rules, used.transactions, used.size_bytes, used.macs)
        state.put(next_clock(rules, round_clock(state), height, light=light))
        changes = state.changes()
        root, nodes = state.commit(changes)
        return TransitionResult(
            root, nodes, tuple(self._receipts), dict(self._blobs), changes, used.size_bytes, used.macs
        )

    def _check_budget(self, cost: Cost) -> None:
        """Raises if the block has no room for one more transaction of this cost."""
        rules, used = self._ctx.rules, self._used
        if used.transactions >= (most := rules.max_block_transactions):
            raise BlockTransactionsExceeded(expected=most, got=used.transactions + 1)
        if cost.size_bytes > (room := rules.max_body_bytes - used.size_bytes):
            raise BlockBytesExceeded(expected=room, got=cost.size_bytes)
        if cost.macs > (room := rules.max_block_macs - used.macs):
            raise BlockMacsExceeded(expected=room, got=cost.macs)


def _execute(
    state: State, ctx: BlockContext, prepared: Prepared
) -> tuple[State, Receipt, Mapping[Hash, bytes]]:
    """The child of `state` after the transaction, its receipt, and the bytes that it brought."""
    after = state.child()
    account = after.account(prepared.sender)
    paid = min(prepared.fee, account.balance)
    after.put(Account(prepared.sender, account.balance - paid, account.nonce + 1))
    money.pay_work(after, ctx, prepared.minimum, prepared.tip)
    trial = after.child()
    try:
        outcome = prepared.payload.apply(trial, ctx, prepared.sender, prepared.txid)
    except Invalid as error:
        outcome = Outcome(failed=error.code)
    else:
        after.absorb(trial)
    if owed := prepared.fee - paid:
        money.take(after, prepared.sender, owed)  # out of what it brought the sender, see `Cost.brings`
    status = Status.FAILED if outcome.failed else Status.OK
    receipt = Receipt(
        prepared.txid, int(status), outcome.failed, prepared.fee, prepared.cost.macs, outcome.events
    )
    return after, receipt, outcome.blobs


@dataclass
class _Usage:
    """What the transactions so far have used of the block."""

    transactions: int = 0
    size_bytes: int = 0
    macs: int = 0

    def add(self, cost: Cost) -> None:
        self.transactions += 1
        self.size_bytes += cost.size_bytes
        self.macs += cost.macs


class _BlobsSoFar:
    """Reads bytes that earlier transactions of this block brought, or else its ancestors."""

    def __init__(self, brought: Mapping[Hash, bytes], below: BlobReader) -> None:
        self._brought: Final = brought
        self._below: Final = below

    def get_blob(self, blob_id: Hash) -> bytes:
        return self._brought[blob_id] if blob_id in self._brought else self._below.get_blob(blob_id)
