"""What this machine does in a second, and how large things are: measured once, when a simulation begins."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.chain import FilledChain, easy_spec, key
from benchmarks.measure import seconds
from benchmarks.samples import dense, images, random_parameters
from engram.consensus.genesis import genesis
from engram.consensus.pow.scrypt import scrypt
from engram.nn.network import forward
from engram.nn.parameters import prove_bounds
from engram.nn.spec import macs_per_row
from engram.p2p.messages import SHORT_ID_BYTES
from engram.primitives.codec import encode
from engram.primitives.keys import PrivateKey
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer

TRANSFERS: Final = 200
EMPTY_BLOCKS: Final = 300
CARD_MACS_S: Final = 424e12
"""Of an H200, measured with Engram's int8 networks (4096-16384-16384-1000, 32,768 rows)."""


@dataclass(frozen=True)
class Speeds:
    """One core of this machine, and the real codec."""

    macs_s: float
    """Multiply-accumulates of the numpy engine."""
    digest_s: float
    """Seconds for the proof of work of one header."""
    empty_block_s: float
    """Seconds to import an empty block, its proof of work apart."""
    transfer_s: float
    """Seconds to check and execute one transfer."""
    header_bytes: int
    transfer_bytes: int
    empty_block_disk_bytes: float
    """What an empty block adds to the database and the block files."""

    def compact_bytes(self, transactions: int) -> int:
        """A block of transactions that the other side has, on the wire."""
        return self.header_bytes + 64 + SHORT_ID_BYTES * transactions


def measured(quick: bool = False) -> Speeds:
    """Half a minute of work, or with `quick` a few seconds that say little."""
    rng = np.random.default_rng(1)
    spec, rows = dense(256), 500 if quick else 10_000
    parameters, features = random_parameters(rng, spec), images(rng, rows)
    bounds = prove_bounds(spec, parameters)
    run_s = min(seconds(lambda: forward(spec, parameters, features, bounds)) for _ in range(7))
    digest_s = min(seconds(lambda: scrypt(bytes(200))) for _ in range(20))
    owners, count = [key(number) for number in range(1, 11)], 20 if quick else EMPTY_BLOCKS
    chain_spec = easy_spec(*owners)
    with tempfile.TemporaryDirectory(prefix="engram-simulate-") as folder:
        chain = FilledChain(Path(folder) / "chain", chain_spec, genesis(chain_spec))
        try:
            before = _disk_bytes(Path(folder))
            empty_s = min(_import_s(chain, []) for _ in range(count))
            grown = _disk_bytes(Path(folder)) - before
            each = (20 if quick else TRANSFERS) // len(owners)
            full_s = min(_import_s(chain, _transfers(chain, owners, each)) for _ in range(5))
            paid = _transfers(chain, owners, 1)
            header = chain.head.header
        finally:
            chain.close()
    return Speeds(
        macs_s=rows * macs_per_row(spec) / run_s,
        digest_s=digest_s,
        empty_block_s=max(1e-4, empty_s - min(digest_s, empty_s)),
        transfer_s=max(1e-5, (full_s - empty_s) / (each * len(owners))),
        header_bytes=len(encode(header)),
        transfer_bytes=paid[0].size_bytes,
        empty_block_disk_bytes=grown / count,
    )


def _transfers(chain: FilledChain, owners: list[PrivateKey], each: int) -> list[Transaction]:
    """So many transfers of each owner for the next block."""
    return [
        chain.pay(owner, Transfer(owners[0].address, 1), after) for owner in owners for after in range(each)
    ]


def _import_s(chain: FilledChain, txs: list[Transaction]) -> float:
    """Seconds that the next block takes to be judged and written.

    The least of several counts, so that it matters little what else runs on the machine.
    """
    block = chain.block(txs)
    return seconds(lambda: chain.take(block))


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
