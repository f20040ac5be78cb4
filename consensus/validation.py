"""The three stages that make a block valid: header, body, execution. Pure: state, blobs, clock are arguments.

    header      links, time, target, proof of work           needs the parent's header and the times before it
    body        are these the header's transactions, and     needs the block alone
                is each of them well-formed?
    execution   are receipts and state as the header says?   needs the parent's state

A stage returns, or raises a leaf of its own family of `Invalid`. If it raises `NotReady` instead, there is no
verdict yet, and the same stage can be tried again later. Nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engram.consensus.block import (
    HEADER_VERSION,
    Block,
    BlockHeader,
    receipts_root,
    transactions_root,
)
from engram.consensus.chainspec import ChainSpec
from engram.consensus.compact import bits_to_target
from engram.consensus.context import block_context, body_context
from engram.consensus.errors import (
    BadTarget,
    BodyTooLarge,
    DuplicateTransaction,
    MalformedTransaction,
    PowNotMet,
    TimestampAhead,
    TimestampTooOld,
    TransactionNotIncludable,
    WrongHeight,
    WrongParent,
    WrongReceiptsRoot,
    WrongStateRoot,
    WrongTransactionsRoot,
    WrongVersion,
)
from engram.consensus.pow import meets_target, pow_digest
from engram.primitives.codec import encode
from engram.primitives.errors import Invalid
from engram.primitives.smt import NodeReader
from engram.primitives.types import Hash
from engram.statemachine.context import BlobReader
from engram.statemachine.errors import TransactionTooLarge
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transition import BlockExecution, TransitionResult, check_transaction
from engram.statemachine.upgrades import check_upgrades

MEDIAN_BLOCKS: Final = 11
"""A new block's timestamp must exceed the median of so many blocks before it."""

VerifyMany = Callable[[Sequence[Transaction]], None]
"""Raises `BadPublicKey` or `BadSignature` unless every transaction is signed by its sender."""


def median_time_past(timestamps_ms: Sequence[int]) -> int:
    """The median of these timestamps: those of the last `MEDIAN_BLOCKS` blocks, or of all if there are fewer.

    They may come in any order. Of an even number of timestamps, the later of the middle two is taken.
    """
    return sorted(timestamps_ms)[len(timestamps_ms) >> 1]


def validate_header(
    spec: ChainSpec,
    header: BlockHeader,
    parent: BlockHeader,
    median_time_ms: int,
    expected_bits: int,
    now_ms: int,
    *,
    work_is_checked: bool = False,
) -> None:
    """Refuses a header that cannot follow `parent`. Cheap checks come first; the digest is computed once.

    `median_time_ms` is `median_time_past` of the blocks up to the parent, `expected_bits` is `next_bits`.
    `work_is_checked` says that `check_pow` has passed for this very header.

    The clock is compared after the proof of work. A node may keep a header that is ahead of its clock for
    later, and nobody can make it keep headers that cost no work.

    Raises `WrongVersion`, `WrongHeight`, `WrongParent`, `TimestampTooOld`, `BadTarget`, `PowNotMet`; then
    `TimestampAhead` (`NotReady`) if the timestamp is more than `spec.future_limit_ms` after `now_ms`.
    """
    if header.version != HEADER_VERSION:
        raise WrongVersion(expected=HEADER_VERSION, got=header.version)
    if header.height != parent.height + 1:
        raise WrongHeight(expected=parent.height + 1, got=header.height)
    if header.parent != (parent_id := parent.id):
        raise WrongParent(expected=parent_id, got=header.parent)
    if header.timestamp_ms <= median_time_ms:
        raise TimestampTooOld(expected=median_time_ms + 1, got=header.timestamp_ms)
    if header.target != expected_bits:
        raise BadTarget(expected=expected_bits, got=header.target)
    if not work_is_checked:
        check_pow(spec, header)
    if header.timestamp_ms > now_ms + spec.future_limit_ms:
        raise TimestampAhead(expected=now_ms + spec.future_limit_ms, got=header.timestamp_ms)


