"""ASERT against its published vectors, and as a local chain feels it."""

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engram.consensus import chainspec
from engram.consensus.block import BlockHeader
from engram.consensus.chainspec import ONE_WORK_TARGET, ChainSpec
from engram.consensus.compact import bits_to_target, target_to_bits, work_of
from engram.consensus.difficulty import asert, next_bits
from engram.consensus.genesis import genesis

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "consensus_asert.json").read_text()
)


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize("run", PUBLISHED["runs"], ids=lambda run: run["description"].split(" ")[0])
def test_published_vectors_of_aserti3_2d(run: dict[str, Any], unit: int) -> None:
    computed = [
        target_to_bits(
            asert(
                bits_to_target(int(run["anchor_bits"], 16)),
                (time - run["anchor_parent_time"]) * unit,
                height - run["anchor_height"],
                spacing=PUBLISHED["spacing"] * unit,
                half_life=PUBLISHED["half_life"] * unit,
                max_target=bits_to_target(int(PUBLISHED["max_bits"], 16)),
            )
        )
        for height, time, _ in run["rows"]
    ]
    assert computed == [int(bits, 16) for _, _, bits in run["rows"]]


def test_every_published_run_is_there() -> None:
    assert [run["published_rows"] for run in PUBLISHED["runs"]] == [
        *(10, 10, 10, 225, 225, 1000, 1000, 500, 10, 10, 1000, 10_000)
    ]


def test_times_beyond_all_measure_end_at_the_limits() -> None:
    def after(time_delta: int) -> int:
        return asert(1 << 200, time_delta, 0, spacing=500, half_life=1, max_target=1 << 250)

    assert after(2**63) == 1 << 250
    assert after(-(2**63)) == 1


def local() -> ChainSpec:
    return chainspec.local((), 1_000_000)


def descend(spec: ChainSpec, *intervals_ms: int) -> list[BlockHeader]:
    """Headers of a chain whose blocks took these intervals; only what difficulty reads is right."""
    headers = [genesis(spec).block.header]
    for interval_ms in intervals_ms:
        last = headers[-1]
        bits = next_bits(spec, last, headers[-2] if len(headers) > 1 else None)
        later = last.timestamp_ms + interval_ms
        headers.append(replace(last, height=last.height + 1, timestamp_ms=later, target=bits))
    return headers


def difficulty(header: BlockHeader) -> int:
    return (1 << 256) // bits_to_target(header.target)


def test_two_blocks_have_the_genesis_target_however_late_the_first_comes() -> None:
    spec = local()
    headers = descend(spec, 10**9, 500, 500)
    assert [difficulty(header) for header in headers] == [256, 256, 256, 256]


def test_a_block_a_half_life_late_doubles_the_next_target() -> None:
    spec = local()
    on_time = descend(spec, 500, 500, 500, 500)
    late = descend(spec, 500, 500, 500 + spec.half_life_ms, 500)
    assert bits_to_target(late[-1].target) == 2 * bits_to_target(on_time[-1].target)


def test_intervals_in_any_order_lead_to_nearly_one_target() -> None:
    spec = local()
    intervals = [100, 400, 900, 1500, 20, 300, 800, 700, -50, 330]
    ends = [descend(spec, 500, *order, 500)[-1].target for order in (intervals, intervals[::-1])]
    assert abs(bits_to_target(ends[0]) - bits_to_target(ends[1])) <= bits_to_target(ends[0]) >> 12


def test_blocks_of_a_chain_without_work_have_one_target_and_count_alike() -> None:
    spec = replace(local(), pow="none", genesis_target=ONE_WORK_TARGET, max_target=ONE_WORK_TARGET)
    headers = descend(spec, 1, 10**9, 1, 1, 10**6, 1)
    assert {header.target for header in headers} == {0x2100FFFF}
    assert work_of(bits_to_target(0x2100FFFF)) == 1


def test_the_easiest_target_is_never_left() -> None:
    spec = local()
    headers = descend(spec, 500, 500, *[10**6] * 5)
    assert headers[-1].target == target_to_bits(int.from_bytes(spec.max_target, "big"))


def mine(spec: ChainSpec, digests_per_s: int, blocks: int, *, seed: int, pause: tuple[int, int]) -> list[int]:
    """Milliseconds each block took when miners with this rate between them search for real.

    Time is counted in microseconds; each digest is a fresh 256-bit number. `pause` is (height, seconds).
    """
    rng = random.Random(seed)
    headers = [genesis(spec).block.header]
    now_us = spec.genesis_time_ms * 1000
    for height in range(1, blocks + 1):
        now_us += pause[1] * 10**6 if height == pause[0] else 0
        bits = next_bits(spec, headers[-1], headers[-2] if height > 1 else None)
        target = bits_to_target(bits)
        now_us += 10**6 // digests_per_s
        while rng.getrandbits(256) > target:
            now_us += 10**6 // digests_per_s
        last = headers[-1]
        headers.append(replace(last, height=height, timestamp_ms=now_us // 1000, target=bits))
    times = [header.timestamp_ms for header in headers]
    return [later - earlier for earlier, later in pairwise(times)]


def mean(intervals: list[int]) -> int:
    return sum(intervals) // len(intervals)


@pytest.mark.parametrize(("digests_per_s", "settled"), [(200, 60), (800, 20), (3200, 120), (12_800, 200)])
def test_a_local_chain_of_unknown_hash_rate_settles(digests_per_s: int, settled: int) -> None:
    runs = [mine(local(), digests_per_s, settled + 100, seed=seed, pause=(0, 0)) for seed in range(3)]
    late = mean([interval for run in runs for interval in run[settled:]])
    assert 400 <= late <= 600, late


def test_a_pause_of_an_hour_is_forgotten_after_some_hundred_blocks() -> None:
    intervals = mine(local(), 800, 400, seed=1, pause=(100, 3600))
    assert intervals[99] > 3_600_000
    assert mean(intervals[250:]) > 400
