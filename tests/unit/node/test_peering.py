"""What peers are sent of waiting transactions: deflated once, kept within a bound, then plain."""

import random

import numpy as np

from engram.nn.data import part_bytes
from engram.node.concurrency import ReaderThreads
from engram.node.contents import Contents
from engram.node.peering import ChainAdapter, PackedTransactions
from engram.node.rpc.events import EventHub
from engram.node.rpc.render import Renderer
from engram.node.sync.mending import Mending
from engram.node.sync.sync import Sync
from engram.p2p.protocol import Held
from engram.primitives.codec import encode
from engram.primitives.packing import pack, pack_plain, unpack
from engram.statemachine.content import Inline
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC, running
from tests.support.until import until

RNG = np.random.default_rng(1)
LABELS = np.zeros(20, np.uint16)


def publishing(features: np.ndarray) -> Transaction:
    content = Inline(part_bytes(features.astype(np.uint8), LABELS))
    return MemoryChain(SPEC).sign(ALICE, PublishPart(20, 400, 2, random.Random(1).randbytes(32), content))


async def test_a_transaction_is_deflated_once_and_kept_within_a_bound() -> None:
    sparse = [publishing(RNG.integers(1, 9, (20, 400)) * (RNG.random((20, 400)) < 0.2)) for _ in range(2)]
    sizes = [len(pack(encode(tx))) for tx in sparse]
    noise = publishing(RNG.integers(0, 256, (20, 400)))
    payment = MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, 1))
    threads = ReaderThreads(1)
    try:
        packed = PackedTransactions(threads, max(sizes))
        first = await packed.of(sparse[0].id, sparse[0])
        assert first == pack(encode(sparse[0]))
        assert len(first) < len(encode(sparse[0])) // 2
        for other in (noise, payment):
            assert await packed.of(other.id, other) == pack_plain(encode(other))
        assert await packed.of(sparse[0].id, sparse[0]) is first, "what stays plain takes no room"
        second = await packed.of(sparse[1].id, sparse[1])
        assert unpack(second, 1 << 20) == encode(sparse[1])
        assert await packed.of(sparse[1].id, sparse[1]) is second
        assert await packed.of(sparse[0].id, sparse[0]) == pack_plain(encode(sparse[0]))
    finally:
        threads.close()


async def test_what_has_just_left_the_mempool_for_a_block_is_still_served() -> None:
    """Whoever was told of it asks a moment later, and its block may lose: then nobody else would know it."""
    threads, chain = ReaderThreads(1), MemoryChain(SPEC)
    try:
        async with running() as node:
            services = (
                Sync(node.chain, node.clock, threads),
                Mending(node.chain, node.clock, threads),
                Contents(node.chain.store, node.clock, threads, lambda: Held(1, archive=False)),
            )
            render, genesis = Renderer(SPEC.hrp, SPEC.rules), chain.blocks[0].header.id
            adapter = ChainAdapter(
                node.chain, node.mempool, *services, EventHub(), node.clock, threads, render, genesis
            )
            payment = chain.sign(ALICE, Transfer(BOB.address, 1))
            assert await adapter.transaction_bytes(payment.id) is None
            assert (await node.mempool.admit(payment)).accepted
            await node.take(chain.mine([payment]))
            await until(lambda: node.mempool.get(payment.id) is None)
            packed = await adapter.transaction_bytes(payment.id)
            assert packed is not None
            assert unpack(packed, 1 << 20) == encode(payment)
    finally:
        threads.close()
