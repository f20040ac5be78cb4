"""Proofs of a model that never was. Whatever a forger builds on, only an anchor of the verifier decides.

The genuine chain is public, so a forger has all of its headers. Its blocks take about 4,096 digests each, and
a week has passed since its last one. A forger who dates a block a week later gets the easiest target for the
block after it.
"""

from dataclasses import replace

import pytest

from engram.consensus.block import BlockHeader
from engram.consensus.bundle import ProofBundle
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.compact import bits_to_target, work_of
from engram.consensus.errors import BadTarget, InsufficientWork, TimestampAhead, WrongSpec
from engram.consensus.proof import verify_bundle
from engram.consensus.validation import MEDIAN_BLOCKS
from tests.support.proof_chain import RECORDS, TARGET, bundle_of, mined, mined_line, tree_of
from tests.support.proof_chain import SPEC as SAMPLE

EASY = (1 << 254).to_bytes(32, "big")
GENUINE = replace(SAMPLE, genesis_target=TARGET, max_target=EASY)
LINE = mined_line(GENUINE, 14, b"\x0c" * 32)
CHECKPOINT = LINE[-1].id
NEVER = tree_of(*RECORDS)
"""A state that no block of the genuine chain has led to."""
WEEK_MS = 7 * 86_400_000
NOW_MS = LINE[-1].timestamp_ms + WEEK_MS


def work(*headers: BlockHeader) -> int:
    return sum(work_of(bits_to_target(header.target)) for header in headers)


def forged(line: list[BlockHeader], first: int = 1, date_ms: int = NOW_MS - 1) -> ProofBundle:
    """These headers, then a block of that date, and an easy one that claims the state that never was."""
    late = [*line, mined(GENUINE, line, timestamp_ms=date_ms)]
    head = mined(GENUINE, late, timestamp_ms=date_ms + 1, state_root=NEVER.root)
    return bundle_of([*late, head], NEVER, first=first, spec=GENUINE)


def test_a_chain_of_its_own_under_the_true_genesis() -> None:
    """Two blocks after genesis, dated today, cost no more than two blocks of the genuine chain."""
    bundle = forged(LINE[:1])
    report = verify_bundle(bundle, GENUINE, NOW_MS)
    assert not report.anchored
    assert report.work == work(LINE[1])
    with pytest.raises(InsufficientWork) as refusal:
        verify_bundle(bundle, GENUINE, NOW_MS, min_work=work(*LINE[-3:]))
    assert refusal.value.code == "insufficient_work"


def test_a_chain_of_its_own_from_the_future() -> None:
    ahead = NOW_MS + GENUINE.future_limit_ms + 1
    with pytest.raises(TimestampAhead) as refusal:
        verify_bundle(forged(LINE[:1], date_ms=ahead - 1), GENUINE, NOW_MS, min_work=1)
    assert refusal.value.code == "timestamp_ahead"


def own_rules(spec: ChainSpec, *, claimed: ChainSpec, blocks: int = 3) -> ProofBundle:
    """The headers up to a true checkpoint, and after it blocks by the forger's own rules."""
    line = LINE[-MEDIAN_BLOCKS:]
    for number in range(blocks):
        fields = {"state_root": NEVER.root} if number == blocks - 1 else {}
        line = [*line, mined(spec, line, **fields)]
    return bundle_of(line, NEVER, first=0, spec=claimed)


@pytest.mark.parametrize("min_work", [0, 1_000_000])
def test_rules_of_its_own_after_a_true_checkpoint(min_work: int) -> None:
    rules = replace(
        GENUINE, pow="sha256d", block_time_ms=1, half_life_ms=1, genesis_target=EASY, max_target=EASY
    )
    bundle = own_rules(rules, claimed=rules)
    with pytest.raises(WrongSpec) as refusal:
        verify_bundle(bundle, GENUINE, NOW_MS, checkpoint=CHECKPOINT, min_work=min_work)
    assert refusal.value.code == "wrong_spec"
    assert spec_id(rules) != spec_id(GENUINE)
    bundle = own_rules(rules, claimed=GENUINE)
    with pytest.raises(BadTarget) as caught:
        verify_bundle(bundle, GENUINE, NOW_MS, checkpoint=CHECKPOINT, min_work=min_work)
    assert caught.value.code == "bad_target"


def test_cheap_blocks_after_a_true_checkpoint() -> None:
    """By the true rules: a checkpoint vouches for no block after it."""
    bundle = forged(LINE, first=len(LINE) - MEDIAN_BLOCKS)
    report = verify_bundle(bundle, GENUINE, NOW_MS, checkpoint=CHECKPOINT)
    assert not report.vouched
    assert not report.anchored
    with pytest.raises(InsufficientWork):
        verify_bundle(bundle, GENUINE, NOW_MS, checkpoint=CHECKPOINT, min_work=work(LINE[-1]))


def test_cheap_blocks_after_all_the_work_of_others() -> None:
    """The work of the genuine headers below the forged block is not the forger's and does not count."""
    bundle = forged(LINE)
    report = verify_bundle(bundle, GENUINE, NOW_MS)
    assert report.chain_work > work(*LINE)
    assert report.work < 8
    for checkpoint in (None, CHECKPOINT):
        with pytest.raises(InsufficientWork):
            verify_bundle(bundle, GENUINE, NOW_MS, checkpoint=checkpoint, min_work=work(LINE[-1]))
