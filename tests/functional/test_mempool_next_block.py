"""Without a gap the draw may be needed as soon as it is made: a node prices as the next block will judge."""

from dataclasses import replace

import pytest

from engram.node.concurrency import ReaderThreads
from engram.node.rpc.headview import HeadViews
from engram.node.rpc.render import Renderer
from engram.node.rpc.slow import SlowCalls
from engram.node.rpc.tx import TransactionMethods
from engram.primitives.codec import encode
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.keys import format_address
from engram.statemachine.content import Inline
from engram.statemachine.receipt import Status
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.draw import draw_parts, draw_seed
from engram.statemachine.rounds.records import Round
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.transactions.open_round import OpenRound
from engram.statemachine.transactions.reveal_part import RevealPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain, easy_spec
from tests.support.node_chain import running, settled
from tests.support.round_matter import (
    ACTORS,
    BOB,
    NONCE,
    OPENER,
    SMALL_RULES,
    founding,
    make_part,
    network,
    train_terms,
)

PARTS = [make_part(index, parts=4) for index in range(4)]
OLD = 9
"""Blocks below the round, more than the ring of `TIGHT` remembers."""

TIGHT = replace(SMALL_RULES, tick_ring=4)
"""The ring holds no more than what lies between a draw and its last reveal."""


def before_reveal(rules: Rules, *, age: int) -> tuple[MemoryChain, RevealPart]:
    """A chain whose next block is the first of REVEAL in a round without gaps, and the part drawn for it.

    The last block holds a transfer of the opener.
    """
    chain = MemoryChain(replace(easy_spec(ACTORS), rules=rules))
    for _ in range(age):
        chain.mine()
    opening = chain.sign(OPENER, OpenRound(train_terms(PARTS, gap=0), founding=founding(network(6, 0))))
    chain.mine([opening])
    round_id = tagged_hash(Tag.ROUND, opening.id)
    calendar = Calendar.of(chain.state.get(Round, round_id), rules)
    first = calendar.span(Phase.REVEAL).first
    while chain.height < first - 1:
        chain.mine()
    chain.mine([chain.sign(OPENER, Transfer(BOB.address, 1))])
    assert chain.next_context().tick == first == calendar.draw_ticks[-1] + 1
    seed = draw_seed([chain.blocks[tick].header.id for tick in calendar.draw_ticks], NONCE)
    drawn, _ = draw_parts(seed, tuple(part.commitment for part in PARTS), 1, 1)
    secret = next(part for part in PARTS if part.commitment == drawn[0])
    return chain, RevealPart(round_id, NONCE, secret.commitment, secret.salt, Inline(secret.raw))


@pytest.mark.parametrize(("rules", "age"), [(TIGHT, OLD), (TIGHT, 0), (SMALL_RULES, 0)])
async def test_a_reveal_is_admitted_for_the_block_after_the_draw(rules: Rules, age: int) -> None:
    chain, payload = before_reveal(rules, age=age)
    tx = chain.sign(OPENER, payload)
    async with running(spec=chain.spec) as node:
        await node.take(*chain.blocks[1:])
        outcome = await node.mempool.admit(tx)
        assert outcome.accepted, outcome.code
        chain.mine(node.mempool.candidates())
    assert [receipt.status for receipt in chain.executed[-1].result.receipts] == [Status.OK]


async def test_a_reveal_that_becomes_next_is_priced_as_its_block_will() -> None:
    chain, payload = before_reveal(TIGHT, age=OLD)
    tx = chain.sign(OPENER, payload)
    async with running(spec=chain.spec) as node:
        await node.take(*chain.blocks[1:-1])
        assert (await node.mempool.admit(chain.blocks[-1].transactions[0])).accepted
        assert (await node.mempool.admit(tx)).accepted, "priced by its bytes alone: it is not next"
        await node.take(chain.blocks[-1])
        while any(entry.tentative for entry in node.mempool.entries()):
            await settled()
        assert node.mempool.candidates() == [tx]


async def test_a_client_learns_the_price_in_the_block_after_the_draw() -> None:
    chain, payload = before_reveal(TIGHT, age=OLD)
    async with running(spec=chain.spec) as node:
        await node.take(*chain.blocks[1:])
        threads = ReaderThreads(1)
        methods = TransactionMethods(
            HeadViews(node.chain, Scorer(), threads, SlowCalls(threads)),
            node.mempool,
            Renderer(chain.spec.hrp, TIGHT),
            0,
        )
        sender = format_address(OPENER.address, chain.spec.hrp)
        answer = await methods.tx_estimate(payload.KIND, encode(payload), sender)
        threads.close()
        assert (await node.mempool.admit(chain.sign(OPENER, payload, max_fee=answer["minimum"]))).accepted
