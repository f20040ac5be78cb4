"""A node that lacks content gives it to whoever asks all the same, as long as a peer has it."""

import pytest

from engram.node.client import RpcClient
from engram.node.errors import RemoteError
from engram.node.storage.db import Batch
from engram.node.storage.schema import CONTENT
from engram.p2p.contentmessages import GetContent, GetHoldings
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.transactions.publish_part import PublishPart
from tests.support.crash_server import ROWS
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, SPEC
from tests.support.node_network import NodeNetwork


async def test_a_client_is_given_what_only_a_peer_has(network: NodeNetwork) -> None:
    chain, name = MemoryChain(SPEC), blob_id(ROWS)
    chain.mine([chain.sign(ALICE, PublishPart(20, 400, 2, bytes(32), Inline(ROWS)))])
    whole, poor = await network.line("whole", "poor")
    await whole.take(chain.blocks[1:])
    await poor.follow(whole)
    database = poor.chain.store.database
    database.write(Batch({CONTENT + name: None}), sync=False)
    async with RpcClient(poor.url) as client:
        for _ in range(2):
            assert await client.blob(name) == ROWS
        assert network.count("poor", "whole", GetHoldings) == 1
        assert network.count("poor", "whole", GetContent) == 1, "the second time it was at hand"
        assert database.get(CONTENT + name) is None, "only blocks write content"
        with pytest.raises(RemoteError):
            await client.blob(bytes(32))
    assert poor.services.bans.standing() == whole.services.bans.standing() == []
