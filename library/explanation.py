"""Whose neurons made predictions: the parts of logits, and how they read for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engram.library.names import People
from engram.library.rows import Rows
from engram.nn.contributions import Contributions, concatenated, contributions, lead
from engram.nn.fixed import LOGIT_BITS, Int64Array
from engram.nn.parameters import Bounds, Parameters
from engram.statemachine.additions import Addition
from engram.statemachine.parameters import NeuronGroup, compose_line
from engram.statemachine.rounds.records import NOBODY

SHOWN_ROWS: Final = 10
"""So many rows are written out; the arrays hold all of them."""
SHOWN_GROUPS: Final = 8
"""So many groups of a row are written out; of more, those that matter most to its lead."""
SHOWN_WORDS: Final = 4
"""So many classes of a group are written out in words."""
_ONE_NAT: Final = 1 << LOGIT_BITS
_REST: Final = {"norms": "norms between stages of classes", "rounding": "rounding", "clipping": "clipping"}


@dataclass(frozen=True)
class Ancestry:
    """Neurons of a version that came at one time from one author."""

    version: int
    neurons: int
    author: str | None
    """The address; of a network that was read from a file, in hexadecimal digits. None if it is nobody."""
    classes: tuple[int, ...] = ()
    """The classes that came with this version."""
    name: str | None = None
    """The author's name among the keys of the data directory or the accounts of a test chain, if known."""

    @classmethod
    def of(cls, found: Mapping[str, Any], people: People) -> Ancestry:
        """What a node says of one group in a `lineage`."""
        author = found["author"]
        classes = tuple(map(int, found["classes"]))
        return cls(int(found["version"]), int(found["neurons"]), author, classes, people.name(author))

    @classmethod
    def of_group(cls, group: NeuronGroup, people: People) -> Ancestry:
        """A group of a network that was composed here."""
        author = None if group.author == NOBODY else people.address(group.author)
        return cls(group.version, group.neurons, author, tuple(group.classes), people.name(author))

    def text(self, word: Callable[[int], str] = str) -> str:
        """The group in words, such as "version 2 by alice (classes 5-6)"; `word` names a class."""
        return group_text(self.version, self.classes, self.name or self.author or "nobody", word)

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What each group of neurons added to the largest logits of some rows, and to their lead.

    Arrays are int64 in units of 2^-16 nat. For every row, the parts of all groups and the rest add up to the
    logit, and so do those of the lead.
    """

    groups: tuple[Ancestry, ...]
    """Who made which neurons, the oldest first."""
    found: Contributions
    """All parts of both classes: also what came through neurons, and what the rest is made of."""
    names: tuple[str, ...] = ()
    """What each class is called, if a mapping names them."""

    def name(self, label: int) -> str:
        """What a class is called: its name, or its number."""
        return self.names[label] if self.names else str(label)

    @property
    def predicted(self) -> Int64Array:
        """(rows,): the class with the largest logit."""
        first: Int64Array = self.found.ranked[:, 0]
        return first

    @property
    def runner_up(self) -> Int64Array:
        """(rows,): the class with the next logit; of a network of one class, the same class."""
        last: Int64Array = self.found.ranked[:, -1]
        return last

    @property
    def logit(self) -> Int64Array:
        """(rows,): the largest logit."""
        first: Int64Array = self.found.logits[:, 0]
        return first

    @property
    def logit_parts(self) -> Int64Array:
        """(rows, groups): what each group added to the largest logit."""
        first: Int64Array = self.found.parts[:, 0]
        return first

    @property
    def logit_rest(self) -> Int64Array:
        """(rows,): what no group added to it: norms between stages of classes, rounding, clipping."""
        first: Int64Array = self._rest[:, 0]
        return first

    @property
    def margin(self) -> Int64Array:
        """(rows,): how far the largest logit lies above the next one; 0 if there is one class."""
        return self._led(self.found.logits)

    @property
    def margin_parts(self) -> Int64Array:
        """(rows, groups): what each group added to this lead."""
        return self._led(self.found.parts)

    @property
    def margin_rest(self) -> Int64Array:
        """(rows,): what no group added to it."""
        return self._led(self._rest)

    @property
    def _rest(self) -> Int64Array:
        return self.found.norms + self.found.rounding + self.found.clipping

    def _led(self, values: Int64Array) -> Int64Array:
        return lead(values) if values.shape[1] > 1 else values[:, 0] - values[:, 0]

    def __len__(self) -> int:
        return len(self.found.ranked)

    def __repr__(self) -> str:
        return f"<explanation of {len(self)} rows by {len(self.groups)} groups of neurons>"

    def __str__(self) -> str:
        from engram.node.rpc.explain import parts_of

        groups = [group.text(self.name) for group in self.groups]
        shown = slice(0, SHOWN_ROWS)
        rows = zip(self.predicted[shown].tolist(), parts_of(self.found.first(SHOWN_ROWS)), strict=True)
        lines = []
        for number, (label, answer) in enumerate(rows):
            lines += [f"row {number}: class {self.name(label)}", *parts_lines(answer, groups, self.name), ""]
        if len(self) > SHOWN_ROWS:
            lines.append(f"… and {len(self) - SHOWN_ROWS} more rows")
        return "\n".join(lines).rstrip()


def explanation_of(
    line: Sequence[Addition],
    version: int,
    parameters: Parameters,
    bounds: Bounds,
    rows: Rows,
    people: People,
) -> Explanation:
    """The explanation of rows by the network of a line, which is this version of its model."""
    whole = compose_line(line)
    groups, owners = whole.groups(version)
    nothing = np.empty((0, whole.spec.inputs), dtype=np.uint8)
    chunks = (features for _, features in rows.chunks()) if len(rows) else (nothing,)
    found = [contributions(whole.spec, parameters, features, owners, bounds) for features in chunks]
    return Explanation(tuple(Ancestry.of_group(group, people) for group in groups), concatenated(found))


def group_text(version: int, classes: Sequence[int], author: str, word: Callable[[int], str] = str) -> str:
    """A group of neurons in words, such as "version 2 by alice (classes 5-6)"; `word` names a class."""
    return f"version {version} by {author} ({_classes_text(classes, word)})"


def parts_lines(
    answer: Mapping[str, Any], groups: Sequence[str], name: Callable[[int], str] = str
) -> list[str]:
    """A table of the parts of one row, in nats. `answer` is in the form of the RPC method model_predict.

    If there are several, their sum follows. `groups` are the groups in words, and `name` gives the name of a
    class.
    """
    parts = sorted(answer["parts"], key=lambda part: -abs(_weight(part)))
    shown = sorted(parts[:SHOWN_GROUPS], key=lambda part: int(part["group"]))
    rows = [(groups[part["group"]], part) for part in shown]
    if others := parts[SHOWN_GROUPS:]:
        rows.append((f"{len(others)} others", _sum(others)))
    rows += [(_REST[key], part) for key, part in answer["rest"].items() if part["logit"] or part["margin"]]
    everything = [*answer["parts"], *answer["rest"].values()]
    if len(rows) > 1:
        rows.append(("together", _sum(everything)))
    columns = [["whose neurons", *(text for text, _ in rows)], ["logit", *_nats(rows, "logit")]]
    if answer["runner_up"] is not None:
        columns.append([f"lead over {name(answer['runner_up'])}", *_nats(rows, "margin")])
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in zip(*columns, strict=True)
    ]


def _weight(part: Mapping[str, Any]) -> int:
    return int(part["logit"] if part["margin"] is None else part["margin"])


def _sum(parts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {key: sum(part[key] or 0 for part in parts) for key in ("logit", "margin")}


def _nats(rows: Sequence[tuple[str, Mapping[str, Any]]], key: str) -> list[str]:
    return [f"{part[key] / _ONE_NAT:+.3f}" for _, part in rows]


def _classes_text(classes: Sequence[int], word: Callable[[int], str]) -> str:
    if not classes:
        return "no new class"
    if len(classes) == 1:
        return f"class {word(classes[0])}"
    if all(word(label) == str(label) for label in classes):
        return f"classes {classes[0]}-{classes[-1]}"
    told = ", ".join(word(label) for label in classes[:SHOWN_WORDS])
    more = len(classes) - SHOWN_WORDS
    return f"classes {told} and {more} more" if more > 0 else f"classes {told}"
