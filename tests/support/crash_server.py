"""A process that forks a node for each line it reads, so that a test can let it die without paying for its
start.

    stdin    DIRECTORY SETTING       SETTING: a fail point `name[:count]`, or `-` for none
    stdout   STATUS                  the child's exit status
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np

from engram.consensus.block import Block
from engram.nn.data import part_bytes
from engram.node.chain.maintenance import compact_data_dir, reindex_data_dir
from engram.node.chain.pruning import Depths
from engram.node.chain.pruningpace import READ_S
from engram.node.config import Config
from engram.node.datadir import write_spec
from engram.node.history.index import AccountIndex
from engram.node.storage.failpoints import arm
from engram.node.storage.schema import ACCOUNT
from engram.node.storage.store import ChainStore
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.damage import damage_body
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import (
    ALICE,
    BOB,
    SPEC,
    Running,
    best_rows,
    disk_store,
    fork,
    miner_address,
    running,
)
from tests.support.until import until

FILE_BYTES = 1_400
ROWS = part_bytes(np.zeros((20, 400), np.uint8), np.ones(20, np.uint16))
DEPTHS = Depths(states=2, changes=20)
DIGEST = "digest"
"""File in the data directory with the digest of what the run ended with."""


def story() -> list[Block]:
    """A life with everything in it: blocks, one of them with rows that are kept deflated, a side branch that
    wins, one that loses, an invalid block, and last a block on a state that was deleted.
    """
    trunk = MemoryChain(SPEC)
    trunk.mine([trunk.sign(ALICE, PublishPart(20, 400, 2, bytes(32), Inline(ROWS)))])
    for number in range(2):
        trunk.mine([trunk.sign(ALICE, Transfer(BOB.address, 1 + number))])
    winner = fork(trunk, 2)
    for number in range(2):
        winner.mine([winner.sign(BOB, Transfer(ALICE.address, 9 + number))], miner=miner_address(1))
    loser = fork(winner, 3)
    loser.mine(miner=miner_address(2))
    false = fork(winner).mine(miner=miner_address(3))
    header = replace(false.header, state_root=bytes(32))
    invalid = Block(replace(header, nonce=search(SPEC, header)), ())
    last = winner.mine([winner.sign(ALICE, Transfer(BOB.address, 50))])
    late = fork(winner, 1).mine(miner=miner_address(4))
    return [*trunk.blocks[1:], *winner.blocks[3:5], *loser.blocks[4:], invalid, last, late]


def digest(store: ChainStore) -> str:
    """Everything that the best chain determines, the index of accounts, and the rows that it has
    published.
    """
    rows = sorted(best_rows(store).items())
    rows.append((ROWS, store.get_blob(blob_id(ROWS))))
    rows += store.database.iterate(ACCOUNT)
    return hashlib.sha256(
        b"".join(len(part).to_bytes(4, "big") + part for row in rows for part in row)
    ).hexdigest()


async def mend(directory: Path, node: Running, block: Block) -> None:
    """The body of a block is damaged on disk, and is taken in again."""
    store = node.chain.store
    ref = store.get_ref(block.header.id)
    damage_body(directory, store, ref.id)
    store.whole_block(ref)
    await node.take(block)


def index_accounts(node: Running) -> None:
    """Brings the index of accounts to the head, and down to genesis."""
    index = AccountIndex(node.chain.store, SPEC)
    if not index.open():
        index.begin(node.chain.head)
    while index.step(node.chain.head):
        pass


async def live(directory: Path, blocks: list[Block]) -> str:
    """Takes the blocks in, mends the first of them, deletes old states, makes one again, frees the
    room of what is not known, and makes a new database from the block files.
    """
    write_spec(directory, SPEC)
    *blocks, last, late = blocks
    async with running(disk_store(directory, max_file_bytes=FILE_BYTES), depths=DEPTHS) as node:
        await node.take(*blocks[:2])
        index_accounts(node)
        await node.take(*blocks[2:])
        index_accounts(node)
        await mend(directory, node, blocks[0])
        await until(lambda: all(ref.id == node.chain.head.id for ref in node.chain.followed()))
        node.clock.advance(int(READ_S * 1_000))
        await node.take(last, late)
    compact_data_dir(Config(data_dir=directory), prune=False)
    reindex_data_dir(Config(data_dir=directory))
    async with running(disk_store(directory, max_file_bytes=FILE_BYTES)) as node:
        await node.take(*blocks)
        index_accounts(node)
        return digest(node.chain.store)


def child(directory: Path, setting: str, blocks: list[Block]) -> None:
    arm("" if setting == "-" else setting)
    (directory / DIGEST).write_text(asyncio.run(live(directory, blocks)))


def main() -> None:
    blocks = story()
    for line in sys.stdin:
        directory, setting = line.split()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                child(Path(directory), setting, blocks)
                status = 0
            except Exception:  # `os._exit` below would swallow it
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
