"""The two rounds of the guided play: the options of each, as the library takes them and as one types them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engram.commands.support.param_types import WINDOWS

if TYPE_CHECKING:
    from engram.participant.datasets import Dataset

DATA: Final = "digits"
SHARES: Final = 4
OWNERS: Final = {"dev": 1, "alice": 2, "bob": 3, "carol": 4}
"""Whose quarter of the data is whose."""
FIRST_CLASSES: Final = tuple(range(6))
STEPS: Final = 300
"""Training steps of each author."""
_SEED: Final = 0


@dataclass(frozen=True)
class Opening:
    """A round to be opened."""

    opener: str
    authors: tuple[str, ...]
    witness: str | None
    classes: tuple[int, ...]
    """The labels of the rows that are brought to it; () for all."""
    window: int
    """Blocks of each phase."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `AsyncChain.open_round`, which are called the same on the command line."""

    @property
    def programs(self) -> int:
        """How many programs play it."""
        return 1 + len(self.authors) + (self.witness is not None)

    @property
    def windows(self) -> dict[str, int]:
        """The phases' lengths, as the library takes them."""
        return {name: self.window for name in WINDOWS if name != "gap"}

    def command(self, model: str | None = None) -> str:
        """What one types to open it."""
        words = ["engram round open", *([] if model is None else [model]), *self._data(self.opener)]
        words += [f"--{name.replace('_', '-')} {_typed(value)}" for name, value in self.options.items()]
        if self.witness is not None:
            words.append(f"--witness {self.witness}")
        words += [f"--windows {self.window}", f"--wait-for {self.programs}", f"--key {self.opener}"]
        return " ".join(words)

    def seal_command(self) -> str:
        """What the witness types to seal a part."""
        return " ".join(["engram round seal", *self._data(str(self.witness)), f"--key {self.witness}"])

    def play_commands(self) -> tuple[str, ...]:
        """What everybody types to play it, each in a terminal of their own or behind `&`."""
        unseal = [] if self.witness is None else [f"engram round unseal --key {self.witness} &"]
        authors = [
            f"engram participate {' '.join(self._data(name, ()))} --steps {STEPS} --key {name} &"
            for name in self.authors
        ]
        return (*unseal, *authors, f"engram round run --key {self.opener}", "wait")

    def rows(self, name: str, *, trains: bool = False) -> Dataset:
        """The rows that somebody brings."""
        return rows_of(name, () if trains else self.classes)

    def _data(self, name: str, classes: Sequence[int] | None = None) -> list[str]:
        labels = self.classes if classes is None else classes
        kept = f" --take-classes {labels[0]}-{labels[-1]}" if labels else ""
        return [f"--data {DATA} --share {OWNERS[name]}/{SHARES}{kept}"]


def rows_of(name: str, classes: Sequence[int] = ()) -> Dataset:
    """Somebody's quarter of the data; of these classes, if any are named."""
    from engram.participant.selection import Selection

    return Selection(DATA, share=(OWNERS[name], SHARES), classes=tuple(classes)).rows_of(_SEED)


def _typed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


FOUNDING: Final = Opening(
    "dev",
    ("alice", "bob"),
    "carol",
    FIRST_CLASSES,
    6,
    {"rows": 40, "hidden": (16,), "epsilon": 0.15, "epochs": 1, "bounty": 10},
)
"""dev founds a model of the digits 0-5."""
GROWTH: Final = Opening(
    "bob", ("carol", "dev"), None, (), 6, {"new_classes": 4, "neurons": 32, "epochs": 1, "bounty": 5}
)
"""bob has it learn 6-9, too. No author of the first round is one here: the prediction at the end shall name
two people.
"""
