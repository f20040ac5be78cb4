"""Measures how fast a node catches up with a long chain: against the parts of that work, and from more peers.

Nodes run in one process and speak over sockets. The parts are what cannot be left out: checking the headers
with their proofs of work, sending the bytes of the bodies over a socket, and importing the blocks.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from benchmarks.chain import COIN, LATE_MS, FilledChain, easy_spec, key
from benchmarks.measure import Row
from benchmarks.nodes import node_setup, running_node, until
from engram.consensus.block import Block
from engram.consensus.chainspec import Allocation, ChainSpec, chain_id
from engram.consensus.genesis import genesis
from engram.node.chain.headers import HeaderChain
from engram.node.services import Services
from engram.p2p.link import Link, PeerAddress
from engram.p2p.transport import WebSocketTransport
from engram.primitives.codec import encode
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import sign
from engram.statemachine.transactions.publish_chunk import PublishChunk

ALICE: Final = key(3)
SOURCES: Final = 3
MOST: Final = 5 * COIN
"""What each transaction may cost at most."""
UPLOADED: Final = 40
"""Chunks of one upload."""
PURSE: Final = 100_000 * COIN


def rows(quick: bool) -> Iterable[Row]:
    runs, blocks = (1, 12) if quick else (3, 2_000)
    one, three, parts = asyncio.run(_measured(runs, blocks))
    share = statistics.median(a / b for a, b in zip(parts, one, strict=True))
    yield Row(
        f"sync_{blocks}_blocks_one_peer_s",
        statistics.median(one),
        statistics.median(parts),
        share,
        "parts / sync >= 0.60",
        share >= 0.6,
    )
    ratio = statistics.median(a / b for a, b in zip(three, one, strict=True))
    yield Row(
        f"sync_{blocks}_blocks_three_peers_s",
        statistics.median(three),
        statistics.median(one),
        ratio,
        "ratio to one peer <= 1.10",
        ratio <= 1.1,
    )


async def _measured(runs: int, count: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of each run: a sync from one peer, one from three, and its parts. A first run warms up."""
    spec = replace(easy_spec(ALICE), allocations=(Allocation(ALICE.address, PURSE),))
    one: list[float] = []
    three: list[float] = []
    parts: list[float] = []
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder, structlog.testing.capture_logs():
        sources = [Path(folder) / f"source{number}" for number in range(SOURCES)]
        blocks = _fill(sources[0], spec, count)
        for source in sources[1:]:
            shutil.copytree(sources[0], source)
        async with AsyncExitStack() as stack:
            nodes = [
                await stack.enter_async_context(running_node(spec, node_setup(each))) for each in sources
            ]
            for run in range(runs + 1):
                target = Path(folder) / f"run{run}"
                one.append(await _synced(target / "one", spec, nodes[:1]))
                three.append(await _synced(target / "three", spec, nodes))
                parts.append(await _sent(blocks) + _judged(target / "parts", spec, blocks))
                shutil.rmtree(target)
    return one[1:], three[1:], parts[1:]


def _fill(folder: Path, spec: ChainSpec, count: int) -> list[Block]:
    """A chain each of whose blocks brings one chunk of an upload, of a quarter of a megabyte."""
    rng, size, blocks = random.Random(1), spec.rules.chunk_bytes, list[Block]()
    with closing(FilledChain(folder, spec, genesis(spec))) as chain:
        while len(blocks) < count:
            parts = [rng.randbytes(size) for _ in range(min(UPLOADED, count - len(blocks)))]
            name = blob_id(b"".join(parts))
            for index, part in enumerate(parts):
                payload = PublishChunk(name, len(parts) * size, index, part)
                blocks.append(chain.block([sign(ALICE, chain_id(spec), len(blocks), MOST, 0, payload)]))
                chain.take(blocks[-1])
    return blocks


async def _synced(folder: Path, spec: ChainSpec, sources: Sequence[Services]) -> float:
    """Seconds in which a new node reaches the head of these nodes."""
    height = sources[0].chain.head.height
    setup = node_setup(folder, [PeerAddress("127.0.0.1", source.peers.port) for source in sources])
    async with running_node(spec, setup) as node:
        began_s = time.perf_counter()
        head = node.chain.head
        while head.height < height:
            head = await node.chain.moved_from(head)
        took_s = time.perf_counter() - began_s
    await until(lambda: not any(source.peers.peers() for source in sources))
    return took_s


async def _sent(blocks: Sequence[Block]) -> float:
    """Seconds in which the bytes of these blocks pass through a socket, one frame for each block."""
    bodies = [encode(block) for block in blocks]
    async with WebSocketTransport() as transport, transport.listen("127.0.0.1", 0) as listener:
        near = await transport.dial(PeerAddress("127.0.0.1", listener.port))
        far = await anext(aiter(listener.links()))
        far.open_up()
        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(_receive(far, len(bodies)))
            for body in bodies:
                await near.send(body)
        took_s = time.perf_counter() - began_s
        await near.close()
        await far.close()
    return took_s


async def _receive(link: Link, count: int) -> None:
    for _ in range(count):
        await link.receive()


def _judged(folder: Path, spec: ChainSpec, blocks: Sequence[Block]) -> float:
    """Seconds in which the headers of these blocks are checked, and then the blocks are imported."""
    with closing(FilledChain(folder, spec, genesis(spec))) as chain:
        importer, head = chain.importer(), chain.head
        began_s = time.perf_counter()
        headers = HeaderChain(spec, chain.store, head)
        checked = [headers.extend(block.header, LATE_MS) for block in blocks]
        for header, block in zip(checked, blocks, strict=True):
            head = importer.import_block(block, head, LATE_MS, header=header).head
        took_s = time.perf_counter() - began_s
    if head.id != checked[-1].id:
        raise RuntimeError("the blocks were not imported")
    return took_s
