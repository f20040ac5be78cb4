"""A node's chain on a store in memory or on disk, with a clock that the test turns; and trees of blocks for
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engram.consensus.block import NONCE_BYTES, Block, BlockHeader, pow_prefix
from engram.consensus.chainspec import ChainSpec, spec_id
from engram.consensus.compact import bits_to_target
from engram.consensus.genesis import genesis
from engram.consensus.pow import meets_target, pow_digest
from engram.node.chain.chain import Chain
from engram.node.chain.importer import Importer
from engram.node.chain.pruning import DEFAULT_DEPTHS, Depths
from engram.node.chain.recovery import RollForward, open_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.verification import VerificationCache
from engram.node.clock import FakeClock
from engram.node.mempool.journal import MempoolJournal
from engram.node.mempool.mempool import Mempool
from engram.node.mempool.pool import PoolLimits
from engram.node.storage.blockfiles import MAX_FILE_BYTES
from engram.node.storage.db import MemoryDatabase
from engram.node.storage.memoryfiles import MemoryBlockFiles
from engram.node.storage.schema import DIFF
from engram.node.storage.store import ChainStore, open_store
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Hash
from engram.statemachine.scoring import Scorer
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import GENESIS_MS, MemoryChain, easy_spec, key, search

ALICE, BOB, CAROL = (key(number) for number in (1, 2, 3))
SPEC = easy_spec([ALICE, BOB, CAROL])
LATE_MS = GENESIS_MS + 10**9
"""A moment after every block that these tests make."""


def memory_store() -> ChainStore:
    """A store that nobody keeps."""
    return ChainStore(MemoryDatabase(), MemoryBlockFiles())


def disk_store(
    directory: Path, spec: ChainSpec = SPEC, *, max_file_bytes: int = MAX_FILE_BYTES
) -> ChainStore:
    """The store in a data directory."""
    return open_store(directory, spec_id(spec), genesis(spec).id, max_file_bytes=max_file_bytes)


@dataclass
class Opened:
    """A store whose chain has been checked, and what judges blocks for it."""

    spec: ChainSpec
    store: ChainStore
    importer: Importer
    verifier: SignatureVerifier
    scorer: Scorer
    cache: VerificationCache
    start: RollForward


@contextmanager
def opened(
    store: ChainStore, spec: ChainSpec = SPEC, depths: Depths | None = DEFAULT_DEPTHS
) -> Iterator[Opened]:
    """Opens the chain of a store; closes both at the end."""
    verifier, cache = SignatureVerifier(threads=1), VerificationCache()
    scorer = Scorer(cache)
    importer = Importer(spec, store, scorer, verifier, depths)
    try:
        start = open_chain(spec, genesis(spec), store, importer)
        yield Opened(spec, store, importer, verifier, scorer, cache, start)
    finally:
        verifier.close()
        store.close()


@dataclass
class Running:
    """A chain whose writer runs, and a mempool that follows it."""

    opened: Opened
    chain: Chain
    clock: FakeClock
    mempool: Mempool

    async def take(self, *blocks: Block) -> list[str]:
        """Offers blocks one after another; the outcomes, with the code where there is one."""
        answers = [await self.chain.import_block(block) for block in blocks]
        return [f"{answer.outcome}:{answer.code}".rstrip(":") for answer in answers]


@asynccontextmanager
async def running(
    store: ChainStore | None = None,
    spec: ChainSpec = SPEC,
    *,
    now_ms: int = LATE_MS,
    limits: PoolLimits | None = None,
    journal: MempoolJournal | None = None,
    depths: Depths | None = DEFAULT_DEPTHS,
) -> AsyncIterator[Running]:
    """Runs the services until the block ends; what stops them is raised there."""
    with opened(store or memory_store(), spec, depths) as node:
        clock = FakeClock(now_ms)
        chain = Chain(spec, node.store, node.importer, clock, node.start.head)
        mempool = Mempool(chain, node.verifier, node.scorer, clock, limits, journal)
        async with asyncio.TaskGroup() as tasks:
            services = [tasks.create_task(chain.run()), tasks.create_task(mempool.run())]
            try:
                yield Running(node, chain, clock, mempool)
            finally:
                for service in services:
                    service.cancel()


async def reach(chain: Chain, height: int) -> None:
    """Returns once the head has this height."""
    while chain.head.height < height:
        await chain.moved_from(chain.head)


async def settled() -> None:
    """Lets everything that is ready run; no time passes."""
    for _ in range(50):
        await asyncio.sleep(0)


def fork(branch: MemoryChain, height: int | None = None) -> MemoryChain:
    """A branch that shares its blocks up to `height` (all of them, if none) and goes its own way from
    there.
    """
    other = MemoryChain(branch.spec, scorer=branch.scorer)
    keep = len(branch.blocks) if height is None else height + 1
    other.blocks = branch.blocks[:keep]
    other.executed = branch.executed[: keep - 1]
    other.nodes, other.blobs = dict(branch.nodes), dict(branch.blobs)
    return other


def without_work(header: BlockHeader) -> BlockHeader:
    """The header with a nonce that proves nothing."""
    nonce = 0
    while True:
        lazy = replace(header, nonce=nonce.to_bytes(NONCE_BYTES, "big"))
        if not meets_target(pow_digest(SPEC.pow, pow_prefix(lazy) + lazy.nonce), bits_to_target(lazy.target)):
            return lazy
        nonce += 1


def resealed(block: Block, **changes: object) -> Block:
    """The block with some header fields changed, and a nonce that meets whatever target it names."""
    header = replace(block.header, **changes)  # type: ignore[arg-type]
    return Block(replace(header, nonce=search(SPEC, header)), block.transactions)


def paying_chain(blocks: int, *, miner: bytes = bytes(20)) -> MemoryChain:
    """A chain of so many blocks above genesis, of which every third holds a transfer of Alice to Bob."""
    chain = MemoryChain(SPEC)
    for number in range(blocks):
        transfer = [chain.sign(ALICE, Transfer(BOB.address, 1 + number))] if number % 3 == 0 else []
        chain.mine(transfer, miner=miner)
    return chain


def ids(blocks: Sequence[Block]) -> list[Hash]:
    """Ids of blocks."""
    return [block.header.id for block in blocks]


def miner_address(number: int) -> bytes:
    """Makes otherwise equal blocks of two branches differ."""
    return PrivateKey.from_seed(number.to_bytes(32, "little")).address


def best_rows(store: ChainStore) -> dict[bytes, bytes]:
    """Everything in a store that the best chain alone determines: best ids, transactions, and their blocks'
    records.
    """
    rows = dict(store.database.iterate(b"c")) | dict(store.database.iterate(b"t"))
    for _, block in store.canonical():
        for table in (b"h", b"r", b"d"):
            rows[table + block] = store.database.get(table + block) or b""
        ref = store.get_ref(block)
        rows[b"i" + block] = f"{ref.total_work} {ref.verdict.name} {ref.code}".encode()
    return rows


def kept_rows(store: ChainStore) -> dict[bytes, bytes]:
    """The rows of the best chain without what undoes it: that is deleted later where more was to do."""
    return {key: row for key, row in best_rows(store).items() if key[:1] != DIFF}
