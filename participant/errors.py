"""What can be wrong with a participant's own files, data and plans. Leaves only; families stand in
`primitives.errors`.
"""

from __future__ import annotations

from engram.primitives.errors import ChainError, InvalidInput, NotReady


class DatasetNotFound(InvalidInput):
    """There is no data set at this path."""

    code = "dataset_not_found"


class EmptyDataset(InvalidInput):
    """The data set holds no rows."""

    code = "empty_dataset"


class ForeignDataset(InvalidInput):
    """The file is not a data set that Engram can read."""

    code = "foreign_dataset"


class FeatureOutOfRange(InvalidInput):
    """A feature is not a whole number from 0 to 255."""

    code = "feature_out_of_range"


class DatasetLabelOutOfRange(InvalidInput):
    """A label is not a whole number from 0 to 65,535."""

    code = "dataset_label_out_of_range"


class ChecksumMismatch(InvalidInput):
    """A data file is not the published one: its SHA-256 differs."""

    code = "checksum_mismatch"


class NotEnoughRows(InvalidInput):
    """The data set has too few rows of some class for what is asked."""

    code = "not_enough_rows"


class DatasetMismatch(InvalidInput):
    """The rows do not have as many features as the model has inputs, or labels that it does not know."""

    code = "dataset_mismatch"


class GrowthImpossible(InvalidInput):
    """A growth without new classes needs new neurons."""

    code = "growth_impossible"


class NoOpenRound(NotReady):
    """No round is open that could be played: wait for one with --follow, or open one."""

    code = "no_open_round"


class AlreadyPlaying(InvalidInput):
    """Another program plays this round with this key: leave it to that one, or end it first."""

    code = "already_playing"


class SecretsNotFound(InvalidInput):
    """The file with the salts, the nonce and the parts of a round is not there."""

    code = "secrets_not_found"


class SecretsInvalid(InvalidInput):
    """The file with the salts, the nonce and the parts of a round cannot be read."""

    code = "secrets_invalid"


class NothingRevealed(InvalidInput):
    """The round has not revealed any part yet: the opener does so after the draw."""

    code = "nothing_revealed"


class ModelFileInvalid(InvalidInput):
    """The files are not a model that was pulled from a chain."""

    code = "model_file_invalid"


class BondAboveLimit(InvalidInput):
    """The round asks for a higher bond than --max-bond allows."""

    code = "bond_above_limit"


class FeeAboveLimit(InvalidInput):
    """Fees and prepaid scorings would exceed what --max-fee allows."""

    code = "fee_above_limit"


class VersionMismatch(ChainError):
    """A version recomputed from its own bytes does not have the loss that the chain recorded: do not build
    on it.
    """

    code = "version_mismatch"


class TrainingFailed(ChainError):
    """Training did not give an update that the round would take as a candidate."""

    code = "training_failed"


class TrainingStopped(ChainError):
    """Whoever waited for the training has gone."""

    code = "training_stopped"


class RoundOver(ChainError):
    """The round is past the phase that this step belongs to."""

    code = "round_over"


class RoundAborted(ChainError):
    """The round is aborted: the opener did not reveal in time, or his data were not what he committed to."""

    code = "round_aborted"


class TransactionDropped(ChainError):
    """The transaction left the mempool without being included."""

    code = "transaction_dropped"


class NotIncluded(NotReady):
    """No block has held the transaction yet; it may still be included: ask for its status, or wait longer."""

    code = "not_included"


class UploadUnfinished(NotReady):
    """Some chunks of the upload are not on the chain: send it again, what is there is not sent twice."""

    code = "upload_unfinished"


class TransactionRefused(ChainError):
    """The transaction was included and FAILED; its receipt names the reason."""

    code = "transaction_refused"

    def __init__(self, message: str, *, code: str, expected: object = None, got: object = None) -> None:
        super().__init__(message, expected=expected, got=got)
        self.code = code


class RecordMissing(ChainError):
    """The chain has no such record at the node's head."""

    code = "record_missing"


class BlobMismatch(ChainError):
    """The node sent something other than what was asked for: ask another node."""

    code = "blob_mismatch"


class UnexpectedOutcome(ChainError):
    """The demonstration met something that the protocol or its story does not allow."""

    code = "unexpected_outcome"
