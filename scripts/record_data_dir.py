#!/usr/bin/env python3
"""Records tests/vectors/data_dir_N.tar.xz: a stopped node's data directory in the layout N of this version.

Run from the repository root: .venv/bin/python scripts/record_data_dir.py

The chain has 150 blocks with transfers and published rows, a branch that lost, one that won, and a block that
breaks a rule. Beside the data stand the head and the balances after it, so that later versions can show that
they read the same from what this version wrote. Run it before the layout changes, and never again after.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engram.consensus.block import Block
from engram.node.datadir import write_spec
from engram.node.storage.schema import SCHEMA_VERSION
from engram.statemachine.content import Inline
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.crash_server import ROWS
from tests.support.memory_chain import MemoryChain, search
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC, disk_store, fork, miner_address, running

BLOCKS = 150
VECTORS = Path(__file__).resolve().parents[1] / "tests/vectors"


def story() -> list[Block]:
    """Blocks in the order in which the node was given them."""
    best = MemoryChain(SPEC)
    best.mine([best.sign(ALICE, PublishPart(20, 400, 2, bytes(32), Inline(ROWS)))])
    while len(best.blocks) <= BLOCKS - 6:
        height = len(best.blocks)
        best.mine([best.sign(ALICE, Transfer(BOB.address, height))] if height % 5 == 0 else [])
    winner, loser = fork(best), fork(best, BLOCKS - 12)
    side = [loser.mine(miner=miner_address(1)) for _ in range(3)]
    beaten = [best.mine(miner=miner_address(2)) for _ in range(2)]
    last = [winner.mine([winner.sign(BOB, Transfer(ALICE.address, 7))]) for _ in range(6)]
    header = replace(fork(winner).mine(miner=miner_address(3)).header, state_root=bytes(32))
    invalid = Block(replace(header, nonce=search(SPEC, header)), ())
    return [*best.blocks[1 : -len(beaten)], *side, *beaten, *last, invalid]


async def live(directory: Path) -> dict[str, object]:
    """The data directory of a node that was given the story; what a reader finds in it."""
    write_spec(directory, SPEC)
    async with running(disk_store(directory)) as node:
        await node.take(*story())
        head, state = node.chain.head, node.chain.state()
        return {
            "head": head.id.hex(),
            "height": head.height,
            "state_root": head.state_root.hex(),
            "balances": [state.account(key.address).balance for key in (ALICE, BOB, CAROL)],
        }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "data"
        directory.mkdir()
        expected = asyncio.run(live(directory))
        (directory / "expected.json").write_text(json.dumps(expected))
        (directory / "leveldb" / "LOG").unlink()
        target = VECTORS / f"data_dir_{SCHEMA_VERSION}.tar.xz"
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted(directory.rglob("*")):
                archive.add(path, path.relative_to(directory).as_posix(), recursive=False)
        print(f"{target.name}: {target.stat().st_size} bytes, {expected}")


if __name__ == "__main__":
    main()
