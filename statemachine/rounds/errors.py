"""Leaves of rounds: what a transaction of a round can violate. No logic.

Raised before anything is applied, they keep the transaction out of every block. Of a part or update that its
sender committed to, they become the code of a FAILED receipt, and the bond is gone.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidTransaction


class TermsInvalid(InvalidTransaction):
    """A term of the round or of the founding is outside the rules."""

    code = "terms_invalid"


class ModelOrFounding(InvalidTransaction):
    """A round is opened on exactly one of a model and a founding."""

    code = "model_or_founding"


class RoundAlreadyOpen(InvalidTransaction):
    """The model has an open round."""

    code = "round_already_open"


class OpeningRestricted(InvalidTransaction):
    """Only the founder of this model opens rounds on it."""

    code = "opening_restricted"


class ModelFrozen(InvalidTransaction):
    """The model has been frozen: it grows, and is not trained again."""

    code = "model_frozen"


class ModelNotFrozen(InvalidTransaction):
    """The model has never been frozen, so it cannot grow yet."""

    code = "model_not_frozen"


class LossAboveThreshold(InvalidTransaction):
    """The model's loss is above its threshold, so it takes no new classes."""

    code = "loss_above_threshold"


class BondTooLow(InvalidTransaction):
    """The bond is below its minimum; an opener's doubles with each recent abort of the model."""

    code = "bond_too_low"


class StepTooHeavy(InvalidTransaction):
    """One scoring step of the round could not fit a block."""

    code = "step_too_heavy"


class CommitmentRepeated(InvalidTransaction):
    """A part's commitment stands in the round already, or was opened on this chain before."""

    code = "commitment_repeated"


class RoundEnded(InvalidTransaction):
    """The round is decided, kept or aborted."""

    code = "round_ended"


class WrongPhase(InvalidTransaction):
    """The round does not accept this at this height."""

    code = "wrong_phase"


class NothingDue(InvalidTransaction):
    """No deadline of the round has passed unsettled."""

    code = "nothing_due"


class NotTheOpener(InvalidTransaction):
    """Only the opener of the round may send this."""

    code = "not_the_opener"


class NotAnAuditor(InvalidTransaction):
    """The opener did not name the sender as an auditor of the round."""

    code = "not_an_auditor"


class AlreadySealed(InvalidTransaction):
    """The auditor has sealed a part in this round."""

    code = "already_sealed"


class DrawNonceMismatch(InvalidTransaction):
    """The nonce is not the one that the opener committed to."""

    code = "draw_nonce_mismatch"


class PartNotDrawn(InvalidTransaction):
    """The part is not among those that the draw asks this sender to open in this phase."""

    code = "part_not_drawn"


class PartOpened(InvalidTransaction):
    """The part has been opened in this round."""

    code = "part_opened"


class CommitmentMismatch(InvalidTransaction):
    """Salt and bytes are not what the commitment was made of."""

    code = "commitment_mismatch"


class PartRepeated(InvalidTransaction):
    """Another opened part of the round holds the same bytes."""

    code = "part_repeated"


class CommitRepeated(InvalidTransaction):
    """The author has committed in this epoch."""

    code = "commit_repeated"


class EpochFull(InvalidTransaction):
    """The epoch has as many commits as the rules allow."""

    code = "epoch_full"


class SlotOutsideWindow(InvalidTransaction):
    """The reserved height lies outside the epoch's update window."""

    code = "slot_outside_window"


class ReservationFull(InvalidTransaction):
    """The height has no bytes or multiply-accumulates left to reserve."""

    code = "reservation_full"


class CommitMissing(InvalidTransaction):
    """The sender has no open commit in this epoch of the round."""

    code = "commit_missing"


class CommitMismatch(InvalidTransaction):
    """The revealed claim and salt are not what the sender committed to."""

    code = "commit_mismatch"


class BaseMismatch(InvalidTransaction):
    """The update stands on other parameters than those of the version it means to improve."""

    code = "base_mismatch"


class ParametersMismatch(InvalidTransaction):
    """The revealed update does not make the parameters that were committed to."""

    code = "parameters_mismatch"


class LossMismatch(InvalidTransaction):
    """The claimed loss is not the loss."""

    code = "loss_mismatch"


class UpdateKindMismatch(InvalidTransaction):
    """A TRAIN round takes whole networks, a GROW round takes growths."""

    code = "update_kind_mismatch"


class ArchitectureMismatch(InvalidTransaction):
    """A TRAIN update may change shifts and parameters, not shapes and wiring."""

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
    """A tensor travels twice in one transaction, or no segment of the update names it."""

    code = "tensor_repeated"


class PartNotRetained(InvalidTransaction):
    """The part is not among the retention parts of the model."""

    code = "part_not_retained"


class RetentionScored(InvalidTransaction):
    """The candidate has been scored on this retention part."""

    code = "retention_scored"
