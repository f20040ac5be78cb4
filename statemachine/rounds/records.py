"""The records of a round: its terms, its state, commits and candidates. Data only, like `records`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from engram.primitives.types import U8, U16, U32, U64, ZERO_HASH, Address, Hash, Size, Trailing
from engram.statemachine.additions import Update
from engram.statemachine.records import Witnesses

NOBODY: Address = bytes(20)
"""Stands for no address in a record."""

CountsByClass = Annotated[tuple[U32, ...], Size(0, 65_535)]


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
    """The opener failed a duty: the model stays as it is, and bond and bounty are burned."""
    CANCELLED = 4
    """A standing witness of the model sealed no part: everything was given back."""


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
    old_rows: U32
    """The fewest rows of old classes in each sealed part of the opener and of a witness that is not limited
    to old classes. A part with fewer is broken. 0 in TRAIN."""
    validation: U8
    """k: parts that are drawn to be revealed before the updates are made."""
    sealed: U8
    """s: parts that are drawn to be opened after the last update."""
    epochs: U8
    open_window: U32
    reveal_window: U32
    commit_window: U32
    update_window: U32
    witness_window: U32
    audit_window: U32
    score_window: U32
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
    witness_fee: U64
    """What each witness gets out of the bounty when their part opens."""
    z_squared: U16
    """z²: a gain must be at least z times its own scatter, see docs/protocol/rounds.md, 7."""
    nonce_hash: Hash
    """Tagged hash of the nonce that the first reveal_part discloses."""
    witnesses: Witnesses = ()
    """Who may seal one part each, beside the standing witnesses of the model."""


@dataclass(frozen=True)
class RoundWitness:
    """A witness who has sealed a part."""

    author: Address
    old_only: bool
    named_by_opener: bool
    """Whether the opener chose this witness: in the terms, or as the founder of the model."""
    commitment: Hash
    bond: U64
    """Held until the part opens or the window of the witnesses is over, then 0."""
    fee: U64
    """Held out of the bounty, as long as the bond."""
    opened: bool = False


@dataclass(frozen=True)
class PartScore:
    """The score of one network on one part: clipped loss summed over the rows, in Q24 nats; correct rows."""

    loss: U64
    correct: U32


@dataclass(frozen=True)
class OpenedPart:
    """A part of the round that has been opened."""

    commitment: Hash
    owner: Address
    old: U32
    """Rows of old classes."""
    old_right: U32
    """Rows of old classes that version t has right, and which a growth can therefore lose; 0 where authors
    claim this, see `Claim`."""
    old_loss: U64
    """Clipped loss of version t on the rows of old classes; 0 where authors claim it."""
    complete: bool
    """Whether every class of the round occurs among its labels."""


@dataclass(frozen=True)
class EpochResult:
    """The candidate of an epoch with the lowest loss on the validation parts; a zero address if none."""

    author: Address = NOBODY
    root: Hash = ZERO_HASH
    loss: U64 = 0
    committed: U64 = 0
    """Height of its commit; in a tie the earlier one counts, then the lower address."""


@dataclass(frozen=True)
class HalfWeight:
    """How the rung of a union is divided: in proportion to these weights."""

    author: Address
    weight: U32
    """What this half alone has removed of the baseline's loss, in millionths; 0 if that is not proved."""


@dataclass(frozen=True)
class EpochBest:
    """The eligible candidate of an epoch with the lowest share; a zero address if there is none."""

    author: Address = NOBODY
    loss: U64 = 1
    """Numerator of the share: its loss in the group of rows in which it removed the least."""
    baseline: U64 = 1
    """Denominator of the share: what the null growth loses there."""
    committed: U64 = 0
    halves: Annotated[tuple[HalfWeight, ...], Size(0, 2)] = ()
    """Of a union, its halves."""


@dataclass(frozen=True)
class Tally:
    """The gains of a candidate over one baseline, row by row, in units of 2^-16 nat."""

    baseline: U64 = 0
    """The loss of the baseline, in Q24 nats."""
    gained: U64 = 0
    """Sum of the gains of rows on which the candidate is better."""
    lost: U64 = 0
    """Sum of the losses against the baseline on all other rows."""
    squares: U64 = 0


@dataclass(frozen=True)
class GroupScore:
    """What a candidate has shown on the unseen rows of one group of owners."""

    rows: U32 = 0
    loss: U64 = 0
    """Clipped loss in Q24 nats."""
    forgotten: U32 = 0
    """Rows of old classes that version t has right and the candidate has not."""
    growth: Tally = Tally()
    """Against version t with the null growth; in TRAIN against version t."""
    frequencies: Tally = Tally()
    """TRAIN: against the frequencies of the classes. GROW: nothing."""


