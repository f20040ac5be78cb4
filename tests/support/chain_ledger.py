"""A test ledger on top of real blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

from engram.primitives.keys import PrivateKey
from engram.primitives.types import Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.fees import minimum_fee
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transition import TransitionResult, begin_block
from engram.statemachine.upgrades import FROM_GENESIS
from tests.support.ledger import Ledger
from tests.support.memory_chain import MemoryChain, key, search
from tests.support.node_chain import fork

MINERS = (key(103), key(104))

Errand = tuple[PrivateKey, Callable[[], TxPayload]]


class ChainLedger(Ledger):
    """Its blocks are assembled, mined and validated.

    Their timestamps are irregular. A block without a transaction of a round carries the next errand instead.
    """

    def __init__(self, chain: MemoryChain, errands: Iterator[Errand] | None = None) -> None:
        self.chain = chain
        self.rules = chain.spec.rules
        self.scorer = chain.scorer
        self.active = FROM_GENESIS
        self.nodes = chain  # type: ignore[assignment]  # reads nodes just as well
        self.blobs = chain.blobs  # type: ignore[assignment]  # read as a dictionary only
        self._errands = errands or iter(())
        self.miners: Iterator[PrivateKey] = cycle(MINERS)
        """Who mines the next blocks. Blocks of other miners differ, also where they hold the same."""

    def fork(self) -> ChainLedger:
        """A branch that shares all blocks so far."""
        return ChainLedger(fork(self.chain))

    @property
    def height(self) -> int:  # type: ignore[override]  # here it follows from the chain
        return self.chain.height

    @property
    def parent(self) -> Hash:  # type: ignore[override]  # likewise
        return self.chain.tip.id

    @property
    def root(self) -> Hash:  # type: ignore[override]  # likewise
        return self.chain.tip.state_root

    @property
    def state(self) -> State:
        return self.chain.state

    @property
    def ctx(self) -> BlockContext:
        return self.chain.next_context()

    def pay(
        self,
        sender: PrivateKey,
        payload: TxPayload,
        *,
        max_fee: int | None = None,
        tip: int = 0,
        after: int = 0,
    ) -> Transaction:
        nonce = self.state.account(sender.address).nonce + after
        least = 0 if max_fee is None else max_fee
        while True:
            tx = self.chain.sign(sender, payload, nonce=nonce, max_fee=least, tip=tip)
            price = minimum_fee(begin_block(self.state, self.ctx), self.ctx, tx, payload) + tip
            if max_fee is not None or price <= least:
                return tx
            least = price

    def block(self, *txs: Transaction) -> TransitionResult:
        if not txs and (errand := next(self._errands, None)) is not None:
            txs = (self.pay(errand[0], errand[1]()),)
        timestamp_ms = self.chain.tip.timestamp_ms + 151 + self.parent[0] * 3
        miner = next(self.miners).address
        template = self.chain.template(txs, miner=miner, timestamp_ms=timestamp_ms)
        assert not template.skipped, template.skipped
        return self.chain.take(template.seal(search(self.chain.spec, template.header))).result
