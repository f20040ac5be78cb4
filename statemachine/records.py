"""The records of the state and their keys. Data only: `transactions` has the rules that change them.

Every record is a frozen codec dataclass with a `KIND` byte and a `key` (bytes, unique within the kind).
Its place in the sparse Merkle tree is `tagged_hash(KEY, KIND ‖ key)`, its value `KIND ‖ encode(record)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from engram.nn.growth import Policy
from engram.nn.loss import LossKind
from engram.primitives.types import U8, U16, U32, U64, ZERO_HASH, Address, Hash, Size, Trailing
from engram.statemachine.additions import Addition, GrowUpdate, Inherited, TrainUpdate, addition
from engram.statemachine.claimterms import ClaimTerms
from engram.statemachine.record import u32, u64


class BadgeKind(IntEnum):
    """Why a badge was given. No transaction can move a badge to another address."""

    PARTICIPATION = 0
    BEST_LOSS = 1
    TEACHER = 2
    WITNESS = 3
    FOUNDER = 4


@dataclass(frozen=True)
class Account:
    """Balance and nonce of an address. If there is no record, it is `Account(address)`."""

    KIND: ClassVar[int] = 1
    address: Address
    balance: U64 = 0
    """Spendable sparks."""
    nonce: U64 = 0
    """Number of this address's transactions that blocks have included."""

    @property
    def key(self) -> bytes:
        return self.address


@dataclass(frozen=True)
class Supply:
    """Sparks made and destroyed since genesis; there is one such record.

    issued - burned = all balances + all maturing rewards + all that other records hold.
    """

    KIND: ClassVar[int] = 2
    issued: U64 = 0
    burned: U64 = 0

    @property
    def key(self) -> bytes:
        return b""


@dataclass(frozen=True)
class RecentBlock:
    """Id of the block that made a tick, in a ring of recent ticks. The next block writes its parent's."""

    KIND: ClassVar[int] = 3
    slot: U32
    tick: U64
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
class RoundClock:
    """The clock of rounds and the base of fees, after a block; there is one such record, none before block 1.

    On a chain without congestion, every block ticks.
    """

    KIND: ClassVar[int] = 5
    ticks: U64 = 0
    """Blocks that have ticked since genesis. Deadlines are counted in them."""
    exponent: U8 = 0
    """x: every minimum fee is (9/8)^x of what it is on a chain without congestion."""
    ticked: U64 = 0
    """Height of the last block that ticked."""

    @property
    def key(self) -> bytes:
        return b""


@dataclass(frozen=True)
class Blob:
    """Bytes that the chain knows, such as a tensor or a data part, named by their content id.

    The bytes themselves stand in transactions of this chain. The record says that they do.
    """

    KIND: ClassVar[int] = 6
    id: Hash
    size_bytes: U32
    height: U64
    """Height of the block that brought the bytes, or at which their last reference was dropped.

    Transactions can name the blob from the next block on.
    """
    expires: U64
    """The first tick at which it cannot be named any more, if no record names it then. After that, and beyond
    the depth of possible reorganisations, a node may delete the bytes."""
    refs: U32
    """How many records name it."""

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
    """Hashes of the chunks by index; zero for a chunk that has not arrived yet."""
    deposit: U64
    expires: U64
    """First tick at which the upload has expired."""

    @property
    def key(self) -> bytes:
        return self.uploader + self.blob


@dataclass(frozen=True)
class Part:
    """An opened data part: labelled rows that everyone can read."""

    KIND: ClassVar[int] = 8
    id: Hash
    """Its commitment: the tagged hash of salt and bytes."""
    blob: Hash
    rows: U32
    inputs: U32
    classes: U16
    """Every label is below this number."""
    owner: Address
    round: Hash
    """The first round that revealed it; zero if it was only published by `publish_part`."""
    height: U64

    @property
    def key(self) -> bytes:
        return self.id


@dataclass(frozen=True)
class PartBytes:
    """Since when the bytes of a part are public, under whatever salt."""

    KIND: ClassVar[int] = 17
    blob: Hash
    tick: U64
    """The tick at which the first part with these bytes was opened or published."""

    @property
    def key(self) -> bytes:
        return self.blob


@dataclass(frozen=True)
class RetentionPart:
    """A part that later growth must not forget."""

    part: Hash
    rows: U32
    classes: U16
    """Classes of the model when the part entered."""


@dataclass(frozen=True)
class RetiredPart:
    """A retention part that the founder has retired: later growth may forget it. It stands for ever."""

    KIND: ClassVar[int] = 18
    model: Hash
    part: Hash
    version: U32
    """The model's current version at that time."""
    height: U64

    @property
    def key(self) -> bytes:
        return self.model + self.part


