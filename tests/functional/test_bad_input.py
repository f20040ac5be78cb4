"""Bad input to a whole node, by RPC and by peers: refused by code, nothing lost, the node goes on."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from engram.consensus.block import Block
from engram.node.client import RpcClient
from engram.node.errors import RemoteError
from engram.p2p.errors import DisconnectReason
from engram.p2p.messages import BlockData, GetTransactions
from engram.primitives.codec import encode
from engram.primitives.packing import pack
from engram.primitives.types import Hash
from engram.statemachine.transaction import UnsignedTransaction, sign, sign_unsigned
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import COIN, MemoryChain, key
from tests.support.node_chain import ALICE, BOB, SPEC, fork, resealed, without_work
from tests.support.node_network import Member, NodeNetwork
from tests.support.served_chain import ServedChain
from tests.support.until import until

CHAIN = MemoryChain(SPEC)
STRANGER = key(99)
GOOD = CHAIN.sign(ALICE, Transfer(BOB.address, 5), nonce=1)
"""What every node here holds in its mempool, behind one that is in its first block."""
FIRST = CHAIN.sign(ALICE, Transfer(BOB.address, 1), nonce=0)
CHAIN.mine([FIRST])
BLOCK = fork(CHAIN).mine()
"""A good next block."""
NEXT = UnsignedTransaction(
    CHAIN.chain_id, ALICE.public_key, 2, COIN, 0, Transfer.KIND, encode(Transfer(BOB.address, 5))
)


def signed(**changes: object) -> bytes:
    """The next transaction with other fields, well signed."""
    return encode(sign_unsigned(ALICE, replace(NEXT, **changes)))  # type: ignore[arg-type]


def badly_signed() -> bytes:
    tx = sign_unsigned(ALICE, NEXT)
    return encode(replace(tx, signature=bytes([tx.signature[0] ^ 1]) + tx.signature[1:]))


def paying(sparks: int, nonce: int, fee: int, tip: int = 0) -> bytes:
    return encode(sign(ALICE, CHAIN.chain_id, nonce, fee, tip, Transfer(BOB.address, sparks)))


R = DisconnectReason
TRANSACTIONS: dict[str, tuple[bytes, str, DisconnectReason | None]] = {
    "empty": (b"\xc0", "wrong_type", R.BAD_FRAME),
    "truncated": (signed()[:-1], "truncated", R.BAD_FRAME),
    "trailing byte": (signed() + b"\x00", "non_canonical", R.BAD_FRAME),
    "long length": (b"\xdc\x00\x08" + signed()[1:], "non_canonical", R.BAD_FRAME),
    "huge array": (b"\xdd\xff\xff\xff\xff", "wrong_arity", R.BAD_FRAME),
    "deep nesting": (b"\x91" * 10_000 + b"\xc0", "wrong_arity", R.BAD_FRAME),
    "field missing": (b"\x97" + signed()[1:], "wrong_arity", R.BAD_FRAME),
    "too large": (
        signed(payload=bytes(SPEC.rules.max_transaction_bytes)),
        "transaction_too_large",
        R.INVALID_DATA,
    ),
    "no payload": (signed(payload=b""), "truncated", R.BAD_FRAME),
    "unknown type": (signed(kind=60_000), "unknown_transaction_type", R.INVALID_DATA),
    "wrong signature": (badly_signed(), "bad_signature", R.INVALID_DATA),
    "another's signature": (encode(sign_unsigned(BOB, NEXT)), "bad_signature", R.INVALID_DATA),
    "another chain": (signed(chain_id=7), "wrong_chain", R.INVALID_DATA),
    "nonce used": (signed(nonce=0), "nonce_mismatch", None),
    "nonce far ahead": (signed(nonce=1_000), "nonce_gap", None),
    "nonce taken": (paying(6, 1, COIN), "nonce_occupied", None),
    "fee too low": (paying(5, 2, 1), "fee_too_low", None),
    "nothing to pay with": (
        encode(sign(STRANGER, CHAIN.chain_id, 0, COIN, 0, Transfer(BOB.address, 5))),
        "insufficient_balance",
        None,
    ),
    "more than there is": (
        encode(sign(BOB, CHAIN.chain_id, 0, COIN, 0, Transfer(ALICE.address, 10**6 * COIN))),
        "insufficient_balance",
        None,
    ),
    "fees beyond the balance": (paying(5, 2, 10**6 * COIN, 10**6 * COIN - 10**6), "unaffordable", None),
    "nothing": (paying(0, 2, COIN), "amount_zero", R.INVALID_DATA),
}


def endings(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Codes with which the node has ended sessions."""
    return [line["error"].code for line in logs if line["event"] == "a session ended"]


