"""The errors of rounds: rules that a transaction of a round can break.

If one is raised before the transaction is applied, no block can hold the transaction. If it is raised about a
part or an update to which the sender had committed, it becomes the code of a FAILED receipt, and the sender
loses the bond.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidTransaction


class TermsInvalid(InvalidTransaction):
    """A term of the round or of the founding is not allowed by the rules."""

    code = "terms_invalid"


class ModelOrFounding(InvalidTransaction):
    """A round needs either a model or a founding, and not both."""

    code = "model_or_founding"


class RoundAlreadyOpen(InvalidTransaction):
    """The model already has an open round."""

    code = "round_already_open"


class OpeningRestricted(InvalidTransaction):
    """Only the founder of this model may open rounds on it."""

    code = "opening_restricted"


class ModelFrozen(InvalidTransaction):
    """The model is frozen: it can grow, but it cannot be trained again."""

    code = "model_frozen"


class ModelNotFrozen(InvalidTransaction):
    """The model is not frozen yet, so it cannot grow."""

    code = "model_not_frozen"


class LossAboveThreshold(InvalidTransaction):
    """The model's loss is above its threshold, so it cannot learn new classes yet."""

    code = "loss_above_threshold"


class BondTooLow(InvalidTransaction):
    """The bond is below its minimum, which for the opener doubles with each recent abort of the model."""

    code = "bond_too_low"


class StepTooHeavy(InvalidTransaction):
    """One scoring step of the round could be too heavy for a block."""

    code = "step_too_heavy"


class CommitmentRepeated(InvalidTransaction):
    """The commitment of this part is already in the round, or was opened on this chain before."""

    code = "commitment_repeated"


class RoundEnded(InvalidTransaction):
    """The round has already ended."""

    code = "round_ended"


class WrongPhase(InvalidTransaction):
    """The round is in another phase at this height, in which it does not accept this transaction."""

    code = "wrong_phase"


class NothingDue(InvalidTransaction):
    """No step of the round is due at this height."""

    code = "nothing_due"


class NotTheOpener(InvalidTransaction):
    """Only the opener of the round may send this."""

    code = "not_the_opener"


class NotAnAuditor(InvalidTransaction):
    """The opener did not name the sender as an auditor of the round."""

    code = "not_an_auditor"


class AlreadySealed(InvalidTransaction):
    """The auditor has already sealed a part in this round."""

    code = "already_sealed"


class DrawNonceMismatch(InvalidTransaction):
    """The nonce is not the one that the opener committed to when the round opened."""

    code = "draw_nonce_mismatch"


class PartNotDrawn(InvalidTransaction):
    """The part is not among those that this sender has to open in this phase."""

    code = "part_not_drawn"


class PartOpened(InvalidTransaction):
    """The part has already been opened in this round."""

    code = "part_opened"


class CommitmentMismatch(InvalidTransaction):
    """The commitment was made of another salt or of other bytes."""

    code = "commitment_mismatch"


class PartRepeated(InvalidTransaction):
    """Another part that the same owner has opened in this round holds the same bytes."""

    code = "part_repeated"


class CommitRepeated(InvalidTransaction):
    """The author has already committed in this epoch."""

    code = "commit_repeated"


class EpochFull(InvalidTransaction):
    """The epoch already has as many commits as the rules allow."""

    code = "epoch_full"


class SlotOutsideWindow(InvalidTransaction):
    """The reserved height lies outside the epoch's update window."""

    code = "slot_outside_window"


class ReservationFull(InvalidTransaction):
    """The height has no bytes or multiply-accumulates left to reserve."""

    code = "reservation_full"


class CommitMissing(InvalidTransaction):
    """The sender has no commit in this epoch of the round that is still to be revealed."""

    code = "commit_missing"


class CommitMismatch(InvalidTransaction):
    """The revealed claim and salt are not what the sender committed to."""

    code = "commit_mismatch"


class BaseMismatch(InvalidTransaction):
    """The update is based on other parameters than those of the version that the round improves."""

    code = "base_mismatch"


class ParametersMismatch(InvalidTransaction):
    """The revealed update does not make the parameters that its author committed to."""

    code = "parameters_mismatch"


class LossMismatch(InvalidTransaction):
    """The claimed loss is not the loss that the update has."""

    code = "loss_mismatch"


class UpdateKindMismatch(InvalidTransaction):
    """The update has the wrong kind: a TRAIN round takes whole networks, a GROW round takes growths."""

    code = "update_kind_mismatch"


class ArchitectureMismatch(InvalidTransaction):
    """The update changes shapes or wiring: in TRAIN it may change shifts and parameters only."""

    code = "architecture_mismatch"


class NewClassesMismatch(InvalidTransaction):
    """The growth teaches another number of classes than the round asks for."""

    code = "new_classes_mismatch"


class UpdateTooLarge(InvalidTransaction):
    """The encoded update has more bytes than the round allows."""

    code = "update_too_large"


class UpdateTooWide(InvalidTransaction):
    """The update has more neurons than the round allows."""

    code = "update_too_wide"


class UpdateTooHeavy(InvalidTransaction):
    """Scoring the update on one part costs more multiply-accumulates than the round allows."""

    code = "update_too_heavy"


class TensorRepeated(InvalidTransaction):
    """A tensor is in the transaction twice, or no segment names it."""

    code = "tensor_repeated"


class PartNotRetained(InvalidTransaction):
    """The part is not among the retention parts of the model."""

    code = "part_not_retained"


class RetentionScored(InvalidTransaction):
    """The candidate has already been scored on this retention part."""

    code = "retention_scored"
