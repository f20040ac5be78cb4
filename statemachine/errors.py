"""Leaves of the state machine: what a transaction can violate, and what keeps a node from judging one.

InvalidTransaction   no block may hold it; or, raised while it is applied, its receipt is FAILED
InvalidInput         BadRules: constants that no chain can run under
NotReady             MissingBlob · UpgradeRequired
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput, InvalidTransaction, NotReady


class BadRules(InvalidInput):
    """The constants of the state machine contradict each other or what records can hold."""


class MissingBlob(NotReady):
    """The chain knows these bytes, but this node does not hold them: pruned, or still syncing."""


class UpgradeRequired(NotReady):
    """The chain uses a transaction type from this height on that this software does not have."""


class MissingRecord(InvalidTransaction):
    """The state holds no such record. The code of an instance is `missing_` and the kind of record."""

    def __init__(self, kind: str, key: bytes) -> None:
        super().__init__(f"the state holds no such {kind}", expected=key)
        self.code = f"missing_{kind}"


class WrongChain(InvalidTransaction):
    """The transaction was signed for another chain."""


class NonceMismatch(InvalidTransaction):
    """The nonce is not the number of transactions its sender has had included."""


class FeeTooLow(InvalidTransaction):
    """The fee is below the price of the transaction's bytes, work and records."""


class InsufficientBalance(InvalidTransaction):
    """The balance does not cover what the transaction spends."""


class TransactionTooLarge(InvalidTransaction):
    """The encoded transaction has more bytes than any block accepts."""


class UnknownTransactionType(InvalidTransaction):
    """No transaction type has this number."""


class NotActivated(InvalidTransaction):
    """The transaction type is not in force at this height."""


class TransactionTooHeavy(InvalidTransaction):
    """The transaction costs more multiply-accumulates than any block may hold."""


class BlockBytesExceeded(InvalidTransaction):
    """The block's free bytes, less those reserved for reveals, do not hold the transaction."""


class BlockTransactionsExceeded(InvalidTransaction):
    """The block holds as many transactions as the rules allow."""


class BlockMacsExceeded(InvalidTransaction):
    """The block's free multiply-accumulates, less those reserved for reveals, do not hold the transaction."""


class AmountZero(InvalidTransaction):
    """An amount of zero moves nothing."""


class ClaimRangeInvalid(InvalidTransaction):
    """The heights of a claim are reversed, too many, or not yet reached."""


class NothingToClaim(InvalidTransaction):
    """The sender has no mature reward in this range of heights."""


class UnknownBlob(InvalidTransaction):
    """No transaction of this chain has brought these bytes."""


class BlobNotUsable(InvalidTransaction):
    """The bytes, or the version, came with this very block; they can be named from the next one on."""


class BlobExpired(InvalidTransaction):
    """Nothing has referred to these bytes for so long that nodes may have dropped them."""


class BlobKnown(InvalidTransaction):
    """The chain already holds these bytes."""


class BlobTooLarge(InvalidTransaction):
    """The declared size is zero or beyond the limit of a blob."""


class BlobHashMismatch(InvalidTransaction):
    """The completed chunks are not the bytes that the upload was named after."""


class ChunkIndexOutOfRange(InvalidTransaction):
    """The upload has no chunk with this index."""


class ChunkSizeMismatch(InvalidTransaction):
    """Every chunk but the last is full, and the last ends where the blob does."""


class ChunkRepeated(InvalidTransaction):
    """This chunk of the upload has already come."""


class UploadSizeMismatch(InvalidTransaction):
    """The upload was begun with another size."""


class PartKnown(InvalidTransaction):
    """A data part with this commitment is already published."""


class ScoreKnown(InvalidTransaction):
    """The ledger already holds this version's score on this part."""


class TooManyRows(InvalidTransaction):
    """More rows, or more answers, than one inference may have."""
