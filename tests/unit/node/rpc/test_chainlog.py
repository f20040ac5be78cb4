"""What the log says of a growing chain: a line a block, few while many are fetched, why at level debug."""

from dataclasses import replace
from typing import Any

from structlog.testing import capture_logs

from engram.consensus.genesis import genesis
from engram.node.chain.chain import HeadChanged
from engram.node.clock import FakeClock
from engram.node.rpc.chainlog import CATCH_UP_S, RECENT_BLOCKS, ChainLog
from engram.node.storage.schema import Verdict
from engram.node.storage.store import BlockRef
from tests.support.node_chain import SPEC

NOW_MS = 10**12


def block(height: int, age_ms: int = 0, branch: int = 0) -> BlockRef:
    header = replace(genesis(SPEC).block.header, height=height, timestamp_ms=NOW_MS - age_ms)
    return BlockRef(bytes([branch]) * 30 + height.to_bytes(2, "big"), header, height, Verdict.VALID)


def changed(left: tuple[BlockRef, ...], joined: tuple[BlockRef, ...]) -> HeadChanged:
    return HeadChanged(left, joined, joined[-1])


class Log:
    """A log whose lines are kept."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW_MS)
        self.chain_log = ChainLog(self.clock, SPEC.block_time_ms)

    def lines(self, *changes: HeadChanged) -> list[dict[str, Any]]:
        with capture_logs() as lines:
            for change in changes:
                self.chain_log.head_changed(change, 3)
        return [dict(line) for line in lines]


def test_each_new_block_is_one_line() -> None:
    log = Log()
    lines = log.lines(*(changed((), (block(height, age_ms=400),)) for height in range(1, 6)))
    assert [(line["event"], line["height"], line["log_level"]) for line in lines] == [
        ("block", height, "info") for height in range(1, 6)
    ]
    assert (lines[0]["transactions"], lines[0]["age_s"]) == (3, 0.4)


def test_blocks_that_are_fetched_are_counted_together() -> None:
    log, old = Log(), RECENT_BLOCKS * SPEC.block_time_ms + 1
    single = [changed((), (block(height, old),)) for height in range(1, 101)]
    many = changed((), tuple(block(height, old) for height in range(101, 201)))
    assert [line["blocks"] for line in log.lines(*single, many)] == [1], "one line in ten seconds"
    log.clock.advance(round(CATCH_UP_S * 1000))
    (line,) = log.lines(changed((), (block(201, 2 * old),)))
    assert (line["event"], line["height"], line["blocks"]) == ("blocks fetched", 201, 200)


def test_a_block_at_the_bound_of_news() -> None:
    log, bound = Log(), RECENT_BLOCKS * SPEC.block_time_ms
    within, beyond = changed((), (block(1, bound),)), changed((), (block(2, bound + 1),))
    assert [line["event"] for line in log.lines(within, beyond)] == ["block", "blocks fetched"]


def test_a_reorganisation_is_a_warning_with_its_depth() -> None:
    left = (block(7, branch=1), block(6, branch=1))
    log = Log()
    warning, news = log.lines(changed(left, (block(6), block(7), block(8))))
    assert (warning["log_level"], warning["blocks_left"], warning["fork_height"]) == ("warning", 2, 5)
    assert (warning["old_head"], warning["head"]) == (left[0].id, block(8).id)
    assert news["event"] == "blocks fetched"
    (kept,) = log.chain_log.reorganisations
    assert (kept.time_ms, kept.fork_height, kept.blocks_left, kept.blocks_joined) == (NOW_MS, 5, 2, 3)
    assert (kept.old_head, kept.new_head) == (left[0].id, block(8).id)


def test_a_chain_that_is_taken_back_is_a_warning_and_no_reorganisation() -> None:
    log = Log()
    (line,) = log.lines(HeadChanged((block(7), block(6)), (), block(5)))
    assert (line["log_level"], line["event"], line["blocks"]) == ("warning", "the chain was taken back", 2)
    assert (line["height"], line["head"]) == (5, block(5).id)
    assert not log.chain_log.reorganisations


def test_a_round_is_one_line_a_step_and_a_transaction_one_at_debug() -> None:
    log, step = ChainLog(FakeClock(NOW_MS), 1_000), {"id": "aa", "model": "bb", "epoch": 1, "height": 9}
    with capture_logs() as lines:
        log.rounds_changed([{**step, "phase": "commit", "status": "open"}])
        log.rounds_changed([{**step, "phase": "closed", "status": "decided"}])
        log.versions_made([{"model": "bb", "number": 2, "root": "cc", "height": 9}])
        log.transaction({"txid": "dd", "status": "dropped", "code": "expired", "height": None})
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("info", "round"),
        ("info", "round ended"),
        ("info", "new version"),
        ("debug", "transaction dropped"),
    ]
    assert (lines[0]["phase"], lines[1]["status"], lines[3]["code"]) == ("commit", "decided", "expired")
