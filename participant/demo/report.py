"""What the demonstration found: the JSON it writes and the table it shows. Data only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engram.participant.errors import UnexpectedOutcome


@dataclass(frozen=True)
class NodeRow:
    """Where one node stands at the end."""

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
    bytes: int
    """Tensor bytes that the update carried."""
    macs: int
    """Multiply-accumulates that every node spent on the update's transaction."""
    fee: int
    """Sparks that its author paid for that transaction."""


@dataclass(frozen=True)
class RetentionRow:
    """A part that the retention gate watched: how well it was known, and is."""

    part: str
    rows: int
    correct_on_entry: int
    correct_at_least: int
    correct: int
    loss_bar: float
    """What the gate starts from, nats a row: the loss on entry, or the threshold's where that is higher."""
    loss: float


@dataclass(frozen=True)
class TestRow:
    """Rows that nobody trained on, scored by the chain after the last growth."""

    version: int
    rows: int
    correct: int
    accuracy: float
    loss: float
    """Nats a row."""


@dataclass(frozen=True)
class PredictionRow:
    """What one node says of one test row, and whose neurons say it."""

    node: str
    version: int
    label: int
    predicted: int
    probability: float
    lineage: list[dict[str, Any]]
    """Neurons, version that added them, author; oldest first."""


@dataclass(frozen=True)
class AttackRow:
    """One adversary, and what it got."""

    name: str
    outcome: str
    code: str
    balance_before: int
    balance_after: int


@dataclass(frozen=True)
class ProofRow:
    """The proof bundle of the last version."""

    path: str
    accepted: bool
    tampered_accepted: bool


@dataclass
class DemoReport:
    """Everything the demonstration asserts, as it went."""

    data: str
    seed: int
    nodes: list[NodeRow] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)
    attacks: list[AttackRow] = field(default_factory=list)
    rounds: int = 0
    old_logits_unchanged: bool = False
    retention: list[RetentionRow] = field(default_factory=list)
    test: TestRow | None = None
    prediction: PredictionRow | None = None
    proof: ProofRow | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def expect(condition: bool, fact: str, *, expected: object = None, got: object = None) -> None:
    """Raises `UnexpectedOutcome` naming the fact unless the condition holds."""
    if not condition:
        raise UnexpectedOutcome(fact, expected=expected, got=got)


def mean_loss(loss: int, rows: int) -> float:
    """Nats a row, of a loss in Q24 nats that is summed over rows."""
    return round(loss * 2.0**-24 / rows, 6)
