"""What no block may hold: each refusal has a code, says what it expected, and changes nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engram.primitives.codec import encode
from engram.primitives.errors import BadPublicKey, BadSignature, CodecError, Invalid
from engram.statemachine import errors
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Transaction, sign, signing_message, verify_transaction
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from engram.statemachine.transition import apply_transaction, prepare
from tests.support.ledger import CHAIN_ID, Ledger, key, tampered

ALICE, BOB = key(1), key(2)
START = 10**9


@pytest.fixture
def ledger() -> Ledger:
    return Ledger({ALICE: START})


def refused(ledger: Ledger, tx: Transaction) -> Invalid:
    state = ledger.state
    with pytest.raises(Invalid) as caught:
        apply_transaction(state, ledger.ctx, tx)
    assert state.changes() == {}
    return caught.value


@pytest.fixture
def good(ledger: Ledger) -> Transaction:
    return ledger.pay(ALICE, Transfer(BOB.address, 5))


def test_the_good_one_passes(ledger: Ledger, good: Transaction) -> None:
    assert ledger.block(good).receipts[0].code == ""


def test_the_signature_covers_every_other_field(ledger: Ledger, good: Transaction) -> None:
    changed: list[Callable[[Transaction], Transaction]] = [
        lambda tx: replace(tx, chain_id=tx.chain_id + 1),
        lambda tx: replace(tx, nonce=tx.nonce + 1),
        lambda tx: replace(tx, max_fee=tx.max_fee + 1),
        lambda tx: replace(tx, tip=tx.tip + 1),
        lambda tx: replace(tx, kind=tx.kind + 1),
        lambda tx: replace(tx, payload=encode(Transfer(BOB.address, 6))),
        lambda tx: replace(tx, sender=BOB.public_key),
    ]
    messages = {signing_message(change(good)) for change in changed} | {signing_message(good)}
    assert len(messages) == len(changed) + 1
    for change in changed:
        with pytest.raises(BadSignature):
            verify_transaction(change(good))


def test_a_forged_signature(ledger: Ledger, good: Transaction) -> None:
    forged = replace(good, signature=bytes([good.signature[0] ^ 1]) + good.signature[1:])
    assert isinstance(refused(ledger, forged), BadSignature)


def test_a_key_that_can_sign_nothing(ledger: Ledger, good: Transaction) -> None:
    assert isinstance(refused(ledger, replace(good, sender=bytes([1]) + bytes(31))), BadPublicKey)


def test_known_good_signatures_are_not_checked_again(ledger: Ledger, good: Transaction) -> None:
    forged = replace(good, signature=bytes(64))
    assert prepare(ledger.state, ledger.ctx, forged, verified=frozenset({forged.id})).txid == forged.id
    with pytest.raises(BadSignature):
        prepare(ledger.state, ledger.ctx, forged, verified=frozenset({good.id}))


def test_another_chain(ledger: Ledger, good: Transaction) -> None:
    error = refused(ledger, tampered(ALICE, good, chain_id=CHAIN_ID + 1))
    assert (error.code, error.expected, error.got) == ("wrong_chain", CHAIN_ID, CHAIN_ID + 1)


@pytest.mark.parametrize("nonce", [1, 2**64 - 1])
def test_a_nonce_ahead(ledger: Ledger, good: Transaction, nonce: int) -> None:
    error = refused(ledger, tampered(ALICE, good, nonce=nonce))
    assert (error.code, error.expected, error.got) == ("nonce_mismatch", 0, nonce)


def test_a_nonce_used_before(ledger: Ledger, good: Transaction) -> None:
    ledger.block(good)
    assert refused(ledger, good).code == "nonce_mismatch"


def test_a_fee_one_spark_too_low(ledger: Ledger, good: Transaction) -> None:
    least = good.max_fee
    error = refused(ledger, tampered(ALICE, good, max_fee=least - 1))
    assert (error.code, error.expected, error.got) == ("fee_too_low", least, least - 1)
    error = refused(ledger, tampered(ALICE, good, tip=1))
    assert (error.code, error.expected, error.got) == ("fee_too_low", least + 1, least)


def test_a_high_cap_costs_nothing_and_needs_no_balance(ledger: Ledger, good: Transaction) -> None:
    least = good.max_fee
    (receipt,) = ledger.block(tampered(ALICE, good, max_fee=2**64 - 1, tip=7)).receipts
    assert least <= receipt.fee - 7 <= least + 100, "a larger number may take more bytes"
    assert ledger.state.account(ALICE.address).balance == START - receipt.fee - 5


def test_a_balance_that_covers_the_fee_but_not_the_amount(ledger: Ledger) -> None:
    tx = ledger.pay(ALICE, Transfer(BOB.address, START))
    error = refused(ledger, tx)
    assert (error.code, error.expected, error.got) == ("insufficient_balance", START + tx.max_fee, START)


def test_an_empty_account(ledger: Ledger) -> None:
    assert refused(ledger, ledger.pay(BOB, Transfer(ALICE.address, 1))).code == "insufficient_balance"


def test_more_bytes_than_a_transaction_may_have() -> None:
    rules = Rules(max_transaction_bytes=400, chunk_bytes=300)
    ledger = Ledger({ALICE: START}, rules=rules)
    tx = ledger.pay(ALICE, PublishChunk(bytes(32), 300, 0, bytes(300)), max_fee=10**7)
    error = refused(ledger, tx)
    assert (error.code, error.expected, error.got) == ("transaction_too_large", 400, len(encode(tx)))


def test_a_type_that_nobody_has(ledger: Ledger, good: Transaction) -> None:
    assert refused(ledger, tampered(ALICE, good, kind=9_999)).code == "unknown_transaction_type"


def test_a_type_before_its_height(ledger: Ledger, good: Transaction) -> None:
    ledger.active = ((Transfer.KIND, 3),)
    assert refused(ledger, good).code == "not_activated"
    ledger.skip_to(3)
    assert ledger.block(good).receipts[0].code == ""


def test_a_type_that_the_chain_does_not_list(ledger: Ledger, good: Transaction) -> None:
    ledger.active = ((PublishChunk.KIND, 0),)
    assert refused(ledger, good).code == "not_activated"


@pytest.mark.parametrize(
    "payload", [b"", b"\x90", b"\x92\xc4\x00\x05", encode(Transfer(bytes(20), 5)) + b"\x00"]
)
def test_a_payload_that_is_not_canonical(ledger: Ledger, good: Transaction, payload: bytes) -> None:
    assert isinstance(refused(ledger, tampered(ALICE, good, payload=payload)), CodecError)


def test_an_amount_of_nothing(ledger: Ledger) -> None:
    tx = sign(ALICE, CHAIN_ID, 0, 10**6, 0, Transfer(BOB.address, 0))
    assert refused(ledger, tx).code == "amount_zero"


def test_more_work_than_any_block_holds() -> None:
    rules = Rules(max_block_macs=1_000, chunk_bytes=300)
    ledger = Ledger({ALICE: START}, rules=rules)
    tx = ledger.pay(ALICE, PublishChunk(bytes(32), 300, 0, bytes(300)))
    error = refused(ledger, tx)
    assert (error.code, error.expected, error.got) == ("transaction_too_heavy", 1_000, 300 * 128)


def test_every_refusal_has_a_family() -> None:
    own = [leaf for leaf in vars(errors).values() if isinstance(leaf, type)]
    leaves = [leaf for leaf in own if leaf.__module__ == errors.__name__]
    assert leaves
    assert all(issubclass(leaf, (Invalid, errors.MissingBlob, errors.UpgradeRequired)) for leaf in leaves)
