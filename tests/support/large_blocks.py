"""A chain whose blocks may be larger than a message, and blocks for it."""

import random
from collections.abc import Sequence
from dataclasses import replace

from engram.consensus.block import Block
from engram.primitives.keys import PrivateKey
from engram.statemachine.content import blob_id
from engram.statemachine.rules import MAX_BODY_BYTES
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, SPEC

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
