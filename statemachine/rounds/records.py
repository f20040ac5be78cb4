"""The records of a round: its terms, its course, commits and candidates. Data only, as `records`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from engram.nn.network import NetworkSpec
from engram.primitives.types import U8, U16, U32, U64, ZERO_HASH, Address, Hash, Size
from engram.statemachine.record import Lineage


class RoundKind(IntEnum):
    """TRAIN replaces the parameters of a model that was never frozen; GROW appends to a model."""

    TRAIN = 0
    GROW = 1


class RoundStatus(IntEnum):
    """How a round stands; every status but OPEN is final and holds no coins."""

    OPEN = 0
    DECIDED = 1
    """A candidate became the next version."""
    KEPT = 2
    """Nobody was better: the model stays."""
    ABORTED = 3
    """The opener failed a duty: the model stays."""


@dataclass(frozen=True)
class RoundTerms:
    """What the opener of a round fixes for everyone, for its whole life."""

    kind: U8
    new_classes: U16
    """m; 0 for TRAIN and for capacity growth."""
    commitments: Annotated[tuple[Hash, ...], Size(2, 256)]
    """The opener's n salted part commitments, all distinct."""
    rows: U32
    """N, rows of every part."""
    validation: U8
    """k, parts drawn to be revealed first."""
    sealed: U8
    """s, parts drawn to be opened last."""
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
    """Canonical bytes of one update."""
    max_update_neurons: U32
    """Hidden neurons of one update: all of them in TRAIN, the new ones in GROW."""
    max_update_macs: U64
    """Charge for scoring one update on one part: the whole network in TRAIN, the new segments in GROW."""
    opener_bond: U64
    author_bond: U64
    bounty: U64
    nonce_hash: Hash
    """Tagged hash of the nonce that the first reveal_part discloses."""
    auditors: Annotated[tuple[Address, ...], Size(0, 8)] = ()
    """Third parties who may seal one part each. Their parts decide beside the opener's, so he names them."""


@dataclass(frozen=True)
class SealedByOther:
    """A third party's bonded part, drawn beside the opener's sealed ones."""

    author: Address
    commitment: Hash
    bond: U64
    """Held until the part opens."""


@dataclass(frozen=True)
class PartScore:
    """One network on one part."""

    loss: U64
    correct: U32


@dataclass(frozen=True)
class OpenedPart:
    """A drawn part that has been revealed, with the incumbent's score on it (null growth applied)."""

    commitment: Hash
    owner: Address
    baseline: PartScore
    complete: bool
    """Every class of the round labels at least one of its rows."""


@dataclass(frozen=True)
class CandidateId:
    """Names a candidate within its round."""

    epoch: U8
    author: Address


@dataclass(frozen=True)
class EpochResult:
    """What an epoch left behind: its best candidate, or zero address if none improved."""

    author: Address
    root: Hash
    loss: U64


@dataclass(frozen=True)
class Round:
    """One attempt to improve a model, from the opener's deposit to the decision."""

    KIND: ClassVar[int] = 14
    id: Hash
    model: Hash
    opener: Address
    terms: RoundTerms
    opened: U64
    """Height of `open_round`; the calendar of every phase follows from it."""
    version: U32
    """Version t, the incumbent."""
    base: Hash
    """Parameters root of version t; every update must stand on it."""
    classes: U16
    """K + m: labels of the round's parts are below this."""
    status: U8 = 0
    """RoundStatus."""
    bond: U64 = 0
    """What is still held of the opener's bond."""
    settled_epochs: U8 = 0
    """Epochs whose defaults have been applied."""
    third_party: Annotated[tuple[SealedByOther, ...], Size(0, 8)] = ()
    validation_drawn: Annotated[tuple[Hash, ...], Size(0, 256)] = ()
    sealed_drawn: Annotated[tuple[Hash, ...], Size(0, 256)] = ()
    seed: Hash = ZERO_HASH
    """Seed of the draw; zero before it."""
    validation_opened: Annotated[tuple[OpenedPart, ...], Size(0, 256)] = ()
    sealed_opened: Annotated[tuple[OpenedPart, ...], Size(0, 256)] = ()
    pending: Annotated[tuple[Address, ...], Size(0, 64)] = ()
    """Authors who committed in the running epoch and have not revealed."""
    candidates: Annotated[tuple[CandidateId, ...], Size(0, 8)] = ()
    results: Annotated[tuple[EpochResult, ...], Size(0, 32)] = ()
    pot: U64 = 0
    """Held: bounty plus the unburned halves of forfeited bonds."""
    winner: Address = bytes(20)
    new_version: U32 = 0
    """Version made by this round, if status is DECIDED."""

    @property
    def key(self) -> bytes:
        return self.id

    @property
    def independent(self) -> bool:
        """Whether a sealed part that the opener did not choose has been opened."""
        return any(part.owner != self.opener for part in self.sealed_opened)


@dataclass(frozen=True)
class Commit:
    """A bonded promise of one author in one epoch: the hash of an update and the claimed loss."""

    KIND: ClassVar[int] = 15
    round: Hash
    epoch: U8
    author: Address
    digest: Hash
    bond: U64
    height: U64
    slot: U64
    """Height at which the reveal's bytes and MACs are reserved."""

    @property
    def key(self) -> bytes:
        return self.round + bytes([self.epoch]) + self.author


@dataclass(frozen=True)
class RetentionScore:
    """A candidate on one retention part."""

    part: Hash
    score: PartScore
    null_increase: U64
    """Loss that the null growth alone adds to version t on this part."""


@dataclass(frozen=True)
class Candidate:
    """A verified, improving update that waits for the sealed parts. One per author and epoch.

    An author's later candidate stands beside the earlier one: were the earlier one dropped, whoever copied it
    in between would be paid for it.
    """

    KIND: ClassVar[int] = 16
    round: Hash
    epoch: U8
    author: Address
    committed: U64
    """Height of its commit: the earlier wins a tie."""
    root: Hash
    """Parameters root of the whole network it proposes."""
    spec: NetworkSpec
    hidden: Annotated[tuple[Lineage, ...], Size(0, 256)]
    outputs: Annotated[tuple[Lineage, ...], Size(0, 256)]
    loss: U64
    """Verified loss on the k validation parts, summed."""
    validation: Annotated[tuple[PartScore, ...], Size(0, 256)]
    bond: U64
    escrow: U64
    """Held: prepaid fee of the scorings still to come."""
    bid: U64
    """Held: what it offered for a place among its epoch's candidates."""
    size_bytes: U64
    sealed: Annotated[tuple[PartScore, ...], Size(0, 256)] = ()
    retention: Annotated[tuple[RetentionScore, ...], Size(0, 16)] = ()

    @property
    def key(self) -> bytes:
        return self.round + bytes([self.epoch]) + self.author
