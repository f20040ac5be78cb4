"""The report of the demonstration: the rows of its tables and of its JSON. Data only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engram.participant.errors import UnexpectedOutcome


@dataclass(frozen=True)
class NodeRow:
    """One node at the end: its head and its memory."""

    id: str
    height: int
    head: str
    state_root: str
    rss_bytes: int


@dataclass(frozen=True)
class VersionRow:
    """One version of the model."""

    version: int
    kind: str
    classes: int
    neurons: int
    loss: float
    """Mean loss on the validation parts, nats."""
    sealed_loss: float
    """Mean loss on the sealed parts, nats."""
    sealed_accuracy: float
    author: str
    badges: list[str]
    sent_tensor_bytes: int
    """Bytes of the tensors that were sent with its update."""
    macs: int
    """Multiply-accumulates that every node computed for the update's transaction."""
    fee: int
    """Sparks that the author paid as a fee for that transaction."""


@dataclass(frozen=True)
class GroupRow:
    """What the winner of a round has shown on the rows of one side: of the opener, or of the witness."""

    version: int
    side: str
    rows: int
    loss: float
    """Mean loss of the winner, nats."""
    baseline: float
    """Mean loss of the network to beat, which knows how often each class occurs and nothing else that is new;
    nats."""
    share: float
    """The part of the baseline's loss that is left."""
    scatters: float
    """The gain over the baseline, measured by its own scatter: at least 3 is asked for."""


@dataclass(frozen=True)
class ScoreRow:
    """One author's update in one epoch of a round: a line of the scoreboard."""

    round: int
    """1 for the first round of the demonstration."""
    author: str
    epoch: int
    loss: float | None
    """Mean loss on the revealed parts, nats; None if none was verified."""
    unseen_loss: float | None
    """Mean loss on the parts that nobody had seen, nats; None if it was not scored there."""
    share: float | None
    """What is left there of the baseline's loss, on the side where that is more. The least of an epoch takes
    the lead, in a later epoch only if it is at most seven eighths of the share of the leader before.
    """
    accuracy: float | None
    """The share of these rows that it has right."""
    outcome: str
    """`standing` while the round is open, then `won`, `beaten` or `caught`."""
    code: str = ""
    """Why it was refused, or did not take the lead, as codes."""


@dataclass(frozen=True)
class RetentionRow:
    """Old rows, and how many of them the growth has lost."""

    part: str
    """A retention part; empty for the rows of sealed parts."""
    rows: int
    forgotten: int
    """Rows that the version before has right and the growth has not."""
    may_forget: int


@dataclass(frozen=True)
class TestRow:
    """The test set, whose rows nobody trained on, scored by the chain after the growth."""

    version: int
    rows: int
    correct: int
    accuracy: float
    loss: float
    """Mean loss in nats a row."""


@dataclass(frozen=True)
class PredictionRow:
    """What one node predicts for one test row, and who made the version's neurons."""

    node: str
    version: int
    label: int
    predicted: int
    probability: float
    lineage: list[dict[str, Any]]
    """For each version that added neurons, the oldest first: their number, the version, its author."""


@dataclass(frozen=True)
class AttackRow:
    """One attempt to cheat, and what came of it; balances in sparks."""

    name: str
    outcome: str
    code: str
    balance_before: int
    balance_after: int


@dataclass(frozen=True)
class ProofRow:
    """The proof bundle of the last version, and whether `engram verify` accepted it and a changed copy."""

    path: str
    chain: str
    """The file with the chain's spec, which `engram verify --chain` needs."""
    checkpoint: str
    """The id of the head on which all nodes agreed, the proof's anchor."""
    accepted: bool
    tampered_accepted: bool


@dataclass
class DemoReport:
    """Everything that the demonstration has found so far; it grows act by act."""

    data: str
    seed: int
    nodes: list[NodeRow] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)
    scores: list[ScoreRow] = field(default_factory=list)
    attacks: list[AttackRow] = field(default_factory=list)
    rounds: int = 0
    old_logits_unchanged: bool = False
    groups: list[GroupRow] = field(default_factory=list)
    retention: list[RetentionRow] = field(default_factory=list)
    test: TestRow | None = None
    prediction: PredictionRow | None = None
    proof: ProofRow | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def expect(condition: bool, fact: str, *, expected: object = None, got: object = None) -> None:
    """Raises `UnexpectedOutcome` unless the condition holds. `fact` says what went wrong instead."""
    if not condition:
        raise UnexpectedOutcome(fact, expected=expected, got=got)


def mean_loss(loss: int, rows: int) -> float:
    """The mean loss in nats a row, of a loss in Q24 nats that is summed over rows."""
    return round(loss * 2.0**-24 / rows, 6)
