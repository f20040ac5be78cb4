"""Locators, and the headers that answer them."""

from collections.abc import AsyncIterator

import pytest

from engram.consensus.block import BlockHeader
from engram.node.sync.headersync import headers_after, make_locator
from engram.primitives.codec import decode
from engram.primitives.types import Hash
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import SPEC, Running, fork, ids, miner_address, running

CHAIN = MemoryChain(SPEC)
for _ in range(40):
    CHAIN.mine()
IDS = ids(CHAIN.blocks)
SIDE = fork(CHAIN, 20)
for _ in range(5):
    SIDE.mine(miner=miner_address(1))


@pytest.fixture
async def node() -> AsyncIterator[Running]:
    """A node on the chain that knows the side branch too."""
    async with running() as node:
        await node.take(*CHAIN.blocks[1:], *SIDE.blocks[21:])
        yield node


def heights(encoded: list[bytes]) -> list[int]:
    headers = [decode(BlockHeader, raw) for raw in encoded]
    assert [header.id for header in headers] == [IDS[header.height] for header in headers]
    return [header.height for header in headers]


async def test_a_locator_thins_out_down_to_genesis(node: Running) -> None:
    locator = [IDS.index(name) for name in make_locator(node.chain.store, node.chain.head)]
    assert locator == [*range(40, 30, -1), 29, 25, 17, 1, 0]
    low = make_locator(node.chain.store, node.chain.store.get_ref(IDS[2]))
    assert list(low) == IDS[2::-1]


@pytest.mark.parametrize(
    ("locator", "limit", "expected"),
    [
        ([IDS[38]], 10, [39, 40]),
        ([IDS[40]], 10, []),
        ([IDS[5], IDS[38]], 3, [6, 7, 8]),
        ([ids(SIDE.blocks)[25], IDS[20]], 2, [21, 22]),
        ([bytes(32), IDS[39]], 10, [40]),
        ([bytes(32)], 3, [1, 2, 3]),
    ],
)
async def test_headers_follow_the_first_id_on_the_best_chain(
    node: Running, locator: list[Hash], limit: int, expected: list[int]
) -> None:
    assert heights(headers_after(node.chain.store, locator, limit)) == expected
