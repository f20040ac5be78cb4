"""Results about models, rounds and what they make."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

from engram.node.rpc.results.schemas import AddressText, Code, Hex, Id, also, words_of
from engram.statemachine.records import Version
from engram.statemachine.rounds.calendar import DueStep, Phase
from engram.statemachine.rounds.records import ClaimStatus, Round, RoundStatus

PhaseWord = Annotated[str, words_of(Phase)]


@also(Version)
class VersionResult(TypedDict):
    """A version of a model, with the size of its network."""

    classes: int
    neurons: int
    """Hidden neurons."""
    layers: list[int]
    """The width of each layer: the inputs first, then the neurons of each hidden layer."""
    growths: int
    segments: int
    parameter_bytes: int
    """Of all its weights and biases, in the form in which the chain holds them."""
    macs_per_row: int
    """What one row costs."""


class LineageGroup(TypedDict):
    """Neurons of one version."""

    neurons: int
    version: int
    """Which brought them."""
    author: AddressText | None
    classes: list[int]
    """That came with the version."""


@also(VersionResult)
class VersionWithLineage(TypedDict):
    """A version of a model, and where it comes from."""

    layer_kinds: list[list[str]]
    """Of each hidden layer, the kinds of its segments, such as `conv_relu` or `dense_relu`."""
    lineage: list[LineageGroup]
    frozen: bool
    """Whether no later version changes its weights."""
    path: list[Id]
    """The roots of all versions up to it, from version 0 on."""


class GroupPart(TypedDict):
    """What the neurons of one group add."""

    group: int
    """Counted from 0 in `lineage`."""
    logit: int
    margin: int | None
    neurons_logit: int
    neurons_margin: int | None


class RestPart(TypedDict):
    """What is no group's."""

    logit: int
    margin: int | None


class RestParts(TypedDict):
    """What the parts of groups leave."""

    norms: RestPart
    rounding: RestPart
    clipping: RestPart


class PredictedRow(TypedDict):
    """What a version sees in a row; the fields that can be missing are there with `explain`."""

    probability: float
    """Of the predicted class."""
    logits: list[int]
    """One for each class."""
    runner_up: NotRequired[int | None]
    """The class with the second largest logit; null if there is one class alone."""
    margin: NotRequired[int | None]
    """The lead of the predicted class over the runner-up."""
    parts: NotRequired[list[GroupPart]]
    rest: NotRequired[RestParts]


PredictionResult = TypedDict("PredictionResult", {"class": int})
PredictionResult.__doc__ = "The predicted class of a row, and what led to it."
also(PredictedRow)(PredictionResult)


class PredictionsResult(TypedDict):
    """What a version sees in rows, and whose neurons they are."""

    version: int
    classes: int
    predictions: list[PredictionResult]
    lineage: list[LineageGroup]


class ProofResult(TypedDict):
    """A proof bundle of a version."""

    bundle: Hex
    block: Id
    """The block whose state it proves."""
    height: int
    confirmations: int
    """Blocks on top of it."""


class PublicPart(TypedDict):
    """Since when the bytes of a part are public."""

    content: Id
    public_since: int | None
    """Null if they are not."""


@also(Round)
class RoundShown(TypedDict):
    """A round, its calendar, and its situation in the next block."""

    phase: PhaseWord
    epoch: int
    due: Annotated[str, words_of(DueStep)] | None
    """The step that the next transaction of the round would settle."""
    height: int
    """Of the head."""
    tick: int
    """In which the next block falls."""
    ticks_left: int | None
    """Of the phase; null if it has no end."""
    independent: bool
    """Whether a witness has opened a part, so that the opener has not brought all rows that decide."""
    calendar: dict[str, list[int | None]]
    """First and last `tick` of each phase; phases of an epoch end with its number, such as `commit_0`. After
    a head whose `ticks` are the first one, the next block stands in the phase."""


class EarnedShare(TypedDict):
    """Who gets how much of a reward."""

    author: AddressText | None
    amount: int


class LossShare(TypedDict):
    """The share of the baseline's loss that is left, as a fraction."""

    loss: int
    baseline: int


class JudgedGroup(TypedDict):
    """What a candidate has shown on the unseen rows of one group of owners."""

    rows: int
    loss: int
    baseline: int
    gained: int
    """Sum of the gains of rows on which the candidate is better."""
    lost: int
    squares: int
    forgotten: int
    """Rows of old classes that the version before has right and the candidate has not."""
    proves_gain: bool
    proves_harm: bool


class VerdictResult(TypedDict):
    """How a candidate does by the tests that decide the round."""

    epoch: int
    author: AddressText | None
    loss: int
    """On the validation parts."""
    correct: int
    """Rows of all unseen parts that it has right."""
    rung: bool
    """Whether it took the lead."""
    reward: int
    """What the rung gets; in an open round, what it would get if nothing better came."""
    earned: list[EarnedShare]
    below_baseline: bool
    share: LossShare | None
    """Null until all parts are scored."""
    reasons: list[Code]
    """Why it cannot take the lead."""
    groups: list[JudgedGroup]


