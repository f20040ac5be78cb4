"""The wallet against a real node: nonces under concurrency, receipts, codes, uploads that go on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from engram.nn.data import part_bytes
from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.errors import RemoteError
from engram.node.threaded import running_node
from engram.participant.errors import NotIncluded, TransactionDropped, TransactionRefused
from engram.participant.upload import split_chunks, upload
from engram.participant.wallet import Wallet
from engram.primitives.codec import encode
from engram.primitives.errors import BadAddress
from engram.primitives.keys import PrivateKey, format_address
from engram.statemachine.content import Inline, blob_id
from engram.statemachine.transaction import Transaction, sign
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.transfer import Transfer
from tests.support.dev_node import HRP, SEEDS, address_of, dev_spec
from tests.support.faults import inputs

pytestmark = pytest.mark.xdist_group("wallet")
KIB = 1024


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data directory of a node that mines when transactions wait."""
    path = tmp_path_factory.mktemp("node")
    config = Config(data_dir=path, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, dev_spec()):
        yield path


@pytest.fixture
async def client(directory: Path) -> AsyncIterator[RpcClient]:
    running = find_run_info(directory)
    assert running is not None
    async with RpcClient.of_data_dir(running.rpc_url, directory) as opened:
        await opened.call("miner_start")
        yield opened


@pytest.fixture
async def wallet(client: RpcClient) -> Wallet:
    """A wallet of which nothing waits: blocks hold what an earlier test, whichever that was, left waiting."""
    opened = Wallet(client, PrivateKey.from_seed(SEEDS["alice"]))
    for txid, _payload in await opened.pending():
        await opened.confirm(txid)
    return opened


