"""Timestamps that somebody bends as far as the rules allow bring hardly any block more."""

import math
import random
from dataclasses import replace
from statistics import fmean
from typing import Final

import pytest

from engram.consensus.chainspec import ChainSpec, main
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.difficulty import next_bits
from engram.consensus.genesis import genesis
from engram.consensus.validation import MEDIAN_BLOCKS, median_time_past
from tests.support.faults import Played, inputs

BLOCKS: Final = 5_000
SHARES: Final = (0.1, 0.3, 0.45)
SKEW_MS: Final = 60_000
"""So far the clocks of the honest may be from the true time."""
GAIN: Final = 1.02
START_BITS: Final = 40
"""A hash rate at which neither the easiest target nor the end of the scale is met."""


def late(now_ms: int, median_ms: int, limit_ms: int, rng: random.Random) -> int:
    return now_ms + limit_ms


def early(now_ms: int, median_ms: int, limit_ms: int, rng: random.Random) -> int:
    return median_ms + 1


def either(now_ms: int, median_ms: int, limit_ms: int, rng: random.Random) -> int:
    return rng.choice((early, late))(now_ms, median_ms, limit_ms, rng)


STRATEGIES: Final = (late, early, either)


def play(spec: ChainSpec, seed: int) -> tuple[float, int, int]:
    """One chain: how many times faster than due its blocks came, how many honest ones were refused whose time
    their miner could choose, and for how long one had to wait whose time the median dictated.
    """
    rng = random.Random(seed)
    share, bend = SHARES[seed % len(SHARES)], STRATEGIES[seed // len(SHARES) % len(STRATEGIES)]
    parent = replace(genesis(spec).block.header, timestamp_ms=0)
    stamps, grandparent, now_ms, refused, waited_ms = [0], parent, 0.0, 0, 0
    per_ms = work_of(bits_to_target(next_bits(spec, parent, None))) / spec.block_time_ms
    for height in range(1, BLOCKS + 1):
        bits = next_bits(spec, parent, grandparent)
        now_ms -= math.log(1.0 - rng.random()) * work_of(bits_to_target(bits)) / per_ms
        median_ms = median_time_past(stamps[-MEDIAN_BLOCKS:])
        moment_ms = int(now_ms)
        if rng.random() < share:
            stamp_ms = max(median_ms + 1, bend(moment_ms, median_ms, spec.future_limit_ms, rng))
        else:
            skew_ms = rng.randint(-SKEW_MS, SKEW_MS)
            stamp_ms = max(median_ms + 1, moment_ms + skew_ms)
            judge_ms = moment_ms + rng.randint(-SKEW_MS, SKEW_MS)
            early_ms = stamp_ms - judge_ms - spec.future_limit_ms
            waited_ms = max(waited_ms, early_ms)
            refused += early_ms > 0 and stamp_ms > median_ms + 1
        stamps.append(stamp_ms)
        grandparent = parent
        parent = replace(parent, height=height, timestamp_ms=stamp_ms, target=bits)
    return BLOCKS * spec.block_time_ms / now_ms, refused, waited_ms


@pytest.mark.fault(id=11)
def test_optimal_timestamps_gain_next_to_nothing_and_no_honest_block_is_refused(fault: Played) -> None:
    """An attacker with up to 45 % of the blocks; clocks of the honest, who mine and judge, a minute off."""
    hard = replace(main(), genesis_target=(1 << (256 - START_BITS)).to_bytes(32, "big"))
    count = inputs(11, sample=9)
    outcomes = [play(hard, seed) for seed in range(count)]
    assert [refused for _, refused, _ in outcomes] == [0] * count
    assert max(waited_ms for _, _, waited_ms in outcomes) <= SKEW_MS + 1, (
        "a late median makes it wait a minute"
    )
    kinds = len(SHARES) * len(STRATEGIES)
    gains = [fmean(gain for gain, _, _ in outcomes[kind::kinds]) for kind in range(min(kinds, count))]
    assert max(gains) <= GAIN, f"seeds {gains.index(max(gains))} and every {kinds}th from there"
    fault.tell(count, ratio=round(max(gains), 4))
