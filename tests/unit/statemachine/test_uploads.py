"""Blobs that arrive in chunks: order, deposits, expiry, wrong bytes."""

import pytest

from engram.primitives.errors import Invalid
from engram.primitives.keys import PrivateKey
from engram.statemachine import errors
from engram.statemachine.content import blob_id, chunk_hash
from engram.statemachine.receipt import Event
from engram.statemachine.records import Blob, Supply, Upload
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger, key

ALICE, BOB = key(1), key(2)
RULES = Rules(chunk_bytes=100, upload_expiry_ticks=5, upload_deposit=10**6)
RAW = bytes(range(250))
BLOB = blob_id(RAW)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({ALICE: 10**9, BOB: 10**9}, rules=RULES)


def chunk(index: int, raw: bytes = RAW, blob: bytes = BLOB) -> PublishChunk:
    return PublishChunk(blob, len(raw), index, raw[index * 100 : (index + 1) * 100])


def refusal(ledger: Ledger, sender: PrivateKey, payload: PublishChunk, max_fee: int = 10**7) -> Invalid:
    with pytest.raises(Invalid) as caught:
        ledger.execution().add(ledger.pay(sender, payload, max_fee=max_fee))
    return caught.value


def test_chunks_in_any_order_become_a_blob(ledger: Ledger) -> None:
    spent = sum(ledger.send(ALICE, chunk(index)).fee for index in (2, 0))
    upload = ledger.state.get(Upload, ALICE.address, BLOB)
    assert upload.chunks == (chunk_hash(RAW[:100]), bytes(32), chunk_hash(RAW[200:]))
    assert ledger.state.account(ALICE.address).balance == 10**9 - spent - upload.deposit
    receipt = ledger.send(ALICE, chunk(1))
    assert receipt.events == (Event("blob_completed", BLOB, (250,)),)
    assert ledger.state.get(Blob, BLOB) == Blob(BLOB, 250, 3, 2 + RULES.upload_expiry_ticks, 0)
    assert ledger.state.find(Upload, ALICE.address, BLOB) is None
    assert ledger.state.account(ALICE.address).balance == 10**9 - spent - receipt.fee
    assert ledger.blobs[BLOB] == RAW


def test_all_chunks_in_one_block(ledger: Ledger) -> None:
    receipts = ledger.block(*_pay_in_a_row(ledger)).receipts
    assert [receipt.code for receipt in receipts] == ["", "", ""]
    assert ledger.blobs[BLOB] == RAW


def _pay_in_a_row(ledger: Ledger, sender: PrivateKey = ALICE) -> list[Transaction]:
    return [ledger.pay(sender, chunk(index), max_fee=10**7, after=index) for index in range(3)]


def test_a_blob_of_one_chunk_needs_no_upload_record(ledger: Ledger) -> None:
    small = b"small"
    result = ledger.block(ledger.pay(ALICE, chunk(0, small, blob_id(small))))
    assert result.blobs == {blob_id(small): small}
    assert ledger.state.find(Upload, ALICE.address, blob_id(small)) is None


def test_a_chunk_that_stands_twice_in_the_blob(ledger: Ledger) -> None:
    twice = bytes(200)
    for index in range(2):
        assert ledger.send(ALICE, chunk(index, twice, blob_id(twice))).code == ""
    assert ledger.blobs[blob_id(twice)] == twice


def test_uploads_of_two_people_do_not_meet(ledger: Ledger) -> None:
    ledger.send(ALICE, chunk(0))
    ledger.send(BOB, chunk(0))
    ledger.send(BOB, chunk(1))
    ledger.send(BOB, chunk(2))
    assert ledger.state.get(Blob, BLOB).height == 4
    assert ledger.state.get(Upload, ALICE.address, BLOB).chunks.count(bytes(32)) == 2
    assert refusal(ledger, BOB, chunk(1)).code == "blob_known"


@pytest.mark.parametrize(("height", "returned"), [(5, 10**6), (6, 0)])
def test_an_upload_that_another_completed_gives_its_deposit_back(
    ledger: Ledger, height: int, returned: int
) -> None:
    """Whoever copies the chunks of another's upload must not cost him his deposit."""
    ledger.send(ALICE, chunk(0))
    ledger.block()
    ledger.block(*_pay_in_a_row(ledger, BOB))
    ledger.skip_to(height)
    before, burned = ledger.state.account(ALICE.address).balance, ledger.state.get(Supply).burned
    receipt = ledger.send(ALICE, chunk(0))
    assert receipt.events == (Event("upload_superseded", BLOB, (returned,)),)
    assert ledger.state.account(ALICE.address).balance == before + returned - receipt.fee
    assert ledger.state.get(Supply).burned == burned + 10**6 - returned + receipt.fee - receipt.fee // 8
    assert ledger.state.find(Upload, ALICE.address, BLOB) is None
    assert refusal(ledger, ALICE, chunk(1)).code == "blob_known"
    check_conservation(ledger.nodes, ledger.root)