def check_pow(spec: ChainSpec, header: BlockHeader) -> None:
    """Raises `PowNotMet` if the digest is above the target, and `BadTarget` if the bits are not a target."""
    target = bits_to_target(header.target)
    digest = pow_digest(spec.pow, encode(header))
    if not meets_target(digest, target):
        raise PowNotMet(expected=target.to_bytes(32, "big"), got=digest)


def check_transactions_root(block: Block) -> None:
    """Raises `WrongTransactionsRoot` unless the header commits to exactly these transactions."""
    root = transactions_root([tx.id for tx in block.transactions])
    if root != block.header.transactions_root:
        raise WrongTransactionsRoot(expected=block.header.transactions_root, got=root)


def validate_body(
    spec: ChainSpec, block: Block, verify_many: VerifyMany, *, root_is_checked: bool = False
) -> dict[Hash, TxPayload]:
    """Refuses transactions that are not the header's, or that are wrong in every state.

    Returns the payload of each transaction by its id. All signatures have been verified then, so the result
    can be given to `validate_execution` as `checked`. `root_is_checked` says that `check_transactions_root`
    has passed for this very block.

    Raises first `WrongTransactionsRoot`, because only the header's own transactions say something about it.
    Then `UpgradeRequired` (`NotReady`) if this software lacks a transaction type that is in force at this
    height; then `BodyTooLarge`, `DuplicateTransaction`, `MalformedTransaction`.
    """
    if not root_is_checked:
        check_transactions_root(block)
    ctx = body_context(spec, block.header.height)
    check_upgrades(ctx.active, ctx.height)
    if (size := sum(tx.size_bytes for tx in block.transactions)) > spec.rules.max_body_bytes:
        raise BodyTooLarge(expected=spec.rules.max_body_bytes, got=size)
    payloads: dict[Hash, TxPayload] = {}
    for index, tx in enumerate(block.transactions):
        if tx.id in payloads:
            raise DuplicateTransaction(f"transaction {index} is in the body for the second time", got=tx.id)
        try:
            if tx.size_bytes > spec.rules.max_transaction_bytes:
                raise TransactionTooLarge(expected=spec.rules.max_transaction_bytes, got=tx.size_bytes)
            payloads[tx.id] = check_transaction(ctx, tx)
        except Invalid as error:
            raise MalformedTransaction(index, error) from error
    try:
        verify_many(block.transactions)
    except Invalid as error:
        raise MalformedTransaction(-1, error) from error
    return payloads


@dataclass(frozen=True)
class ExecutedBlock:
    """A block whose execution gave what its header claims, with everything that has to be stored of it."""

    id: Hash
    block: Block
    result: TransitionResult


def validate_execution(
    spec: ChainSpec,
    reader: NodeReader,
    blobs: BlobReader,
    parent: BlockHeader,
    block: Block,
    scorer: Scorer,
    checked: Mapping[Hash, TxPayload],
) -> ExecutedBlock:
    """Executes a block on its parent's state and compares receipts and state with the header.

    `reader` holds the nodes under `parent.state_root`, and `blobs` the bytes that the ancestors brought.
    `checked` is what `validate_body` has returned for this very block. Transactions that are not in it are
    checked and verified here.

    Raises `TransactionNotIncludable`, `WrongReceiptsRoot`, `WrongStateRoot`, and `NotReady` leaves of the
    state machine if this node cannot judge the block.
    """
    header = block.header
    state = State(reader, parent.state_root)
    ctx = block_context(spec, parent, state, header.miner, blobs, scorer)
    execution, verified = BlockExecution(state, ctx), frozenset(checked)
    for index, tx in enumerate(block.transactions):
        try:
            execution.add(tx, verified=verified, payload=checked.get(tx.id))
        except Invalid as error:
            raise TransactionNotIncludable(index, error) from error
    result = execution.finish()
    if (root := receipts_root(result.receipts)) != header.receipts_root:
        raise WrongReceiptsRoot(expected=header.receipts_root, got=root)
    if result.root != header.state_root:
        raise WrongStateRoot(expected=header.state_root, got=result.root)
    return ExecutedBlock(header.id, block, result)
