"""A chain of state transitions in memory: no headers, no work, no store. One block a call.

ledger = Ledger({alice: 10**9})
result = ledger.block(ledger.pay(alice, Transfer(bob.address, 5)))
assert ledger.state.account(bob.address).balance == 5
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

from engram.primitives import keys
from engram.primitives.types import ZERO_HASH, Address, Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import MissingBlob
from engram.statemachine.fees import minimum_fee
from engram.statemachine.receipt import Receipt
from engram.statemachine.record import Record
from engram.statemachine.records import Account, RoundClock, Supply
from engram.statemachine.roundclock import round_clock
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload, sign, sign_unsigned
from engram.statemachine.transition import BlockExecution, TransitionResult, begin_block
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.smt_reference import Nodes

CHAIN_ID = 7
MINER: Address = b"\xee" * 20


class Blobs(dict[Hash, bytes]):
    """Bytes of all blocks so far; what is deleted counts as pruned."""

    def get_blob(self, blob_id: Hash) -> bytes:
        if blob_id not in self:
            raise MissingBlob(got=blob_id)
        return self[blob_id]


def key(number: int) -> keys.PrivateKey:
    """The same key for the same number, in every run."""
    return keys.PrivateKey(hashlib.sha256(b"key %d" % number).digest())


def executed(state: State, ctx: BlockContext, txs: Sequence[Transaction]) -> TransitionResult:
    """A whole block body, applied. `state` stays as it is."""
    execution = BlockExecution(state, ctx)
    for tx in txs:
        execution.add(tx)
    return execution.finish()


class Ledger:
    """The state after the last block, and everything needed for the next one."""

    def __init__(
        self,
        balances: Mapping[keys.PrivateKey, int],
        *,
        rules: Rules | None = None,
        records: Sequence[Record] = (),
        scorer: Scorer | None = None,
    ) -> None:
        """Genesis: these balances, and records that a test takes for granted."""
        self.rules = rules or Rules()
        self.scorer = scorer or Scorer()
        self.active = FROM_GENESIS
        self.miner = MINER
        self.chain_id = CHAIN_ID
        self.nodes, self.blobs = Nodes(), Blobs()
        self.height = 0
        self.parent: Hash = b"\x01" * 32
        genesis = State(self.nodes, ZERO_HASH)
        genesis.put(Supply(issued=sum(balances.values())))
        for owner, balance in balances.items():
            genesis.put(Account(owner.address, balance))
        for record in records:
            genesis.put(record)
        self.root, nodes = genesis.commit()
        self.nodes.update(nodes)
        self._head, self._head_root = State(self.nodes, self.root), self.root

    @property
    def state(self) -> State:
        """The state after the last block, apart from every other that was asked for. Records that one of
        them has read are not decoded again.
        """
        if self._head_root != self.root:
            self._head, self._head_root = State(self.nodes, self.root), self.root
        return self._head.child()

    @property
    def clock(self) -> RoundClock:
        """The round clock after the last block."""
        return round_clock(self.state)

    @property
    def ctx(self) -> BlockContext:
        """The context of the next block."""
        clock = self.clock
        return BlockContext(
            rules=self.rules,
            chain_id=self.chain_id,
            height=self.height + 1,
            tick=clock.ticks,
            exponent=clock.exponent,
            parent=self.parent,
            miner=self.miner,
            blobs=self.blobs,
            scorer=self.scorer,
            active=self.active,
        )

    def pay(
        self,
        sender: keys.PrivateKey,
        payload: TxPayload,
        *,
        max_fee: int | None = None,
        tip: int = 0,
        after: int = 0,
    ) -> Transaction:
        """A transaction for the next block, at the least cap, `after` others of this sender."""
        nonce = self.state.account(sender.address).nonce + after
        if max_fee is not None:
            return sign(sender, CHAIN_ID, nonce, max_fee, tip, payload)
        least = 0
        while True:  # a larger cap is a longer number
            tx = sign(sender, CHAIN_ID, nonce, least, tip, payload)
            price = minimum_fee(begin_block(self.state, self.ctx), self.ctx, tx, payload) + tip
            if price <= least:
                return tx
            least = price

    def pay_each(self, sender: keys.PrivateKey, *payloads: TxPayload) -> list[Transaction]:
        """Transactions of one sender for the next block."""
        return [self.pay(sender, payload, after=index) for index, payload in enumerate(payloads)]

    def fork(self) -> Ledger:
        """The same chain once more, which goes on apart from this one."""
        other = copy(self)
        other.nodes, other.blobs = copy(self.nodes), copy(self.blobs)
        other._head = State(other.nodes, other.root)
        return other

    def execution(self) -> BlockExecution:
        """The next block, to be filled by hand."""
        return BlockExecution(self.state, self.ctx)

    def block(self, *txs: Transaction) -> TransitionResult:
        """Applies the next block and makes it the last."""
        result = executed(self.state, self.ctx, txs)
        self.nodes.update(result.nodes)
        self.blobs.update(result.blobs)
        self.root = result.root
        self.height += 1
        self.parent = hashlib.sha256(self.parent + self.root).digest()
        return result

    def send(self, sender: keys.PrivateKey, payload: TxPayload) -> Receipt:
        """A block with one transaction; its receipt."""
        return self.block(self.pay(sender, payload)).receipts[0]

    def skip_to(self, height: int) -> None:
        """Empty blocks, until the next one has this height."""
        while self.height + 1 < height:
            self.block()

    def skip_to_tick(self, tick: int) -> None:
        """Empty blocks, until transactions of the next one see this tick."""
        while self.clock.ticks < tick:
            self.block()


def tampered(sender: keys.PrivateKey, tx: Transaction, **changes: object) -> Transaction:
    """The transaction with fields changed, signed again by its sender."""
    return sign_unsigned(sender, replace(tx.unsigned, **changes))  # type: ignore[arg-type]  # a test's own fields