def test_completing_the_wrong_bytes_burns_the_deposit(ledger: Ledger) -> None:
    wrong = blob_id(b"something else")
    for index in range(2):
        ledger.send(ALICE, chunk(index, blob=wrong))
    before, burned = ledger.state.account(ALICE.address).balance, ledger.state.get(Supply).burned
    receipt = ledger.send(ALICE, chunk(2, blob=wrong))
    assert receipt.code == "blob_hash_mismatch"
    assert receipt.events == (Event("upload_failed", wrong, (10**6,)),)
    assert ledger.state.account(ALICE.address).balance == before - receipt.fee
    assert ledger.state.get(Supply).burned == burned + 10**6 + receipt.fee - receipt.fee // 8
    assert ledger.state.find(Blob, wrong) is None
    assert ledger.state.find(Upload, ALICE.address, wrong) is None
    check_conservation(ledger.nodes, ledger.root)


def test_an_expired_upload_begins_anew_and_its_deposit_burns(ledger: Ledger) -> None:
    ledger.send(ALICE, chunk(0))
    ledger.skip_to(6)
    before, burned = ledger.state.account(ALICE.address).balance, ledger.state.get(Supply).burned
    receipt = ledger.send(ALICE, chunk(1))
    upload = ledger.state.get(Upload, ALICE.address, BLOB)
    assert upload.chunks == (bytes(32), chunk_hash(RAW[100:200]), bytes(32))
    assert upload.expires == 10
    assert ledger.state.account(ALICE.address).balance == before - receipt.fee - 10**6
    assert ledger.state.get(Supply).burned == burned + 10**6 + receipt.fee - receipt.fee // 8
    check_conservation(ledger.nodes, ledger.root)


def test_an_upload_lives_until_its_last_block(ledger: Ledger) -> None:
    ledger.send(ALICE, chunk(0))
    ledger.skip_to(5)
    ledger.send(ALICE, chunk(1))
    assert ledger.state.get(Upload, ALICE.address, BLOB).chunks.count(bytes(32)) == 1


def test_an_unfinished_upload_can_change_size_only_after_it_died(ledger: Ledger) -> None:
    ledger.send(ALICE, chunk(0))
    error = refusal(ledger, ALICE, PublishChunk(BLOB, 240, 1, RAW[100:200]))
    assert (error.code, error.expected, error.got) == ("upload_size_mismatch", 250, 240)


def test_a_chunk_that_has_come(ledger: Ledger) -> None:
    ledger.send(ALICE, chunk(0))
    assert refusal(ledger, ALICE, chunk(0)).code == "chunk_repeated"


def test_a_blob_that_is_alive(ledger: Ledger) -> None:
    ledger.block(*_pay_in_a_row(ledger))
    assert refusal(ledger, BOB, chunk(0)).code == "blob_known"


def test_a_dead_blob_can_come_back(ledger: Ledger) -> None:
    ledger.block(*_pay_in_a_row(ledger))
    ledger.skip_to(1 + RULES.upload_expiry_ticks + 1)
    ledger.block(*_pay_in_a_row(ledger))
    assert ledger.state.get(Blob, BLOB).height == 7


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (PublishChunk(BLOB, 0, 0, b"x"), "blob_too_large"),
        (PublishChunk(BLOB, 2**32 - 1, 0, bytes(100)), "blob_too_large"),
        (PublishChunk(BLOB, 250, 3, bytes(50)), "chunk_index_out_of_range"),
        (PublishChunk(BLOB, 250, 2**16 - 1, bytes(50)), "chunk_index_out_of_range"),
        (PublishChunk(BLOB, 250, 0, bytes(99)), "chunk_size_mismatch"),
        (PublishChunk(BLOB, 250, 0, bytes(101)), "chunk_size_mismatch"),
        (PublishChunk(BLOB, 250, 2, bytes(100)), "chunk_size_mismatch"),
    ],
)
def test_chunks_that_cannot_be(payload: PublishChunk, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        payload.check(RULES)
    assert caught.value.code == code


def test_a_deposit_that_is_not_there() -> None:
    poor = key(3)
    ledger = Ledger({poor: 2 * 10**5}, rules=RULES)
    fee = ledger.pay(poor, chunk(0)).max_fee
    error = refusal(ledger, poor, chunk(0), max_fee=fee)
    assert (error.code, error.expected, error.got) == ("insufficient_balance", 10**6 + fee, 2 * 10**5)


def test_only_the_completing_chunk_pays_for_the_whole(ledger: Ledger) -> None:
    macs = [ledger.send(ALICE, chunk(index)).macs for index in range(3)]
    assert macs == [0, 0, 250 * RULES.macs_per_loaded_byte]


def test_a_node_without_an_earlier_chunk_cannot_judge(ledger: Ledger) -> None:
    ledger.send(ALICE, chunk(0))
    ledger.send(ALICE, chunk(1))
    del ledger.blobs[chunk_hash(RAW[:100])]
    with pytest.raises(errors.MissingBlob):
        ledger.send(ALICE, chunk(2))