class ClaimedPlace(TypedDict):
    """A chunk of rows of which scores are claimed."""

    part: int
    """Its number among the claimed parts."""
    chunk: int
    """Its number in the part, from 0 on."""


class ClaimResult(TypedDict):
    """How far the claim of a candidate has come: what its author says that the update loses, row by row."""

    epoch: int
    author: AddressText | None
    status: Annotated[str, words_of(ClaimStatus)]
    """Only a confirmed claim counts; the author of a refuted one has lost the bond."""
    parts: int
    """So many parts are claimed in the end: the validation parts, then those that decide."""
    parts_claimed: int
    chunks: int
    """Of all these parts; a dispute names one of them."""
    chunks_audited: int
    """So many are drawn when the claim is confirmed, and computed by every node."""
    chunks_drawn: list[ClaimedPlace] | None
    """These are they; null until they are drawn, for a refuted claim, and where the chain does not remember
    the blocks that drew them."""
    last_tick: int
    """Of the last claim."""
    confirm_tick: int | None
    """From which on it can be confirmed; null until every part is claimed."""
    window_left: int | None
    """Ticks until then; null for a claim that is decided or expired, or of which parts are missing."""
    dispute_until: int | None
    """The last tick in which it can be disputed, unless it is confirmed before; null for a claim that is
    decided or expired. The first one is the first tick of the phase score."""
    expired: bool
    """Whether it was neither confirmed nor refuted while that was possible: then it counts for nothing."""
    bond: int


class ClaimedPartRows(TypedDict):
    """What was claimed of one part."""

    part: int
    """Its number among the claimed parts."""
    rows: Hex
    """Eight bytes a row: what version t loses on it, then what the update loses, each in little-endian order
    and in units of 2^-24 nat. 2^31 is added if the predicted class is the label."""
    height: int
    txid: Id


class ClaimedRowsResult(TypedDict):
    """What an author has claimed of parts of a round."""

    parts: list[ClaimedPartRows]
    next: int | None
    """From which height the next call goes on; null if there is no more."""
    before_snapshot: bool
    """Whether blocks of the round can be older than the snapshot that the node began with."""


class PaidUpdate(TypedDict):
    """What came of an update."""

    epoch: int
    author: AddressText | None
    paid: int
    reasons: list[Code]
    """Why it was paid no more; empty if it was paid."""
    why: list[str]
    """The same in words."""


class OutcomesResult(TypedDict):
    """What came of a round's updates and why."""

    due: Annotated[str, words_of(DueStep)] | None
    due_text: str | None
    why: list[str]
    """Why the round ended as it did, or how the candidates of an open round do."""
    updates: list[PaidUpdate]


class FailedTransaction(TypedDict):
    """A transaction of a round that failed in its block."""

    height: int
    block: Id
    txid: Id
    kind: str
    """The name of its type."""
    epoch: int | None
    author: AddressText | None
    action: str
    """What the sender did, in words."""
    code: Code
    claimed_loss: int | None
    recomputed_loss: int | None
    """Null where the state before the block is pruned."""
    rows: int | None
    """Over so many rows the losses are summed."""
    why: str
    bond_burned: int


class RefutedClaim(TypedDict):
    """A claim of scores that every node found to be false."""

    height: int
    block: Id
    txid: Id
    """The dispute, or the confirmation whose audit has found the lie."""
    kind: str
    """The name of its type."""
    epoch: int
    author: AddressText | None
    """Who has claimed."""
    challenger: AddressText | None
    """Who sent the transaction, and got the reward."""
    part: int
    """The number, among the claimed parts, of the part in which the claim is false."""
    chunk: int
    """The number of the false chunk in the part."""
    rows: int
    """Rows of the chunk."""
    bond: int
    """What the author has lost: the reward, and what was burned."""
    reward: int
    bond_burned: int


class FailuresResult(TypedDict):
    """What failed in a round."""

    failed: list[FailedTransaction]
    refuted: list[RefutedClaim]
    from_height: int
    to_height: int
    next: int | None
    """From which height the next call goes on; null if there is no more."""
    before_snapshot: bool
    """Whether blocks of the round can be older than the snapshot that the node began with."""


class HeadEvent(TypedDict):
    """The head has changed."""

    height: int
    id: Id
    state_root: Id
    timestamp_ms: int
    ticks: int
    exponent: int
    connected: list[Id]
    """Blocks that joined the best chain, lowest first."""
    disconnected: list[Id]
    """Blocks that left it."""


class TransactionEvent(TypedDict):
    """A transaction has moved on."""

    txid: Id
    status: Literal["pending", "included", "failed", "dropped"]
    code: Code
    height: int | None


class RoundEvent(TypedDict):
    """A round's phase or record has changed."""

    id: Id
    model: Id
    phase: PhaseWord
    epoch: int
    status: Annotated[str, words_of(RoundStatus)]
    height: int


class VersionEvent(TypedDict):
    """A model has a new version."""

    model: Id
    number: int
    root: Id
    height: int
