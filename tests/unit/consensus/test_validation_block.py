"""Body and execution rules: each violation by its code, NotReady kept apart, nothing written by a refusal."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engram.consensus.block import Block, BlockHeader, transactions_root
from engram.consensus.chainspec import ChainSpec, Upgrade
from engram.consensus.errors import (
    BodyTooLarge,
    DuplicateTransaction,
    MalformedTransaction,
    TransactionNotIncludable,
    WrongReceiptsRoot,
    WrongStateRoot,
    WrongTransactionsRoot,
)
from engram.consensus.validation import validate_body, validate_execution
from engram.primitives.errors import BadSignature, ChainError, InvalidBody, InvalidExecution, NotReady
from engram.statemachine.errors import UpgradeRequired
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain, easy_spec, key, verify_each

ALICE, BOB = key(1), key(2)
SPEC = easy_spec([ALICE, BOB])
PAY = Transfer(BOB.address, 5)


@pytest.fixture
def chain() -> MemoryChain:
    return MemoryChain(SPEC)


def body_of(chain: MemoryChain, *txs: Transaction) -> Block:
    """A block of exactly these transactions; only its transactions root is right."""
    header = replace(chain.template().header, transactions_root=transactions_root([tx.id for tx in txs]))
    return Block(header, txs)


def refused(block: Block, spec: ChainSpec = SPEC) -> MalformedTransaction:
    with pytest.raises(MalformedTransaction) as caught:
        validate_body(spec, block, verify_each)
    assert isinstance(caught.value, InvalidBody)
    assert caught.value.code == "malformed_transaction"
    return caught.value


def test_a_good_body_gives_the_payloads_of_its_transactions(chain: MemoryChain) -> None:
    txs = [chain.sign(ALICE, PAY, nonce=nonce) for nonce in range(3)]
    seen: list[Transaction] = []
    checked = validate_body(SPEC, body_of(chain, *txs), seen.extend)
    assert checked == {tx.id: PAY for tx in txs}
    assert seen == txs


def test_another_body_is_not_this_headers(chain: MemoryChain) -> None:
    block = body_of(chain, chain.sign(ALICE, PAY))
    with pytest.raises(WrongTransactionsRoot) as caught:
        validate_body(SPEC, replace(block, transactions=()), verify_each)
    assert caught.value.expected == block.header.transactions_root


def test_a_changed_signature_changes_the_root(chain: MemoryChain) -> None:
    """So a body with a broken signature cannot condemn the block id of a good one."""
    block = body_of(chain, chain.sign(ALICE, PAY))
    forged = replace(block.transactions[0], signature=bytes(64))
    with pytest.raises(WrongTransactionsRoot):
        validate_body(SPEC, replace(block, transactions=(forged,)), verify_each)
    error = refused(body_of(chain, forged))
    assert isinstance(error.inner, BadSignature)
    assert (error.index, error.got) == (-1, "bad_signature")


def test_a_body_has_a_limit_in_bytes(chain: MemoryChain) -> None:
    txs = [chain.sign(ALICE, PAY, nonce=nonce) for nonce in range(10)]
    small = replace(SPEC, rules=replace(SPEC.rules, max_body_bytes=1400))
    with pytest.raises(BodyTooLarge) as caught:
        validate_body(small, body_of(chain, *txs), verify_each)
    assert caught.value.expected == 1400


def test_a_transaction_has_a_limit_in_bytes(chain: MemoryChain) -> None:
    small = replace(SPEC, rules=replace(SPEC.rules, max_transaction_bytes=100))
    assert refused(body_of(chain, chain.sign(ALICE, PAY)), small).got == "transaction_too_large"


def test_a_transaction_stands_once(chain: MemoryChain) -> None:
    tx = chain.sign(ALICE, PAY)
    with pytest.raises(DuplicateTransaction):
        validate_body(SPEC, body_of(chain, tx, chain.sign(BOB, PAY), tx), verify_each)


def test_transactions_are_checked_one_by_one(chain: MemoryChain) -> None:
    good = chain.sign(ALICE, PAY)
    cases = {
        "wrong_chain": replace(good, chain_id=1),
        "unknown_transaction_type": replace(good, kind=65535),
        "truncated": replace(good, payload=b"\x92"),
        "amount_zero": chain.sign(ALICE, Transfer(BOB.address, 0)),
    }
    for code, bad in cases.items():
        error = refused(body_of(chain, chain.sign(BOB, PAY), bad))
        assert (error.index, error.got, error.inner.code) == (1, code, code)


def test_a_type_comes_into_force_at_its_height(chain: MemoryChain) -> None:
    later = replace(SPEC, upgrades=tuple(Upgrade(each.kind, 2) for each in SPEC.upgrades))
    assert refused(body_of(chain, chain.sign(ALICE, PAY)), later).got == "not_activated"
    chain.mine()
    validate_body(later, body_of(chain, chain.sign(ALICE, PAY)), verify_each)


def test_software_without_a_type_stops_at_its_height_by_name() -> None:
    spec = replace(SPEC, upgrades=(*SPEC.upgrades, Upgrade(65535, 2)))
    chain = MemoryChain(spec)
    chain.mine()
    with pytest.raises(UpgradeRequired) as caught:
        chain.mine()
    assert isinstance(caught.value, NotReady)
    block = Block(replace(chain.tip, height=2), ())
    with pytest.raises(UpgradeRequired, match="65535"):
        validate_body(spec, block, verify_each)
    with pytest.raises(UpgradeRequired):
        validate_execution(spec, chain, chain, chain.tip, block, chain.scorer, {})
    assert chain.height == 1


def test_execution_returns_what_a_store_keeps(chain: MemoryChain) -> None:
    block = chain.mine([chain.sign(ALICE, PAY)])
    executed = chain.executed[-1]
    assert executed.id == block.header.id
    assert executed.block == block
    assert executed.result.root == block.header.state_root
    assert chain.state.account(BOB.address).balance == 1000 * 10**8 + 5


def test_wrong_roots_are_named(chain: MemoryChain) -> None:
    good = chain.template([chain.sign(ALICE, PAY)])
    cases: list[tuple[BlockHeader, bytes, type[ChainError]]] = [
        (replace(good.header, receipts_root=bytes(32)), good.header.receipts_root, WrongReceiptsRoot),
        (replace(good.header, state_root=bytes(32)), good.header.state_root, WrongStateRoot),
    ]
    for header, computed, error in cases:
        block = Block(header, good.transactions)
        with pytest.raises(error) as caught:
            validate_execution(SPEC, chain, chain, chain.tip, block, chain.scorer, {})
        assert isinstance(caught.value, InvalidExecution)
        assert (caught.value.expected, caught.value.got) == (bytes(32), computed)


def test_a_transaction_that_the_state_does_not_allow(chain: MemoryChain) -> None:
    early = chain.sign(ALICE, PAY, nonce=1)
    with pytest.raises(TransactionNotIncludable) as caught:
        validate_execution(
            SPEC, chain, chain, chain.tip, body_of(chain, early), chain.scorer, {early.id: PAY}
        )
    assert (caught.value.index, caught.value.got) == (0, "nonce_mismatch")
    assert isinstance(caught.value, InvalidExecution)


def test_execution_verifies_what_nobody_verified(chain: MemoryChain) -> None:
    forged = replace(chain.sign(ALICE, PAY), signature=bytes(64))
    with pytest.raises(TransactionNotIncludable) as caught:
        validate_execution(SPEC, chain, chain, chain.tip, body_of(chain, forged), chain.scorer, {})
    assert caught.value.got == "bad_signature"


def test_a_verifier_that_is_not_ready_is_no_verdict(chain: MemoryChain) -> None:
    def busy(transactions: Sequence[Transaction]) -> None:
        raise NotReady("no thread is free")

    with pytest.raises(NotReady):
        validate_body(SPEC, body_of(chain, chain.sign(ALICE, PAY)), busy)
