"""The signed envelope of every transaction, and the interface of its payload. No transaction types, no rules.

signing message   tagged_hash(Tag.TRANSACTION_SIGN, encode(every field but the signature))
txid              tagged_hash(Tag.TRANSACTION_ID, encode(transaction)), the signature included
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, ClassVar, Protocol

from engram.primitives import keys
from engram.primitives.codec import decode, encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import U16, U64, Address, Hash, PublicKey, Signature, Size
from engram.statemachine.context import BlockContext
from engram.statemachine.receipt import Event
from engram.statemachine.rules import Rules
from engram.statemachine.state import State

PayloadBytes = Annotated[bytes, Size(0, 2**20)]


@dataclass(frozen=True)
class UnsignedTransaction:
    """The fields that the sender signs, in this order."""

    chain_id: U64
    """First eight bytes of the ChainSpec's id, big-endian."""
    sender: PublicKey
    nonce: U64
    """Number of the sender's transactions that have been included before."""
    max_fee: U64
    """The most sparks that the sender is charged: a block may hold the transaction while its minimum fee and
    the tip together are no more. Only these two are charged."""
    tip: U64
    """Sparks for the miner, besides the minimum fee."""
    kind: U16
    """Transaction type: key of `TX_TYPES`."""
    payload: PayloadBytes
    """Canonical bytes of the type's payload."""


@dataclass(frozen=True)
class Transaction:
    """A signed request to change the state."""

    chain_id: U64
    sender: PublicKey
    nonce: U64
    max_fee: U64
    tip: U64
    kind: U16
    payload: PayloadBytes
    signature: Signature

    @cached_property
    def id(self) -> Hash:
        """The txid: it covers every byte, the signature included. Raises `CodecError` for a bad field."""
        return self._measure()[0]

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the encoded transaction. Raises `CodecError` for a bad field."""
        return self._measure()[1]

    def _measure(self) -> tuple[Hash, int]:
        """Id and size from one encoding, which is not kept: it would hold the payload a second time."""
        return self._remember(encode(self))

    def _remember(self, raw: bytes) -> tuple[Hash, int]:
        known = tagged_hash(Tag.TRANSACTION_ID, raw), len(raw)
        self.__dict__["id"], self.__dict__["size_bytes"] = known  # both properties are cached there
        return known

    @property
    def unsigned(self) -> UnsignedTransaction:
        """The transaction without its signature."""
        return UnsignedTransaction(
            self.chain_id, self.sender, self.nonce, self.max_fee, self.tip, self.kind, self.payload
        )


@dataclass(frozen=True)
class Cost:
    """What a transaction uses of its block, known from declared sizes before anything is computed."""

    size_bytes: int = 0
    """Bytes of the encoded transaction; filled in by the caller."""
    macs: int = 0
    """Multiply-accumulates, by formula. What a node has in its cache makes no difference."""
    paid_macs: int = 0
    """Of `macs`, those that another transaction has paid for. A block needs room for them nevertheless."""
    records: int = 0
    """State records that it may create; room in a receipt is counted in records too."""
    record_bytes: int = 0
    """Encoded bytes of the records that it writes, where these can be large."""
    funds: int = 0
    """Sparks that the sender's balance must cover besides the fee; otherwise no block may hold it."""
    brings: int = 0
    """Sparks that applying it is certain to add to the sender's balance. The fee may be paid out of them."""

    def of_size(self, size_bytes: int) -> Cost:
        """The same cost for a transaction of so many bytes."""
        rest = self.macs, self.paid_macs, self.records, self.record_bytes, self.funds, self.brings
        return Cost(
            size_bytes, *rest
        )  # `dataclasses.replace` takes twice as long, and every transfer pays it


@dataclass(frozen=True)
class Outcome:
    """The result of applying a payload, besides the changed state."""

    events: tuple[Event, ...] = ()
    failed: str = ""
    """Code of the FAILED receipt of a payload that imposed a penalty. Its changes to the state are kept."""
    blobs: Mapping[Hash, bytes] = field(default_factory=dict)
    """Bytes that it brought to the chain, by content id, or by chunk hash while an upload is unfinished."""


class TxPayload(Protocol):
    """One transaction type: a frozen codec dataclass that checks, costs and applies itself."""

    KIND: ClassVar[int]
    NAME: ClassVar[str]

    def check(self, rules: Rules) -> None:
        """Checks what needs no state. Raises leaves of `Invalid`: no block may hold the transaction."""

    def cost(self, state: State, ctx: BlockContext, sender: Address) -> Cost:
        """What applying it on this state in this block costs. Reads records, never blobs; changes nothing.

        Raises leaves of `Invalid` if the transaction cannot even begin: no block may hold it.
        """
        ...

    def apply(self, state: State, ctx: BlockContext, sender: Address, txid: Hash) -> Outcome:
        """Changes `state`, which is a child that the caller drops if this raises.

        If it raises `Invalid`, the receipt is FAILED with that code, and only fee and nonce have changed. To
        keep a penalty, it returns an `Outcome` with `failed` set. If it raises `NotReady`, this node cannot
        judge the block. Anything else that it raises is a bug.
        """
        ...


def signing_message(tx: Transaction | UnsignedTransaction) -> Hash:
    """The 32 bytes that the sender signs."""
    unsigned = tx.unsigned if isinstance(tx, Transaction) else tx
    return tagged_hash(Tag.TRANSACTION_SIGN, encode(unsigned))


def decode_transaction(raw: bytes) -> Transaction:
    """The transaction of these bytes, which knows its id and size from them. Raises `CodecError`."""
    tx = decode(Transaction, raw)
    tx._remember(raw)
    return tx


def sign(
    key: keys.PrivateKey, chain_id: int, nonce: int, max_fee: int, tip: int, payload: TxPayload
) -> Transaction:
    """The transaction that carries this payload, signed."""
    raw = encode(payload)
    unsigned = UnsignedTransaction(chain_id, key.public_key, nonce, max_fee, tip, payload.KIND, raw)
    return sign_unsigned(key, unsigned)


def sign_unsigned(key: keys.PrivateKey, unsigned: UnsignedTransaction) -> Transaction:
    """The same transaction with a signature by this key."""
    signature = key.sign(signing_message(unsigned))
    return Transaction(
        unsigned.chain_id,
        unsigned.sender,
        unsigned.nonce,
        unsigned.max_fee,
        unsigned.tip,
        unsigned.kind,
        unsigned.payload,
        signature,
    )


def verify_transaction(tx: Transaction) -> None:
    """Raises `BadPublicKey` or `BadSignature` unless the sender signed exactly this. Needs no state."""
    keys.verify(tx.sender, signing_message(tx), tx.signature)
