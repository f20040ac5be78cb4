"""The errors of the state machine: rules that a transaction can break, and reasons not to judge it yet.

InvalidTransaction   raised before the transaction is applied: no block may hold it;
                     raised while it is applied: a block may hold it, with a FAILED receipt
InvalidInput         BadRules: constants that no chain can run under
NotReady             MissingBlob, UpgradeRequired
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput, InvalidTransaction, NotReady


class BadRules(InvalidInput):
    """The constants of the state machine contradict each other, or are too large for the records."""

    code = "bad_rules"


class MissingBlob(NotReady):
    """The chain knows these bytes, but this node does not have them: it deleted them or is still syncing."""

    code = "missing_blob"


class UpgradeRequired(NotReady):
    """From this height on, the chain uses a transaction type that this software does not have."""

    code = "upgrade_required"


class MissingRecord(InvalidTransaction):
    """The state holds no such record.

    The code of an instance is `missing_` followed by the kind of record, such as `missing_round`.
    """

    code = "missing_record"

    def __init__(self, kind: str, key: bytes) -> None:
        super().__init__(f"the state holds no such {kind}", expected=key)
        self.code = f"missing_{kind}"


class WrongChain(InvalidTransaction):
    """The transaction was signed for another chain."""

    code = "wrong_chain"


class NonceMismatch(InvalidTransaction):
    """The nonce is not the number of the sender's transactions that have been included before."""

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
    """The bytes left in the block, without those reserved for reveals, are too few for the transaction."""

    code = "block_bytes_exceeded"


class BlockTransactionsExceeded(InvalidTransaction):
    """The block already holds as many transactions as the rules allow."""

    code = "block_transactions_exceeded"


class BlockMacsExceeded(InvalidTransaction):
    """The MACs left in the block, without those reserved for reveals, are too few for the transaction."""

    code = "block_macs_exceeded"


class AmountZero(InvalidTransaction):
    """The amount is zero, so nothing would be moved."""

    code = "amount_zero"


class ClaimRangeInvalid(InvalidTransaction):
    """The heights of the claim are in the wrong order, too many, or not reached yet."""

    code = "claim_range_invalid"


class NothingToClaim(InvalidTransaction):
    """The sender has no mature reward in this range of heights."""

    code = "nothing_to_claim"


class UnknownBlob(InvalidTransaction):
    """No transaction of this chain has brought the bytes with this content id."""

    code = "unknown_blob"


class BlobNotUsable(InvalidTransaction):
    """The bytes or the version came with this very block; transactions can name them from the next one on."""

    code = "blob_not_usable"


class BlobExpired(InvalidTransaction):
    """No record has named these bytes for so long that nodes may have deleted them."""

    code = "blob_expired"


class BlobKnown(InvalidTransaction):
    """The chain already holds these bytes."""

    code = "blob_known"


class BlobTooLarge(InvalidTransaction):
    """The declared size is zero or more than a blob may have."""

    code = "blob_too_large"


class BlobHashMismatch(InvalidTransaction):
    """The chunks, joined together, do not have the content id that the upload gave."""

    code = "blob_hash_mismatch"


class ChunkIndexOutOfRange(InvalidTransaction):
    """The upload has no chunk with this index."""

    code = "chunk_index_out_of_range"


class ChunkSizeMismatch(InvalidTransaction):
    """The chunk has a wrong size: all chunks but the last are full, and the last has what remains."""

    code = "chunk_size_mismatch"


class ChunkRepeated(InvalidTransaction):
    """This chunk of the upload has arrived before."""

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
    """The inference asks for more rows, or more logits, than one inference may have."""

    code = "too_many_rows"
