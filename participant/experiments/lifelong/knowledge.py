"""What the owners of one cell have computed from their own rows: trunk values and sums, each once.

Models of one cell that declare the same banks over the same trunk share them, as they would in life.
"""

from __future__ import annotations

import time

from engram.participant.datasets import Dataset, concatenate
from engram.participant.experiments.lifelong.rows import CutRows
from engram.participant.experiments.lifelong.streams import Line, Stream
from engram.participant.memory.banks import BankRule, Banks, declare
from engram.participant.memory.statistics import Statistics, make
from engram.participant.memory.trunk import Trunk, convolution_trunk, plain_trunk
from engram.primitives.types import Hash

DECLARING_ROWS = 4_096
"""The most rows of the first group from which banks are declared."""


class Knowledge:
    """Trunks, values and sums of one cell."""

    def __init__(self, stream: Stream, rows: CutRows, seed: int) -> None:
        self._stream, self._rows = stream, rows
        self.seed: Hash = seed.to_bytes(32, "little")
        self._trunks: dict[bool, Trunk] = {}
        self._values: dict[tuple[bool, range], Dataset] = {}
        self._sums: dict[tuple[Hash, range], Statistics] = {}
        self.seconds: dict[tuple[object, ...], float] = {}
        """Processor seconds of each computation, by what it is about."""

    def trunk(self, line: Line) -> Trunk:
        """The trunk, fitted to rows of the first group alone."""
        plain = line.pixels or self._stream.side is None
        if plain not in self._trunks:
            sample = self._rows.train.of_classes(self._stream.group(0)).features
            self._trunks[plain] = (
                plain_trunk(sample.shape[1])
                if plain
                else convolution_trunk(
                    sample, seed=self.seed, side=self._stream.side or 0, values=self._stream.values
                )
            )
        return self._trunks[plain]

    def values(self, line: Line, classes: range) -> Dataset:
        """The training rows of these classes, which are one group or several, after the trunk."""
        groups = [own for own in map(self._stream.group, range(len(self._stream.sizes))) if own[0] in classes]
        return concatenate([self._values_of(line, group) for group in groups])

    def _values_of(self, line: Line, group: range) -> Dataset:
        key = (line.pixels, group)
        if key not in self._values:
            begin = time.process_time()
            own = self._rows.train.of_classes(group)
            self._values[key] = Dataset(self.trunk(line).run(own.features), own.labels)
            self.seconds[key] = time.process_time() - begin
        return self._values[key]

    def rule(self, line: Line) -> BankRule:
        """The banks of a model: one for each group, or one as large as all of them."""
        stream = self._stream
        groups = len(stream.sizes)
        width = line.width or stream.width
        return declare(
            self.values(line, stream.group(0)).features[:DECLARING_ROWS],
            seed=self.seed,
            width=width * groups if line.joint else width,
            count=1 if line.joint else groups,
            generator=line.generator,
            arguments=line.arguments,
        )

    def sums(self, line: Line, rule: BankRule, classes: range) -> Statistics:
        """The sums of the training rows of these classes."""
        key = (rule.bank_id, classes)
        if key not in self._sums:
            own = self.values(line, classes)
            begin = time.process_time()
            self._sums[key] = make(Banks(rule), own.features, own.labels, least_rows=1)
            self.seconds[key] = time.process_time() - begin
        return self._sums[key]

    def forget(self, number: int) -> None:
        """Lets go of the sums of a group, which no model of the cell needs any more: they are large."""
        group = self._stream.group(number)
        self._sums = {key: sums for key, sums in self._sums.items() if key[1] != group}

    def spent(self, line: Line, rule: BankRule, number: int) -> float:
        """Processor seconds that its owner has spent on the values and sums of a group."""
        group = self._stream.group(number)
        return sum(self.seconds.get(key, 0.0) for key in ((line.pixels, group), (rule.bank_id, group)))
