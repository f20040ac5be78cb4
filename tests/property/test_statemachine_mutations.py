"""Transactions of a recorded chain with a field bent out of shape: refused or FAILED by name, or applied.

Nothing else may happen: no other exception, no receipt that cannot be encoded, no coin made or lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engram.consensus.block import Block
from engram.consensus.chainspec import load_spec
from engram.primitives import keys
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError, Invalid, NotReady
from engram.statemachine.records import Supply
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction
from engram.statemachine.transactions import decode_payload
from engram.statemachine.transactions import reveal_update as reveals
from engram.statemachine.transition import apply_transaction
from tests.support.bender import Bender
from tests.support.conservation import check_conservation
from tests.support.memory_chain import MemoryChain
from tests.support.smt_reference import Nodes

CHAIN = Path(__file__).resolve().parents[1] / "vectors/consensus_chain_50.json"
PURSE, FEE = 10**17, 10**16
MUTATIONS = 12


def replayed() -> Iterator[tuple[MemoryChain, Block]]:
    """The chain before each of its blocks, and the block."""
    recorded = json.loads(CHAIN.read_text())
    chain = MemoryChain(load_spec(json.dumps(recorded["spec"])))
    for each in recorded["blocks"]:
        block = decode(Block, bytes.fromhex(each["raw"]))
        yield chain, block
        chain.take(block, verify=lambda _: None)


def with_purse(state: State, sender: bytes) -> State:
    """A child in which the sender can pay whatever is asked."""
    child = state.child()
    account, supply = child.account(keys.address(sender)), child.get(Supply)
    child.put(replace(account, balance=account.balance + PURSE))
    child.put(replace(supply, issued=supply.issued + PURSE))
    return child


@pytest.mark.parametrize("binding", [True, False], ids=["commits bind", "commits do not bind"])
def test_bent_transactions(binding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where commits do not bind, bent updates reach the judge who otherwise never sees them."""
    bender, codes = Bender(11), set()
    for chain, block in replayed():
        for tx in block.transactions:
            bender.learn(decode_payload(tx))
            for bent in bent_forms(bender, tx):
                with monkeypatch.context() as patch:
                    for name in () if binding else ("check_digest", "check_parameters_root", "check_loss"):
                        patch.setattr(reveals, name, lambda *_: None)
                    codes.add(outcome(chain, bent))
    assert len(codes) > 25, sorted(codes)


def bent_forms(bender: Bender, tx: Transaction) -> Iterator[Transaction]:
    """The transaction with another payload that can be encoded."""
    for _ in range(MUTATIONS):
        try:
            yield replace(tx, max_fee=FEE, payload=encode(bender.bend(decode_payload(tx))))
        except CodecError:
            continue


def outcome(chain: MemoryChain, tx: Transaction) -> str:
    """Code of the refusal or the failure; empty if it was applied."""
    state = with_purse(State(chain, chain.tip.state_root), tx.sender)
    known = frozenset({tx.id})
    try:
        after, receipt, _ = apply_transaction(state, chain.next_context(), tx, verified=known)
    except (Invalid, NotReady) as error:
        return error.code
    encode(receipt)
    state.absorb(after)
    root, nodes = state.commit()
    check_conservation(Nodes(chain.nodes | nodes), root)
    return receipt.code
