"""Leaves of the state machine: what a transaction can violate, and what keeps a node from judging one.

InvalidTransaction   no block may hold it; or, raised while it is applied, its receipt is FAILED
InvalidInput         BadRules: constants that no chain can run under
NotReady             MissingBlob · UpgradeRequired
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput, InvalidTransaction, NotReady


class BadRules(InvalidInput):
    """The constants of the state machine contradict each other or what records can hold."""

    code = "bad_rules"


class MissingBlob(NotReady):
    """The chain knows these bytes, but this node does not hold them: pruned, or still syncing."""

    code = "missing_blob"


class UpgradeRequired(NotReady):
    """The chain uses a transaction type from this height on that this software does not have."""

    code = "upgrade_required"


class MissingRecord(InvalidTransaction):
    """The state holds no such record. The code of an instance is `missing_` and the kind of record."""

    code = "missing_record"

    def __init__(self, kind: str, key: bytes) -> None:
        super().__init__(f"the state holds no such {kind}", expected=key)
        self.code = f"missing_{kind}"


class WrongChain(InvalidTransaction):
    """The transaction was signed for another chain."""

    code = "wrong_chain"


class NonceMismatch(InvalidTransaction):
    """The nonce is not the number of transactions its sender has had included."""

    code = "nonce_mismatch"


class FeeTooLow(InvalidTransaction):
    """The fee is below the price of the transaction's bytes, work and records."""

    code = "fee_too_low"


class InsufficientBalance(InvalidTransaction):
    """The balance does not cover what the transaction spends."""

    code = "insufficient_balance"


class TransactionTooLarge(InvalidTransaction):
    """The encoded transaction has more bytes than any block accepts."""

    code = "transaction_too_large"


class UnknownTransactionType(InvalidTransaction):
    """No transaction type has this number."""

    code = "unknown_transaction_type"


class NotActivated(InvalidTransaction):
    """The transaction type is not in force at this height."""

    code = "not_activated"


class TransactionTooHeavy(InvalidTransaction):
    """The transaction costs more multiply-accumulates than any block may hold."""

    code = "transaction_too_heavy"


class BlockBytesExceeded(InvalidTransaction):
    """The block's free bytes, less those reserved for reveals, do not hold the transaction."""

    code = "block_bytes_exceeded"


class BlockTransactionsExceeded(InvalidTransaction):
    """The block holds as many transactions as the rules allow."""

    code = "block_transactions_exceeded"


class BlockMacsExceeded(InvalidTransaction):
    """The block's free multiply-accumulates, less those reserved for reveals, do not hold the transaction."""

    code = "block_macs_exceeded"


class AmountZero(InvalidTransaction):
    """An amount of zero moves nothing."""

    code = "amount_zero"


class ClaimRangeInvalid(InvalidTransaction):
    """The heights of a claim are reversed, too many, or not yet reached."""

    code = "claim_range_invalid"


class NothingToClaim(InvalidTransaction):
    """The sender has no mature reward in this range of heights."""

    code = "nothing_to_claim"


class UnknownBlob(InvalidTransaction):
    """No transaction of this chain has brought these bytes."""

    code = "unknown_blob"


class BlobNotUsable(InvalidTransaction):
    """The bytes, or the version, came with this very block; they can be named from the next one on."""

    code = "blob_not_usable"


class BlobExpired(InvalidTransaction):
    """Nothing has referred to these bytes for so long that nodes may have dropped them."""

    code = "blob_expired"


class BlobKnown(InvalidTransaction):
    """The chain already holds these bytes."""

    code = "blob_known"


class BlobTooLarge(InvalidTransaction):
    """The declared size is zero or beyond the limit of a blob."""

    code = "blob_too_large"


class BlobHashMismatch(InvalidTransaction):
    """The completed chunks are not the bytes that the upload was named after."""

    code = "blob_hash_mismatch"


class ChunkIndexOutOfRange(InvalidTransaction):
    """The upload has no chunk with this index."""

    code = "chunk_index_out_of_range"


class ChunkSizeMismatch(InvalidTransaction):
    """Every chunk but the last is full, and the last ends where the blob does."""

    code = "chunk_size_mismatch"


class ChunkRepeated(InvalidTransaction):
    """This chunk of the upload has already come."""

    code = "chunk_repeated"


class UploadSizeMismatch(InvalidTransaction):
    """The upload was begun with another size."""

    code = "upload_size_mismatch"


class PartKnown(InvalidTransaction):
    """A data part with this commitment is already published."""

    code = "part_known"


class ScoreKnown(InvalidTransaction):
    """The ledger already holds this version's score on this part."""

    code = "score_known"


class TooManyRows(InvalidTransaction):
    """More rows, or more answers, than one inference may have."""

    code = "too_many_rows"
