"""The signatures of a run of blocks are verified together; a bad one refuses its own block only."""

import threading
from contextlib import closing
from dataclasses import replace
from itertools import count, cycle
from typing import Any

import pytest

from engram.consensus.block import Block, transactions_root
from engram.consensus.validation import ExecutedBlock
from engram.node.chain import importer, signatures
from engram.node.chain.signatures import AHEAD, SignatureVerifier
from engram.primitives.errors import BadSignature
from engram.statemachine.errors import MissingBlob
from engram.statemachine.transaction import Transaction, verify_transaction
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import MemoryChain
from tests.support.node_chain import ALICE, BOB, SPEC, resealed, running

BLOCKS, EACH = 8, 12


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    branch = MemoryChain(SPEC)
    for number in range(BLOCKS):
        nonce = branch.state.account(ALICE.address).nonce
        transfers = (Transfer(BOB.address, 1 + number) for _ in range(EACH))
        branch.mine([branch.sign(ALICE, each, nonce=nonce + place) for place, each in enumerate(transfers)])
    return branch


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, str]]:
    """The transactions whose signatures were looked at, and by which thread."""
    seen: list[tuple[bytes, str]] = []

    def look(tx: Transaction) -> None:
        seen.append((tx.id, threading.current_thread().name))
        verify_transaction(tx)

    monkeypatch.setattr(signatures, "verify_transaction", look)
    return seen


def forged(tx: Transaction) -> Transaction:
    return replace(tx, signature=tx.signature[:32] + bytes([tx.signature[32] ^ 1]) + tx.signature[33:])


def with_forgery(block: Block, place: int) -> Block:
    """The block with one signature forged, and with work again."""
    txs = list(block.transactions)
    txs[place] = forged(txs[place])
    body = Block(block.header, tuple(txs))
    return resealed(body, transactions_root=transactions_root([tx.id for tx in txs]))


async def test_each_signature_of_a_run_is_verified_once_and_by_the_pool(
    chain: MemoryChain, verified: list[tuple[bytes, str]]
) -> None:
    async with running() as node:
        answers = await node.chain.import_run(chain.blocks[1:])
        assert [answer.outcome for answer in answers] == ["extended"] * BLOCKS
    wanted = {tx.id for block in chain.blocks for tx in block.transactions}
    assert sorted(name for name, _ in verified) == sorted(wanted)
    assert all(thread.startswith("engram-verify") for _, thread in verified)


@pytest.mark.parametrize("place", [0, EACH - 1])
async def test_a_forged_signature_refuses_its_block_as_if_it_had_come_alone(
    chain: MemoryChain, place: int
) -> None:
    bad = with_forgery(chain.blocks[4], place)
    async with running() as node, running() as other:
        run = await node.chain.import_run([*chain.blocks[1:4], bad, *chain.blocks[5:]])
        assert [answer.outcome for answer in run] == ["extended"] * 3 + ["invalid"]
        await other.take(*chain.blocks[1:4])
        alone = await other.chain.import_block(bad)
        assert run[-1] == alone
        assert (alone.block, alone.code) == (bad.header.id, "malformed_transaction")
        assert "signature" in alone.detail
        assert await node.take(*chain.blocks[4:]) == ["extended"] * (BLOCKS - 3)


@pytest.mark.parametrize("root", ["state_root", "receipts_root"])
async def test_a_forged_signature_is_told_before_what_execution_says(chain: MemoryChain, root: str) -> None:
    bad = resealed(with_forgery(chain.blocks[1], 0), **{root: bytes(32)})
    false = resealed(chain.blocks[1], **{root: bytes(32)})
    async with running() as node:
        answers = [await node.chain.import_block(block) for block in (bad, false)]
        assert [answer.code for answer in answers] == ["malformed_transaction", f"wrong_{root}"]
        assert await node.take(chain.blocks[1]) == ["extended"]


async def test_a_forged_signature_is_told_where_execution_is_not_possible_yet(
    chain: MemoryChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(*args: Any) -> ExecutedBlock:
        raise MissingBlob(expected=bytes(32))

    monkeypatch.setattr(importer, "validate_execution", not_yet)
    bad = with_forgery(chain.blocks[1], 0)
    async with running() as node:
        answers = [await node.chain.import_block(block) for block in (bad, chain.blocks[1])]
        assert [answer.code for answer in answers] == ["malformed_transaction", "missing_blob"]
        assert [answer.outcome for answer in answers] == ["invalid", "parked"]


def test_what_is_verified_ahead_is_bounded_and_a_bad_one_is_found_again(
    chain: MemoryChain, verified: list[tuple[bytes, str]]
) -> None:
    txs = [tx for block in chain.blocks for tx in block.transactions]
    bad = forged(txs[0])
    with closing(SignatureVerifier(2)) as verifier:
        verifier.ahead(iter([*txs[1:], bad]))
        looked = len(verified)
        assert len(txs) - len(txs) % 64 <= looked <= len(txs)
        verifier.verify(txs[1:65])
        assert len(verified) == looked, "they are known to be good"
        for _ in range(2):
            with pytest.raises(BadSignature):
                verifier.verify([bad])
        endless = cycle(txs)
        taken = count()
        verifier.ahead(tx for tx, _ in zip(endless, taken, strict=False))
        assert AHEAD <= next(taken) <= AHEAD + 1, "however many there are"
