"""A chain whose blocks may be larger than a message, and blocks for it."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from engram.consensus.block import Block
from engram.node.config import Config
from engram.node.threaded import running_node
from engram.primitives.keys import PrivateKey
from engram.statemachine.content import blob_id
from engram.statemachine.rules import MAX_BODY_BYTES
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, LATE_MS, SPEC, disk_store, opened

LARGE = replace(SPEC, rules=replace(SPEC.rules, max_body_bytes=MAX_BODY_BYTES))
"""As the chain of other tests, with bodies of 32 MiB."""


def upload(chain: MemoryChain, chunks: int, sender: PrivateKey = ALICE, seed: int = 1) -> list[Transaction]:
    """A blob in so many transactions of a quarter of a MiB; its bytes do not become smaller."""
    size = chain.spec.rules.chunk_bytes
    rng = random.Random(seed)
    parts = [rng.randbytes(size) for _ in range(chunks)]
    name = blob_id(b"".join(parts))
    nonce = chain.state.account(sender.address).nonce
    return [
        chain.sign(sender, PublishChunk(name, chunks * size, index, part), nonce=nonce + index)
        for index, part in enumerate(parts)
    ]


def large_chain(*chunks: int) -> tuple[MemoryChain, list[Block]]:
    """A chain of which each block above genesis brings so many quarters of a MiB."""
    chain = MemoryChain(LARGE)
    return chain, [chain.mine(upload(chain, count, seed=number)) for number, count in enumerate(chunks)]


def body_bytes_of(blocks: Sequence[Block]) -> int:
    """Plain bytes of all transactions of these blocks."""
    return sum(tx.size_bytes for block in blocks for tx in block.transactions)


def mixed_block(chain: MemoryChain, transfers: int) -> Block:
    """A block on top of the chain with a quarter of a MiB in one transaction, and so many small ones."""
    (chunk,) = upload(chain, 1)
    first = chain.state.account(ALICE.address).nonce + 1
    payments = [
        chain.sign(ALICE, Transfer(BOB.address, 1 + number), nonce=first + number)
        for number in range(transfers)
    ]
    return chain.mine([chunk, *payments])


@contextmanager
def serving(folder: Path, chain: MemoryChain) -> Iterator[str]:
    """A node in this folder that has the chain's blocks; the address of its RPC."""
    with opened(disk_store(folder, chain.spec), chain.spec) as made:
        head = made.start.head
        for block in chain.blocks[1:]:
            head = made.importer.import_block(block, head, LATE_MS).head
    with running_node(Config(data_dir=folder, rpc_port=0, p2p_port=0), chain.spec) as node:
        assert node.info is not None
        yield node.info.rpc_url
