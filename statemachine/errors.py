"""The errors of the state machine: rules that a transaction can break, and reasons not to judge it yet.

InvalidTransaction   raised before the transaction is applied: no block may hold it;
                     raised while it is applied: a block may hold it, with a FAILED receipt
InvalidInput         BadRules: constants that no chain can run under
InvalidProof         LineBroken: what somebody says a network is made of
NotReady             MissingBlob, UpgradeRequired
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput, InvalidProof, InvalidTransaction, NotReady


class BadRules(InvalidInput):
    """The constants of the state machine contradict each other, or are too large for the records."""


class MissingBlob(NotReady):
    """The chain knows these bytes, but this node does not have them: it deleted them or is still syncing."""


class LineBroken(InvalidProof):
    """Additions do not follow each other, from a whole network to its last growth."""


class UpgradeRequired(NotReady):
    """From this height on, the chain uses a transaction type that this software does not have."""


class MissingRecord(InvalidTransaction):
    """The state holds no such record.

    The code of an instance is `missing_` followed by the kind of record, such as `missing_round`.
    """

    def __init__(self, kind: str, key: bytes) -> None:
        super().__init__(f"the state holds no such {kind}", got=key)
        self.code = f"missing_{kind}"


class WrongChain(InvalidTransaction):
    """The transaction was signed for another chain."""


class NonceMismatch(InvalidTransaction):
    """The nonce is not the number of the sender's transactions that have been included before."""


class FeeTooLow(InvalidTransaction):
    """The most that the sender will pay is below the minimum fee at the present base, plus the tip."""


class InsufficientBalance(InvalidTransaction):
    """The balance does not cover what this spends: have coins sent to the account, or mine some. On a chain
    of `engram run --dev` the key `dev` has coins.
    """


class TransactionTooLarge(InvalidTransaction):
    """The encoded transaction has more bytes than any block accepts."""


class UnknownTransactionType(InvalidTransaction):
    """No transaction type has this number."""


class NotActivated(InvalidTransaction):
    """The transaction type is not in force at this height."""


class TransactionTooHeavy(InvalidTransaction):
    """The transaction costs more multiply-accumulates than any block may hold."""


class BlockBytesExceeded(InvalidTransaction):
    """The bytes left in the block are too few for the transaction."""


class BlockTransactionsExceeded(InvalidTransaction):
    """The block already holds as many transactions as the rules allow."""


class BlockMacsExceeded(InvalidTransaction):
    """The MACs left in the block are too few for the transaction."""


class AmountZero(InvalidTransaction):
    """The amount is zero, so nothing would be moved."""


class ClaimRangeInvalid(InvalidTransaction):
    """The heights of the claim are in the wrong order, too many, or not reached yet."""


class NothingToClaim(InvalidTransaction):
    """The sender has no mature reward in this range of heights."""


class UnknownBlob(InvalidTransaction):
    """No transaction of this chain has brought the bytes with this content id."""


class BlobNotUsable(InvalidTransaction):
    """The bytes or the version came with this very block; transactions can name them from the next one on."""


class BlobExpired(InvalidTransaction):
    """No record has named these bytes for so long that nodes may have deleted them."""


class BlobKnown(InvalidTransaction):
    """The chain already holds these bytes."""


class BlobTooLarge(InvalidTransaction):
    """The declared size is zero or more than a blob may have."""


class BlobHashMismatch(InvalidTransaction):
    """The chunks, joined together, do not have the content id that the upload gave."""


class ChunkIndexOutOfRange(InvalidTransaction):
    """The upload has no chunk with this index."""


class ChunkSizeMismatch(InvalidTransaction):
    """The chunk has a wrong size: all chunks but the last are full, and the last has what remains."""


class ChunkRepeated(InvalidTransaction):
    """This chunk of the upload has arrived before."""


class UploadSizeMismatch(InvalidTransaction):
    """The upload was begun with another size."""


class PartKnown(InvalidTransaction):
    """A data part with this commitment is already published."""


class ScoreKnown(InvalidTransaction):
    """The ledger already holds this version's score on this part."""


class TooManyRows(InvalidTransaction):
    """The inference asks for more rows, or more logits, than one inference may have."""
