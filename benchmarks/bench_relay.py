"""Measures how long a block of four megabytes takes from one end of a line of nodes to the other.

The nodes are whole ones in one process, each with its store and its mempool. The links between them have the
speed of a usual line, `BYTES_PER_S` in each direction, and a delay. A line whose nodes speak the first
version of the peer protocol passes whole blocks on. Raw bytes are passed on by hosts that do nothing but
receive and send.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import structlog

from benchmarks.chain import COIN, FilledChain, easy_spec, key
from benchmarks.measure import Row
from benchmarks.nodes import running_node, until
from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, chain_id
from engram.consensus.genesis import genesis
from engram.node.clock import Clock, SystemClock
from engram.node.config import Config
from engram.node.mining.mining import MiningSetup
from engram.node.rpc.limits import RpcLimits
from engram.node.services import Services, Setup
from engram.p2p.link import Link, PeerAddress
from engram.p2p.manager import PeerConfig
from engram.p2p.memory import MemoryNetwork
from engram.p2p.messages import PROTOCOL_VERSION
from engram.primitives.codec import encode
from engram.statemachine.content import blob_id
from engram.statemachine.transaction import sign
from engram.statemachine.transactions.publish_chunk import PublishChunk

ALICE: Final = key(3)
MOST: Final = 5 * COIN
"""What each transaction may cost at most."""
PORT: Final = 8646
BYTES_PER_S: Final = 50e6 / 8
"""50 Mbit/s."""
DELAY_S: Final = 0.01
WHOLE_BLOCKS: Final = 1
"""The version of the peer protocol in which blocks travel whole."""


def rows(quick: bool) -> Iterable[Row]:
    runs, nodes, chunks = (1, 3, 2) if quick else (3, 8, 15)
    compact, full, unseen, raw = asyncio.run(_measured(runs, nodes, chunks))
    yield _row("block_4mb_seen_8_nodes_s", compact, full, "ratio to whole blocks <= 0.25", 0.25)
    yield _row("block_4mb_unseen_8_nodes_s", unseen, raw, "ratio to raw bytes <= 3", 3.0)


def _row(name: str, value: Sequence[float], baseline: Sequence[float], target: str, most: float) -> Row:
    ratio = statistics.median(a / b for a, b in zip(value, baseline, strict=True))
    return Row(name, statistics.median(value), statistics.median(baseline), ratio, target, ratio <= most)


async def _measured(runs: int, nodes: int, chunks: int) -> tuple[list[float], ...]:
    """Seconds of each run: compact blocks, whole blocks, compact blocks of which nothing waits, raw bytes."""
    spec = replace(easy_spec(ALICE), pow="sha256d")
    clock = SystemClock()
    timed: tuple[list[float], ...] = ([], [], [], [])
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder, structlog.testing.capture_logs():
        blocks = _blocks(Path(folder) / "blocks", spec, runs, chunks)
        async with AsyncExitStack() as stack:
            lines = [
                await stack.enter_async_context(_line(Path(folder) / name, spec, clock, nodes, version))
                for name, version in (
                    ("compact", PROTOCOL_VERSION),
                    ("whole", WHOLE_BLOCKS),
                    ("unseen", PROTOCOL_VERSION),
                )
            ]
            for block in blocks:
                for line in lines[:2]:
                    await _make_known(line, block)
                for seconds, line in zip(timed, lines, strict=False):
                    seconds.append(await _pass(line, block))
                timed[3].append(await _pass_bytes(encode(block), clock, nodes))
    return timed


def _blocks(folder: Path, spec: ChainSpec, count: int, chunks: int) -> list[Block]:
    """Blocks of which each holds an upload in so many chunks that no deflating makes smaller."""
    chain, blocks = FilledChain(folder, spec, genesis(spec)), []
    rng = random.Random(1)
    try:
        for _ in range(count):
            parts = [rng.randbytes(spec.rules.chunk_bytes) for _ in range(chunks)]
            blob = b"".join(parts)
            name = blob_id(blob)
            nonce = chain.state.account(ALICE.address).nonce
            uploads = [
                sign(ALICE, chain_id(spec), nonce + at, MOST, 0, PublishChunk(name, len(blob), at, part))
                for at, part in enumerate(parts)
            ]
            blocks.append(chain.block(uploads))
            chain.take(blocks[-1])
    finally:
        chain.close()
    return blocks


def _network(clock: Clock, nodes: int) -> MemoryNetwork:
    network = MemoryNetwork(clock, random.Random(0))
    for left, right in pairwise(range(nodes)):
        for source, target in ((left, right), (right, left)):
            network.throttle(f"host{source}", f"host{target}", BYTES_PER_S)
            network.delay(f"host{source}", f"host{target}", DELAY_S)
    return network


@asynccontextmanager
async def _line(
    folder: Path, spec: ChainSpec, clock: Clock, nodes: int, version: int
) -> AsyncIterator[list[Services]]:
    """The services of nodes of which each has a session with the one before it."""
    network = _network(clock, nodes)
    async with AsyncExitStack() as stack:
        line = []
        for number in range(nodes):
            data = folder / str(number)
            data.mkdir(parents=True)
            before = (PeerAddress(f"host{number - 1}", PORT),) if number else ()
            setup = Setup(
                Config(data_dir=data),
                MiningSetup(None),
                PeerConfig(f"host{number}", PORT, before, version=version),
                RpcLimits(),
                clock,
                network.transport(f"host{number}"),
                lambda: None,
                {},
            )
            line.append(await stack.enter_async_context(running_node(spec, setup)))
        await until(lambda: sum(len(node.peers.peers()) for node in line) == 2 * (nodes - 1))
        yield line


async def _make_known(line: Sequence[Services], block: Block) -> None:
    """Returns once the transactions of the block wait at every node."""
    for tx in block.transactions:
        if (error := (await line[0].mempool.admit(tx)).error) is not None:
            raise RuntimeError(f"the mempool refused a transaction: {error}")
    await until(lambda: all(node.mempool.get(tx.id) for node in line for tx in block.transactions))


async def _pass(line: Sequence[Services], block: Block) -> float:
    """Seconds from the block being the head of the first node until it is the head of the last one."""
    before = line[-1].chain.head
    await line[0].chain.import_block(block)
    began_s = time.perf_counter()
    head = await line[-1].chain.moved_from(before)
    took_s = time.perf_counter() - began_s
    if head.id != block.header.id:
        raise RuntimeError("the last node has another head")
    await until(lambda: not any(node.mempool.get(tx.id) for node in line for tx in block.transactions))
    return took_s


async def _pass_bytes(raw: bytes, clock: Clock, hosts: int) -> float:
    """Seconds that these bytes take over the same links if each host just stores and forwards them."""
    network = _network(clock, hosts)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        links: list[tuple[Link, Link]] = []
        for number in range(1, hosts):
            transport = network.transport(f"host{number}")
            listener = await stack.enter_async_context(transport.listen(f"host{number}", PORT))
            near = await network.transport(f"host{number - 1}").dial(PeerAddress(f"host{number}", PORT))
            far = await anext(aiter(listener.links()))
            far.open_up()
            links.append((near, far))
        for (_, far), (near, _) in pairwise(links):
            group.create_task(_forward(far, near))
        began_s = time.perf_counter()
        await links[0][0].send(raw)
        await links[-1][1].receive()
        return time.perf_counter() - began_s


async def _forward(incoming: Link, outgoing: Link) -> None:
    await outgoing.send(await incoming.receive())
