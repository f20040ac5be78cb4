"""The states of a consolidation, and the one file that remembers which of them it is in.

    Resting ──> OpeningRound ──> PlayingRound ──> AwaitingProof ──> KeepingSums ──> ForgettingRows ──> Resting
       │             │                │   ▲             ▲  │
       │             └──> Resting <───┘   │             │  └──> Resting
       └───── somebody else's round ──────┘             │
       └───── a version of others has learned it, too ──┘

Every state is on disk before anything is done in it, and what is done in a state can be done again: a program
that has died goes on where it was. The file is replaced as a whole, so it is never half written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Final

from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import read_json, write_private
from engram.participant.learn.errors import IllegalTransition, LearnStateDamaged
from engram.primitives.codec import from_json, to_json
from engram.primitives.errors import CodecError
from engram.primitives.types import U16, U32, U64, Hash, Size

FORMAT: Final = 1
MAX_OPENED: Final = 64
MAX_SPENT: Final = 512
_MOST_BYTES: Final = 2**24


@dataclass(frozen=True)
class Resting:
    """Nothing is under way: examples are learned, and the policy decides when to consolidate."""

    TAG: ClassVar[int] = 1


@dataclass(frozen=True)
class OpeningRound:
    """A round of one's own is drafted and saved; it may have been sent."""

    TAG: ClassVar[int] = 2
    nonce: Hash
    """The nonce hash in the round's terms, by which it is found on the chain."""


@dataclass(frozen=True)
class PlayingRound:
    """The round is on the chain, and is played to its end."""

    TAG: ClassVar[int] = 3
    round: Hash
    nonce: Hash | None
    """The nonce hash if the round is one's own."""


@dataclass(frozen=True)
class AwaitingProof:
    """The chain is said to know the classes; nothing is believed until a proof of the version is checked."""

    TAG: ClassVar[int] = 4
    lesson: Hash
    """The name of the lesson, see `lessons.py`."""
    version: U32
    """The version that has learned it."""


@dataclass(frozen=True)
class KeepingSums:
    """The version is proven: sums of the taught rows go into the memory folder."""

    TAG: ClassVar[int] = 5
    lesson: Hash
    version: U32


@dataclass(frozen=True)
class ForgettingRows:
    """The sums are kept: the examples are removed from the fast memory."""

    TAG: ClassVar[int] = 6
    lesson: Hash
    version: U32


ConsolidationState = Resting | OpeningRound | PlayingRound | AwaitingProof | KeepingSums | ForgettingRows

LEGAL: Final[Mapping[type, frozenset[type]]] = {
    Resting: frozenset({OpeningRound, PlayingRound, AwaitingProof}),
    OpeningRound: frozenset({PlayingRound, Resting}),
    PlayingRound: frozenset({AwaitingProof, Resting}),
    AwaitingProof: frozenset({KeepingSums, Resting}),
    KeepingSums: frozenset({ForgettingRows}),
    ForgettingRows: frozenset({Resting}),
}
"""Which states may follow a state."""


@dataclass(frozen=True)
class Spent:
    """What one round has cost, or may cost while it runs."""

    at_ms: U64
    key: Hash
    """The round, or the nonce hash of one that is being opened."""
    fee: U64
    """Sparks that do not come back."""
    bond: U64
    """Sparks at stake."""


@dataclass(frozen=True)
class LearnState:
    """Everything about consolidations that must survive a crash."""

    at: ConsolidationState = field(default_factory=Resting)
    failures: U16 = 0
    """Attempts that have failed since the last success."""
    not_before_ms: U64 = 0
    """When the next attempt may begin, in milliseconds since 1970."""
    examined: U32 = 0
    """The newest version that was compared with the participant's own rows."""
    waiting_since_ms: U64 | None = None
    """When the oldest example arrived that no consolidation has covered."""
    opened: Annotated[tuple[Hash, ...], Size(0, MAX_OPENED)] = ()
    """Nonce hashes of own rounds: rows of their parts may be public, and are sealed in no other round."""
    spent: Annotated[tuple[Spent, ...], Size(0, MAX_SPENT)] = ()

    def to(self, at: ConsolidationState) -> LearnState:
        """The same, in another state. Raises `IllegalTransition`."""
        if type(at) not in LEGAL[type(self.at)]:
            raise IllegalTransition(expected=names_of(LEGAL[type(self.at)]), got=type(at).__name__)
        return replace(self, at=at)


def names_of(states: frozenset[type]) -> tuple[str, ...]:
    """The names of states, sorted."""
    return tuple(sorted(each.__name__ for each in states))


class StateFile:
    """The state on disk. `now` is what the file holds."""

    def __init__(self, path: Path) -> None:
        """Reads the file; without one, everything begins. Raises `LearnStateDamaged`."""
        self._path: Final = path
        self._now = self._read()

    @property
    def now(self) -> LearnState:
        """The state, as it is on disk."""
        return self._now

    def save(self, state: LearnState) -> None:
        """Replaces the file; when this returns, the state is on disk."""
        content = {"engram_learn": FORMAT, "state": to_json(state)}
        write_private(self._path, (json.dumps(content, indent=2) + "\n").encode())
        self._now = state

    def go(self, at: ConsolidationState, **changes: object) -> None:
        """Goes to another state, with other changes, in one step. Raises `IllegalTransition`."""
        self.save(replace(self._now.to(at), **changes))  # type: ignore[arg-type]

    def _read(self) -> LearnState:
        try:
            content = read_json(self._path, _MOST_BYTES)
            if content["engram_learn"] != FORMAT:
                raise LearnStateDamaged(
                    f"{self._path} has another format", expected=FORMAT, got=content["engram_learn"]
                )
            return from_json(LearnState, content["state"])
        except FileNotFoundError:
            return LearnState()
        except (OSError, ValueError, KeyError, TypeError, CodecError, FileDamaged, NotAFile) as error:
            raise LearnStateDamaged(f"{self._path} cannot be read: {error}") from error
