"""Measures importing blocks on LevelDB (an update seen before, a thousand transfers) and the state tree."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks.chain import COIN, LATE_MS, FilledChain, easy_spec, key
from benchmarks.measure import Pairs, Row, interleaved, seconds
from benchmarks.training_round import AUTHOR, OPENER, TrainingRound
from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.consensus.genesis import Genesis, genesis
from engram.nn.loss import RowScores
from engram.node.chain.chain import Chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.verification import VerificationCache
from engram.node.clock import FakeClock
from engram.node.history.index import AccountIndex
from engram.node.mempool.mempool import Mempool
from engram.node.storage.schema import ACCOUNT
from engram.primitives import smt
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.records import Account, Supply
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer

ALICE: Final = key(3)
HASHES_PER_KEY: Final = 18
"""New nodes for each changed key, the leaf and those above it, if a thousand of 100,000 keys change."""


def rows(quick: bool) -> Iterable[Row]:
    pairs = 3 if quick else 9
    yield _update_seen_before(validation_parts=2 if quick else 16, pairs=pairs)
    accounts, changed = (2_000, 100) if quick else (100_000, 1_000)
    yield from _transfers(accounts, changed, pairs)
    yield _tree_update(accounts, changed, pairs)


def _update_seen_before(validation_parts: int, pairs: int) -> Row:
    """Importing a block with an update of 784-256-10 on 10,000 rows that the mempool has verified already,
    against importing it with empty caches.
    """
    spec = easy_spec(OPENER, AUTHOR)
    with _filled(spec, genesis(spec)) as chain:
        reveal = TrainingRound(chain, validation_parts).play()
        cache, verifier = _TellingCache(), SignatureVerifier()
        with closing(verifier):
            asyncio.run(_admit(chain, reveal, cache, verifier))
            warm, siblings = chain.importer(cache, verifier), _siblings(chain, [reveal], pairs)
            timed = interleaved(
                lambda: chain.take(next(siblings), warm),
                lambda: chain.take(next(siblings), chain.importer()),
                pairs,
            )
    return Row(
        "import_update_seen_before_ms",
        timed.median_candidate_s * 1e3,
        timed.median_baseline_s * 1e3,
        1 / timed.speed,
        "ratio <= 0.15",
        1 / timed.speed <= 0.15,
    )


class _TellingCache(VerificationCache):
    """A cache that sets an event when it gets its first score."""

    def __init__(self) -> None:
        super().__init__()
        self.filled: Final = threading.Event()

    def put(self, key: Hash, scores: RowScores) -> None:
        super().put(key, scores)
        self.filled.set()


async def _admit(
    chain: FilledChain, tx: Transaction, cache: _TellingCache, verifier: SignatureVerifier
) -> None:
    """Offers a transaction to a mempool on the chain's head; ends once the mempool has verified it."""
    clock, scorer = FakeClock(LATE_MS), Scorer(cache)
    live = Chain(chain.spec, chain.store, chain.importer(cache, verifier), clock, chain.head)
    mempool = Mempool(live, verifier, scorer, clock)
    async with asyncio.TaskGroup() as tasks:
        services = [tasks.create_task(live.run()), tasks.create_task(mempool.run())]
        outcome = await mempool.admit(tx)
        if not outcome.accepted:
            raise RuntimeError(f"the mempool refused the update: {outcome.error}")
        await asyncio.to_thread(cache.filled.wait)
        for service in services:
            service.cancel()  # it waits for a verification that has begun


def _siblings(chain: FilledChain, txs: list[Transaction], pairs: int) -> Iterator[Block]:
    """Two blocks for each pair, and two to warm up, all with these transactions.

    They are siblings of a first such block, which becomes the head here, so that each import does the same
    work.
    """
    first, *others = (chain.block(txs, miner=bytes([number]) * 20) for number in range(2 * pairs + 3))
    chain.take(first)
    return iter(others)