@dataclass(frozen=True)
class Round:
    """One attempt to improve a model, from `open_round` to the decision."""

    KIND: ClassVar[int] = 14
    id: Hash
    model: Hash
    opener: Address
    terms: RoundTerms
    opened: U64
    """Tick at which `open_round` stands; the calendar begins with it."""
    version: U32
    """Number of version t, the model's head when the round opened."""
    base: Hash
    """Parameters root of version t, on which every update must be based."""
    classes: U16
    """K + m: every label of the round's parts is below this number."""
    old_classes: U16
    """K, the classes of version t."""
    standing: Witnesses
    """The standing witnesses of the model, all of whom must seal a part."""
    status: U8 = 0
    """A `RoundStatus`."""
    bond: U64 = 0
    """What is still held of the opener's bond."""
    pot: U64 = 0
    """What is still held of the bounty, without the witnesses' fees."""
    carried: U64 = 0
    """What is still held of pots that earlier rounds on the model left, see `Model.carried`."""
    witnesses: Annotated[tuple[RoundWitness, ...], Size(0, 8)] = ()
    """In the order in which they sealed."""
    seed: Hash = ZERO_HASH
    """Seed of the draw; zero before it."""
    validation_drawn: Annotated[tuple[Hash, ...], Size(0, 256)] = ()
    sealed_drawn: Annotated[tuple[Hash, ...], Size(0, 256)] = ()
    reveal_ended: U64 = 0
    """The tick at which the last validation part was revealed; 0 before. REVEAL ends with it."""
    witnesses_ended: U64 = 0
    """The tick at which the last witness opened their part; 0 before. AUDIT_WITNESSES ends with it."""
    audit_ended: U64 = 0
    """The tick at which the opener opened the last sealed part; 0 before. AUDIT ends with it."""
    validation_opened: Annotated[tuple[OpenedPart, ...], Size(0, 256)] = ()
    validation_counts: CountsByClass = ()
    """How many rows of the validation parts have each of the K + m classes."""
    unseen: Annotated[tuple[OpenedPart, ...], Size(0, 256)] = ()
    """The parts that were sealed until the last update, of witnesses and opener, as they opened."""
    unseen_counts: CountsByClass = ()
    """How many rows of the unseen parts have each class."""
    results: Annotated[tuple[EpochResult, ...], Size(0, 32)] = ()
    """By epoch."""
    best: Annotated[tuple[EpochBest, ...], Size(0, 32)] = ()
    """By epoch."""
    refused: bool = False
    """Whether rows of a side that the opener chose refuse a candidate whose gain the other side proves. Then
    the pot does not return to the opener."""
    winner: Address = NOBODY
    winner_epoch: U8 = 0
    winner_groups: Annotated[tuple[GroupScore, ...], Size(0, 2)] = ()
    """What the winner has shown on the unseen rows, as in `Candidate.groups`."""
    new_version: U32 = 0
    """Number of the version that this round made, if its status is DECIDED."""
    witness_counts: CountsByClass = ()
    """How many of the unseen rows of `witness_side` have each class."""

    @property
    def key(self) -> bytes:
        return self.id

    @property
    def has_candidates(self) -> bool:
        """Whether an update has become a candidate."""
        return any(result.author != NOBODY for result in self.results)

    @property
    def witness_side(self) -> frozenset[Address]:
        """Whose rows can form a group beside the opener's: witnesses of all classes.

        Where the model has standing ones, only these count: whom the opener names then, sits on the opener's
        side.
        """
        full = {witness.author for witness in self.witnesses if not witness.old_only}
        standing = {witness.address for witness in self.standing}
        return frozenset(full & standing or full)

    @property
    def independent(self) -> bool:
        """Whether a witness has opened a part, so that the opener has not brought all rows that decide."""
        return any(witness.opened for witness in self.witnesses)


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
class ClassRows:
    """A number of rows of one class."""

    label: U16
    rows: U32


class ClaimStatus(IntEnum):
    """What has become of a candidate's claim."""

    OPEN = 0
    """Anyone may refute it; nothing is decided by it."""
    CONFIRMED = 1
    """The window has passed and the audit has found nothing."""
    REFUTED = 2
    """A chunk of it is not what every node has computed: the bond is gone, and the candidate cannot win."""


@dataclass(frozen=True)
class Claim:
    """What the author of a candidate has claimed about its scores; of a model with `ClaimTerms` only."""

    roots: Annotated[tuple[Hash, ...], Size(0, 272)]
    """Roots of the lists of chunks of claimed rows, one for each claimed part; zero where there are none."""
    last: U64
    """Tick of the last claim."""
    status: U8 = 0
    """A `ClaimStatus`."""
    old_loss: U64 = 0
    """Claimed loss of version t on the unseen rows of old classes."""
    losable: Annotated[tuple[U32, ...], Size(2, 2)] = (0, 0)
    """By group: unseen rows of old classes that version t is claimed to have right."""


@dataclass(frozen=True)
class Candidate:
    """A verified update below the baseline on the validation parts; one for each author and epoch."""

    KIND: ClassVar[int] = 16
    round: Hash
    epoch: U8
    author: Address
    committed: U64
    """Height of its commit; in a tie the earlier one wins."""
    root: Hash
    """Parameters root of the whole network that it proposes."""
    update: Update
    """What its author revealed, without the tensors that travelled."""
    loss: U64
    """Verified loss, summed over the k validation parts, in Q24 nats."""
    bond: U64
    sent_tensor_bytes: U64
    """Bytes of the tensors that were sent with it; what was on the chain already does not count."""
    scored: Annotated[bytes, Size(0, 64)] = b""
    """A bitmap of the parts on which it has been scored: the unseen parts in the order in which they opened,
    then in GROW the retention parts of the model."""
    groups: Annotated[tuple[GroupScore, ...], Size(2, 2)] = (GroupScore(), GroupScore())
    """The opener with the witnesses of old classes; all other witnesses."""
    correct: U32 = 0
    """Correct rows of all unseen parts."""
    new_correct: U32 = 0
    """Correct rows of new classes among them."""
    old_loss: U64 = 0
    """Clipped loss on the unseen rows of old classes."""
    forgotten: Annotated[tuple[ClassRows, ...], Size(0, 65_535)] = ()
    """Unseen rows of old classes that version t has right and the candidate has not, by class, ascending."""
    retention_forgotten: U32 = 0
    """Rows of the retention parts that version t has right and the candidate has not."""
    claim: Annotated[Claim | None, Trailing()] = None
    """None where every node computes every score."""

    @property
    def key(self) -> bytes:
        return self.round + bytes([self.epoch]) + self.author