def content(size_bytes: int, seed: int) -> bytes:
    """Bytes that no other test uploads."""
    return seed.to_bytes(4, "big") * (size_bytes // 4)


async def test_concurrent_sends_keep_their_nonces(wallet: Wallet) -> None:
    nonce = (await wallet.account())["next_nonce"]
    txids = await asyncio.gather(*(wallet.transfer(address_of("bob"), 1 + each) for each in range(12)))
    await asyncio.gather(*(wallet.confirm(txid) for txid in txids))
    account = await wallet.account()
    assert (account["nonce"], account["next_nonce"]) == (nonce + 12, nonce + 12)


async def test_a_receipt_is_confirmed_after_the_fact_too(wallet: Wallet) -> None:
    txid = await wallet.transfer(address_of("bob"), 7, max_fee=50_000, tip=500)
    receipt = await wallet.confirm(txid)
    assert receipt == await wallet.confirm(txid)
    assert (receipt["txid"], receipt["status"], receipt["fee"]) == (txid.hex(), 0, 10_740)


async def test_what_was_charged_counts_as_spent_and_until_then_the_cap(
    client: RpcClient, wallet: Wallet
) -> None:
    await client.call("miner_stop")
    payload = Transfer(PrivateKey.from_seed(SEEDS["bob"]).address, 3)
    estimate = await wallet.estimate(payload)
    assert (estimate["minimum"], estimate["exponent"], estimate["tip"]) == (10_240, 0, 160)
    txids = [await wallet.send(payload), await wallet.send(payload, max_fee=20_000)]
    txids.append(await wallet.send(payload, max_fee=10_300))
    txids.append(await wallet.send(payload, tip=5))
    most = estimate["max_fee"]
    assert wallet.fees == most + 20_000 + 10_300 + (most - 160 + 5)
    await client.call("miner_start")
    receipts = [await wallet.confirm(txid) for txid in txids]
    assert [receipt["fee"] - 10_240 for receipt in receipts] == [160, 160, 60, 5]
    assert wallet.fees == sum(receipt["fee"] for receipt in receipts)


async def test_an_address_of_another_network_is_refused_here(wallet: Wallet) -> None:
    foreign = "eng1" + address_of("bob")[5:]
    with pytest.raises(BadAddress):
        await wallet.transfer(foreign, 1)


async def test_a_failed_receipt_raises_its_code(wallet: Wallet) -> None:
    raw = part_bytes(np.zeros((1, 2), dtype=np.uint8), np.array([1], dtype=np.uint16))
    balance = (await wallet.account())["balance"]
    txid = await wallet.send(PublishPart(1, 2, 1, bytes(32), Inline(raw)))
    with pytest.raises(TransactionRefused) as caught:
        await wallet.confirm(txid)
    assert caught.value.code == "label_out_of_range"
    assert (await wallet.account())["balance"] < balance, "a FAILED transaction pays its fee"


async def test_what_could_not_start_is_refused_before_it_is_sent(wallet: Wallet) -> None:
    nonce = (await wallet.account())["next_nonce"]
    with pytest.raises(RemoteError) as caught:
        await wallet.send(PublishPart(1, 2, 1, bytes(32), Inline(b"not a part")))
    assert caught.value.code == "bad_part"
    assert (await wallet.account())["next_nonce"] == nonce


async def test_waiting_ends_after_so_many_blocks(client: RpcClient, wallet: Wallet) -> None:
    await client.call("miner_stop")
    txid = await wallet.transfer(address_of("bob"), 1)
    with pytest.raises(NotIncluded):
        await wallet.confirm(txid, timeout_ticks=0)
    await client.call("miner_start")
    assert (await wallet.confirm(txid))["status"] == 0


async def test_a_replaced_transaction_is_dropped_by_name(client: RpcClient, wallet: Wallet) -> None:
    await client.call("miner_stop")
    txid = await wallet.transfer(address_of("bob"), 1)
    waiting = asyncio.create_task(wallet.confirm(txid))
    twin = _Twin(client, wallet.key)
    await twin.transfer(address_of("bob"), 2, max_fee=1_000_000, tip=1_000)
    with pytest.raises(TransactionDropped) as caught:
        await waiting
    assert caught.value.got == "replaced"


class _Twin(Wallet):
    """A second program with the same key, which does not look at what waits and replaces it."""

    async def account(self) -> dict[str, object]:
        account = await super().account()
        return {**account, "next_nonce": account["nonce"]}

    async def _submit(self, tx: Transaction) -> bool:
        return bool((await self.client.call("tx_submit", raw=encode(tx), replace=True))["known"])


@pytest.mark.fault(id=45, inputs=inputs(45, sample=12))
async def test_equal_payments_handed_in_at_once_are_as_many_transactions(
    client: RpcClient, wallet: Wallet
) -> None:
    """Each program asks for the next nonce before another has used it, and signs the very same bytes."""
    programs = [Wallet(client, wallet.key) for _ in range(inputs(45, sample=12))]
    target = format_address(PrivateKey.from_seed(b"\x2a" * 32).address, HRP)
    txids = await asyncio.gather(*(each.transfer(target, 7) for each in programs))
    assert len(set(txids)) == len(programs)
    receipts = [await each.confirm(txid) for each, txid in zip(programs, txids, strict=True)]
    assert {receipt["txid"] for receipt in receipts} == {txid.hex() for txid in txids}
    account = await client.call("account_get", address=target)
    assert int(account["balance"]) == 7 * len(programs), "every receipt is one payment"


@pytest.mark.fault(id=45)
async def test_the_same_bytes_twice_are_one_transaction(client: RpcClient, wallet: Wallet) -> None:
    await client.call("miner_stop")
    chain, nonce = (await wallet.facts()).chain_id, int((await wallet.account())["next_nonce"])
    raw = encode(sign(wallet.key, chain, nonce, 1_000_000, 10, Transfer(wallet.key.address, 3)))
    other = encode(sign(wallet.key, chain, nonce, 1_000_000, 10, Transfer(wallet.key.address, 4)))
    answers = [await client.call("tx_submit", raw=raw) for _ in range(2)]
    assert [answer["known"] for answer in answers] == [False, True]
    assert answers[0]["txid"] == answers[1]["txid"]
    with pytest.raises(RemoteError) as refusal:
        await client.call("tx_submit", raw=other)
    assert refusal.value.code == "nonce_occupied"
    with pytest.raises(RemoteError) as refusal:
        await client.call("tx_submit", raw=other, replace=True)
    assert refusal.value.code == "replacement_fee"
    assert (await client.call("tx_status", txid=answers[0]["txid"]))["status"] == "pending"


async def test_an_unknown_transaction_is_not_waited_for(wallet: Wallet) -> None:
    with pytest.raises(TransactionDropped) as caught:
        await wallet.confirm(bytes(32))
    assert caught.value.got == "unknown"


async def test_a_large_blob_arrives_whole(client: RpcClient, wallet: Wallet) -> None:
    raw = content(700 * KIB, 1)
    blob = await upload(wallet, raw)
    assert blob == blob_id(raw)
    assert await client.blob(blob) == raw


async def test_bytes_the_chain_has_are_not_sent_again(wallet: Wallet) -> None:
    raw = content(300 * KIB, 2)
    blob = await upload(wallet, raw)
    nonce = (await wallet.account())["next_nonce"]
    assert await upload(wallet, raw) == blob
    assert (await wallet.account())["next_nonce"] == nonce


@pytest.mark.parametrize("sent", [(0,), (2,), (0, 1), (1, 2)])
async def test_an_interrupted_upload_goes_on(wallet: Wallet, sent: tuple[int, ...]) -> None:
    raw = content(600 * KIB, 10 + sum(1 << index for index in sent))
    chunks = split_chunks(raw, 256 * KIB)
    for index in sent:
        await wallet.execute(chunks[index])
    nonce = (await wallet.account())["next_nonce"]
    assert await upload(wallet, raw) == blob_id(raw)
    assert (await wallet.account())["next_nonce"] == nonce + len(chunks) - len(sent)


async def test_an_upload_goes_on_while_its_first_half_still_waits(client: RpcClient, wallet: Wallet) -> None:
    raw = content(600 * KIB, 30)
    chunks = split_chunks(raw, 256 * KIB)
    await client.call("miner_stop")
    await wallet.send(chunks[0])
    uploading = asyncio.create_task(upload(wallet, raw))
    async with client.subscribe("transactions") as events:
        await anext(events)
        await client.call("miner_start")
        assert await uploading == blob_id(raw)


async def test_an_upload_of_more_than_a_mempool_takes_at_once(wallet: Wallet, client: RpcClient) -> None:
    raw = content(20 * 256 * KIB, 3)
    blob = await upload(wallet, raw)
    assert len(await client.blob(blob)) == len(raw)


@pytest.mark.parametrize(("size", "sizes"), [(1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_chunks_are_full_but_the_last(size: int, sizes: list[int]) -> None:
    chunks = split_chunks(bytes(size), 4)
    assert [len(chunk.data) for chunk in chunks] == sizes
    assert [chunk.index for chunk in chunks] == list(range(len(sizes)))


async def test_a_nonce_that_has_become_free_is_filled(wallet: Wallet, client: RpcClient) -> None:
    """As when a block that held an earlier transaction was replaced by one in which it is refused."""
    facts, nonce = await wallet.facts(), int((await wallet.account())["next_nonce"])
    payload = Transfer(PrivateKey.from_seed(SEEDS["bob"]).address, 3)
    cap = int((await wallet.estimate(payload))["max_fee"])
    tx = sign(wallet.key, facts.chain_id, nonce + 1, cap, 0, payload)
    await client.call("tx_submit", raw=encode(tx))
    assert (await client.call("tx_status", txid=tx.id))["waits"] == "nonce_mismatch"
    wallet._sent[tx.id] = tx
    receipt = await wallet.confirm(tx.id)
    assert receipt["txid"] == tx.id.hex()
    assert (await wallet.account())["nonce"] == nonce + 2


async def test_a_transaction_that_a_node_has_forgotten_keeps_its_nonce(
    wallet: Wallet, client: RpcClient
) -> None:
    """A restarted node has forgotten two transactions, and the later one is asked for first."""
    facts, nonce = await wallet.facts(), int((await wallet.account())["next_nonce"])
    payload = Transfer(PrivateKey.from_seed(SEEDS["bob"]).address, 7)
    cap = int((await wallet.estimate(payload))["max_fee"])
    first, second = (sign(wallet.key, facts.chain_id, nonce + n, cap, 0, payload) for n in (0, 1))
    wallet._sent |= {first.id: first, second.id: second}
    for tx in (second, first):
        assert (await wallet.confirm(tx.id))["txid"] == tx.id.hex()
    assert (await wallet.account())["nonce"] == nonce + 2
