"""Whole nodes relay blocks as short ids: megabytes that wait already are not sent again."""

import random
from pathlib import Path

from engram.p2p.messages import BlockData, BlockTransactions, CompactBlock, encode_frame
from engram.primitives.codec import encode
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, SPEC
from tests.support.node_network import NodeNetwork, node_network
from tests.support.until import until

CHUNKS = 4


def upload(chain: MemoryChain) -> list[Transaction]:
    """A blob of a megabyte in four transactions; its bytes do not become smaller."""
    size = SPEC.rules.chunk_bytes
    rng = random.Random(1)
    chunks = [rng.randbytes(size) for _ in range(CHUNKS)]
    blob = b"".join(chunks)
    name = blob_id(blob)
    return [
        chain.sign(ALICE, PublishChunk(name, len(blob), index, chunk), nonce=index)
        for index, chunk in enumerate(chunks)
    ]


def carried(network: NodeNetwork) -> int:
    """Bytes of all frames that carried parts of blocks."""
    return sum(
        len(encode_frame(said.message))
        for said in network.said
        if isinstance(said.message, CompactBlock | BlockTransactions | BlockData)
    )


async def test_what_waits_everywhere_is_not_sent_again(tmp_path: Path) -> None:
    transactions = upload(MemoryChain(SPEC))
    async with node_network(tmp_path) as network:
        members = await network.line("one", "two", "three")
        for tx in transactions:
            await members[0].admit(tx)
        await until(lambda: all(member.waits(tx) for member in members for tx in transactions))
        network.said.clear()
        await members[0].mine()
        for member in members[1:]:
            await member.follow(members[0])
        assert len(members[2].chain.store.get_block(members[2].chain.head).transactions) == CHUNKS
        assert network.count("two", "three", CompactBlock) == 1
        assert carried(network) < sum(tx.size_bytes for tx in transactions) // 500


async def test_what_waits_nowhere_is_sent_once_to_each(tmp_path: Path) -> None:
    chain = MemoryChain(SPEC)
    transactions = upload(chain)
    block = chain.mine(transactions)
    async with node_network(tmp_path) as network:
        members = await network.line("one", "two", "three")
        await members[0].take([block])
        for member in members[1:]:
            await member.follow(members[0])
        assert network.count("one", "two", BlockTransactions) == 1
        assert network.count("two", "three", BlockTransactions) == 1
        assert network.count("one", "two", BlockData) + network.count("two", "three", BlockData) == 0
        assert carried(network) < 2 * len(encode(block)) + 10_000