def _transfers(accounts: int, transfers: int, pairs: int) -> Iterator[Row]:
    """Importing a block of transfers to distinct accounts, with empty caches: against verifying its
    signatures alone, on one thread, and on two with a fifth of the accounts; against importing one with a
    hundredth of the accounts; and what the index of accounts takes for such a block.
    """
    with _paid(accounts, transfers) as (chain, txs):
        siblings = _siblings(chain, txs, pairs)
        timed = interleaved(partial(_import, chain, siblings, 1), partial(_verify, txs, 1), pairs)
        yield _against_signatures(timed, transfers, "", 1, 0.35)
        with _paid(accounts // 100, transfers) as (small, payments):
            others = _siblings(small, payments, pairs)
            growth = interleaved(
                partial(_import, chain, siblings, 1), partial(_import, small, others, 1), pairs
            )
        yield Row(
            f"import_{transfers}_transfers_{accounts}_accounts_ms",
            growth.median_candidate_s * 1e3,
            growth.median_baseline_s * 1e3,
            1 / growth.speed,
            f"ratio to {accounts // 100} accounts <= 1.2",
            1 / growth.speed <= 1.2,
        )
        took_s = statistics.median(seconds(lambda: _index_accounts(chain)) for _ in range(pairs))
        share = took_s / timed.median_candidate_s
        yield Row(
            f"account_index_of_{transfers}_transfers_ms",
            took_s * 1e3,
            timed.median_candidate_s * 1e3,
            share,
            "<= 0.25 of the import",
            share <= 0.25,
        )
        rows = chain.store.database.iterate(ACCOUNT)
        size = sum(len(key) + len(value) for key, value in rows) / transfers
        yield Row("account_index_bytes_a_transfer", size, None, None, "<= 250 B", size <= 250)
    with _paid(accounts // 5, transfers) as (chain, txs):
        siblings = _siblings(chain, txs, pairs)
        timed = interleaved(partial(_import, chain, siblings, 2), partial(_verify, txs, 2), pairs)
        yield _against_signatures(timed, transfers, f"_{accounts // 5}_accounts", 2, 0.7)


@contextmanager
def _paid(accounts: int, transfers: int) -> Iterator[tuple[FilledChain, list[Transaction]]]:
    """A chain with so many accounts, and transfers to some of them; to each several if they are few."""
    spec, addresses = easy_spec(), _addresses(accounts)
    with _filled(spec, _populated(spec, addresses)) as chain:
        chosen = random.Random(7).sample(addresses, min(transfers, accounts))
        places = islice(cycle(chosen), transfers)
        yield chain, [chain.pay(ALICE, Transfer(to, 5), after) for after, to in enumerate(places)]


def _against_signatures(timed: Pairs, transfers: int, where: str, threads: int, least: float) -> Row:
    return Row(
        f"import_{transfers}_transfers{where}_vs_signatures_{threads}_threads_ms",
        timed.median_candidate_s * 1e3,
        timed.median_baseline_s * 1e3,
        timed.speed,
        f"ratio >= {least}",
        timed.speed >= least,
    )


def _index_accounts(chain: FilledChain) -> None:
    """Makes the index of accounts of the one block that the chain has."""
    index = AccountIndex(chain.store, chain.spec)
    index.begin(chain.head)
    if not index.step(chain.head):
        raise RuntimeError("there was nothing to index")


def _import(chain: FilledChain, blocks: Iterator[Block], threads: int) -> None:
    with closing(SignatureVerifier(threads)) as verifier:
        chain.take(next(blocks), chain.importer(verifier=verifier))


def _verify(txs: list[Transaction], threads: int) -> None:
    with closing(SignatureVerifier(threads)) as verifier:
        verifier.verify(txs)


def _tree_update(keys: int, changed: int, pairs: int) -> Row:
    """Changing many values in a tree in memory, against computing as many bare hashes as that needs."""
    names = [tagged_hash(Tag.KEY, address) for address in _addresses(keys)]
    root, nodes = smt.update(_Nodes(), ZERO_HASH, dict.fromkeys(names, bytes(40)))
    reader, chosen = _Nodes(nodes), random.Random(7).sample(names, changed)
    changes: dict[bytes, bytes | None] = dict.fromkeys(chosen, b"\x01" * 40)
    timed = interleaved(
        lambda: smt.update(reader, root, changes), lambda: _hash_pairs(HASHES_PER_KEY * changed), pairs
    )
    value = timed.median_candidate_s * 1e6 / changed
    return Row(
        "tree_update_us_per_key",
        value,
        timed.median_baseline_s * 1e6 / changed,
        1 / timed.speed,
        "<= 40 us",
        value <= 40,
    )


def _hash_pairs(count: int) -> None:
    for _ in range(count):
        tagged_hash(Tag.NODE, ZERO_HASH, ZERO_HASH)


class _Nodes(dict[bytes, bytes]):
    """Tree nodes in memory."""

    def get_node(self, node_hash: bytes) -> bytes:
        return self[node_hash]


def _addresses(count: int) -> list[Address]:
    rng = random.Random(6)
    return [rng.randbytes(20) for _ in range(count)]


def _populated(spec: ChainSpec, addresses: list[Address]) -> Genesis:
    """A genesis with more accounts than a spec may list: one coin for each address, a million for Alice."""
    state = State(_Nodes(), ZERO_HASH)
    for address in addresses:
        state.put(Account(address, COIN))
    state.put(Account(ALICE.address, 1_000_000 * COIN))
    state.put(Supply(issued=(1_000_000 + len(addresses)) * COIN))
    root, nodes = state.commit()
    header = replace(genesis(spec).block.header, state_root=root)
    return Genesis(Block(header, ()), header.id, nodes)


@contextmanager
def _filled(spec: ChainSpec, first: Genesis) -> Iterator[FilledChain]:
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder:
        chain = FilledChain(Path(folder), spec, first)
        with closing(chain):
            yield chain
