"""What many peers ask for at once is read for one after another, so that blocks do not wait behind it."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from engram.p2p.messages import MAX_HEADERS, GetHeaders, Headers
from tests.support.faults import Played, inputs
from tests.support.p2p_chain import LittleChain
from tests.support.p2p_nodes import Node, running
from tests.support.p2p_scripted import scripted
from tests.support.until import until


class Slow(LittleChain):
    """Reads headers until it is let on, and counts for how many peers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.at_once = self.most = self.begun = 0

    async def headers_after(self, locator: Sequence[bytes], limit: int) -> Sequence[bytes]:
        self.at_once += 1
        self.begun += 1
        self.most = max(self.most, self.at_once)
        await self.go_on.wait()
        self.at_once -= 1
        return await super().headers_after(locator, limit)


@pytest.mark.fault(id=21)
async def test_headers_are_read_for_one_peer_at_a_time(fault: Played) -> None:
    count = inputs(21, sample=4)
    chain = Slow()
    node = Node(0, chain=chain)
    async with running(node), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(scripted(node, 8 + number)) for number in range(count)]
        for peer in peers:
            await peer.open()
            await peer.send(GetHeaders(1, (bytes(32),), MAX_HEADERS))
            await peer.barrier()
        await until(lambda: chain.begun)
        chain.go_on.set()
        for peer in peers:
            assert (await peer.expect(Headers)).request == 1
        assert (chain.most, chain.begun) == (1, count)
    fault.tell(count)
