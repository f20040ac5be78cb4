"""Results about blocks, transactions and accounts."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

from engram.consensus.block import BlockHeader
from engram.node.history.entries import AccountRole
from engram.node.rpc.results.schemas import AddressText, Code, Hex, Id, also, words_of
from engram.statemachine.receipt import Receipt
from engram.statemachine.records import Account, Badge, Reputation
from engram.statemachine.transactions import TX_TYPES

if TYPE_CHECKING:
    Payload = dict[str, Any]
else:  # a transaction of any type
    Payload = reduce(or_, TX_TYPES.values())
Standing = Literal["pending", "included", "failed", "dropped", "unknown"]


@also(BlockHeader)
class HeaderResult(TypedDict):
    """A header, with the work up to it."""

    id: Id
    work: int
    """Of this block and of all before it; only the number of blocks where `has_work` is false."""
    has_work: bool
    """Whether blocks of the chain cost work."""


class NamedAccount(TypedDict):
    """An account and what the node's operator calls it."""

    address: AddressText
    name: str


@also(HeaderResult)
class HeadResult(TypedDict):
    """The header of the best block, and the clock after it."""

    ticks: int
    """Ticks of the round clock after this block: the `tick` that transactions of the next block see, in which
    the calendars of rounds count."""
    exponent: int
    """x: every minimum fee is (9/8)^x of what it is on a chain without congestion."""


class TransactionResult(TypedDict):
    """A transaction, decoded."""

    txid: Id
    sender: AddressText | None
    public_key: Id
    nonce: int
    max_fee: int
    tip: int
    kind: int
    """The number of its type."""
    name: str | None
    """The name of its type; null if this version of Engram does not know it."""
    size_bytes: int
    payload: Payload | None
    """The fields of its type; null if this version of Engram cannot decode it."""


@also(TransactionResult)
class IncludedTransaction(TypedDict):
    """A transaction of a block, with what came of it."""

    receipt: Receipt


@also(HeaderResult)
class BlockResult(TypedDict):
    """A block with its transactions."""

    canonical: bool
    """Whether it is on the best chain."""
    transaction_count: int
    """How many transactions it has; `transactions` are those that were asked for."""
    transactions: list[IncludedTransaction]


class StatusResult(TypedDict):
    """How a transaction stands."""

    status: Standing
    code: Code
    """Why it failed or was dropped; empty otherwise."""
    height: int | None
    """Of the block that holds it."""
    block: Id | None
    receipt: Receipt | None
    waits: NotRequired[Code]
    """What a pending transaction waits for; empty if for nothing but the next block."""


@also(TransactionResult, StatusResult)
class FoundTransaction(TypedDict):
    """A transaction, how it stands, and its bytes."""

    raw: Hex


class SubmittedTransaction(TypedDict):
    """What became of a transaction that was handed in."""

    txid: Id
    known: bool
    """Whether these very bytes wait already or stand in a block."""


class EstimateResult(TypedDict):
    """What a payload costs, and what to offer for it."""

    minimum: int
    """The least fee in the next block."""
    exponent: int
    """x: minimum fees are (9/8)^x of what they are on a chain without congestion."""
    max_fee: int
    """The suggested most."""
    tip: int
    """The suggested tip."""
    macs: int
    size_bytes: int
    records: int
    """New records of the state."""
    funds: int
    """What is taken or held beside the fee."""


class MempoolResult(TypedDict):
    """How much waits for a block."""

    height: int
    """Of the head that all of it was adjusted to."""
    count: int
    parked: int
    """How many of them offer less than the minimum of now."""
    bytes: int
    max_bytes: int


class WaitingTransaction(TypedDict):
    """A transaction of the mempool."""

    txid: Id
    sender: AddressText | None
    nonce: int
    kind: int
    name: str | None
    max_fee: int
    tip: int
    size_bytes: int
    minimum: int
    """The least fee that the next block takes for it."""
    queued: bool
    """Whether it needs others before it."""
    waits: Code
    """What holds it up; empty if nothing does."""


class ReorganisationResult(TypedDict):
    """The best chain has changed to another branch."""

    time_ms: int
    fork_height: int
    """Of the last block that both branches have."""
    blocks_left: int
    blocks_joined: int
    old_head: Id
    new_head: Id


class MaturingReward(TypedDict):
    """A reward that can be claimed from a height on."""

    height: int
    amount: int
    mature: bool


class PendingTransaction(TypedDict):
    """A transaction of the account that waits."""

    txid: Id
    nonce: int
    max_fee: int
    tip: int


@also(Account)
class AccountResult(TypedDict):
    """An account, with what is due to it and what waits."""

    maturing: list[MaturingReward]
    next_nonce: int
    """The nonce after those that wait."""
    pending: list[PendingTransaction]


class HeldUpdate(TypedDict):
    """An update that still holds a bond."""

    round: Id
    epoch: int
    kind: Literal["commit", "candidate"]
    bond: int
    round_status: int
    """0 open, 1 decided, 2 kept, 3 aborted, 4 cancelled"""
    can_withdraw: bool
    """Whether the round has ended, so that `withdraw` ends the hold."""
    bond_returns: bool | None
    """Whether `withdraw` gives the bond back; false if it burns, null while the round runs."""


class HistoryLine(TypedDict):
    """What a transaction, or a block, was to an account."""

    height: int
    block: Id
    timestamp_ms: int
    txid: Id | None
    """Null for what no transaction has made."""
    index: int | None
    """Place of the transaction in its block."""
    kind: str
    """The name of the transaction's type; `genesis`, `mining` or `unknown`."""
    roles: list[Annotated[str, words_of(AccountRole)]]
    status: Literal["ok", "failed", "unknown"]
    """Unknown of a block from before a snapshot."""
    nonce: int | None
    received: int | None
    sent: int | None
    fee: int | None
    reward: int | None
    bond_burned: int | None
    other: AddressText | None
    """The account on the other side, if there is one."""


class HistoryResult(TypedDict):
    """A page of an account's history, the latest first."""

    address: AddressText | None
    entries: list[HistoryLine]
    next: str | None
    """The `before` of the next page; null if there is none."""
    from_height: int
    """The first block that is indexed."""
    to_height: int
    head: Id


class StandingResult(TypedDict):
    """What an address has earned by work on models."""

    badges: list[Badge]
    reputation: list[Reputation]
