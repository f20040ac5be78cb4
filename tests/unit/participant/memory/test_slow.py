"""Which chain the slow memory follows: the one with the most work, from whichever node."""

from __future__ import annotations

import pytest

from engram.node.rpc.proofs import bundle_file
from engram.participant.memory.errors import OlderVersion, ShorterChain
from engram.participant.memory.slow import SlowMemory
from engram.participant.view import ChainView
from tests.support.proven_model import VERSION_HEIGHT, LineNode, ProvenModel, trust_of
from tests.support.recalling import digits_model

DIGITS = digits_model()
MODEL = ProvenModel(DIGITS.spec, DIGITS.parameters)
NEWER = ProvenModel(DIGITS.spec, DIGITS.parameters, number=2, height=21)
SHORT = MODEL.line(14)
LONG = MODEL.line(20, on=SHORT)
OTHER = MODEL.line(16, later_ms=1)
LONGEST = MODEL.line(24, later_ms=1, on=OTHER)


def fresh() -> SlowMemory:
    now_ms = LONGEST.head.timestamp_ms + 10**6
    return SlowMemory(trust_of(), lambda: now_ms)


async def known(memory: SlowMemory, node: LineNode) -> int:
    """Refreshes; the height of the head that the memory knows then."""
    await memory.refresh(ChainView(node))
    return memory.verified.report.head.height


async def test_it_follows_a_chain_that_grows_from_the_block_before_the_version() -> None:
    memory, node = fresh(), LineNode(SHORT, MODEL)
    assert await known(memory, node) == 14
    assert memory.verified.chain_work == SHORT.work(15)
    node.line = LONG
    assert await known(memory, node) == 20
    assert node.asked == [None, SHORT.line[VERSION_HEIGHT - 1].id]
    assert memory.verified.chain_work == LONG.work(21)


async def test_a_shorter_chain_is_refused_and_a_longer_one_is_followed() -> None:
    memory = fresh()
    assert await known(memory, LineNode(LONG, MODEL)) == 20
    for line in (SHORT, OTHER, MODEL.line(20, later_ms=2)):
        with pytest.raises(ShorterChain):
            await memory.refresh(ChainView(LineNode(line, MODEL)))
    assert memory.verified.report.head.id == LONG.head.id
    node = LineNode(LONGEST, MODEL)
    assert await known(memory, node) == 24
    assert node.asked == [LONG.line[VERSION_HEIGHT - 1].id, None], "the headers are checked from genesis"
    assert memory.verified.chain_work == LONGEST.work(25)


async def test_a_newer_version_is_taken_over_with_the_block_before_it() -> None:
    memory = fresh()
    await known(memory, LineNode(LONG, MODEL))
    grown = NEWER.line(22, on=LONG)
    node = LineNode(grown, NEWER)
    assert await memory.refresh(ChainView(node))
    assert memory.verified.number == 2
    assert memory.verified.report.confirmations == 1
    assert not await memory.refresh(ChainView(node))
    assert node.asked == [LONG.line[VERSION_HEIGHT - 1].id, LONG.head.id]
    assert memory.verified.chain_work == grown.work(23)


@pytest.mark.parametrize("depth", [11, 14])
async def test_a_proof_of_an_older_state_than_was_asked_for_is_refused(depth: int) -> None:
    answer = bundle_file(LONGEST.bundle(trust_of().model, depth=depth))
    assert answer["confirmations"] == depth
    node = LineNode(LONGEST, MODEL)
    node.answer = answer
    with pytest.raises(OlderVersion):
        await fresh().refresh(ChainView(node))
