"""What can be wrong with a participant's own files, data and plans. Leaves only; families stand in
`primitives.errors`.
"""

from __future__ import annotations

from engram.primitives.errors import ChainError, InvalidInput, NotReady


class DatasetNotFound(InvalidInput):
    """There is no data set at this path."""


class EmptyDataset(InvalidInput):
    """The data set holds no rows."""


class ForeignDataset(InvalidInput):
    """The file is not a data set that Engram can read."""


class FeatureOutOfRange(InvalidInput):
    """A feature is not a whole number from 0 to 255."""


class DatasetLabelOutOfRange(InvalidInput):
    """A label is not a whole number from 0 to 65,535."""


class ChecksumMismatch(InvalidInput):
    """A data file is not the published one: its SHA-256 differs."""


class NotEnoughRows(InvalidInput):
    """The data set has too few rows of some class for what is asked."""


class DatasetMismatch(InvalidInput):
    """The rows have another number of features than the model has inputs, or labels it does not know."""


class GrowthImpossible(InvalidInput):
    """A growth without new classes needs new neurons."""


class NoOpenRound(NotReady):
    """There is no open round to take part in: wait for one with --follow, or open one."""


class AlreadyPlaying(InvalidInput):
    """Another program takes part in this round with this key: let it go on, or end it first."""


class SecretsNotFound(InvalidInput):
    """The file with the salts, the nonce and the parts of a round is not there."""


class SecretsInvalid(InvalidInput):
    """The file with the salts, the nonce and the parts of a round cannot be read."""


class NothingRevealed(InvalidInput):
    """The round has not revealed any part yet: the opener does so after the draw."""


class ModelFileInvalid(InvalidInput):
    """The files are not a model that was pulled from a chain."""


class BondAboveLimit(InvalidInput):
    """The round asks for a higher bond than --max-bond allows."""


class FeeAboveLimit(InvalidInput):
    """Fees and prepaid scorings would exceed what --max-fee allows."""


class VersionMismatch(ChainError):
    """A version recomputed from its own bytes does not have the loss that the chain recorded: do not build
    on it.
    """


class TrainingFailed(ChainError):
    """Training did not give an update that the round would take as a candidate."""


class TrainingStopped(ChainError):
    """The training was stopped, because its caller no longer waits for the result."""


class RoundOver(ChainError):
    """The round is past the phase that this step belongs to."""


class RoundAborted(ChainError):
    """The round is aborted: the opener did not reveal in time, or revealed other data than committed to."""


class TransactionDropped(ChainError):
    """The transaction left the mempool without being included."""


class NotIncluded(NotReady):
    """No block has held the transaction yet; it may still be included: ask for its status, or wait longer."""


class UploadUnfinished(NotReady):
    """Some chunks of the upload are not on the chain: send it again, what is there is not sent twice."""


class TransactionRefused(ChainError):
    """The transaction was included and FAILED; its receipt names the reason."""

    def __init__(self, message: str, *, code: str, expected: object = None, got: object = None) -> None:
        super().__init__(message, expected=expected, got=got)
        self.code = code


class RecordMissing(ChainError):
    """The chain has no such record at the node's head."""


class BlobMismatch(ChainError):
    """The node sent something other than what was asked for: ask another node."""


class UnexpectedOutcome(ChainError):
    """The demonstration met something that the protocol or its story does not allow."""
