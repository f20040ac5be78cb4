"""Judges one transaction against one head, in a worker thread.

A refusal also says whether the sender is at fault: a transaction that breaks a rule that needs no state is
wrong on every chain of blocks, whereas one that the present state refuses may be fine a block later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engram.consensus.chainspec import ChainSpec
from engram.consensus.context import block_context
from engram.consensus.genesis import NOBODY
from engram.node.chain.signatures import SignatureVerifier
from engram.node.clock import Clock
from engram.node.mempool.pool import PooledTx, largest_share
from engram.node.storage.store import BlockRef, ChainStore
from engram.primitives import keys
from engram.primitives.errors import ChainError, Invalid, NotReady
from engram.primitives.types import Hash
from engram.statemachine.context import BlockContext
from engram.statemachine.errors import FeeTooLow, NotActivated, TransactionTooLarge
from engram.statemachine.fees import fee_of, price_of
from engram.statemachine.records import Account
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Cost, Transaction
from engram.statemachine.transition import apply_transaction, begin_block, check_transaction, prepare


@dataclass(frozen=True)
class Checked:
    """A checked transaction: its entry for the pool, its sender's account, its multiply-accumulates."""

    entry: PooledTx
    account: Account
    macs: int
    exponent: int
    """Base exponent of the block that it was checked for."""

    def since(self, earlier: PooledTx) -> Checked:
        """As if it had been admitted when `earlier`, the same transaction, was."""
        entry = replace(self.entry, admitted_s=earlier.admitted_s, returned=earlier.returned)
        return replace(self, entry=entry)

    def returning(self, admitted_s: float | None = None) -> Checked:
        """As one that has been admitted before, at this moment of the monotonic clock; None is now."""
        moment = self.entry.admitted_s if admitted_s is None else admitted_s
        return replace(self, entry=replace(self.entry, admitted_s=moment, returned=True))


@dataclass(frozen=True)
class AdmitOutcome:
    """The answer to an offered transaction."""

    txid: Hash
    error: ChainError | None = None
    """Why it was not admitted."""
    punishable: bool = False
    """True if no state of the chain makes the transaction acceptable: the peer that sent it is at fault."""

    @property
    def accepted(self) -> bool:
        return self.error is None

    @property
    def code(self) -> str:
        """Code of the refusal; empty if admitted."""
        return self.error.code if self.error else ""


class Refusal(Exception):
    """Raised for a transaction that the next block could not hold."""

    def __init__(self, error: ChainError, punishable: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.punishable = punishable
        """True if no state of the chain makes the transaction acceptable."""


class Admission:
    """The checks that need the state, a signature or forward passes.

    One thread at a time may call `check`; another may call `warm` meanwhile.
    """

    def __init__(
        self,
        spec: ChainSpec,
        store: ChainStore,
        verifier: SignatureVerifier,
        scorer: Scorer,
        clock: Clock,
    ) -> None:
        self._spec = spec
        self._store = store
        self._verifier = verifier
        self._scorer = scorer
        self._clock = clock
        self._context_of: BlockContext | None = None

    def check(self, name: Hash, tx: Transaction, head: BlockRef, *, park: bool = False) -> Checked:
        """The transaction, checked and priced on exactly what the block after `head` begins with.

        With `park`, one that the base has outgrown is checked as if the base were at its lowest. If its nonce
        lies ahead of the account's, a transaction is priced by its bytes alone. What else it costs can be
        computed only once the transactions before it are included. Raises `Refusal`.
        """
        ctx = self._context(head)
        self._check_alone(ctx, tx, tx.size_bytes)
        state = State(self._store, head.state_root)
        account = state.account(keys.address(tx.sender))
        tentative = tx.nonce > account.nonce
        try:
            begun = begin_block(state, ctx)
            try:
                cost = _cost(begun, ctx, name, tx, tentative)
            except FeeTooLow:
                if not park:
                    raise
                cost = _cost(begun, replace(ctx, exponent=0), name, tx, tentative)
        except (Invalid, NotReady) as error:
            raise Refusal(error, punishable=False) from error
        entry = PooledTx(
            tx,
            name,
            account.address,
            tx.size_bytes,
            price_of(ctx.rules.fees, cost),
            largest_share(ctx.rules, cost),
            cost.funds,
            cost.brings,
            tentative,
            self._clock.monotonic(),
        )
        return Checked(entry, account, cost.macs, ctx.exponent)

    def warm(self, tx: Transaction, head: BlockRef) -> None:
        """Runs a transaction on the head's state, only to fill the verification cache with its losses.

        Forward passes take long. The mempool lets them run in the background once it has admitted the
        transaction, so that importing the block that holds it finds the losses in the cache. The new state is
        discarded.
        """
        ctx = self._context(head)
        try:
            trial = begin_block(State(self._store, head.state_root), ctx)
            account = trial.account(keys.address(tx.sender))
            trial.put(Account(account.address, account.balance, tx.nonce))
            apply_transaction(trial, ctx, tx, verified=frozenset({tx.id}))
        except (Invalid, NotReady):
            return

    def _check_alone(self, ctx: BlockContext, tx: Transaction, size_bytes: int) -> None:
        """Checks the rules that need no state. Raises `Refusal`."""
        try:
            if size_bytes > ctx.rules.max_transaction_bytes:
                raise TransactionTooLarge(expected=ctx.rules.max_transaction_bytes, got=size_bytes)
            check_transaction(ctx, tx)
            self._verifier.verify([tx])
        except (Invalid, NotReady) as error:
            raise Refusal(error, punishable=not isinstance(error, (NotActivated, NotReady))) from error

    def _context(self, head: BlockRef) -> BlockContext:
        """The context of the block after `head`, as far as it is known before that block is mined."""
        known = self._context_of
        if known is None or known.parent != head.id:
            state = State(self._store, head.state_root)
            known = block_context(self._spec, head.header, state, NOBODY, self._store, self._scorer)
            self._context_of = known
        return known


def _cost(state: State, ctx: BlockContext, name: Hash, tx: Transaction, tentative: bool) -> Cost:
    """What the transaction costs; of a tentative one, only its bytes count. Raises as `prepare` does."""
    if not tentative:
        return prepare(state, ctx, tx, verified=frozenset({name})).cost
    cost = Cost(size_bytes=tx.size_bytes)
    if tx.max_fee < (least := fee_of(ctx.rules.fees, cost, ctx.exponent) + tx.tip):
        raise FeeTooLow(expected=least, got=tx.max_fee)
    return cost