@dataclass(frozen=True)
class NamedWitness:
    """Somebody who may seal one part in a round."""

    address: Address
    old_only: bool
    """Whether the part holds rows of old classes only. In TRAIN all classes are old."""


Witnesses = Annotated[tuple[NamedWitness, ...], Size(0, 8)]
Members = Annotated[tuple[Address, ...], Size(0, 32)]


@dataclass(frozen=True)
class GrowthLimits:
    """The most that one growth of a model may append."""

    segments: U16 = 32
    """Hidden segments and output segments together."""
    neurons: U32 = 1_024
    components: U16 = 256
    classes: U16 = 64
    macs_per_row: U64 = 2_000_000
    """MACs charged for running the new segments on one row, without components and classes."""


@dataclass(frozen=True)
class Model:
    """A line of versions, under rules that were fixed when the model was founded."""

    KIND: ClassVar[int] = 9
    id: Hash
    founder: Address
    policy: U8
    """What growth may do to the logits of old classes, see docs/protocol/networks.md, Growth."""
    loss_kind: U8
    threshold_ppm: U32
    """τ: the model freezes once a version's mean sealed loss is at most τ · ln(classes) / 10^6, and no growth
    by new classes may end above it."""
    retention_epsilon_ppm: U32
    """ε: the part of the old rows that one growth may lose."""
    retention_delta_ppm: U32
    """δ: by how much one growth may raise the loss on old rows."""
    lost_cap_ppm: U32
    """The most that all growths together may lose before growth ends; only the founder can raise it."""
    growth_limits: GrowthLimits
    inputs: U32
    classes: U16
    classes_before_growth: U16
    """Classes when the model froze, or before the last growth that added any. Under STRICT, growth that adds
    no classes may only feed the classes from this number on."""
    head: U32
    """Number of the current version."""
    root: Hash
    """Parameters root of the current version."""
    frozen: bool
    """Whether the current version's neurons are fixed for ever, so that the model can only grow."""
    loss: U64
    """Sealed loss of the current version in the round that made it, summed over the rows, in Q24 nats."""
    loss_rows: U64
    """Rows that `loss` was summed over; 0 for version 0."""
    open_round: Hash
    """The round that is open on the model; zero if there is none."""
    rounds: U32
    """Rounds that have ended, in whatever way."""
    carried: U64 = 0
    """Sparks held: pots of refused rounds, which wait for what the next rounds improve."""
    lost_ppm: U64 = 0
    """What the decided growths have lost of unseen old rows, added up, in millionths."""
    members: Members = ()
    """Who may open GROW rounds beside the founder."""
    witnesses: Witnesses = ()
    """Standing witnesses: without the sealed part of each, no round on the model takes place."""
    retention: Annotated[tuple[RetentionPart, ...], Size(0, 16)] = ()
    parent: Hash = ZERO_HASH
    """The model of which this one is a fork; zero if it was founded."""
    parent_version: U32 = 0
    """The version of the parent that became version 0 of this model."""
    claims: Annotated[ClaimTerms | None, Trailing()] = None
    """None where every node computes every score."""

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
    """One version of a model: what it adds to the one before, and its losses in the round that made it."""

    KIND: ClassVar[int] = 10
    model: Hash
    number: U32
    parent: Hash
    """Parameters root of the version before it; zero for version 0."""
    root: Hash
    """Parameters root of its network, see docs/protocol/networks.md, The parameters root."""
    added: TrainUpdate | GrowUpdate | Inherited
    """What its author brought, without the tensors that travelled."""
    author: Address
    round: Hash
    height: U64
    kind: U8
    """`RoundKind` of the round that made it; version 0 counts as TRAIN."""
    validation_loss: U64
    validation_rows: U64
    sealed_loss: U64
    sealed_rows: U64
    sealed_correct: U64
    sent_tensor_bytes: U64
    """Bytes of the tensors that were sent with its update; what was on the chain already does not count."""

    @property
    def key(self) -> bytes:
        return self.model + u32(self.number)

    @property
    def addition(self) -> Addition | None:
        """What its root commits to; None for version 0 of a fork."""
        if isinstance(self.added, Inherited):
            return None
        return addition(self.parent, self.author, self.added)


@dataclass(frozen=True)
class ScoreEntry:
    """An entry of the ledger of scores: one version on one part."""

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
    """A lasting mark of honest work on a model; at most one of each kind for each version and address."""

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
    """How much loss an address has removed from a model.

    Each rung adds the share of the baseline that it removed, in millionths.
    """

    KIND: ClassVar[int] = 13
    model: Hash
    address: Address
    points: U64

    @property
    def key(self) -> bytes:
        return self.model + self.address
