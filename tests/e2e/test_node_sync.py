"""Node processes catch up with each other over sockets: late, killed on the way, split and healed."""

import signal
from pathlib import Path

import numpy as np
import pytest

from engram.nn.data import part_bytes
from engram.node.client import RpcClient
from engram.node.datadir import make_data_dir
from engram.primitives.codec import encode
from engram.primitives.keys import PrivateKey, format_address
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, CAROL, SPEC
from tests.support.node_process import NodeCommand, processes


@pytest.fixture
def nodes(tmp_path: Path) -> list[NodeCommand]:
    """Three nodes of one chain that know nothing of each other."""
    made = []
    for name in ("one", "two", "three"):
        make_data_dir(tmp_path / name, SPEC)
        made.append(NodeCommand(tmp_path / name, "--miner-address", format_address(CAROL.address, SPEC.hrp)))
    return made


def payment(sparks: int) -> Transaction:
    return MemoryChain(SPEC).sign(ALICE, Transfer(BOB.address, sparks))


def mine(node: NodeCommand, blocks: int) -> dict[str, object]:
    """The head after so many blocks more."""
    head: dict[str, object] = node.call("miner_mine", blocks=blocks)[-1]
    return head


def follow(node: NodeCommand, head: dict[str, object]) -> None:
    node.wait_head(lambda own: own["id"] == head["id"])


def wait_pending(node: NodeCommand, txid: str) -> None:
    """Returns once the transaction waits in the node's mempool."""

    async def action(client: RpcClient) -> None:
        async with client.subscribe("transactions") as events:
            while (await client.call("tx_status", txid=txid))["status"] != "pending":
                await anext(events)

    node.run(action)


def test_a_late_node_that_is_killed_on_the_way_goes_on(nodes: list[NodeCommand]) -> None:
    one, two, late = nodes
    with processes(one, two):
        two.call("peer_add", address=one.peer_address)
        head = mine(one, 300)
        follow(two, head)
        for killed_at in (20, 120):
            late.start()
            late.call("peer_add", address=one.peer_address)
            late.call("peer_add", address=two.peer_address)
            late.wait_height(killed_at)
            late.stop(signal.SIGKILL)
        late.start()
        assert late.call("chain_head")["height"] >= 120
        late.call("peer_add", address=two.peer_address)
        follow(late, head)
        assert [node.stop() for node in (one, two, late)] == [0, 0, 0]


def test_rows_that_deflate_travel_deflated(nodes: list[NodeCommand]) -> None:
    """Once as a waiting transaction and once in their block, to a node that comes later."""
    one, two, late = nodes
    raw = part_bytes(np.zeros((1_000, 500), np.uint8), np.ones(1_000, np.uint16))
    publish = MemoryChain(SPEC).sign(ALICE, PublishPart(1_000, 500, 2, bytes(32), Inline(raw)))
    with processes(one, two, late):
        two.call("peer_add", address=one.peer_address)
        txid = one.call("tx_submit", raw=encode(publish).hex())["txid"]
        wait_pending(two, txid)
        follow(one, mine(two, 1))
        late.call("peer_add", address=one.peer_address)
        follow(late, one.call("chain_head"))
        for node in nodes:
            assert node.call("tx_status", txid=txid)["status"] == "included"
            assert node.run(lambda client: client.blob(blob_id(raw))) == raw
            sent = [peer["sent_bytes"] for peer in node.call("peer_list")]
            assert sum(sent) < len(raw) // 10


def test_a_split_heals_to_the_heavier_branch_and_its_transactions_live_on(nodes: list[NodeCommand]) -> None:
    one, two, three = nodes
    with processes(one, two, three):
        two.call("peer_add", address=one.peer_address)
        three.call("peer_add", address=two.peer_address)
        follow(three, mine(one, 2))
        two.call("peer_remove", address=one.peer_address)
        sent = one.call("tx_submit", raw=encode(payment(7)).hex())["txid"]
        mine(one, 2)
        assert one.call("tx_status", txid=sent)["status"] == "included"
        heavier = mine(three, 5)
        follow(two, heavier)
        two.call("peer_add", address=one.peer_address)
        follow(one, heavier)
        wait_pending(three, sent)
        follow(one, mine(three, 1))
        for node in nodes:
            assert node.call("tx_status", txid=sent)["status"] == "included"
        roots = {node.call("chain_head")["state_root"] for node in nodes}
        assert len(roots) == 1


def test_a_peer_may_be_named_by_its_key(nodes: list[NodeCommand]) -> None:
    one, two, three = nodes
    with processes(one):
        other = PrivateKey.from_seed(b"\x09" * 32).public_key.hex()
        two.options = (*two.options, "--peer", f"{one.info['node_id']}@{one.peer_address}")
        three.options = (*three.options, "--peer", f"{other}@{one.peer_address}")
        two.start()
        three.start()
        try:
            follow(two, mine(one, 1))
            assert [peer["id"] for peer in two.call("peer_list")] == [one.info["node_id"]]
            while "wrong_peer" not in three.log:
                assert three.call("peer_list") == []
            three.call("peer_add", address="127.0.0.1:1")
            while "dial_failed" not in three.log:
                assert three.call("peer_list") == []
            third = f"{one.info['node_id']}@{one.peer_address}"
            assert three.call("peer_add", address=third) == {"address": third, "ban": None}
            follow(three, mine(one, 1))
        finally:
            two.close()
            three.close()
