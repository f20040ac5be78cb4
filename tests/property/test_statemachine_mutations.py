"""Transactions of a recorded chain with a field bent out of shape: refused or FAILED by name, or applied.

Nothing else may happen: no other exception, no receipt that cannot be encoded, no coin made or lost.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

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
from tests.support.conservation import check_conservation
from tests.support.memory_chain import MemoryChain
from tests.support.smt_reference import Nodes

CHAIN = Path(__file__).resolve().parents[1] / "vectors/consensus_chain_50.json"
EXTREMES = (0, 1, 2, 7, 8, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1, -1, -128)
PURSE, FEE = 10**17, 10**16
MUTATIONS = 12


class Bender:
    """Changes one field somewhere in a value; bytes may become others of their length that it has seen."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.known: defaultdict[int, list[bytes]] = defaultdict(list)

    def learn(self, value: Any) -> None:
        if isinstance(value, bytes):
            self.known[len(value)].append(value)
        elif isinstance(value, tuple):
            for item in value:
                self.learn(item)
        elif is_dataclass(value):
            for field in fields(value):
                self.learn(getattr(value, field.name))

    def bend(self, value: Any) -> Any:
        match value:
            case bool():
                return not value
            case int():
                return self.random.choice((*EXTREMES, value + 1, value - 1, 2 * value, value // 2))
            case bytes():
                return self._bytes(value)
            case tuple() if value:
                return self._tuple(value)
            case _ if is_dataclass(value) and not isinstance(value, type):
                name = self.random.choice(fields(value)).name
                return replace(value, **{name: self.bend(getattr(value, name))})
        return value

    def _bytes(self, value: bytes) -> bytes:
        at = self.random.randrange(len(value) + 1)
        others = (bytes(len(value)), value[:at], value + b"x", self.random.randbytes(len(value)))
        return self.random.choice((*others, *self.known[len(value)][:4]))

    def _tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        at = self.random.randrange(len(value))
        bent = (*value[:at], self.bend(value[at]), *value[at + 1 :])
        shorter, longer = value[:at] + value[at + 1 :], (*value[: at + 1], *value[at:])
        return self.random.choice((bent, bent, shorter, longer, tuple(self.random.sample(value, len(value)))))


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
