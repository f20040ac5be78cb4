"""Locators, and the headers that answer them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest

from engram.consensus.block import BlockHeader
from engram.consensus.compact import bits_to_target
from engram.consensus.pow import meets_target, pow_digest
from engram.node.sync.headersync import headers_after, make_locator
from engram.node.sync.proving import with_work
from engram.p2p.inventory import KnownIds
from engram.primitives.codec import decode, encode
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


def workless(header: BlockHeader) -> BlockHeader:
    """The same header with a nonce that does not meet its target."""
    target = bits_to_target(header.target)
    numbers = (replace(header, nonce=number.to_bytes(8, "big")) for number in count())
    return next(each for each in numbers if not meets_target(pow_digest(SPEC.pow, encode(each)), target))


async def test_work_is_checked_ahead_for_headers_of_which_it_is_not_known() -> None:
    """One that has no work, or no target, is left to the check that names what is wrong with it."""
    headers = [block.header for block in CHAIN.blocks[1:]]
    lazy, odd = workless(headers[6]), replace(headers[7], target=0xFFFF_FFFF)
    worked = KnownIds(10)
    worked.add(headers[3].id)
    async with running() as node:
        await node.take(CHAIN.blocks[1])
        found = with_work(SPEC, node.chain.store, [*headers[:6], lazy, odd, *headers[8:]], worked)
    assert found == [*IDS[2:4], *IDS[5:7], *IDS[9:]]
