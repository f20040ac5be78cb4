"""The records of the state and their keys. Data only: who may change them stands in `transactions`.

Every record is a frozen codec dataclass with a `KIND` byte and a `key` (bytes, unique within the kind).
Its place in the sparse Merkle tree is `tagged_hash(KEY, KIND || key)`, its value `KIND || encode(record)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.nn.network import NetworkSpec
from engram.primitives.types import U8, U16, U32, U64, Address, Hash, Size
from engram.statemachine.record import Lineage, u32, u64


class Openers(IntEnum):
    """Who may open rounds on a model; fixed when it is founded."""

    FOUNDER = 0
    ANYONE = 1


class BadgeKind(IntEnum):
    """Why a badge was given. Badges are records; no transaction moves one."""

    PARTICIPATION = 0
    BEST_LOSS = 1
    TEACHER = 2
    AUDITOR = 3
    FOUNDER = 4


@dataclass(frozen=True)
class Account:
    """Money and standing of an address. An absent account is `Account(address)`."""

    KIND: ClassVar[int] = 1
    address: Address
    balance: U64 = 0
    """Spendable sparks."""
    nonce: U64 = 0
    """Number of transactions this address has had included."""
    strikes: U32 = 0
    """Proved lies and missed duties; never falls."""

    @property
    def key(self) -> bytes:
        return self.address


@dataclass(frozen=True)
class Supply:
    """One record: coins made and destroyed since genesis. issued - burned = balances + all held in escrow."""

    KIND: ClassVar[int] = 2
    issued: U64 = 0
    burned: U64 = 0

    @property
    def key(self) -> bytes:
        return b""


@dataclass(frozen=True)
class RecentBlock:
    """Id of the block at `height`, in a ring; written by the next block, which knows it as its parent."""

    KIND: ClassVar[int] = 3
    slot: U32
    height: U64
    block: Hash

    @property
    def key(self) -> bytes:
        return u32(self.slot)


@dataclass(frozen=True)
class Maturing:
    """A reward of `address` that can be claimed from `height` on."""

    KIND: ClassVar[int] = 4
    address: Address
    height: U64
    amount: U64

    @property
    def key(self) -> bytes:
        return self.address + u64(self.height)


@dataclass(frozen=True)
class Reservation:
    """Bytes and MACs of block `height` promised to reveals."""

    KIND: ClassVar[int] = 5
    height: U64
    size_bytes: U32
    macs: U64

    @property
    def key(self) -> bytes:
        return u64(self.height)


@dataclass(frozen=True)
class Blob:
    """Bytes known to the chain (a tensor or a data part), named by their content.

    The bytes stand in a transaction of this chain; the record says that they do, at this state.
    """

    KIND: ClassVar[int] = 6
    id: Hash
    size_bytes: U32
    height: U64
    """Block that brought it, or that dropped its last reference; nameable from the next block on."""
    refs: U32
    """Live records that name it. At 0 it can be named for `upload_expiry_blocks` more; after that and past
    the reorg depth a node may prune the bytes."""

    @property
    def key(self) -> bytes:
        return self.id


@dataclass(frozen=True)
class Upload:
    """A blob that arrives in chunks from one uploader."""

    KIND: ClassVar[int] = 7
    uploader: Address
    blob: Hash
    size_bytes: U32
    chunks: Annotated[tuple[Hash, ...], Size(1, 256)]
    """Chunk hashes by index; zero where the chunk has not come yet."""
    deposit: U64
    expires: U64
    """First height at which the upload is dead."""

    @property
    def key(self) -> bytes:
        return self.uploader + self.blob


@dataclass(frozen=True)
class Part:
    """A revealed data part: labelled rows, readable by everyone."""

    KIND: ClassVar[int] = 8
    id: Hash
    """Its commitment: the tagged hash of salt and bytes."""
    blob: Hash
    rows: U32
    inputs: U32
    classes: U16
    """Labels are below this."""
    owner: Address
    round: Hash
    """Round that revealed it; zero for a part published by itself."""
    height: U64

    @property
    def key(self) -> bytes:
        return self.id


@dataclass(frozen=True)
class RetentionPart:
    """What later growth must still know: a part, and how well it was known when it entered."""

    part: Hash
    rows: U32
    classes: U16
    """Classes of the model when the part entered."""
    correct: U32
    """Correct rows when the part entered; never lowered."""
    bar: U64
    """Loss when the part entered, at least that of the model's threshold, plus the null-growth increase of
    every growth since."""


@dataclass(frozen=True)
class Model:
    """A lineage of versions under one set of rules fixed at founding."""

    KIND: ClassVar[int] = 9
    id: Hash
    founder: Address
    policy: U8
    """`nn.growth.Policy`: what growth may do to old logits."""
    openers: U8
    """Openers: whoever opens a round chooses its data, and with it what the model will know."""
    loss_kind: U8
    threshold_ppm: U32
    """tau: a version freezes when its mean sealed loss is at most tau * ln(classes) / 10^6."""
    retention_epsilon_ppm: U32
    retention_delta_ppm: U32
    inputs: U32
    classes: U16
    classes_before_growth: U16
    """Classes before the last `classes` growth: under STRICT, capacity growth feeds only later ones."""
    head: U32
    """Number of the current version."""
    root: Hash
    """Parameters root of the current version."""
    frozen: bool
    """The current version's neurons are fixed for ever."""
    loss: U64
    """Sealed loss of the last winning round, summed over its rows, in Q24 nats."""
    loss_rows: U64
    """Rows that `loss` was summed over; 0 before the first winning round."""
    open_round: Hash
    """The round now open; zero if none."""
    rounds: U32
    aborts: U16
    """Aborted rounds that were in force at `last_abort`; see `rewards.aborts_in_force`."""
    last_abort: U64
    retention: Annotated[tuple[RetentionPart, ...], Size(0, 16)] = ()

    @property
    def key(self) -> bytes:
        return self.id

    @property
    def growth_policy(self) -> Policy:
        """`policy` as what it stands for."""
        return Policy(self.policy)

    @property
    def loss_function(self) -> LossKind:
        """`loss_kind` as what it stands for."""
        return LossKind(self.loss_kind)


