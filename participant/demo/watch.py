"""Follows the events of all nodes and tells the stage of new heads and of the open round's phase."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engram.node.errors import NodeUnreachable
from engram.node.localnet.localnet import Localnet
from engram.node.localnet.nodeprocess import NodeProcess
from engram.participant.demo.stage import Stage


@asynccontextmanager
async def watching(net: Localnet, stage: Stage) -> AsyncIterator[None]:
    """Tells the stage of the nodes' events for as long as the `with` block runs."""
    tasks = [asyncio.create_task(_follow(node, stage, number == 0)) for number, node in enumerate(net.nodes)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(node: NodeProcess, stage: Stage, is_first: bool) -> None:
    """Follows one node until it is gone. The round's phase is taken from the first node only."""
    try:
        async with node.client.subscribe("heads", *(("rounds",) if is_first else ())) as events:
            async for topic, event in events:
                if topic == "heads":
                    stage.head(node.name, event["height"], event["id"])
                else:
                    _tell_phase(event, stage)
    except NodeUnreachable:
        return


def _tell_phase(event: dict[str, Any], stage: Stage) -> None:
    stage.phase("" if event["status"] != "open" else event["phase"], event["epoch"])
