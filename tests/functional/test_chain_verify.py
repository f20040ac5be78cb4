"""The stored chain, verified anew: what holds is said to hold, and the first block that does not is named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.consensus import validation
from engram.consensus.block import Block
from engram.node.chain import headers, importer
from engram.node.chain.maintenance import verify_data_dir
from engram.node.chain.pruning import DEFAULT_DEPTHS, Depths, Pruner
from engram.node.chain.replay import SCRATCH, VerifiedChain
from engram.node.chain.snapshot import restore_snapshot, take_snapshot
from engram.node.config import Config
from engram.node.datadir import make_data_dir
from engram.node.errors import BlockNotFound, ChainBroken, DataDirLocked
from engram.node.storage.schema import INDEX, IndexEntry
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.primitives.codec import decode, encode
from tests.support.cli import Shell
from tests.support.damage import damage_body
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import (
    LATE_MS,
    SPEC,
    disk_store,
    fork,
    opened,
    paying_chain,
    resealed,
    running,
    without_work,
)

HEAD = 40
SHALLOW = Depths(5, 20)


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(HEAD)


async def stored(directory: Path, chain: MemoryChain, depths: Depths | None = DEFAULT_DEPTHS) -> Path:
    """The data of a node that has taken this chain in and stopped."""
    make_data_dir(directory, SPEC)
    async with running(disk_store(directory), depths=depths) as node:
        assert set(await node.take(*chain.blocks[1:])) == {"extended"}
        pruner = Pruner(node.chain.store, depths)
        while pruner.advance(HEAD):
            pass
    return directory


def verified(directory: Path, first: int = 1, last: int | None = None) -> VerifiedChain:
    seen: list[int] = []
    done = verify_data_dir(Config(data_dir=directory), first, last, LATE_MS, seen.append)
    assert seen == list(range(done.headers.first, done.headers.last + 1)), "each height, in order"
    assert not (directory / SCRATCH).exists()
    return done


def spans(done: VerifiedChain) -> tuple[Any, Any]:
    result = done.to_json()
    return result["headers"], result["replayed"]


async def test_ranges_of_a_pruned_node(chain: MemoryChain, tmp_path: Path) -> None:
    directory = await stored(tmp_path, chain, SHALLOW)
    before = {path: path.read_bytes() for path in (directory / "blocks").iterdir()}
    assert spans(verified(directory)) == ([1, HEAD], [1, HEAD])
    assert spans(verified(directory, 1, 7)) == ([1, 7], [1, 7])
    assert spans(verified(directory, HEAD, HEAD)) == ([HEAD, HEAD], [HEAD, HEAD])
    assert spans(verified(directory, HEAD - 2)) == ([HEAD - 2, HEAD], [HEAD - 2, HEAD])
    assert spans(verified(directory, 9, 12)) == ([1, 12], [1, 12]), "no state is kept there"
    assert {path: path.read_bytes() for path in (directory / "blocks").iterdir()} == before
    for first, last in ((HEAD + 1, None), (3, 2), (1, HEAD + 1)):
        with pytest.raises(BlockNotFound):
            verified(directory, first, last)


async def test_a_range_of_an_archive_is_executed_on_its_own_states(
    chain: MemoryChain, tmp_path: Path
) -> None:
    directory = await stored(tmp_path, chain, None)
    assert spans(verified(directory, 9, 12)) == ([9, 12], [9, 12])


async def test_a_node_that_began_with_a_snapshot_says_what_it_cannot_replay(
    chain: MemoryChain, tmp_path: Path
) -> None:
    source = await stored(tmp_path / "source", chain)
    with opened(disk_store(source)) as node:
        take_snapshot(node.store, node.start.head, SPEC, tmp_path / "snapshot", 20)
    make_data_dir(tmp_path / "late", SPEC)
    trusted = chain.blocks[HEAD].header.id
    restore_snapshot(tmp_path / "late", SPEC, tmp_path / "snapshot", LATE_MS, checkpoint=trusted)
    alone = verified(tmp_path / "late")
    assert (spans(alone), alone.to_json()["not_replayed"]) == (([1, 20], None), 20)
    async with running(disk_store(tmp_path / "late")) as late:
        await late.take(*chain.blocks[21:])
    done = verified(tmp_path / "late")
    assert (spans(done), done.to_json()["not_replayed"]) == (([1, HEAD], [21, HEAD]), 20)
    said = Shell(tmp_path / "late", {}).run("chain", "verify")
    assert "of the blocks 1 to 20, only headers and work were verified" in said.stderr
    assert "still lacks 20 bodies" in said.stderr
    async with running(disk_store(tmp_path / "late")) as late:
        for block in chain.blocks[20:0:-1]:
            late.chain.store.damaged.expect(block.header.id)
            await late.take(block)
    done = verified(tmp_path / "late")
    assert (spans(done), done.to_json()["not_replayed"]) == (([1, HEAD], [1, HEAD]), 0), "all is executed now"
    with opened(disk_store(tmp_path / "late")) as node:
        damage_body(tmp_path / "late", node.store, chain.blocks[7].header.id)
    with pytest.raises(ChainBroken, match="start the node"):
        verified(tmp_path / "late")


def test_a_chain_of_genesis_alone(tmp_path: Path) -> None:
    make_data_dir(tmp_path, SPEC)
    with opened(disk_store(tmp_path)):
        pass
    assert spans(verified(tmp_path)) == (None, None)


Lie = Callable[[pytest.MonkeyPatch, MemoryChain], Block]


def false_receipts(patch: pytest.MonkeyPatch, chain: MemoryChain) -> Block:
    """A block that an earlier, lenient version let in."""
    true = chain.blocks[-1]
    false, judge = resealed(true, receipts_root=bytes(32)), validation.validate_execution

    def lenient(spec: Any, reader: Any, blobs: Any, parent: Any, block: Block, *rest: Any) -> Any:
        block = Block(replace(block.header, receipts_root=true.header.receipts_root), block.transactions)
        return judge(spec, reader, blobs, parent, block, *rest)

    patch.setattr(importer, "validate_execution", lenient)
    return false


def false_state(patch: pytest.MonkeyPatch, chain: MemoryChain) -> Block:
    true = chain.blocks[-1]
    false, judge = resealed(true, state_root=bytes(31) + b"\x01"), validation.validate_execution

    def lenient(spec: Any, reader: Any, blobs: Any, parent: Any, block: Block, *rest: Any) -> Any:
        block = Block(replace(block.header, state_root=true.header.state_root), block.transactions)
        return judge(spec, reader, blobs, parent, block, *rest)

    patch.setattr(importer, "validate_execution", lenient)
    return false


def no_work(patch: pytest.MonkeyPatch, chain: MemoryChain) -> Block:
    patch.setattr(headers, "validate_header", lambda *arguments, **options: None)
    return Block(without_work(chain.tip), chain.blocks[-1].transactions)


def too_early(patch: pytest.MonkeyPatch, chain: MemoryChain) -> Block:
    patch.setattr(headers, "validate_header", lambda *arguments, **options: None)
    return resealed(chain.blocks[-1], timestamp_ms=1)


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (false_receipts, "wrong_receipts_root"),
        (false_state, "wrong_state_root"),
        (no_work, "pow_not_met"),
        (too_early, "timestamp_too_old"),
    ],
)
@pytest.mark.parametrize("first", [1, 12])
async def test_the_first_block_that_does_not_hold_is_named(
    lie: Lie, code: str, first: int, chain: MemoryChain, tmp_path: Path
) -> None:
    height = 13
    branch = fork(chain, height)
    make_data_dir(tmp_path, SPEC)
    async with running(disk_store(tmp_path)) as node:
        assert set(await node.take(*branch.blocks[1:height])) == {"extended"}
        with pytest.MonkeyPatch.context() as patch:
            false = lie(patch, branch)
            assert await node.take(false) == ["extended"]
    with pytest.raises(ChainBroken, match=f"block {height} {false.header.id.hex()} does not hold") as found:
        verified(tmp_path, first)
    assert found.value.got == code
    assert verified(tmp_path, first, height - 1).headers.last == height - 1
    assert Shell(tmp_path, {}).error("chain", "verify", "--first", str(first)) == (65, "chain_broken")
    assert not (tmp_path / SCRATCH).exists()


async def test_a_damaged_body_is_named(chain: MemoryChain, tmp_path: Path) -> None:
    directory = await stored(tmp_path, chain)
    with opened(disk_store(directory)) as node:
        damage_body(directory, node.store, chain.blocks[17].header.id)
    with pytest.raises(ChainBroken, match="the body of block 17 ") as found:
        verified(directory)
    assert found.value.got == "damaged_body"
    assert len(verified(directory, 1, 16).replayed) == 16


async def test_a_work_that_the_index_makes_up_is_named(chain: MemoryChain, tmp_path: Path) -> None:
    directory = await stored(tmp_path, chain)
    with opened(disk_store(directory)) as node:
        place = INDEX + chain.blocks[5].header.id
        entry = decode(IndexEntry, node.store.database.get(place) or b"")
        work = int.from_bytes(entry.total_work, "big") + 1
        more = replace(entry, total_work=work.to_bytes(len(entry.total_work), "big"))
        node.store.database.put(place, encode(more))
    with pytest.raises(ChainBroken, match="block 5 "):
        verified(directory)


async def test_the_command(chain: MemoryChain, tmp_path: Path) -> None:
    directory = await stored(tmp_path / "data", chain)
    shell = Shell(directory, {})
    (directory / SCRATCH).mkdir()
    (directory / SCRATCH / "left by a killed run").touch()
    done = json.loads(shell.run("chain", "verify", "--json").stdout)
    assert done == {
        "state": "holds",
        "height": HEAD,
        "head": chain.tip.id.hex(),
        "headers": [1, HEAD],
        "replayed": [1, HEAD],
        "not_replayed": 0,
        "bodies": 0,
        "bodies_missing": 0,
    }
    assert shell.text("chain", "verify", "--last", "3").startswith("state           holds\n")
    with opened(disk_store(directory)):
        assert shell.error("chain", "verify") == (75, DataDirLocked.code)
    shutil.rmtree(directory / DATABASE_DIRECTORY)
    shutil.rmtree(directory / "blocks")
    assert shell.error("chain", "verify") == (65, "chain_not_found")
