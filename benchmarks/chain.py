"""A chain on LevelDB for benchmarks: the real builder makes blocks, the real importer judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from engram.consensus.block import NONCE_BYTES, Block, pow_prefix
from engram.consensus.builder import assemble
from engram.consensus.chainspec import Allocation, ChainSpec, chain_id, local, spec_id
from engram.consensus.compact import bits_to_target
from engram.consensus.context import block_context
from engram.consensus.difficulty import next_bits
from engram.consensus.genesis import NOBODY, Genesis
from engram.consensus.pow import meets_target, pow_digest
from engram.node.chain.importer import Importer, ImportStatus
from engram.node.chain.recovery import open_chain
from engram.node.chain.signatures import SignatureVerifier
from engram.node.chain.verification import VerificationCache
from engram.node.storage.store import BlockRef, ChainStore, open_store
from engram.primitives.keys import PrivateKey
from engram.primitives.types import Address, Hash
from engram.statemachine.fees import minimum_fee
from engram.statemachine.receipt import Receipt, Status
from engram.statemachine.record import u32
from engram.statemachine.records import RecentBlock
from engram.statemachine.roundclock import round_clock
from engram.statemachine.scoring import Scorer
from engram.statemachine.state import State
from engram.statemachine.transaction import Transaction, TxPayload, sign
from engram.statemachine.transition import begin_block

COIN: Final = 10**8
GENESIS_MS: Final = 1_700_000_000_000
LATE_MS: Final = GENESIS_MS + 10**9
"""The time at which blocks are judged, later than the timestamps of all of them."""
EASY: Final = (1 << 255).to_bytes(32, "big")
"""A target that one digest in two meets, because judging blocks is measured, not finding them."""


def key(number: int) -> PrivateKey:
    """The key with this number, the same in every run."""
    return PrivateKey.from_seed(number.to_bytes(32, "big"))


def easy_spec(*owners: PrivateKey) -> ChainSpec:
    """The local preset, its scrypt included, with an easy target and 1,000 coins for each owner."""
    allocations = tuple(Allocation(owner.address, 1_000 * COIN) for owner in owners)
    return replace(local(allocations, GENESIS_MS), genesis_target=EASY, max_target=EASY)


class FilledChain:
    """A store and its head. It imports blocks like a node whose caches are empty."""

    def __init__(self, directory: Path, spec: ChainSpec, first: Genesis) -> None:
        """`first` is the genesis of the store: the spec's own, or one with more accounts."""
        self.spec: Final = spec
        self.store: Final = open_store(directory, spec_id(spec), first.id)
        self._verifiers: list[SignatureVerifier] = []
        self._importer = self.importer()
        self.head = open_chain(spec, first, self.store, self._importer).head

    def close(self) -> None:
        for verifier in self._verifiers:
            verifier.close()
        self.store.close()

    def importer(
        self, cache: VerificationCache | None = None, verifier: SignatureVerifier | None = None
    ) -> Importer:
        """An importer that knows only the scores and signatures given to it, and has read nothing yet.

        Without a verifier, it checks signatures on one thread.
        """
        if verifier is None:
            verifier = SignatureVerifier(threads=1)
            self._verifiers.append(verifier)
        store = ChainStore(self.store.database, self.store.files)
        return Importer(self.spec, store, Scorer(cache or VerificationCache()), verifier)

    @property
    def state(self) -> State:
        return State(self.store, self.head.state_root)

    def block_id(self, tick: int) -> Hash:
        """Id of the block that made a tick, which must be older than the head."""
        return self.state.get(RecentBlock, u32(tick % self.spec.rules.tick_ring)).block

    def pay(self, sender: PrivateKey, payload: TxPayload, after: int = 0) -> Transaction:
        """A transaction for the next block, with the least cap, after `after` others of the same sender."""
        state, parent = self.state, self.head.header
        ctx = block_context(self.spec, parent, state, NOBODY, self.store, Scorer())
        nonce = state.account(sender.address).nonce + after
        cap = 0
        while True:  # a larger cap may take more bytes, which cost more
            tx = sign(sender, chain_id(self.spec), nonce, cap, 0, payload)
            if (least := minimum_fee(begin_block(state, ctx), ctx, tx, payload)) <= cap:
                return tx
            cap = least

    def block(
        self, txs: Sequence[Transaction], parent: BlockRef | None = None, miner: Address = NOBODY
    ) -> Block:
        """A mined block with all of these transactions, on the head or on `parent`."""
        parent = parent or self.head
        grandparent = self.store.parent_of(parent).header if parent.height else None
        template = assemble(
            self.spec,
            parent.header,
            self.store,
            txs,
            miner=miner,
            timestamp_ms=parent.header.timestamp_ms + self.spec.block_time_ms,
            bits=next_bits(self.spec, parent.header, grandparent),
            blobs=self.store,
            scorer=Scorer(),
        )
        if template.skipped:
            raise RuntimeError(f"the block cannot hold its transactions: {set(template.skipped.values())}")
        prefix, target = pow_prefix(template.header), bits_to_target(template.header.target)
        nonces = (number.to_bytes(NONCE_BYTES, "big") for number in range(1 << 32))
        return template.seal(
            next(n for n in nonces if meets_target(pow_digest(self.spec.pow, prefix + n), target))
        )

    def take(self, block: Block, importer: Importer | None = None) -> BlockRef:
        """Imports a block; if it is a sibling of the head, the head stays."""
        imported = (importer or self._importer).import_block(block, self.head, LATE_MS)
        if imported.answer.outcome not in (ImportStatus.EXTENDED, ImportStatus.SIDE):
            raise RuntimeError(f"the block was not taken: {imported.answer}")
        self.head = imported.head
        return self.head

    def extend(self, *txs: Transaction) -> tuple[Receipt, ...]:
        """Mines and imports the next block; its receipts, of which none may be FAILED."""
        receipts = self.store.receipts(self.take(self.block(txs)))
        if failed := [receipt.code for receipt in receipts if receipt.status != Status.OK]:
            raise RuntimeError(f"a transaction FAILED: {failed}")
        return tuple(receipts)

    def skip_to_tick(self, tick: int) -> None:
        """Empty blocks, until transactions of the next one see this tick."""
        while round_clock(self.state).ticks < tick:
            self.extend()
