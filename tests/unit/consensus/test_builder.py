"""What a template holds, what it skips and why."""

from dataclasses import replace

import pytest

from engram.consensus.block import pow_prefix
from engram.primitives.codec import encode
from engram.statemachine.record import u32, u64
from engram.statemachine.records import Maturing, RecentBlock, Supply
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from tests.support.memory_chain import COIN, MemoryChain, easy_spec, key

ALICE, BOB, MINER = key(1), key(2), bytes([9]) * 20
SPEC = easy_spec([ALICE, BOB])
PAY = Transfer(BOB.address, 5)


@pytest.fixture
def chain() -> MemoryChain:
    return MemoryChain(SPEC)


def test_an_empty_block_still_pays_its_miner(chain: MemoryChain) -> None:
    block = chain.mine(miner=MINER)
    height = 1 + SPEC.rules.maturity_blocks
    assert block.transactions == ()
    assert chain.state.get(Maturing, MINER, u64(height)).amount == SPEC.rules.subsidy
    assert chain.state.get(Supply).issued == 2000 * COIN + SPEC.rules.subsidy


def test_the_next_block_remembers_its_parent(chain: MemoryChain) -> None:
    first = chain.mine()
    chain.mine()
    assert chain.state.get(RecentBlock, u32(1)) == RecentBlock(1, 1, first.header.id)


def test_candidates_are_tried_in_their_order(chain: MemoryChain) -> None:
    txs = [chain.sign(ALICE, PAY, nonce=nonce) for nonce in (0, 1)] + [chain.sign(BOB, PAY)]
    assert list(chain.template(txs).transactions) == txs
    late_first = chain.template([txs[1], txs[0], txs[2]])
    assert list(late_first.transactions) == [txs[0], txs[2]]
    assert late_first.skipped == {txs[1].id: "nonce_mismatch"}


def test_each_skipped_candidate_keeps_its_code(chain: MemoryChain) -> None:
    good = chain.sign(ALICE, PAY)
    cases = {
        "wrong_chain": replace(good, chain_id=1),
        "bad_signature": replace(good, signature=bytes(64)),
        "fee_too_low": chain.sign(ALICE, PAY, max_fee=1),
        "insufficient_balance": chain.sign(ALICE, Transfer(BOB.address, 2000 * COIN)),
        "amount_zero": chain.sign(ALICE, Transfer(BOB.address, 0)),
    }
    template = chain.template([*cases.values(), good, good])
    assert template.skipped == {tx.id: code for code, tx in cases.items()} | {good.id: "nonce_mismatch"}
    assert template.transactions == (good,)


def test_a_block_without_room_for_one_takes_the_next(chain: MemoryChain) -> None:
    rules = replace(SPEC.rules, max_body_bytes=SPEC.rules.max_transaction_bytes)
    chain = MemoryChain(replace(SPEC, rules=rules))
    size = SPEC.rules.chunk_bytes
    chunk = PublishChunk(bytes(32), 2 * size, 0, bytes(size))
    big = [chain.sign(sender, chunk, max_fee=COIN) for sender in (ALICE, BOB)]
    small = chain.sign(ALICE, PAY, nonce=1)
    assert chain.template([*big, small]).skipped == {big[1].id: "block_bytes_exceeded"}
    assert chain.mine([*big, small]).transactions == (big[0], small)


def test_the_nonce_alone_is_missing(chain: MemoryChain) -> None:
    template = chain.template([chain.sign(ALICE, PAY)])
    sealed = template.seal(b"\x01" * 8)
    assert encode(sealed.header) == pow_prefix(template.header) + b"\x01" * 8
    assert replace(sealed.header, nonce=bytes(8)) == template.header


def test_assembling_twice_gives_the_same(chain: MemoryChain) -> None:
    txs = [chain.sign(ALICE, PAY, nonce=nonce) for nonce in (0, 2, 1)]
    assert chain.template(txs) == chain.template(txs)
