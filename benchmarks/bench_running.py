"""Measures nodes that run for long or work hard: memory after many blocks and versions, lag, hash rate."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.chain import FilledChain
from benchmarks.measure import Row, interleaved_seconds, skipped
from benchmarks.nodes import node_setup, running_node
from benchmarks.processes import ANSWER_S, LIBRARIES, ask, dev_node, node_process, output, python
from engram.consensus.chainspec import Allocation, ChainSpec, local
from engram.consensus.genesis import genesis
from engram.consensus.pow.scrypt import N, P, R, scrypt
from engram.node.chain.verification import VerificationCache
from engram.node.client import RpcClient
from engram.node.datadir import KEYS_DIRECTORY, make_data_dir
from engram.node.keystore import Keystore
from engram.node.mining.miner import search
from engram.participant.upload import upload
from engram.participant.wallet import Wallet
from engram.statemachine.scoring import Scorer
from tests.support.chain_ledger import MINERS, ChainLedger
from tests.support.long_model import ACTORS, PURSE, LongModel, rules_of
from tests.support.memory_chain import EASY, GENESIS_MS, MemoryChain

VERSIONS: Final = 200
LAST_BLOCKS: Final = 1_000
WEIGHTS: Final = 8 << 20
"""Bytes that are uploaded, a quarter of a megabyte a transaction."""
LAG_S: Final = 60.0
HASHES: Final = 4_000
"""How many digests are timed at a time."""
PREFIX_BYTES: Final = 200
"""About what a header has before its nonce."""


def rows(quick: bool) -> Iterable[Row]:
    yield from asyncio.run(_memory(2 if quick else VERSIONS, 10 if quick else LAST_BLOCKS))
    yield asyncio.run(_lag(2.0 if quick else LAG_S))
    yield _hash_rate(2 if quick else 9)


async def _memory(versions: int, last_blocks: int) -> Iterable[Row]:
    """Bytes in RAM without mapped files of a node process that has followed a model's whole life."""
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder, structlog.testing.capture_logs():
        spec = _spec()
        height = await asyncio.to_thread(_grow, Path(folder) / "source", spec, versions)
        make_data_dir(Path(folder) / "node", spec)
        async with running_node(spec, node_setup(Path(folder) / "source")) as source:
            options = ("--peer", f"127.0.0.1:{source.peers.port}")
            with node_process(Path(folder) / "node", *options) as node:
                before = await _anonymous_mb(node.url, height - last_blocks)
                after = await _anonymous_mb(node.url, height)
    baseline = int(
        python(f"{LIBRARIES}, psutil; m = psutil.Process().memory_info(); print(m.rss - m.shared)")
    )
    return (
        Row(
            f"anonymous_memory_after_{height}_blocks_and_{versions}_versions_mb",
            after,
            baseline / 1e6,
            after / (baseline / 1e6),
            "<= 200 MB",
            after <= 200,
        ),
        Row(
            f"anonymous_memory_against_{last_blocks}_blocks_before_mb",
            after,
            before,
            after / before,
            "ratio <= 1.05",
            after / before <= 1.05,
        ),
    )


def _spec() -> ChainSpec:
    owners = sorted((*ACTORS, *MINERS), key=lambda owner: owner.address)
    spec = local(tuple(Allocation(owner.address, PURSE) for owner in owners), GENESIS_MS)
    return replace(spec, pow="sha256d", genesis_target=EASY, max_target=EASY, rules=rules_of("consortium"))


def _grow(folder: Path, spec: ChainSpec, versions: int) -> int:
    """Makes a chain on disk, in whose rounds a model has grown so many times; returns its height."""
    chain = MemoryChain(spec, scorer=Scorer(VerificationCache()))
    model = LongModel(ChainLedger(chain))
    for _ in range(versions):
        model.grow()
    with closing(FilledChain(folder, spec, genesis(spec))) as stored:
        importer = stored.importer(VerificationCache())
        for block in chain.blocks[1:]:
            stored.take(block, importer)
    return chain.height


async def _anonymous_mb(url: str, height: int) -> float:
    """Megabytes as soon as the node has reached a height."""
    while (await asyncio.to_thread(ask, url, "chain_head"))["height"] < height:  # noqa: ASYNC110 (not ours)
        await asyncio.sleep(0.05)
    status = await asyncio.to_thread(ask, url, "node_status")
    return float(status["memory"]["anonymous_bytes"]) / 1e6


async def _lag(seconds: float) -> Row:
    """How late the event loop of a node is that mines with two threads and takes in blocks full of weights,
    against one at rest. The metrics page counts the delays by bounds; the row has the bound that holds for 99
    of 100 of them.
    """
    with dev_node() as node:
        await asyncio.sleep(seconds)
        rest_s = await asyncio.to_thread(_lag_s, node.url)
    with dev_node("--miner-threads", "2") as node:
        async with RpcClient.of_data_dir(node.url, node.folder) as client:
            keys = Keystore(node.folder / KEYS_DIRECTORY, (await client.call("node_info"))["hrp"])
            wallet = Wallet(client, keys.load("dev", "dev"))
            rng, until_s = np.random.default_rng(1), time.monotonic() + seconds
            while time.monotonic() < until_s:
                await upload(wallet, rng.bytes(WEIGHTS))
        busy_s = await asyncio.to_thread(_lag_s, node.url)
    name = "loop_lag_p99_mining_weights_ms"
    return Row(name, busy_s * 1e3, rest_s * 1e3, busy_s / rest_s, "<= 20 ms", busy_s <= 0.02)


def _lag_s(url: str) -> float:
    """The bound below which 99 of 100 delays of a node's event loop lie, in seconds."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=ANSWER_S) as answer:
        page = answer.read().decode()
    samples = [
        sample
        for family in text_string_to_metric_families(page)
        if family.name == "engram_loop_lag_seconds"
        for sample in family.samples
    ]
    count = next(sample.value for sample in samples if sample.name.endswith("_count"))
    bounds = {
        float(sample.labels["le"]): sample.value for sample in samples if sample.name.endswith("_bucket")
    }
    return min(bound for bound, below in bounds.items() if below >= 0.99 * count)


def _hash_rate(pairs: int) -> Row:
    """How fast a miner thread searches, against a loop in C around OpenSSL's scrypt."""
    name = "miner_hashes_per_s_vs_c"
    if (compiler := shutil.which("cc")) is None:
        return skipped(name, "there is no C compiler")
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder:
        program = Path(folder) / "scrypt_loop"
        source = Path(__file__).with_name("scrypt_loop.c")
        try:
            output([compiler, "-O2", "-o", str(program), str(source), "-lcrypto"])
        except subprocess.CalledProcessError as error:
            return skipped(name, f"the C compiler failed: {error.stderr.strip().splitlines()[-1]}")

        def ours_s() -> float:
            limit = threading.Event()
            began_s, tried = time.perf_counter(), 0

            def digest(header: bytes) -> bytes:
                nonlocal tried
                tried += 1
                if tried == HASHES:
                    limit.set()
                return scrypt(header)

            _, count = search(digest, bytes(PREFIX_BYTES), 0, 0, 1, limit)
            return (time.perf_counter() - began_s) * HASHES / count

        def theirs_s() -> float:
            return float(output([str(program), *map(str, (HASHES, PREFIX_BYTES, N, R, P))]))

        timed = interleaved_seconds(ours_s, theirs_s, pairs)
    ours, theirs = HASHES / timed.median_candidate_s, HASHES / timed.median_baseline_s
    return Row(name, ours, theirs, timed.speed, "ratio >= 0.95", timed.speed >= 0.95)
