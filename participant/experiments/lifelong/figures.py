"""The figures that the literature gives, from the accuracies of one line in one order with one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engram.participant.experiments.document import Row


@dataclass(frozen=True)
class Figures:
    """What a model knew after each group. Shares are between 0 and 1."""

    matrix: tuple[tuple[float, ...], ...]
    """R[t][j]: the share of group j's test rows that are right after group t; j ≤ t."""
    seen: tuple[float, ...]
    """The accuracy on the test rows of all classes so far, after each group."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Figures:
        """From the rows of one line in one cell."""
        last = max(int(str(row["after"])) for row in rows)
        matrix, seen = [], []
        for t in range(last + 1):
            mine = sorted((row for row in rows if row["after"] == t), key=lambda row: int(str(row["group"])))
            if not mine:
                continue
            counts = [(int(str(row["right"])), int(str(row["rows"]))) for row in mine]
            matrix.append(tuple(right / rows_ for right, rows_ in counts))
            seen.append(sum(right for right, _ in counts) / sum(rows_ for _, rows_ in counts))
        return cls(tuple(matrix), tuple(seen))

    @property
    def final(self) -> float:
        """The accuracy on all classes at the end."""
        return self.seen[-1]

    @property
    def average(self) -> float:
        """The mean, over the groups, of the accuracy on all classes so far."""
        return sum(self.seen) / len(self.seen)

    @property
    def forgetting(self) -> float:
        """The mean, over all groups but the last, of the best accuracy it ever had minus its final one."""
        r, groups = self.matrix, range(len(self.matrix) - 1)
        lost = [max(r[t][j] for t in range(j, len(r) - 1)) - r[-1][j] for j in groups]
        return sum(lost) / len(lost) if lost else 0.0

    @property
    def backward_transfer(self) -> float:
        """The mean, over all groups but the last, of the final accuracy minus that when it was learned."""
        r, groups = self.matrix, range(len(self.matrix) - 1)
        gains = [r[-1][j] - r[j][j] for j in groups]
        return sum(gains) / len(gains) if gains else 0.0

    def omegas(self, joint: Sequence[float], joint_whole: float) -> tuple[float, float, float]:
        """Ω of the base group, of each new one, and of all classes so far (Kemker and others 2018).

        `joint` are the accuracies of the joint bound on each group, `joint_whole` that on all classes. Each
        is a mean over the groups after the first; base and all are relative to the joint bound.
        """
        r, later = self.matrix, range(1, len(self.matrix))
        base = sum(r[t][0] / joint[0] for t in later) / len(later)
        new = sum(r[t][t] for t in later) / len(later)
        whole = sum(self.seen[t] / joint_whole for t in later) / len(later)
        return base, new, whole
