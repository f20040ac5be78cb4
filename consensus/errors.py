"""Leaves of the error tree that blocks, headers and ChainSpec files raise. Families: primitives/errors.py.

A leaf of `InvalidHeader` or `InvalidExecution` condemns the block id. Of the `InvalidBody` leaves,
`WrongTransactionsRoot` alone says nothing about the id: other bytes may be the header's true body.
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
    """The header has a version that no rule knows."""


class WrongParent(InvalidHeader):
    """The header does not name this parent."""


class WrongHeight(InvalidHeader):
    """The header's height is not one above its parent's."""


class TimestampTooOld(InvalidHeader):
    """The timestamp is not above the median of the eleven blocks before."""


class BadTarget(InvalidHeader):
    """The target is not the one that the difficulty rule gives, or not a canonical compact number."""


class PowNotMet(InvalidHeader):
    """The proof-of-work digest is above the target."""


class WrongTransactionsRoot(InvalidBody):
    """The transactions are not the ones that the header commits to."""


class BodyTooLarge(InvalidBody):
    """The transactions have more bytes than a body may hold."""


class DuplicateTransaction(InvalidBody):
    """One transaction stands twice in the body."""


class MalformedTransaction(InvalidBody):
    """A transaction is refused whatever the state: its form, kind, chain or signature."""

    def __init__(self, index: int, inner: ChainError) -> None:
        """`index`: its position, -1 if it is not known; `inner`: the refusal, its code in `got`."""
        super().__init__(_refusal(index, inner), got=inner.code)
        self.index = index
        self.inner = inner


class TransactionNotIncludable(InvalidExecution):
    """A transaction cannot be applied to the state at its place in the block."""

    def __init__(self, index: int, inner: ChainError) -> None:
        """`index`: its position in the body; `inner`: the refusal itself, whose code is also in `got`."""
        super().__init__(_refusal(index, inner), got=inner.code)
        self.index = index
        self.inner = inner


class WrongReceiptsRoot(InvalidExecution):
    """Executing the body gives other receipts than the header commits to."""


class WrongStateRoot(InvalidExecution):
    """Executing the body gives another state than the header commits to."""


class ProofDamaged(InvalidProof):
    """The bytes are not a whole proof bundle: the file was cut or changed, or is something else."""


class CheckpointNeeded(InvalidProof):
    """The bundle does not begin at its genesis: name the block that it is to be trusted from."""


class CheckpointMissing(InvalidProof):
    """The block to be trusted from does not stand on the proven chain."""


class InsufficientWork(InvalidProof):
    """Less work stands behind the proof than was asked for."""


class RecordMismatch(InvalidProof):
    """A proven record is not the one that the proof needs here."""


class UnknownParent(NotReady):
    """The parent block has not arrived yet."""


class TimestampAhead(NotReady):
    """The timestamp lies too far ahead of this node's clock."""


class BadSpec(InvalidInput):
    """The ChainSpec is malformed or contradicts itself."""


def _refusal(index: int, inner: ChainError) -> str:
    where = f"transaction {index}" if index >= 0 else "a transaction"
    return f"{where} is refused: {inner}"
