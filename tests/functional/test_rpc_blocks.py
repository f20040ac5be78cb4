"""Blocks that are asked for in parts: a block can hold more than anybody wants to read at once."""

from collections.abc import Iterator
from typing import Any

import pytest

from engram.node.client import RpcClient
from engram.primitives.codec import encode
from tests.support.large_blocks import LARGE, mixed_block, serving
from tests.support.memory_chain import MemoryChain

TRANSFERS = 5


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    """A chain of one block, with a large transaction and small ones."""
    chain = MemoryChain(LARGE)
    mixed_block(chain, TRANSFERS)
    return chain


@pytest.fixture(scope="module")
def url(chain: MemoryChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("node"), chain) as url:
        yield url


async def asked(url: str, method: str, **params: Any) -> dict[str, Any]:
    async with RpcClient(url) as client:
        found: dict[str, Any] = await client.call(method, **params)
        return found


@pytest.mark.parametrize(
    ("some", "places"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"first": 4}, [4, 5]),
        ({"first": 1, "count": 2}, [1, 2]),
        ({"count": 0}, []),
        ({"first": 6, "count": 1}, []),
        ({"first": -3, "count": -1}, []),
        ({"first": -3, "count": 1}, [0]),
    ],
)
async def test_some_transactions_of_a_block(
    url: str, chain: MemoryChain, some: dict[str, int], places: list[int]
) -> None:
    held = [tx.id.hex() for tx in chain.blocks[1].transactions]
    found = await asked(url, "chain_block", height=1, **some)
    assert [tx["txid"] for tx in found["transactions"]] == [held[place] for place in places]
    assert found["transaction_count"] == len(held) == TRANSFERS + 1


@pytest.mark.parametrize(
    ("cut", "left"), [(None, 2**18), (100, 100), (64, 64), (3, 64), (-1, 64), (2**30, 2**18)]
)
async def test_long_values_are_cut_and_ids_are_not(
    url: str, chain: MemoryChain, cut: int | None, left: int
) -> None:
    tx, *_ = chain.blocks[1].transactions
    found = await asked(url, "chain_block", height=1, cut=cut)
    chunk, transfer, *_ = found["transactions"]
    whole = encode(tx).hex()
    assert len(chunk["payload"]["data"]) == 2 * left
    assert chunk["payload"]["data"] in whole
    assert (chunk["txid"], chunk["public_key"]) == (tx.id.hex(), tx.sender.hex())
    assert transfer == (await asked(url, "chain_block", height=1))["transactions"][1]
    alone = await asked(url, "tx_get", txid=tx.id, cut=cut)
    assert alone["payload"] == chunk["payload"]
    assert whole.startswith(alone["raw"])
    assert len(alone["raw"]) == (len(whole) if left == 2**18 else 2 * left)
    assert alone["size_bytes"] == len(whole) // 2
