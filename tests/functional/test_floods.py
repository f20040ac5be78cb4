"""Floods of what is cheap to make: each is bounded, costs the honest little, and loses nothing of theirs."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from engram.consensus import validation
from engram.consensus.block import Block
from engram.consensus.errors import PowNotMet
from engram.consensus.pow import pow_digest
from engram.node.chain.orphans import MAX_BLOCKS, MAX_BYTES, memory_of
from engram.node.mempool.pool import PoolLimits
from engram.node.storage.schema import HEADER, INDEX
from engram.node.sync.headersync import open_branch
from engram.p2p.inventory import KnownIds
from engram.p2p.messages import Announce
from engram.p2p.protocol import Peer
from engram.primitives.codec import encode
from engram.statemachine.transactions.transfer import Transfer
from tests.support.faults import Played, inputs
from tests.support.memory_chain import MemoryChain, easy_spec, key
from tests.support.node_chain import (
    ALICE,
    BOB,
    SPEC,
    ids,
    miner_address,
    paying_chain,
    resealed,
    running,
    settled,
    without_work,
)
from tests.support.node_network import NodeNetwork
from tests.support.served_chain import ServedChain
from tests.support.until import until

PEERS: Final = 20


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(12)


@pytest.mark.fault(id=5)
async def test_headers_without_work_cost_one_digest_and_are_not_stored(
    chain: MemoryChain, monkeypatch: pytest.MonkeyPatch, fault: Played
) -> None:
    """The false one stands anywhere in the message; what comes after it is not looked at."""
    digests = 0

    def counted(name: str, raw: bytes) -> bytes:
        nonlocal digests
        digests += 1
        return pow_digest(name, raw)

    monkeypatch.setattr(validation, "pow_digest", counted)
    count, rng = inputs(5, sample=200), random.Random(5)
    headers = [block.header for block in chain.blocks[1:]]
    async with running() as node:
        store = node.chain.store
        rows = len(list(store.database.iterate(HEADER)))
        for _ in range(count):
            place = rng.randrange(len(headers))
            message = [*headers[:place], without_work(headers[place]), *headers[place + 1 :]]
            branch = open_branch(SPEC, store, [encode(header) for header in message], len(message))
            assert branch is not None
            digests = 0
            with pytest.raises(PowNotMet):
                branch.check(len(message), node.clock.now_ms(), KnownIds(64))
            assert digests == place + 1, "one for each that was good, and one for the false one"
        assert len(list(store.database.iterate(HEADER))) == rows
    fault.tell(count, code=PowNotMet.code)


@pytest.mark.fault(id=22)
async def test_a_flood_of_payments_keeps_within_the_bounds_and_drops_no_better_payer(fault: Played) -> None:
    """A thousand senders at the full scale; among them one who pays more, and many false signatures."""
    count = inputs(22, sample=400)
    senders = [key(number) for number in range(1, 2 + max(10, min(1_000, count // 40)))]
    chain = MemoryChain(easy_spec(senders))
    limits = PoolLimits(max_bytes=100_000)
    honest, flooding = senders[0], senders[1:]
    async with running(spec=chain.spec, limits=limits) as node:
        better = [
            chain.sign(honest, Transfer(BOB.address, 1), nonce=nonce, tip=50_000_000) for nonce in range(8)
        ]
        for tx in better:
            assert (await node.mempool.admit(tx)).accepted
        refused: set[str] = set()
        for number in range(count):
            sender, nonce = flooding[number % len(flooding)], number // len(flooding)
            tx = chain.sign(sender, Transfer(BOB.address, 1 + number), nonce=nonce, tip=number % 1_000)
            if number % 10 == 9:
                tx = replace(tx, signature=bytes([tx.signature[0] ^ 1]) + tx.signature[1:])
            outcome = await node.mempool.admit(tx)
            if outcome.error is not None:
                refused.add(outcome.error.code)
            assert node.mempool.memory_bytes <= limits.max_bytes
        assert "bad_signature" in refused
        assert len(node.mempool) < count, "the bound was met"
        assert all(node.mempool.get(tx.id) is not None for tx in better)
        candidates = [tx.id for tx in node.mempool.candidates()]
        assert candidates[: len(better)] == [tx.id for tx in better], "they come into the next block first"
    fault.tell(count, code=",".join(sorted(refused)))


class Heard(ServedChain):
    """A peer that keeps its session, to announce what it likes."""

    def on_peer_connected(self, peer: Peer) -> None:
        self.session: Peer = peer


@pytest.mark.fault(id=23)
async def test_what_is_announced_again_and_again_is_fetched_and_executed_once(
    network: NodeNetwork, chain: MemoryChain, fault: Played
) -> None:
    rounds = max(1, inputs(23, sample=200) // PEERS)
    node, other = await network.line("node", "other")
    await node.take(chain.blocks[1:-1])
    await other.follow(node)
    payment = MemoryChain(SPEC).sign(BOB, Transfer(ALICE.address, 3))
    tip, served = ids(chain.blocks)[-1], [Heard(chain.blocks[:-1]) for _ in range(PEERS)]
    for number, peer in enumerate(served):
        await network.serve(f"peer{number}", peer, "node")
        peer.offer(encode(payment))
    await network.connected(node, PEERS + 1)
    before = node.services.metrics.block_import.count
    for peer in served:
        peer.blocks = chain.blocks
    again = Announce((tip,), (payment.id,))
    for _ in range(rounds):
        for peer in served:
            await peer.session.announce(again)  # type: ignore[attr-defined]  # the session itself
    await node.reach(len(chain.blocks) - 1)
    await until(lambda: node.waits(payment) and other.waits(payment))
    await other.follow(node)
    for peer in served:
        await peer.session.ping()
    await settled()
    assert node.services.metrics.block_import.count == before + 1
    assert network.asked("node", tip) <= 2, "in its compact form, and whole"
    assert network.asked("node", payment.id) == 1
    assert [network.asked("other", name) for name in (tip, payment.id)] == [1, 1]
    fault.tell(rounds * PEERS)


def orphans(count: int) -> Sequence[Block]:
    """Blocks with the work that they name, on parents that nobody has."""
    template = paying_chain(1).blocks[1]
    return [
        resealed(template, parent=number.to_bytes(32, "big"), height=7, miner=miner_address(number))
        for number in range(1, count + 1)
    ]


@pytest.mark.fault(id=24)
async def test_orphans_are_bounded_and_an_honest_child_still_waits_for_its_parent(
    chain: MemoryChain, fault: Played
) -> None:
    count = inputs(24, sample=300, share=0.1)
    async with running() as node:
        flood = orphans(count)
        outcomes = await node.take(*flood)
        assert set(outcomes) == {"parked:unknown_parent"}
        kept = [block for block in flood if node.chain.parked(block.header.id)]
        assert len(kept) <= MAX_BLOCKS
        assert sum(memory_of(block) for block in kept) <= MAX_BYTES
        await node.take(*chain.blocks[2:])
        assert node.chain.head.height == 0
        assert await node.take(chain.blocks[1]) == ["extended"]
        await until(lambda: node.chain.head.height == len(chain.blocks) - 1)
        assert len(list(node.chain.store.database.iterate(INDEX))) == len(chain.blocks)
    fault.tell(count, code="unknown_parent")


@pytest.mark.fault(id=24)
async def test_payments_far_ahead_of_their_turn_do_not_wait(fault: Played) -> None:
    count, limits = inputs(24, sample=200, share=0.02), PoolLimits()
    async with running(limits=limits) as node:
        chain, refused = MemoryChain(SPEC), 0
        for number in range(count):
            tx = chain.sign(ALICE, Transfer(BOB.address, 1), nonce=1 + number)
            refused += not (await node.mempool.admit(tx)).accepted
        assert len(node.mempool) <= limits.nonce_window
        assert refused == count - len(node.mempool)
        first = chain.sign(ALICE, Transfer(BOB.address, 1), nonce=0)
        assert (await node.mempool.admit(first)).accepted, "the one that they wait for is let in"
        assert node.mempool.candidates()[0].id == first.id
    fault.tell(count)
