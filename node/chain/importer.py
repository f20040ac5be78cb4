"""Judges blocks and stores the verdict: the synchronous half of the chain, run by one writer in a worker
thread.

Everything a block changes is one synced batch; the caller then assigns the returned head. A block is
executed at its own parent's root when it arrives, on whatever branch, so moving the head later moves
references only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from engram.consensus.block import Block
from engram.consensus.chainspec import ChainSpec
from engram.consensus.compact import bits_to_target
from engram.consensus.errors import BadTarget, UnknownParent, WrongTransactionsRoot
from engram.consensus.forkchoice import ReorgPlan, better, plan_reorg
from engram.consensus.validation import check_pow, check_transactions_root, validate_body, validate_execution
from engram.node.chain.floor import SideRoom, body_bytes
from engram.node.chain.headers import CheckedHeader, HeaderChain, work_of_header
from engram.node.chain.pruning import DEFAULT_DEPTHS, Depths, Pruner
from engram.node.chain.signatures import SignatureVerifier
from engram.node.errors import DamagedBody, InvalidAncestor, LittleWork, NotOnBestChain, Reverted
from engram.node.storage.batches import (
    Execution,
    pack_body,
    put_body,
    put_connected,
    put_disconnected,
    put_execution,
    put_ref,
    put_side,
    put_tip,
    side_key,
)
from engram.node.storage.db import Batch
from engram.node.storage.failpoints import FailPoint, hit
from engram.node.storage.schema import BlockLocation, Position, Verdict
from engram.node.storage.store import BlockRef, ChainStore
from engram.node.storage.written import Written
from engram.p2p.blockmessages import most_block_bytes
from engram.primitives.errors import Invalid, InvalidHeader, NotReady
from engram.primitives.types import Hash
from engram.statemachine.errors import UpgradeRequired
from engram.statemachine.scoring import Scorer

_REJECTED_IDS: Final = 4_096
FORCED_BLOCKS: Final = 64
"""A lazy importer forces its writes to the disk once in so many blocks."""


class ImportStatus(StrEnum):
    """What became of a block that was offered."""

    EXTENDED = "extended"
    """It is the new head, on top of the old one."""
    REORGED = "reorged"
    """It is the new head, on another branch."""
    SIDE = "side"
    """Valid, on a branch with no more work than the best."""
    DUPLICATE = "duplicate"
    """Judged valid before; if its body was found damaged on disk, it is stored again."""
    BEHIND = "behind"
    """Not executed and not kept: nobody asked for it, and its branch has too little work, see `floor`."""
    PARKED = "parked"
    """It cannot be judged yet; `code` says why."""
    INVALID = "invalid"
    """It breaks a rule; `code` says which."""


@dataclass(frozen=True)
class ImportOutcome:
    """The answer to an offered block."""

    outcome: ImportStatus
    block: Hash
    code: str = ""
    """Code of the error that parked it, refused it, or left it unjudged."""
    detail: str = ""
    """That error in words."""


@dataclass(frozen=True)
class Imported:
    """The answer, and the head after it."""

    answer: ImportOutcome
    head: BlockRef


class Importer:
    """Validates blocks against the store and commits what it finds. One caller at a time.

    Raises `StorageError` and `UpgradeRequired`, after which the node must stop; every verdict on a block is a
    returned outcome.
    """

    def __init__(
        self,
        spec: ChainSpec,
        store: ChainStore,
        scorer: Scorer,
        verifier: SignatureVerifier,
        depths: Depths | None = DEFAULT_DEPTHS,
    ) -> None:
        """`depths` says how many old states are kept; None keeps all."""
        self.lazy = False
        """Whether what is written may wait before it is forced to the disk: the end of the process loses
        nothing, and a power cut no more than `FORCED_BLOCKS` blocks.
        """
        self._unforced = 0
        self._pruner = Pruner(store, depths)
        self._moved = False
        self._spec = spec
        self._store = store
        self._scorer = scorer
        self._verifier = verifier
        self._rejected: OrderedDict[Hash, str] = OrderedDict()
        self._side_room = SideRoom(most_block_bytes(spec.rules.max_body_bytes))
        self._max_target = int.from_bytes(spec.max_target, "big")

    def import_block(
        self,
        block: Block,
        head: BlockRef,
        now_ms: int,
        stored: tuple[BlockLocation, Position] | None = None,
        header: CheckedHeader | None = None,
        *,
        unasked: bool = False,
    ) -> Imported:
        """Judges a block and, if it is valid, stores it and moves the best chain to it where it has more
        work.

        `header`: what is known of the header and body of a `CheckedBlock`; they are not checked again.
        `stored`: where its body stands in the block files already and where that record ends, for blocks that
        are read back from there. `unasked`: a peer has brought the block by itself, so it must be worth its
        cost.
        """
        name = block.header.id
        known = self._known(name, block)
        if known is not None:
            if known.outcome is ImportStatus.DUPLICATE:
                self._mend(name, block, head, stored)
            return Imported(known, head)
        try:
            parent = self._parent(block)
            checked = header or HeaderChain(self._spec, self._store, parent).extend(block.header, now_ms)
            hit(FailPoint.IMPORT_AFTER_HEADER)
            if unasked and not self._side_room.admits(checked, block.header, body_bytes(block), head):
                raise LittleWork(expected=head.total_work + 1, got=checked.total_work)
            ref, execution = self._judge(block, parent, checked, root_is_checked=header is not None)
        except UpgradeRequired:
            raise
        except LittleWork as error:
            return Imported(ImportOutcome(ImportStatus.BEHIND, name, error.code, str(error)), head)
        except NotReady as error:
            return Imported(ImportOutcome(ImportStatus.PARKED, name, error.code, str(error)), head)
        except Invalid as error:
            self._remember(name, block, error)
            return Imported(ImportOutcome(ImportStatus.INVALID, name, error.code, str(error)), head)
        return self._commit(ref, block, execution, head, stored)

    def ahead(self, blocks: Iterable[Block]) -> None:
        """Verifies signatures of blocks that are judged next together: each alone may have few."""
        self._verifier.ahead(tx for block in blocks for tx in block.transactions)

    def revert(self, target: BlockRef, head: BlockRef) -> BlockRef:
        """Takes the best chain back to one of its blocks, which is returned as the new head.

        The blocks above it count as invalid from now on, and so does whatever stands on them. That is for a
        chain without work only: elsewhere nothing but more work takes blocks away. Raises `NotOnBestChain`,
        `StatePruned`.
        """
        if target.height > head.height or not self._store.is_canonical(target):
            raise NotOnBestChain(got=target.id)
        self._pruner.restore(target)
        self._pruner.release()
        leaving = plan_reorg(head, target, self._store.parent_of).disconnect
        batch = Batch()
        for ref in leaving:
            put_disconnected(batch, ref, self._txids(ref))
            put_ref(batch, replace(ref, verdict=Verdict.INVALID, code=Reverted.code))
        put_tip(batch, target, self._store.files.end, self._store.executed())
        self._write(batch)
        self._store.forget_refs(ref.id for ref in leaving)
        for ref in leaving:  # a reader may have put the old verdict back into memory just now
            self._reject(ref.id, Reverted.code)
        return target

    def force(self) -> None:
        """Forces to the disk what a lazy importer has written: the block files first, then the database."""
        if self._unforced:
            self._write(Batch())

    def prune(self, height: int, read: Sequence[BlockRef] = (), blocks: int = 1) -> None:
        """Deletes a few of the states that are too old for a head at `height`, if the head has moved.

        `read`: blocks that somebody has still to follow to the head. Nothing is deleted that they need.
        `blocks`: how many blocks were judged since the last call; as many more states go.
        """
        if self._moved and all(self._store.is_canonical(ref) for ref in read):
            self._moved = False
            for _ in range(blocks):
                self._pruner.advance(min([height, *(ref.height for ref in read)]))

    def _known(self, name: Hash, block: Block) -> ImportOutcome | None:
        """The verdict that stands already, on the block itself or through its parent."""
        ref = self._store.find_ref(name)
        if ref is not None and ref.is_valid:
            return ImportOutcome(ImportStatus.DUPLICATE, name)
        code = self._rejected.get(name, ref.code if ref is not None else "")
        if code:
            return ImportOutcome(ImportStatus.INVALID, name, code, "judged before")
        above = self._store.find_ref(block.header.parent)
        if block.header.parent in self._rejected or (above is not None and not above.is_valid):
            self._reject(name, InvalidAncestor.code)
            return ImportOutcome(ImportStatus.INVALID, name, InvalidAncestor.code, InvalidAncestor().message)
        return None

    def _mend(
        self, name: Hash, block: Block, head: BlockRef, stored: tuple[BlockLocation, Position] | None
    ) -> None:
        """Stores the body of a valid block again if the one on disk was found damaged.

        A body that is read back from the files may have been stored again before a crash.
        """
        ref = self._store.get_ref(name)
        if stored is not None and ref.height > 0:
            with suppress(DamagedBody):
                self._store.get_block(ref)
        if name not in self._store.damaged:
            return
        with suppress(WrongTransactionsRoot):
            check_transactions_root(block)
            batch = Batch()
            if ref.height <= self._store.pruned().base and self._store.is_canonical(ref):
                put_connected(batch, ref, [tx.id for tx in block.transactions])
            put_body(batch, name, stored[0] if stored else self._store.files.append(pack_body(block)))
            put_tip(batch, head, stored[1] if stored else self._store.files.end, self._store.executed())
            hit(FailPoint.MEND_BEFORE_COMMIT)
            self._write(batch)
            hit(FailPoint.MEND_AFTER_COMMIT)
            self._store.damaged.remove(name)

    def _parent(self, block: Block) -> BlockRef:
        """The parent's entry. Only proven work is parked: an unknown parent is said after a proof-of-work
        check.
        """
        parent = self._store.find_ref(block.header.parent)
        if parent is not None:
            self._pruner.restore(parent)
            return parent
        if bits_to_target(block.header.target) > self._max_target:
            raise BadTarget(expected=self._spec.max_target, got=block.header.target)
        check_pow(self._spec, block.header)
        raise UnknownParent(expected=block.header.parent)

    def _judge(
        self, block: Block, parent: BlockRef, checked: CheckedHeader, *, root_is_checked: bool
    ) -> tuple[BlockRef, Execution]:
        """Body and execution of a block whose header is checked. Raises `Invalid`, `NotReady`."""
        checked_body = validate_body(
            self._spec, block, self._verifier.verify, root_is_checked=root_is_checked
        )
        hit(FailPoint.IMPORT_AFTER_BODY)
        executed = validate_execution(
            self._spec, self._store, self._store, parent.header, block, self._scorer, checked_body
        )
        hit(FailPoint.IMPORT_AFTER_EXECUTION)
        order = self._store.executed() + 1
        ref = BlockRef(checked.id, block.header, checked.total_work, Verdict.VALID, order=order)
        result = executed.result
        return ref, Execution(result.receipts, result.nodes, result.blobs, result.changes)

    def _commit(
        self,
        ref: BlockRef,
        block: Block,
        execution: Execution,
        head: BlockRef,
        stored: tuple[BlockLocation, Position] | None,
    ) -> Imported:
        forced = not self.lazy or self._unforced + 1 >= FORCED_BLOCKS
        location = stored[0] if stored else self._store.files.append(pack_body(block), sync=forced)
        files_end = stored[1] if stored else self._store.files.end
        batch, written = Batch(), Written(block, execution.receipts, execution.diff)
        put_ref(batch, ref)
        put_execution(batch, ref.id, location, execution, ref.order)
        if not better(ref, head):
            put_side(batch, ref)
            self._pruner.put_side_content(batch, ref, execution.blobs)
            put_tip(batch, head, files_end, ref.order)
            hit(FailPoint.SIDE_BEFORE_COMMIT)
            self._write(batch, forced=forced)
            self._store.remember(ref, written, execution.nodes)
            hit(FailPoint.SIDE_AFTER_COMMIT)
            self._pruner.grew(ref)
            return Imported(ImportOutcome(ImportStatus.SIDE, ref.id), head)
        outcome = ImportStatus.EXTENDED
        txids = [receipt.txid for receipt in execution.receipts]
        if ref.parent == head.id:
            put_connected(batch, ref, txids)
        else:
            outcome = ImportStatus.REORGED
            self._pruner.release()
            self._move_references(batch, plan_reorg(head, ref, self._store.parent_of), txids)
        self._pruner.put_best_content(batch, execution.blobs)
        put_tip(batch, ref, files_end, ref.order)
        hit(FailPoint.IMPORT_BEFORE_COMMIT)
        self._write_head(batch, outcome, forced=forced)
        self._store.remember(ref, written, execution.nodes)
        self._moved = True
        hit(FailPoint.IMPORT_AFTER_COMMIT)
        self._side_room.regain()
        return Imported(ImportOutcome(outcome, ref.id), ref)

    def _move_references(self, batch: Batch, plan: ReorgPlan[BlockRef], txids: Sequence[Hash]) -> None:
        for leaving in plan.disconnect:
            put_disconnected(batch, leaving, self._txids(leaving))
        self._pruner.put_best_content(batch, self._pruner.side_content(plan.connect[:-1]))
        for joining in plan.connect[:-1]:
            batch.delete(side_key(joining))
            put_connected(batch, joining, self._txids(joining))
        put_connected(batch, plan.connect[-1], txids)

    def _write_head(self, batch: Batch, outcome: ImportStatus, *, forced: bool) -> None:
        if outcome is ImportStatus.REORGED:
            hit(FailPoint.REORG_BEFORE_COMMIT)
        self._write(batch, forced=forced)
        if outcome is ImportStatus.REORGED:
            hit(FailPoint.REORG_AFTER_COMMIT)

    def _write(self, batch: Batch, *, forced: bool = True) -> None:
        """Stores a batch. If it is forced to the disk, so are the block files, and before it."""
        if forced:
            self._store.files.sync()
        self._unforced = 0 if forced else self._unforced + 1
        self._store.write(batch, sync=forced)

    def _txids(self, ref: BlockRef) -> Sequence[Hash]:
        return [receipt.txid for receipt in self._store.receipts(ref)]

    def _remember(self, name: Hash, block: Block, error: Invalid) -> None:
        """Keeps the verdict: on disk if the header carries its work, in bounded memory if it may be forged.

        A body that is not the header's says nothing about the header, so that nobody can poison a good block.
        """
        if isinstance(error, WrongTransactionsRoot):
            return
        self._reject(name, error.code)
        parent = self._store.find_ref(block.header.parent)
        if isinstance(error, InvalidHeader) or parent is None:
            return
        work = parent.total_work + work_of_header(block.header)
        batch = Batch()
        put_ref(batch, BlockRef(name, block.header, work, Verdict.INVALID, error.code))
        hit(FailPoint.INVALID_BEFORE_COMMIT)
        self._write(batch)
        hit(FailPoint.INVALID_AFTER_COMMIT)

    def _reject(self, name: Hash, code: str) -> None:
        self._rejected[name] = code
        while len(self._rejected) > _REJECTED_IDS:
            self._rejected.popitem(last=False)
