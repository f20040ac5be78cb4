"""Measures how long seeded tensors take for what they are charged, over odd shapes and over a real bank."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from benchmarks.bench_blocks import float32_ps_per_mac
from benchmarks.measure import Row, seconds
from engram.consensus import chainspec
from engram.nn.dtypes import INT8, INT16
from engram.nn.seeded import Seeded, expand, generation_macs

SEED: Final = bytes(range(32))
BANK: Final = (Seeded(2, SEED, INT8, (512, 1_000)), Seeded(2, SEED, INT8, (2_592, 512)))
"""A bank of 1,000 neurons that read 512 projections of 2,592 inputs."""
ODD: Final = (
    (2, (1, 1), ()),
    (2, (1, 65_536), ()),
    (2, (65_536, 1), ()),
    (2, (65_536, 300), ()),
    (3, (1, 1), (1, 1, 1, 1)),
    (3, (1, 65_536), (1, 1, 1, 1)),
    (3, (4, 16_384), (2, 2, 1, 2)),
    (3, (65_536, 1), (256, 256, 1, 256)),
    (3, (65_536, 100), (1, 65_536, 1, 9)),
    (3, (784, 5_512), (28, 28, 6, 18)),
)
"""Generator, shape, arguments: one column and many, one row and many, the largest fields and the least."""


def rows(quick: bool) -> Iterable[Row]:
    runs = 2 if quick else 9
    bank_s = min(seconds(lambda: [expand(each) for each in BANK * 10]) for _ in range(runs)) / 10
    room = chainspec.main().rules.max_block_macs
    share = sum(map(generation_macs, BANK)) / room
    float32_ps = float32_ps_per_mac()
    yield Row(
        "seeded_bank_ms",
        bank_s * 1e3,
        float32_ps * room / 1e9,
        share,
        "charge <= 0.01 of a block of main",
        share <= 0.01,
    )
    drawn = [Seeded(kind, SEED, code, shape, args) for kind, shape, args in ODD for code in (INT8, INT16)]
    worst_ps = max(_ps_per_mac(each, runs) for each in drawn)
    ratio = worst_ps / float32_ps
    yield Row("seeded_ps_per_charged_mac", worst_ps, float32_ps, ratio, "ratio <= 3", ratio <= 3)


def _ps_per_mac(seeded: Seeded, runs: int) -> float:
    """Picoseconds for each charged MAC. Small tensors are drawn many times over."""
    macs = generation_macs(seeded)
    times = 1 + 2**27 // macs

    def draw() -> None:
        for _ in range(times):
            expand(seeded)

    return min(seconds(draw) for _ in range(runs)) / (times * macs) * 1e12
