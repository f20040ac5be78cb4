"""Makes a test network wait until so many programs play a round."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from engram.node.client import RpcClient
from engram.node.errors import NodeUnreachable


@asynccontextmanager
async def mustered(client: RpcClient, programs: int | None) -> AsyncIterator[None]:
    """Asks the node to wait for so many programs, if any.

    If the `async with` block fails, the node waits for as many as before: another round may need them.
    """
    if programs is None:
        yield
        return
    before = (await client.call("miner_pace"))["muster"]
    await client.call("miner_muster", programs=programs)
    try:
        yield
    except BaseException:
        with suppress(NodeUnreachable):  # a node that has ended has forgotten the muster
            await client.call("miner_muster", programs=before)
        raise