@pytest.fixture
async def node(network: NodeNetwork) -> AsyncIterator[Member]:
    """A node with one block and one waiting transaction, which must both be there in the end."""
    node = await network.start("node")
    await node.take(CHAIN.blocks[1:])
    await node.admit(GOOD)
    yield node
    assert node.chain.head.id == CHAIN.tip.id
    assert node.waits(GOOD)
    assert len(node.services.mempool) == 1
    await node.mine()
    assert node.chain.state().account(ALICE.address).nonce == 2
    await until(lambda: not node.waits(GOOD))


@pytest.mark.parametrize("case", TRANSACTIONS)
async def test_a_bad_transaction_by_rpc(node: Member, case: str) -> None:
    raw, code, _ = TRANSACTIONS[case]
    async with RpcClient(node.url) as client:
        with pytest.raises(RemoteError) as refusal:
            await client.call("tx_submit", raw=raw)
    assert refusal.value.code == code


@pytest.mark.parametrize("case", TRANSACTIONS)
async def test_a_bad_transaction_by_a_peer(network: NodeNetwork, node: Member, case: str) -> None:
    raw, code, reason = TRANSACTIONS[case]
    peer = ServedChain(CHAIN.blocks)
    txid = peer.offer(raw)
    with capture_logs() as logs:
        manager = await network.serve("peer", peer, "node")
        await network.connected(node)
        manager.gossip.announce_transactions((txid,))
        await until(lambda: network.count("node", "peer", GetTransactions))
        if reason is not None:
            assert await peer.parting() == reason
            await until(lambda: endings(logs))
            assert endings(logs) == [code]
        else:
            manager.gossip.announce_transactions((bytes(32),))
            await until(lambda: network.count("node", "peer", GetTransactions) == 2)
            assert peer.partings == [], "the first was judged before the second was asked for"


BLOCKS: dict[str, tuple[Block | bytes, str, DisconnectReason]] = {
    "no block": (b"\xc0", "wrong_type", R.BAD_FRAME),
    "truncated": (encode(BLOCK)[:-1], "truncated", R.BAD_FRAME),
    "trailing byte": (encode(BLOCK) + b"\x00", "non_canonical", R.BAD_FRAME),
    "huge array": (b"\x92" + encode(BLOCK.header) + b"\xdd\xff\xff\xff\xff", "out_of_range", R.BAD_FRAME),
    "another block": (encode(resealed(BLOCK, miner=bytes(19) + b"\x01")), "wrong_reply", R.BAD_REPLY),
    "no work": (Block(without_work(BLOCK.header), ()), "pow_not_met", R.INVALID_DATA),
    "another target": (resealed(BLOCK, target=0x1F00FFFF), "bad_target", R.INVALID_DATA),
    "another height": (resealed(BLOCK, height=9), "wrong_height", R.INVALID_DATA),
    "another version": (resealed(BLOCK, version=2), "wrong_version", R.INVALID_DATA),
    "too old": (resealed(BLOCK, timestamp_ms=1), "timestamp_too_old", R.INVALID_DATA),
    "other transactions": (Block(BLOCK.header, (FIRST,)), "wrong_transactions_root", R.INVALID_DATA),
}


@pytest.mark.parametrize("case", BLOCKS)
async def test_a_bad_block_by_a_peer(network: NodeNetwork, node: Member, case: str) -> None:
    block, code, reason = BLOCKS[case]
    raw = pack(encode(block) if isinstance(block, Block) else block)

    async def answer(name: Hash) -> bytes | None:
        return raw

    with capture_logs() as logs:
        peer = ServedChain(CHAIN.blocks[:1], body=answer)
        manager = await network.serve("peer", peer, "node")
        await network.connected(node)
        manager.gossip.announce_block(((block if isinstance(block, Block) else BLOCK).header).id)
        assert await peer.parting() == reason
        await until(lambda: endings(logs))
        assert endings(logs) == [code]
    assert node.chain.head.height == 1


@pytest.mark.parametrize("field", ["state_root", "receipts_root"])
async def test_a_block_with_a_false_promise_is_its_makers_fault_alone(
    network: NodeNetwork, node: Member, field: str
) -> None:
    false = resealed(BLOCK, **{field: bytes(32)})
    peer = ServedChain([*CHAIN.blocks, false])
    peer.claimed_work = 1
    manager = await network.serve("peer", peer, "node")
    await network.connected(node)
    manager.gossip.announce_block(false.header.id)
    async with RpcClient(node.url) as client:
        await until(lambda: network.count("peer", "node", BlockData))
        assert (await node.chain.import_block(false)).code == f"wrong_{field}"
        assert (await client.call("chain_head"))["height"] == 1
    assert peer.partings == [], "it relayed the block before it executed it, as it should"
