"""Laws over random blocks: no coin appears or vanishes, nonces count, builder and validator agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.nn.data import part_commitment
from engram.nn.tensor import tensor_bytes
from engram.primitives.errors import Invalid
from engram.primitives.keys import PrivateKey
from engram.statemachine.content import Inline, Stored, blob_id
from engram.statemachine.errors import WrongChain
from engram.statemachine.records import Supply
from engram.statemachine.rules import Rules, subsidy_at
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transactions.claim_rewards import ClaimRewards
from engram.statemachine.transactions.infer import Infer
from engram.statemachine.transactions.publish_chunk import PublishChunk
from engram.statemachine.transactions.publish_part import PublishPart
from engram.statemachine.transactions.score_version import ScoreVersion
from engram.statemachine.transactions.transfer import Transfer
from tests.support import chain_models as models
from tests.support.conservation import check_conservation
from tests.support.ledger import Ledger, key, tampered
from tests.support.nn_samples import random_features

PEOPLE = [key(number) for number in range(3)]
RULES = Rules(
    chunk_bytes=8,
    upload_expiry_ticks=3,
    upload_deposit=5_001,
    maturity_blocks=2,
    subsidy=999,
    halving_blocks=4,
)
RAW = models.raw_part(rows=4)
PART = part_commitment(models.SALT, RAW)
SHORT = b"0123456789abcdefXYZ"
"""Three chunks."""

addresses = st.sampled_from([*(person.address for person in PEOPLE), b"\x99" * 20])
chunks = st.builds(
    lambda index, wrong: PublishChunk(
        blob_id(b"another") if wrong else blob_id(SHORT), len(SHORT), index, SHORT[8 * index : 8 * index + 8]
    ),
    st.integers(0, 2),
    st.booleans(),
)
payloads: st.SearchStrategy[TxPayload] = st.one_of(
    st.builds(Transfer, addresses, st.one_of(st.integers(1, 10**6), st.integers(1, 2**64 - 1))),
    st.builds(lambda first, more: ClaimRewards(first, first + more), st.integers(0, 12), st.integers(0, 4)),
    chunks,
    st.sampled_from(
        [
            PublishPart(4, 12, 3, models.SALT, Inline(RAW)),
            PublishPart(4, 12, 2, bytes(32), Inline(RAW)),
            PublishPart(4, 12, 3, bytes(32), Stored(blob_id(RAW))),
            ScoreVersion(models.MODEL_ID, 0, PART),
            Infer(models.MODEL_ID, None, tensor_bytes(random_features(12, 1))),
        ]
    ),
)
senders = st.sampled_from(PEOPLE)
blocks = st.lists(st.tuples(senders, payloads, st.integers(0, 9)), max_size=5)


def make_ledger() -> Ledger:
    sample = models.founded_model()
    ledger = Ledger({person: 10**7 for person in PEOPLE}, rules=RULES, records=sample.records)
    ledger.miner = PEOPLE[0].address
    return models.bring(ledger, [sample])


def includable(ledger: Ledger, wishes: list[tuple[PrivateKey, TxPayload, int]]) -> list[Transaction]:
    """The wishes as transactions, those that the block refuses left out; some carry too small a fee."""
    execution, taken, counts = ledger.execution(), [], dict.fromkeys(PEOPLE, 0)
    for sender, payload, luck in wishes:
        tx = ledger.pay(sender, payload, max_fee=30_000, after=counts[sender])
        if luck == 0:
            tx = tampered(sender, tx, max_fee=1)
        try:
            execution.add(tx)
        except Invalid:
            continue
        taken.append(tx)
        counts[sender] += 1
    assert execution.finish().root == replay(ledger, taken)
    return taken


def replay(ledger: Ledger, txs: list[Transaction]) -> bytes:
    execution = ledger.execution()
    for tx in txs:
        execution.add(tx)
    return execution.finish().root


@given(st.lists(blocks, max_size=6))
def test_no_spark_appears_or_vanishes(plan: list[list[tuple[PrivateKey, TxPayload, int]]]) -> None:
    ledger = make_ledger()
    before = check_conservation(ledger.nodes, ledger.root)
    nonces = dict.fromkeys(PEOPLE, 0)
    for wishes in plan:
        txs = includable(ledger, wishes)
        burned = ledger.state.get(Supply).burned
        ledger.block(*txs)
        newly_burned = ledger.state.get(Supply).burned - burned
        after = check_conservation(ledger.nodes, ledger.root)
        assert after == before + subsidy_at(RULES, ledger.height) - newly_burned
        before = after
        for tx in txs:
            sender = next(person for person in PEOPLE if person.public_key == tx.sender)
            nonces[sender] += 1
        state = ledger.state
        assert {person: state.account(person.address).nonce for person in PEOPLE} == nonces


@given(blocks)
def test_reading_and_repeating_change_nothing(wishes: list[tuple[PrivateKey, TxPayload, int]]) -> None:
    """What a state has read before a block, and how often it is executed, changes nothing."""
    ledger = make_ledger()
    txs = includable(ledger, wishes)
    warm = ledger.state
    for person in PEOPLE:
        warm.account(person.address)
    root = replay(ledger, txs)
    assert root == replay(ledger, txs)
    assert root == ledger.block(*txs).root


@given(blocks, st.integers(1, 2**64 - 1))
def test_no_transaction_is_good_on_another_chain(
    wishes: list[tuple[PrivateKey, TxPayload, int]], offset: int
) -> None:
    ledger = make_ledger()
    txs = includable(ledger, wishes)
    ledger.chain_id = (ledger.chain_id + offset) % 2**64
    for tx in txs:
        with pytest.raises(WrongChain):
            ledger.execution().add(tx)
