"""A node process under a flood of RPC clients: its operator is answered, and its memory stays bounded."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import psutil
import pytest

from engram.node.client import RpcClient
from engram.node.datadir import make_data_dir
from tests.support.dev_node import address_of, dev_spec
from tests.support.faults import Played, inputs
from tests.support.node_process import WAIT_S, NodeCommand, processes
from tests.support.rpc_flood import OUTCOMES

CLIENTS: Final = inputs(36, sample=20)
GROWTH_BYTES: Final = 200 * 1024 * 1024
"""What the flood may leave or take of memory, with replies and bodies of all clients together."""


@dataclass
class Watched:
    """A flood as the operator saw it."""

    outcomes: dict[str, int] = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)
    """What a status and a probe took, one after the other."""
    most_bytes: int = 0
    """The node's memory at its highest."""

    def __str__(self) -> str:
        times = sorted(self.times_s)
        median, most = times[len(times) // 2], times[-1]
        return f"{self.outcomes}; {len(times)} answers: median {median:.3f} s, most {most:.3f} s"


async def watched(url: str, owner: RpcClient, process: psutil.Process) -> Watched:
    """Asks for the status and the health of the node until the flood has passed."""
    words = ("-m", "tests.support.rpc_flood", url, str(CLIENTS))
    flood = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    printed = asyncio.create_task(flood.communicate())
    seen, loop = Watched(), asyncio.get_running_loop()
    fresh = aiohttp.TCPConnector(force_close=True)  # as a probe connects
    async with aiohttp.ClientSession(connector=fresh) as session:
        while not printed.done() or not seen.times_s:
            begin = loop.time()
            assert (await owner.call("node_status"))["head"]["height"] == 3
            async with session.get(url + "health") as response:
                assert response.status == 200
            seen.times_s.append(loop.time() - begin)
            seen.most_bytes = max(seen.most_bytes, process.memory_info().rss)
    out, _ = await printed
    assert flood.returncode == 0
    seen.outcomes = json.loads(out)
    return seen


@pytest.mark.fault(id=36)
def test_the_operator_is_answered_during_a_flood(tmp_path: Path, fault: Played) -> None:
    make_data_dir(tmp_path / "node", dev_spec())
    node = NodeCommand(tmp_path / "node", "--miner-address", address_of("miner"))
    with processes(node):
        node.call("miner_mine", blocks=3)
        node.call("node_status")
        process = psutil.Process(node.pid)
        before = process.memory_info().rss

        async def play() -> Watched:
            async with asyncio.timeout(WAIT_S), RpcClient.of_data_dir(node.url, node.data_dir) as owner:
                return await watched(node.url + "/", owner, process)

        seen = asyncio.run(play())
        growth = seen.most_bytes - before
        print(f"{CLIENTS} clients: memory +{growth / 2**20:.0f} MiB; {seen}")
        assert set(seen.outcomes) <= OUTCOMES, seen
        assert growth < GROWTH_BYTES
        assert len(node.call("miner_mine", blocks=2)) == 2
        assert node.stop() == 0
    assert "Traceback" not in node.log
    assert "internal error" not in node.log
    fault.tell(CLIENTS, code="too_busy", ratio=round(growth / GROWTH_BYTES, 3))