@dataclass(frozen=True)
class Version:
    """One state of a model: the network, its tensors and what is known of its quality."""

    KIND: ClassVar[int] = 10
    model: Hash
    number: U32
    parent: Hash
    """Parameters root of the version it grew from; zero for version 0."""
    root: Hash
    """Parameters root: spec and tensor ids, see `parameters_root`."""
    spec: NetworkSpec
    hidden: Annotated[tuple[Lineage, ...], Size(0, 256)]
    outputs: Annotated[tuple[Lineage, ...], Size(0, 256)]
    author: Address
    round: Hash
    height: U64
    kind: U8
    """RoundKind that made it; founding counts as TRAIN."""
    validation_loss: U64
    validation_rows: U64
    sealed_loss: U64
    sealed_rows: U64
    sealed_correct: U64
    size_bytes: U64
    """Tensor bytes that the update carried."""

    @property
    def key(self) -> bytes:
        return self.model + u32(self.number)


@dataclass(frozen=True)
class ScoreEntry:
    """The ledger: what one version scored on one part."""

    KIND: ClassVar[int] = 11
    model: Hash
    version: U32
    part: Hash
    loss: U64
    correct: U32
    rows: U32

    @property
    def key(self) -> bytes:
        return self.model + u32(self.version) + self.part


@dataclass(frozen=True)
class Badge:
    """Honest work on a model, for ever; one of each kind per version and address."""

    KIND: ClassVar[int] = 12
    model: Hash
    version: U32
    address: Address
    badge: U8
    height: U64

    @property
    def key(self) -> bytes:
        return self.model + u32(self.version) + self.address + bytes([self.badge])


@dataclass(frozen=True)
class Reputation:
    """Sealed loss that an address has removed from a model, in millionths of the loss it found there."""

    KIND: ClassVar[int] = 13
    model: Hash
    address: Address
    points: U64

    @property
    def key(self) -> bytes:
        return self.model + self.address
