"""What is measured: streams of classes, and the lines of models that learn them.

Ridges, Gaussians and receptive fields were chosen on validation rows that were cut from training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from engram.nn.growth import Policy
from engram.participant.experiments.plan import Cell, Scale
from engram.participant.memory.banks import FIELDS
from engram.participant.memory.consolidation import Calibration, Settings
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.trunk import TERNARY

IMAGE_FIELDS: Final = (28, 28, 6, 18)
"""Receptive fields of pixel banks: rectangles with sides of 6 to 18 pixels in an image of 28 x 28."""


@dataclass(frozen=True)
class Line:
    """How one model is founded and taught."""

    engine: str
    settings: Settings = field(default_factory=Settings)
    pixels: bool = False
    """Whether its banks read the features as they are, without a trunk."""
    joint: bool = False
    """Whether all classes are there from the beginning, for comparison; as many neurons, in one bank."""
    open_gate: bool = False
    """Whether its growths are judged on rows of new classes alone, so that it may forget."""
    generator: int = TERNARY
    arguments: tuple[int, ...] = ()
    width: int | None = None
    """The neurons of a bank, where they are not those of the stream."""
    cap: int | None = None
    """The most neurons for which a round has room, where a growth brings no bank. Several small segments cost
    more than one large one, so it is more than there will be."""

    @property
    def policy(self) -> Policy:
        return ENGINES[self.engine].policies[0]


@dataclass(frozen=True)
class Stream:
    """A data set whose classes arrive group by group."""

    name: str
    title: str
    data_set: str
    sizes: tuple[int, ...]
    """The number of classes in each group."""
    lines: Mapping[str, Line]
    width: int = 1_000
    """The neurons of a bank; a growth brings one bank."""
    side: int | None = 28
    """Pixels on a side of the images; None for rows that are no images."""
    values: int = 512
    """What the trunk gives."""
    epsilon_ppm: int = 50_000
    """Millionths of the unseen old rows that a growth may lose."""
    opener_rows: int = 120
    """Training rows of each class that are cut off for the openers' parts."""
    witness_rows: int = 40
    """The same for the parts of witnesses; 0 for rounds without a witness."""
    sealed: int = 4
    """Sealed parts of a round."""
    calibration: Calibration | None = None
    """None: the founding chooses it, which needs two classes."""

    @property
    def classes(self) -> int:
        return sum(self.sizes)

    @property
    def ends(self) -> tuple[int, ...]:
        """For each group, the number of classes up to and with it."""
        return tuple(int(end) for end in np.cumsum(self.sizes))

    def group(self, number: int) -> range:
        """The classes of a group, numbered in the order in which they arrive."""
        begins = (0, *self.ends)
        lo, hi = list(pairwise(begins))[number]
        return range(lo, hi)

    def order(self, number: int) -> tuple[int, ...]:
        """The labels of the data set in one of the orders of arrival; number 0 is 0, 1, 2, …"""
        if number == 0:
            return tuple(range(self.classes))
        return tuple(np.random.default_rng([number, self.classes]).permutation(self.classes).tolist())


_BANKED: Final = {"gate": Line("gate"), "analytic": Line("analytic")}
_PIXELS: Final = Line("gate", pixels=True, generator=FIELDS, arguments=IMAGE_FIELDS)
_EXPERTS: Final = Line("experts", width=16, cap=480)
_MNIST: Final[Mapping[str, Line]] = {
    **_BANKED,
    "experts": _EXPERTS,
    "pixels": _PIXELS,
    "joint": Line("analytic", joint=True),
    "replay": Line("replay", Settings(neurons=100, components=4, rank=60)),
    "naive": Line("naive", Settings(neurons=100), open_gate=True),
}
_FASHION: Final[Mapping[str, Line]] = {
    **_MNIST,
    "experts": Line("experts", Settings(components=3, rank=13), width=16, cap=480),
}
_ONE_BY_ONE: Final = {name: _MNIST[name] for name in ("gate", "analytic", "experts", "pixels", "joint")}
_LETTERS: Final = {
    "experts": Line("experts", Settings(components=16, rank=15, floor=1.5), pixels=True, width=16, cap=3_000),
    "joint": Line("analytic", Settings(ridge=1e-4), pixels=True, joint=True),
}
_SMALL: Final = Settings(ridge=1e-2)
_DIGITS: Final = {
    "gate": Line("gate", _SMALL),
    "analytic": Line("analytic", _SMALL),
    "experts": Line("experts", Settings(rank=20), width=16, cap=480),
    "pixels": Line("gate", _SMALL, pixels=True),
    "joint": Line("analytic", _SMALL, joint=True),
    "naive": Line("naive", Settings(ridge=1e-2, neurons=32), open_gate=True),
}

