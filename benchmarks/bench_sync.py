"""Measures how fast a node catches up with a long chain: against the parts of that work, and from more peers.

Empty blocks come from a node in a process of its own. They are compared with an importer that has its blocks
in memory, checks no proof of work and writes to no disk: what is left is sync's own.

Full blocks come from nodes in the same process. They are compared with the parts that cannot be left out:
checking the headers with their proofs of work, sending the bytes of the bodies over a socket, and importing
the blocks.
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
from pathlib import Path
from typing import Final

import structlog

from benchmarks.chain import COIN, LATE_MS, FilledChain
from benchmarks.measure import Row, interleaved_seconds
from benchmarks.nodes import node_setup, running_node, until
from benchmarks.source_node import ALICE, source_node, source_spec
from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec, chain_id
from engram.consensus.genesis import genesis
from engram.node.chain.headers import CheckedHeader, HeaderChain, work_of_header
from engram.node.chain.importer import Importer
from engram.node.chain.recovery import open_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.services import Services
from engram.node.storage.db import MemoryDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.store import ChainStore
from engram.p2p.link import Link, PeerAddress
from engram.p2p.transport import WebSocketTransport
from engram.primitives.codec import encode
from engram.statemachine.content import blob_id
from engram.statemachine.scoring import Scorer
from engram.statemachine.transaction import sign
from engram.statemachine.transactions.publish_chunk import PublishChunk

SOURCES: Final = 3
MOST: Final = 5 * COIN
"""What each transaction may cost at most."""
UPLOADED: Final = 40
"""Chunks of one upload."""


def rows(quick: bool) -> Iterable[Row]:
    yield _empty_blocks(count=20 if quick else 2_000, pairs=1 if quick else 3)
    runs, blocks = (1, 12) if quick else (3, 150)
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


def _empty_blocks(count: int, pairs: int) -> Row:
    """A sync of empty blocks from a node in another process, against an importer without disk and work."""
    spec, taken = source_spec(), iter(range(pairs + 1))
    with (
        tempfile.TemporaryDirectory(prefix="engram-bench-") as folder,
        structlog.testing.capture_logs(),
    ):
        source = Path(folder) / "source"
        with closing(FilledChain(source, spec, genesis(spec))) as chain:
            blocks = [chain.block([])]
            while chain.take(blocks[-1]).height < count:
                blocks.append(chain.block([]))
        with source_node(source) as port:
            peers = [PeerAddress("127.0.0.1", port)]
            timed = interleaved_seconds(
                lambda: asyncio.run(_reached(Path(folder) / f"run{next(taken)}", spec, peers, count)),
                lambda: _imported(spec, blocks),
                pairs,
            )
    return Row(
        f"sync_{count}_empty_blocks_s",
        timed.median_candidate_s,
        timed.median_baseline_s,
        timed.speed,
        "bare importer / sync >= 0.55",
        timed.speed >= 0.55,
    )


def _imported(spec: ChainSpec, blocks: Sequence[Block]) -> float:
    """Seconds in which these blocks are imported into memory, without a look at their work."""
    store = ChainStore(MemoryDatabase(), MemoryBlockFiles())
    with closing(SignatureVerifier(threads=1)) as verifier:
        importer = Importer(spec, store, Scorer(), verifier)
        head = open_chain(spec, genesis(spec), store, importer).head
        total, headers = head.total_work, list[CheckedHeader]()
        for block in blocks:
            total += work_of_header(block.header)
            headers.append(CheckedHeader(block.header.id, total))
        began_s = time.perf_counter()
        for header, block in zip(headers, blocks, strict=True):
            head = importer.import_block(block, head, LATE_MS, header=header).head
        took_s = time.perf_counter() - began_s
    if head.id != blocks[-1].header.id:
        raise RuntimeError("the blocks were not imported")
    return took_s


async def _measured(runs: int, count: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of each run: a sync from one peer, one from three, and its parts. A first run warms up."""
    spec = source_spec()
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
    peers = [PeerAddress("127.0.0.1", source.peers.port) for source in sources]
    took_s = await _reached(folder, spec, peers, sources[0].chain.head.height)
    await until(lambda: not any(source.peers.peers() for source in sources))
    return took_s


async def _reached(folder: Path, spec: ChainSpec, peers: Sequence[PeerAddress], height: int) -> float:
    """Seconds in which a new node in this folder, with these peers, reaches a height."""
    async with running_node(spec, node_setup(folder, peers)) as node:
        began_s = time.perf_counter()
        head = node.chain.head
        while head.height < height:
            head = await node.chain.moved_from(head)
        return time.perf_counter() - began_s


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
