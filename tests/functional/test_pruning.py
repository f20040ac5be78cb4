"""A node deletes old states and losing branches, says so by name, and can go back where it may have to."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.node.chain.examine import Examination
from engram.node.chain.maintenance import check_data_dir, compact_data_dir, reindex_data_dir
from engram.node.chain.pruning import HELD, Depths
from engram.node.chain.pruningpace import READ_S
from engram.node.concurrency import ReaderThreads
from engram.node.config import Config
from engram.node.contents import Contents
from engram.node.datadir import make_data_dir
from engram.node.errors import StatePruned
from engram.node.peering import ChainAdapter
from engram.node.rpc.events import EventHub
from engram.node.rpc.render import Renderer
from engram.node.storage.schema import DIFF, ONLY_SIDE, SIDE, UNDO
from engram.node.storage.store import BLOCKS_DIRECTORY
from engram.node.sync.mending import Mending
from engram.node.sync.sync import Sync
from engram.p2p.protocol import Held
from engram.primitives import smt
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.errors import MissingBlob
from engram.statemachine.transactions.publish_part import PublishPart
from tests.support.crash_server import ROWS
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import (
    ALICE,
    BOB,
    SPEC,
    Running,
    disk_store,
    fork,
    ids,
    miner_address,
    paying_chain,
    running,
)
from tests.support.scripted_peer import ScriptedPeer
from tests.support.served_chain import ServedChain
from tests.support.until import until

pytestmark = pytest.mark.fault(id=46)

DEPTHS = Depths(states=4, changes=20)
BLOCKS = 40


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    return paying_chain(BLOCKS)


async def at_rest(node: Running) -> None:
    """Returns when the writer has deleted what it deletes after the blocks that it has judged."""
    head = node.chain.store.get_block(node.chain.head)
    assert await node.take(head) == ["duplicate"], "it is judged after that"


async def live(node: Running, blocks: Sequence[Block], behind: int = 0) -> list[str]:
    """Takes blocks that come so slowly that only the states of `behind` other blocks are still read."""
    answers = []
    for block in blocks:
        answers += await node.take(block)
        await until(lambda: sum(ref != node.chain.head for ref in node.chain.followed()) <= behind)
        node.clock.advance(int(READ_S * 1_000))
    await at_rest(node)
    return answers


def longer(branch: MemoryChain, height: int) -> MemoryChain:
    """Another branch from a height on, two blocks longer."""
    other = fork(branch, height)
    while len(other.blocks) < len(branch.blocks) + 2:
        other.mine(miner=miner_address(7))
    return other


async def is_whole(node: Running) -> bool:
    await at_rest(node)
    store, head = node.chain.store, node.chain.head
    found = Examination(store)
    found.run(head, None)
    assert found.problems == []
    return found.blocks == head.height


async def test_old_states_are_deleted_and_the_rest_is_whole(tmp_path: Path, chain: MemoryChain) -> None:
    async with running(disk_store(tmp_path / "all"), depths=None) as archive:
        await live(archive, chain.blocks[1:])
        nodes = sum(1 for _ in archive.chain.store.database.iterate(b"n"))
        archive.chain.state(archive.chain.store.get_ref(chain.blocks[3].header.id)).account(BOB.address)
        wanted = dict(smt.iterate(archive.chain.store, archive.chain.head.state_root))
    for _ in range(2):
        async with running(disk_store(tmp_path / "pruned"), depths=DEPTHS) as node:
            await live(node, chain.blocks[1:])
            store, head = node.chain.store, node.chain.head
            assert store.pruned().states >= BLOCKS - DEPTHS.states - 2
            assert sum(1 for _ in store.database.iterate(b"n")) < nodes // 2
            assert len(list(store.database.iterate(UNDO))) <= DEPTHS.changes
            old = store.get_ref(chain.blocks[3].header.id)
            for refused in (node.chain.state, store.diff):
                with pytest.raises(StatePruned) as told:
                    refused(old)
                assert told.value.code == "state_pruned"
                assert "--archive" in str(told.value)
            assert dict(smt.iterate(store, head.state_root)) == wanted
            assert await is_whole(node)
            assert [store.get_block(store.get_ref(name)) for name in ids(chain.blocks[1:])] == chain.blocks[
                1:
            ]


@pytest.mark.parametrize("depth", [1, 5, 15])
async def test_a_reorganisation_below_the_deleted_states_ends_as_on_a_new_node(
    tmp_path: Path, chain: MemoryChain, depth: int
) -> None:
    other = longer(chain, BLOCKS - depth)
    async with running() as fresh:
        await fresh.take(*other.blocks[1:])
        wanted = dict(smt.iterate(fresh.chain.store, fresh.chain.head.state_root))
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:])
        answers = await node.take(*other.blocks[BLOCKS - depth + 1 :])
        assert answers == ["side"] * depth + ["reorged", "extended"]
        assert dict(smt.iterate(node.chain.store, node.chain.head.state_root)) == wanted
        assert await is_whole(node)
        for _ in range(20):
            other.mine()
        await live(node, other.blocks[-20:])
        assert list(node.chain.store.database.iterate(SIDE)) == [], "the branch that lost is deleted"
        assert await is_whole(node)


async def test_a_branch_from_below_all_that_can_be_made_again_is_refused_by_name(
    tmp_path: Path, chain: MemoryChain
) -> None:
    other = longer(chain, BLOCKS - DEPTHS.changes - 3)
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:])
        before = list(node.chain.store.canonical())
        first = other.blocks[BLOCKS - DEPTHS.changes - 2]
        assert await node.take(first) == ["parked:state_pruned"]
        assert list(node.chain.store.canonical()) == before
        assert node.chain.store.pruned().states > BLOCKS - DEPTHS.changes, "no old state was made again"
        assert node.chain.head.id == chain.blocks[-1].header.id


async def test_what_only_a_losing_branch_brought_goes_with_it(tmp_path: Path, chain: MemoryChain) -> None:
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:21])
        store = node.chain.store
        loser = fork(chain, 19)
        alone = PublishPart(20, 400, 2, bytes(32), Inline(ROWS))
        loser.mine([loser.sign(BOB, alone)], miner=miner_address(3))
        assert await live(node, loser.blocks[20:]) == ["side"]
        assert store.get_blob(blob_id(ROWS)) == ROWS
        await live(node, chain.blocks[21:])
        assert store.find_ref(loser.blocks[-1].header.id) is None
        with pytest.raises(MissingBlob):
            store.get_blob(blob_id(ROWS))
        assert await is_whole(node)


async def test_bodies_of_losing_branches_give_their_room_back(tmp_path: Path, chain: MemoryChain) -> None:
    make_data_dir(tmp_path, SPEC)
    config = Config(data_dir=tmp_path)
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:21])
        for number in range(5):
            loser = fork(chain, 19).mine(
                [chain.sign(BOB, PublishPart(20, 400, 2, bytes([number]) * 32, Inline(ROWS)), nonce=0)],
                miner=miner_address(number + 3),
            )
            assert await live(node, [loser]) == ["side"]
        await live(node, chain.blocks[21:])
    (file,) = (tmp_path / BLOCKS_DIRECTORY).iterdir()
    before = file.stat().st_size
    for _ in range(2):
        compact_data_dir(config, prune=False)
        (file,) = (tmp_path / BLOCKS_DIRECTORY).iterdir()
        assert file.name == "000001.dat", "a second time, nothing is left to do"
        assert file.stat().st_size < before - 5 * 200
        assert check_data_dir(config).blocks == BLOCKS
    assert reindex_data_dir(config).head.id == chain.blocks[-1].header.id
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        refs = [node.chain.store.get_ref(name) for name in ids(chain.blocks[1:])]
        assert [node.chain.store.get_block(ref) for ref in refs] == chain.blocks[1:]


async def test_what_the_best_chain_brings_too_stays(tmp_path: Path, chain: MemoryChain) -> None:
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:20])
        store = node.chain.store
        both = PublishPart(20, 400, 2, bytes(32), Inline(ROWS))
        loser, best = fork(chain, 19), fork(chain, 19)
        loser.mine([loser.sign(BOB, both)], miner=miner_address(3))
        best.mine()
        best.mine([best.sign(ALICE, both)])
        for _ in range(20):
            best.mine()
        await live(node, best.blocks[20:21])
        assert await live(node, loser.blocks[20:]) == ["side"]
        await live(node, best.blocks[21:])
        assert store.find_ref(loser.blocks[-1].header.id) is None
        assert store.get_blob(blob_id(ROWS)) == ROWS
        assert list(store.database.iterate(ONLY_SIDE)) == []


async def test_nothing_is_deleted_that_a_follower_has_still_to_read(chain: MemoryChain) -> None:
    async with running(depths=DEPTHS) as node:
        changes = node.chain.changes()
        await live(node, chain.blocks[1:31], behind=1)
        assert node.chain.store.pruned().states == 0
        change = await anext(changes)
        assert [node.chain.store.diff(ref) for ref in change.connected]
        await live(node, chain.blocks[31:36], behind=2)
        assert node.chain.store.pruned().states == 0, "it may still read what it was told of"
        await anext(changes)
        await live(node, chain.blocks[36:], behind=2)
        assert node.chain.store.pruned().states > 0


async def test_nothing_is_deleted_of_a_branch_that_won_and_lost_while_a_follower_was_busy(
    chain: MemoryChain,
) -> None:
    """The follower still deals with what the best chain was before; then it must leave the branch again."""
    best, rival = fork(chain), longer(chain, BLOCKS - 10)
    async with running(depths=DEPTHS) as node:
        await live(node, chain.blocks[1:])
        changes = node.chain.changes()
        await live(node, rival.blocks[BLOCKS - 9 :], behind=1)
        assert node.chain.head.id == rival.tip.id
        change = await anext(changes)
        assert change.connected[-1].id == rival.tip.id
        await live(node, [best.mine() for _ in range(20)], behind=2)
        assert node.chain.head.id == best.tip.id
        change = await anext(changes)
        assert [ref.id for ref in change.disconnected] == ids(rival.blocks[: BLOCKS - 10 : -1])
        assert change.connected[-1].id == best.tip.id


@pytest.mark.fault(id=12)
async def test_a_deep_branch_wins_however_slowly_it_comes_in(tmp_path: Path, chain: MemoryChain) -> None:
    """Otherwise two nodes that lost each other for long would never agree: each would fetch the branch of the
    other and delete it again and again.
    """
    best, other = fork(chain), fork(chain, BLOCKS - 15)
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:])
        grown = 0
        while node.chain.head.id != other.tip.id:
            answers = await live(node, [other.mine(miner=miner_address(7))], behind=1)
            assert answers[0] in ("side", "reorged")
            if other.height % 3 and node.chain.head.id != other.tip.id:
                grown += len(await live(node, [best.mine()]))
        assert grown > HELD, "more than the best chain may grow before the branch's next block"
        assert await is_whole(node)


async def test_a_state_that_was_new_a_moment_ago_is_kept(chain: MemoryChain) -> None:
    async with running(depths=DEPTHS) as node:
        await node.take(*chain.blocks[1:])
        assert node.chain.store.pruned().states == 0
        node.clock.advance(int(READ_S * 1_000))
        longer_chain = fork(chain)
        await live(node, [longer_chain.mine() for _ in range(3)])
        assert node.chain.store.pruned().states > 0
        assert node.chain.store.database.get(DIFF + node.chain.head.id) is not None


async def test_a_block_from_a_peer_makes_no_old_state_again(tmp_path: Path, chain: MemoryChain) -> None:
    """It would cost a stranger one block of little work, and this node many states."""
    threads = ReaderThreads(1)
    async with running(disk_store(tmp_path), depths=DEPTHS) as node:
        await live(node, chain.blocks[1:])
        oldest = node.chain.store.pruned().states
        adapter = ChainAdapter(
            node.chain,
            node.mempool,
            Sync(node.chain, node.clock, threads),
            Mending(node.chain, node.clock, threads),
            Contents(node.chain.store, node.clock, threads, lambda: Held(1, archive=False)),
            EventHub(),
            node.clock,
            threads,
            Renderer(SPEC.hrp, SPEC.rules),
            chain.blocks[0].header.id,
        )
        peer = ScriptedPeer(ServedChain(chain.blocks))
        for height in (3, BLOCKS - 15):
            stale = fork(chain, height).mine(miner=miner_address(8))
            with pytest.raises(StatePruned):
                await adapter.check_block(peer, stale.header.id, pack(encode(stale)))
        fresh = fork(chain, BLOCKS - 2).mine(miner=miner_address(8))
        assert (await adapter.check_block(peer, fresh.header.id, pack(encode(fresh)))).id == fresh.header.id
        assert node.chain.store.pruned().states == oldest
    threads.close()
