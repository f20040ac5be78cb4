"""Links that tests cut: whatever is on them ends, also what has just come."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from engram.node.localnet.links import CuttableLink
from tests.support.p2p_chain import WAIT_S


@pytest.mark.parametrize("steps", range(16))
async def test_a_cut_ends_a_connection_at_any_step_of_its_beginning(steps: int) -> None:
    reached: list[asyncio.StreamWriter] = []
    far = await asyncio.start_server(lambda reader, writer: reached.append(writer), "127.0.0.1", 0)
    link = CuttableLink()
    await link.open()
    link.lead_to(far.sockets[0].getsockname()[1])
    host, port = link.address.split(":")
    # The kernel accepts for the link, so the connection is there before the link has taken a step with it.
    with socket.create_connection((host, int(port))) as near:
        near.setblocking(False)
        for _ in range(steps):
            await asyncio.sleep(0)
        link.cut()
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionError):
                assert await asyncio.get_running_loop().sock_recv(near, 1) == b""
    for end in reached:
        end.transport.abort()
    await link.close()
    far.close()
