"""How much of an upload waits for a block at once, and what a mempool takes of one sender."""

from dataclasses import replace

import pytest

from engram.consensus import chainspec
from engram.node.mempool.pool import PoolLimits, limits_of
from engram.participant.upload import chunk_cost, split_chunks, upload_window
from engram.statemachine.rules import Rules

PRESETS = [*(make((), 1).rules for make in chainspec.NEW_CHAINS.values()), chainspec.main().rules]


@pytest.mark.parametrize(
    ("rules", "chunks"),
    [
        (Rules(), 7),
        (chainspec.main().rules, 7),
        (chainspec.cluster((), 1).rules, 63),
        (replace(Rules(), max_body_bytes=2**25, chunk_bytes=1_000), 63),
        (replace(Rules(), max_body_bytes=512 * 1024), 1),
    ],
    ids=["default", "main", "cluster", "many small ones", "a small body"],
)
def test_the_window(rules: Rules, chunks: int) -> None:
    assert upload_window(rules) == chunks


@pytest.mark.parametrize("rules", PRESETS)
def test_an_upload_leaves_half_of_each_block_free_and_has_room_in_the_mempool(rules: Rules) -> None:
    window, limits = upload_window(rules), limits_of(rules, PoolLimits.max_bytes)
    (chunk,) = split_chunks(bytes(rules.chunk_bytes), rules.chunk_bytes)
    size = window * chunk_cost(rules, chunk, first=False, last=False).size_bytes
    assert 2 * size < rules.max_body_bytes
    assert size <= limits.sender_bytes <= limits.max_bytes // 4
    assert window < limits.sender_transactions
    assert limits.sender_bytes == (16 << 20 if rules.max_body_bytes > 4 << 20 else PoolLimits.sender_bytes)