STREAMS: Final[Mapping[str, Stream]] = {
    stream.name: stream
    for stream in (
        Stream("mnist-5x2", "Split MNIST 5 x 2", "mnist", (2,) * 5, _MNIST, width=990),
        Stream("fashion-5x2", "Split Fashion-MNIST 5 x 2", "fashion-mnist", (2,) * 5, _FASHION,
               width=990, epsilon_ppm=200_000),
        Stream("mnist-10x1", "Split MNIST 10 x 1", "mnist", (1,) * 10, _ONE_BY_ONE, width=480,
               calibration=Calibration(alpha=8.0)),
        Stream("letters-26x1", "Letter recognition 26 x 1", "letters", (1,) * 26, _LETTERS, width=150,
               side=None, epsilon_ppm=100_000, opener_rows=48, witness_rows=0,
               calibration=Calibration(temperature=0.5)),
        Stream("digits-3", "Digits 4 + 3 + 3", "digits", (4, 3, 3), _DIGITS, width=150, side=8,
               values=64, epsilon_ppm=200_000, opener_rows=36, witness_rows=0),
    )
}  # fmt: skip

MAIN: Final = ("gate", "analytic", "experts")
OTHERS: Final = ("pixels", "joint", "replay", "naive")


def cells_of(scale: Scale) -> list[Cell]:
    """The cells: the longest first, so that several processes end at about the same time."""
    if scale is Scale.QUICK:
        return [_cell("digits-3", 0, 0, tuple(_DIGITS), 1.0)]
    cells = [_cell("mnist-10x1", order, order, MAIN, 7.0) for order in range(3)]
    for stream in ("mnist-5x2", "fashion-5x2"):
        cells += [_cell(stream, order, seed, MAIN, 5.0) for order in range(3) for seed in range(3)]
    cells += [_cell("letters-26x1", order, order, ("experts", "joint"), 0.8) for order in range(3)]
    cells.append(_cell("mnist-10x1", 0, 0, ("pixels", "joint"), 5.0, "others"))
    for stream in ("mnist-5x2", "fashion-5x2"):
        cells += [_cell(stream, order, order, OTHERS, 5.0, "others") for order in range(3)]
    return cells


def _cell(stream: str, order: int, seed: int, lines: Sequence[str], weight: float, suffix: str = "") -> Cell:
    given = STREAMS[stream]
    settings: dict[str, Any] = {
        "stream": stream,
        "data_set": given.data_set,
        "order": order,
        "labels": list(given.order(order)),
        "groups": list(given.sizes),
        "seed": seed,
        "width": given.width,
        "epsilon_ppm": given.epsilon_ppm,
        "opener_rows": given.opener_rows,
        "witness_rows": given.witness_rows,
        "sealed": given.sealed,
        "lines": {name: _plain(given.lines[name]) for name in lines},
    }
    name = f"{stream}-order{order}-seed{seed}" + (f"-{suffix}" if suffix else "")
    return Cell(name, settings, weight)


def _plain(line: Line) -> dict[str, Any]:
    """A line as JSON values."""
    return {**asdict(line), "arguments": list(line.arguments)}
