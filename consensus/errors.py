"""The errors of blocks, headers, proof bundles and ChainSpec files. Families: primitives/errors.py.

A leaf of `InvalidHeader`, `InvalidBody` or `InvalidExecution` means that the block with this id can never be
valid. There is one exception: `WrongTransactionsRoot` says only that the bytes which arrived are not the body
of this header. The true body may still come from another peer, so the id is not condemned.
`UpgradeRequired` (`NotReady`), which stops a node at an activation height, is a leaf of the state machine.
"""

from __future__ import annotations

from engram.primitives.errors import (
    ChainError,
    InvalidBody,
    InvalidExecution,
    InvalidHeader,
    InvalidInput,
    InvalidProof,
    NotReady,
)


class WrongVersion(InvalidHeader):
    """The header has a version that this chain does not use."""


class WrongParent(InvalidHeader):
    """The header names another block as its parent."""


class WrongHeight(InvalidHeader):
    """The header's height is not one above its parent's."""


class TimestampTooOld(InvalidHeader):
    """The timestamp is not later than the median of the eleven blocks before."""


class BadTarget(InvalidHeader):
    """The target is not the one that the difficulty rule gives, or not a canonical compact number."""


class PowNotMet(InvalidHeader):
    """The proof-of-work digest is above the target."""


class WrongTransactionsRoot(InvalidBody):
    """The transactions are not the ones that the header commits to."""


class BodyTooLarge(InvalidBody):
    """The transactions together have more bytes than a body may hold."""


class DuplicateTransaction(InvalidBody):
    """One transaction stands twice in the body."""


class MalformedTransaction(InvalidBody):
    """A transaction is wrong whatever the state is: its form, kind, chain or signature."""

    def __init__(self, index: int, inner: ChainError) -> None:
        """`index`: its position in the body, -1 if not known; `inner`: the error, whose code is `got`."""
        super().__init__(_refusal(index, inner), got=inner.code)
        self.index = index
        self.inner = inner


class TransactionNotIncludable(InvalidExecution):
    """A transaction cannot be applied to the state at its place in the block."""

    def __init__(self, index: int, inner: ChainError) -> None:
        """`index`: its position in the body; `inner`: the error, whose code is `got`."""
        super().__init__(_refusal(index, inner), got=inner.code)
        self.index = index
        self.inner = inner


class WrongReceiptsRoot(InvalidExecution):
    """Executing the body gives other receipts than the header commits to."""


class WrongStateRoot(InvalidExecution):
    """Executing the body gives another state than the header commits to."""


class ProofDamaged(InvalidProof):
    """The bytes are not a whole proof bundle, since the file was cut or changed, or is something else: get it
    again from whoever made it.
    """


class WrongSpec(InvalidProof):
    """The proof is about another chain: what is expected is the spec_id of the ChainSpec that it is checked
    with.
    """


class CheckpointNeeded(InvalidProof):
    """The bundle does not begin at the first block of its chain, so only a checkpoint can anchor it: name a
    block that you trust, by an id that you have from your own node or from somebody whom you trust, and not
    from whoever gave you the proof.
    """


class CheckpointMissing(InvalidProof):
    """The checkpoint is not among the headers of the file: see whether you have copied its id whole and
    right; else ask for a proof that is made for it (`engram model prove --checkpoint ID`).
    """


class InsufficientWork(InvalidProof):
    """Less work stands on the proven block than was asked for: ask for a file in which more blocks stand on
    top of it, or name a block that you trust as the checkpoint.
    """


class NoWork(InvalidProof):
    """Work was asked for on a chain whose blocks carry none."""


class RecordMismatch(InvalidProof):
    """A proven record is not the one that belongs in this place of the proof."""


class UnknownParent(NotReady):
    """The parent block has not arrived yet."""


class TimestampAhead(NotReady):
    """The timestamp lies too far ahead of this node's clock."""


class BadSpec(InvalidInput):
    """The ChainSpec is malformed or contradicts itself."""


def _refusal(index: int, inner: ChainError) -> str:
    where = f"transaction {index}" if index >= 0 else "a transaction"
    return f"{where} is refused: {inner}"
