"""The records of a round: its terms, its state, commits and candidates. Data only, like `records`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from engram.nn.network import NetworkSpec
from engram.primitives.types import U8, U16, U32, U64, ZERO_HASH, Address, Hash, Size
from engram.statemachine.record import Lineage


class RoundKind(IntEnum):
    """TRAIN replaces the parameters of a model that is not frozen; GROW appends segments to a frozen one."""

    TRAIN = 0
    GROW = 1


class RoundStatus(IntEnum):
    """How far a round has come; every status but OPEN is final, and such a round holds no coins."""

    OPEN = 0
    DECIDED = 1
    """A candidate became the next version."""
    KEPT = 2
    """No candidate was good enough: the model stays as it is."""
    ABORTED = 3
    """The opener failed a duty: the model stays as it is."""


@dataclass(frozen=True)
class RoundTerms:
    """What the opener fixes when the round opens; it holds for everyone until the round ends."""

    kind: U8
    new_classes: U16
    """m: classes that a GROW round adds; 0 for TRAIN and for growth that only adds capacity."""
    commitments: Annotated[tuple[Hash, ...], Size(2, 256)]
    """Salted commitments of the opener's n parts, all distinct."""
    rows: U32
    """N: rows of every part."""
    validation: U8
    """k: parts that are drawn to be revealed before the updates are made."""
    sealed: U8
    """s: parts that are drawn to be opened after the last update."""
    epochs: U8
    open_window: U32
    reveal_window: U32
    commit_window: U32
    update_window: U32
    audit_window: U32
    retention_window: U32
    """0 for TRAIN."""
    gap: U16
    max_update_bytes: U32
    """The most canonical bytes of one update."""
    max_update_neurons: U32
    """The most hidden neurons of one update: all of them in TRAIN, the new ones in GROW."""
    max_update_macs: U64
    """The most MACs charged for one update on one part: the whole network in TRAIN, new segments in GROW."""
    opener_bond: U64
    author_bond: U64
    bounty: U64
    nonce_hash: Hash
    """Tagged hash of the nonce that the first reveal_part discloses."""
    auditors: Annotated[tuple[Address, ...], Size(0, 8)] = ()
    """Third parties who may seal one part each, which decide beside the opener's. The opener names them,
    because a stranger could veto every candidate with random labels."""


@dataclass(frozen=True)
class SealedByOther:
    """The sealed part of an auditor. All such parts count as drawn, beside the opener's sealed parts."""

    author: Address
    commitment: Hash
    bond: U64
    """Held until the part opens, then 0."""


@dataclass(frozen=True)
class PartScore:
    """The score of one network on one part: loss summed over the rows, in Q24 nats, and correct rows."""

    loss: U64
    correct: U32


@dataclass(frozen=True)
class OpenedPart:
    """A part of the round that has been opened, with the score of version t on it.

    Classes of the round that version t lacks have logit 0 (null growth).
    """

    commitment: Hash
    owner: Address
    baseline: PartScore
    complete: bool
    """Whether every class of the round occurs among its labels."""


@dataclass(frozen=True)
class CandidateId:
    """Names a candidate within its round."""

    epoch: U8
    author: Address


@dataclass(frozen=True)
class EpochResult:
    """The candidate of an epoch with the lowest validation loss; a zero address if there is none."""

    author: Address
    root: Hash
    loss: U64


@dataclass(frozen=True)
class Round:
    """One attempt to improve a model, from `open_round` to the decision."""

    KIND: ClassVar[int] = 14
    id: Hash
    model: Hash
    opener: Address
    terms: RoundTerms
    opened: U64
    """Tick at which `open_round` stands; the calendar of all phases follows from it."""
    version: U32
    """Number of version t, the model's head when the round opened."""
    base: Hash
    """Parameters root of version t, on which every update must be based."""
    classes: U16
    """K + m: every label of the round's parts is below this number."""
    status: U8 = 0
    """A `RoundStatus`."""
    bond: U64 = 0
    """What is still held of the opener's bond."""
    settled_epochs: U8 = 0
    """Number of epochs that have ended and been settled."""
    third_party: Annotated[tuple[SealedByOther, ...], Size(0, 8)] = ()
    validation_drawn: Annotated[tuple[Hash, ...], Size(0, 256)] = ()
    sealed_drawn: Annotated[tuple[Hash, ...], Size(0, 256)] = ()
    seed: Hash = ZERO_HASH
    """Seed of the draw; zero before it."""
    validation_opened: Annotated[tuple[OpenedPart, ...], Size(0, 256)] = ()
    sealed_opened: Annotated[tuple[OpenedPart, ...], Size(0, 256)] = ()
    pending: Annotated[tuple[Address, ...], Size(0, 64)] = ()
    """Authors who committed in the running epoch and have not revealed yet."""
    candidates: Annotated[tuple[CandidateId, ...], Size(0, 8)] = ()
    results: Annotated[tuple[EpochResult, ...], Size(0, 32)] = ()
    pot: U64 = 0
    """Sparks held: the bounty, and the halves of forfeited bonds that were not burned."""
    winner: Address = bytes(20)
    new_version: U32 = 0
    """Number of the version that this round made, if its status is DECIDED."""

    @property
    def key(self) -> bytes:
        return self.id

    @property
    def independent(self) -> bool:
        """Whether a sealed part of an auditor has been opened, of which the opener did not know the rows."""
        return any(part.owner != self.opener for part in self.sealed_opened)


@dataclass(frozen=True)
class Commit:
    """An author's bonded promise in one epoch: a hash that covers an update and its claimed loss."""

    KIND: ClassVar[int] = 15
    round: Hash
    epoch: U8
    author: Address
    digest: Hash
    bond: U64
    height: U64

    @property
    def key(self) -> bytes:
        return self.round + bytes([self.epoch]) + self.author


@dataclass(frozen=True)
class RetentionScore:
    """The score of a candidate on one retention part."""

    part: Hash
    score: PartScore
    null_increase: U64
    """Loss that the null growth alone, without any new segment, adds to version t on this part."""


@dataclass(frozen=True)
class Candidate:
    """A verified update that improves and waits for the sealed parts; one for each author and epoch.

    A later candidate of an author does not replace an earlier one. If it did, somebody who had copied the
    earlier one meanwhile would be paid for what it removed.
    """

    KIND: ClassVar[int] = 16
    round: Hash
    epoch: U8
    author: Address
    committed: U64
    """Height of its commit; in a tie the earlier one wins."""
    root: Hash
    """Parameters root of the whole network that it proposes."""
    spec: NetworkSpec
    hidden: Annotated[tuple[Lineage, ...], Size(0, 256)]
    outputs: Annotated[tuple[Lineage, ...], Size(0, 256)]
    loss: U64
    """Verified loss, summed over the k validation parts, in Q24 nats."""
    validation: Annotated[tuple[PartScore, ...], Size(0, 256)]
    bond: U64
    escrow: U64
    """Sparks held: the prepaid price of the scorings that are still to come."""
    bid: U64
    """Sparks held: what its author offered for a place among the candidates of its epoch."""
    size_bytes: U64
    sealed: Annotated[tuple[PartScore, ...], Size(0, 256)] = ()
    retention: Annotated[tuple[RetentionScore, ...], Size(0, 16)] = ()

    @property
    def key(self) -> bytes:
        return self.round + bytes([self.epoch]) + self.author
