"""Leaves of rounds: what a transaction of a round can violate. No logic.

Raised before anything is applied, they keep the transaction out of every block. Of a part or update that its
sender committed to, they become the code of a FAILED receipt, and the bond is gone.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidTransaction


class TermsInvalid(InvalidTransaction):
    """A term of the round or of the founding is outside the rules."""


class ModelOrFounding(InvalidTransaction):
    """A round is opened on exactly one of a model and a founding."""


class RoundAlreadyOpen(InvalidTransaction):
    """The model has an open round."""


class OpeningRestricted(InvalidTransaction):
    """Only the founder of this model opens rounds on it."""


class ModelFrozen(InvalidTransaction):
    """The model has been frozen: it grows, and is not trained again."""


class ModelNotFrozen(InvalidTransaction):
    """The model has never been frozen, so it cannot grow yet."""


class LossAboveThreshold(InvalidTransaction):
    """The model's loss is above its threshold, so it takes no new classes."""


class BondTooLow(InvalidTransaction):
    """The bond is below its minimum; an opener's doubles with each recent abort of the model."""


class StepTooHeavy(InvalidTransaction):
    """One scoring step of the round could not fit a block."""


class CommitmentRepeated(InvalidTransaction):
    """A part's commitment stands in the round already, or was opened on this chain before."""


class RoundEnded(InvalidTransaction):
    """The round is decided, kept or aborted."""


class WrongPhase(InvalidTransaction):
    """The round does not accept this at this height."""


class NothingDue(InvalidTransaction):
    """No deadline of the round has passed unsettled."""


class NotTheOpener(InvalidTransaction):
    """Only the opener of the round may send this."""


class NotAnAuditor(InvalidTransaction):
    """The opener did not name the sender as an auditor of the round."""


class AlreadySealed(InvalidTransaction):
    """The auditor has already sealed a part in this round."""


class DrawNonceMismatch(InvalidTransaction):
    """The nonce is not the one that the opener committed to."""


class PartNotDrawn(InvalidTransaction):
    """The part is not among those that the draw asks this sender to open in this phase."""


class PartOpened(InvalidTransaction):
    """The part has already been opened in this round."""


class CommitmentMismatch(InvalidTransaction):
    """Salt and bytes are not what the commitment was made of."""


class PartRepeated(InvalidTransaction):
    """Another opened part of the round holds the same bytes."""


class CommitRepeated(InvalidTransaction):
    """The author has already committed in this epoch."""


class EpochFull(InvalidTransaction):
    """The epoch has as many commits as the rules allow."""


class SlotOutsideWindow(InvalidTransaction):
    """The reserved height lies outside the epoch's update window."""


class ReservationFull(InvalidTransaction):
    """The height has no bytes or multiply-accumulates left to reserve."""


class CommitMissing(InvalidTransaction):
    """The sender has no open commit in this epoch of the round."""


class CommitMismatch(InvalidTransaction):
    """The revealed claim and salt are not what the sender committed to."""


class BaseMismatch(InvalidTransaction):
    """The update stands on other parameters than those of the version it means to improve."""


class ParametersMismatch(InvalidTransaction):
    """The revealed update does not make the parameters that were committed to."""


class LossMismatch(InvalidTransaction):
    """The loss that the update claims is not the loss that it has."""


class UpdateKindMismatch(InvalidTransaction):
    """A TRAIN round takes whole networks, a GROW round takes growths."""


class ArchitectureMismatch(InvalidTransaction):
    """A TRAIN update may change shifts and parameters, not shapes and wiring."""


class NewClassesMismatch(InvalidTransaction):
    """The growth teaches another number of classes than the round asks for."""


class UpdateTooLarge(InvalidTransaction):
    """The encoded update has more bytes than the round allows."""


class UpdateTooWide(InvalidTransaction):
    """The update has more neurons than the round allows."""


class UpdateTooHeavy(InvalidTransaction):
    """Scoring the update on one part costs more multiply-accumulates than the round allows."""


class TensorRepeated(InvalidTransaction):
    """A tensor travels twice in one transaction, or no segment of the update names it."""


class PartNotRetained(InvalidTransaction):
    """The part is not among the retention parts of the model."""


class RetentionScored(InvalidTransaction):
    """The candidate has already been scored on this retention part."""
