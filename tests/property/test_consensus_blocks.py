"""What a builder makes, a validator accepts; what is changed in it is refused by a code, without a trace."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engram.consensus.block import Block, BlockHeader, transactions_root
from engram.consensus.compact import bits_to_target
from engram.consensus.pow import meets_target, pow_digest
from engram.primitives.codec import decode, encode
from engram.primitives.errors import FAMILIES, ChainError, InvalidBody, InvalidHeader
from engram.statemachine.content import blob_id
from engram.statemachine.receipt import Status
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.transfer import Transfer
from tests.support.faults import plays
from tests.support.memory_chain import COIN, MemoryChain, easy_spec, key, search

KEYS = [key(number) for number in range(1, 5)]
EASY_SPEC = easy_spec(KEYS)
HARD = (1 << 242).to_bytes(32, "big")
HARD_SPEC = replace(EASY_SPEC, genesis_target=HARD, max_target=HARD)
"""Only one digest in 16,384 meets the target: a changed header practically never does."""


@dataclass(frozen=True)
class Wish:
    """A transaction that someone may or may not be able to have included."""

    sender: int
    nonce_ahead: int
    fee: int
    payload: TxPayload


def small_chunk(data: bytes, index: int) -> PublishChunk:
    return PublishChunk(blob_id(data), len(data), index, data)


PAYLOADS: st.SearchStrategy[TxPayload] = st.one_of(
    st.builds(
        Transfer,
        st.sampled_from([each.address for each in KEYS]),
        st.sampled_from([0, 1, COIN, 400 * COIN, 2**64 - 1]),
    ),
    st.builds(ClaimRewards, st.integers(0, 8), st.integers(0, 8)),
    st.builds(small_chunk, st.sampled_from([b"a", b"b" * 300]), st.sampled_from([0, 0, 0, 1])),
)
WISHES = st.builds(
    Wish,
    st.integers(0, len(KEYS) - 1),
    st.sampled_from([0, 0, 0, 0, 1]),
    st.sampled_from([COIN, COIN, 500 * COIN, 0]),
    PAYLOADS,
)


def candidates(chain: MemoryChain, wishes: list[Wish]) -> list[Transaction]:
    """The wishes signed, each sender's nonces counted up from its account's."""
    nonces = {number: chain.state.account(each.address).nonce for number, each in enumerate(KEYS)}
    txs = []
    for wish in wishes:
        nonce = nonces[wish.sender] + wish.nonce_ahead
        nonces[wish.sender] += 1
        txs.append(chain.sign(KEYS[wish.sender], wish.payload, nonce=nonce, max_fee=wish.fee))
    return txs


@given(st.lists(st.lists(WISHES, max_size=8), min_size=1, max_size=10))
@settings(max_examples=40, deadline=None)
def test_a_validator_accepts_what_a_builder_makes(wishes: list[list[Wish]]) -> None:
    chain = MemoryChain(EASY_SPEC)
    for block_wishes in wishes:
        txs = candidates(chain, block_wishes)
        template = chain.template(txs, miner=KEYS[0].address)
        block = template.seal(search(chain.spec, template.header))
        executed = chain.take(decode(Block, encode(block)))
        assert executed.result == template.result
        assert {tx.id for tx in block.transactions} | template.skipped.keys() == {tx.id for tx in txs}
        assert all(code for code in template.skipped.values())
        assert all(
            bool(receipt.code) == (receipt.status == Status.FAILED) for receipt in executed.result.receipts
        )


@cache
def example(hard: bool) -> tuple[MemoryChain, Block]:
    """A chain of four blocks and a good fifth one with four transactions, one of which FAILS."""
    chain = MemoryChain(HARD_SPEC if hard else EASY_SPEC)
    for _ in range(4):
        chain.mine(miner=KEYS[1].address)
    txs = [
        chain.sign(KEYS[0], Transfer(KEYS[1].address, 5)),
        chain.sign(KEYS[1], ClaimRewards(0, 3)),
        chain.sign(KEYS[2], small_chunk(b"c" * 100, 0)),
        chain.sign(KEYS[0], Transfer(KEYS[3].address, 7), nonce=1),
    ]
    template = chain.template(txs, miner=KEYS[1].address)
    assert [receipt.code for receipt in template.result.receipts] == ["", "nothing_to_claim", "", ""]
    return chain, template.seal(search(chain.spec, template.header))


def refusal(chain: MemoryChain, block: Block) -> ChainError:
    """The refusal of a block, which must have its own code and change nothing."""
    before = (tuple(chain.blocks), tuple(chain.executed), dict(chain.nodes), dict(chain.blobs))
    with pytest.raises(ChainError) as caught:
        chain.take(block, now_ms=chain.tip.timestamp_ms + 1000)
    assert type(caught.value) not in FAMILIES
    assert (tuple(chain.blocks), tuple(chain.executed), chain.nodes, chain.blobs) == before
    return caught.value


def changed(value: Any, by: int) -> Any:
    """Another value of the same type and size: one bit flipped."""
    if isinstance(value, int):
        return value ^ 1 << by % 16
    position = by % (8 * len(value))
    number = int.from_bytes(value, "big") ^ 1 << position
    return number.to_bytes(len(value), "big")


def names(cls: type[BlockHeader] | type[Transaction]) -> list[str]:
    return [field.name for field in fields(cls)]


@pytest.mark.parametrize("name", names(BlockHeader))
@given(by=st.integers(0, 2**16))
@plays(9, sample=15, share=0.05)
def test_a_changed_header_is_refused(name: str, by: int) -> None:
    chain, good = example(hard=True)
    header = replace(good.header, **{name: changed(getattr(good.header, name), by)})
    digest = pow_digest(chain.spec.pow, encode(header))
    assume(not meets_target(digest, bits_to_target(good.header.target)))
    error = refusal(chain, replace(good, header=header))
    assert isinstance(error, InvalidHeader)


COMMITMENTS = {
    "version": "wrong_version",
    "height": "wrong_height",
    "parent": "wrong_parent",
    "target": "bad_target",
    "miner": "wrong_state_root",
    "transactions_root": "wrong_transactions_root",
    "receipts_root": "wrong_receipts_root",
    "state_root": "wrong_state_root",
}


def resealed(chain: MemoryChain, block: Block) -> Block:
    """The block with new proof of work, where its target still stands for any."""
    if block.header.target != chain.next_bits():
        return block
    return replace(block, header=replace(block.header, nonce=search(chain.spec, block.header)))


@pytest.mark.parametrize("name", COMMITMENTS)
@given(by=st.integers(0, 2**16))
@plays(9, sample=15, share=0.05)
def test_new_proof_of_work_does_not_help(name: str, by: int) -> None:
    chain, good = example(hard=False)
    header = replace(good.header, **{name: changed(getattr(good.header, name), by)})
    assert refusal(chain, resealed(chain, replace(good, header=header))).code == COMMITMENTS[name]


def with_body(good: Block, txs: tuple[Transaction, ...]) -> Block:
    """The block with other transactions and the root of those."""
    root = transactions_root([tx.id for tx in txs])
    return Block(replace(good.header, transactions_root=root), txs)


Body = tuple[Transaction, ...]


def field_changer(name: str) -> Callable[[Body, int], Body]:
    """A change of one field of one transaction."""

    def change(txs: Body, by: int) -> Body:
        at, tx = by % len(txs), txs[by % len(txs)]
        return (*txs[:at], replace(tx, **{name: changed(getattr(tx, name), by >> 2)}), *txs[at + 1 :])

    return change


BODY_CHANGES: dict[str, Callable[[Body, int], Body]] = {
    "drop": lambda txs, by: txs[: by % len(txs)] + txs[by % len(txs) + 1 :],
    "drop_all": lambda txs, by: (),
    "repeat": lambda txs, by: (*txs, txs[by % len(txs)]),
    "rotate": lambda txs, by: (*txs[1:], txs[0]),
    "reverse": lambda txs, by: txs[::-1],
} | {name: field_changer(name) for name in names(Transaction)}


@pytest.mark.parametrize("change", BODY_CHANGES)
@given(by=st.integers(0, 2**16))
@plays(9, sample=15, share=0.05)
def test_a_changed_body_is_refused(change: str, by: int) -> None:
    chain, good = example(hard=False)
    txs = BODY_CHANGES[change](good.transactions, by)
    error = refusal(chain, replace(good, transactions=txs))
    assert isinstance(error, InvalidBody)
    assert error.code == "wrong_transactions_root"
    refusal(chain, resealed(chain, with_body(good, txs)))


def test_the_unchanged_blocks_are_good() -> None:
    for hard in (False, True):
        chain, good = example(hard)
        copy = MemoryChain(chain.spec)
        for block in (*chain.blocks[1:], good):
            copy.take(block)
        assert copy.height == 5
