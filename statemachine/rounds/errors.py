"""The errors of rounds: rules that a transaction of a round can break.

If one is raised before the transaction is applied, no block can hold the transaction. If it is raised about a
part or an update to which the sender had committed, it becomes the code of a FAILED receipt, and the sender
loses the bond.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidTransaction


class TermsInvalid(InvalidTransaction):
    """A term of the round or of the founding is not allowed by the rules."""


class GrowthAboveLimit(InvalidTransaction):
    """The growth takes more than the model's founding allows one growth to take."""


class ModelOrFounding(InvalidTransaction):
    """A round needs either a model or a founding, and not both."""


class ModelChanged(InvalidTransaction):
    """The model has another current version or other standing witnesses than the opener has seen."""


class RoundAlreadyOpen(InvalidTransaction):
    """The model already has an open round."""


class OpeningRestricted(InvalidTransaction):
    """Only the founder of this model may train it, and only its founder and members may grow it. A fork of it
    (`engram model fork`) is your own.
    """


class ModelFrozen(InvalidTransaction):
    """The model is frozen: it can grow, but it cannot be trained again."""


class ModelNotFrozen(InvalidTransaction):
    """The model is not frozen yet, so it cannot grow."""


class NothingToFeed(InvalidTransaction):
    """The model is frozen and, being strict or relative, keeps its classes as they are: growth must add some.
    A model that is to be taught anew is founded as gated, or with a threshold that it does not reach.
    """


class MemorySpent(InvalidTransaction):
    """The model's growths have lost as much as its founder allows: the founder must raise the limit first."""


class BondTooLow(InvalidTransaction):
    """The bond is below its minimum, which depends on the bounty or on the price of scoring an update."""


class StepTooHeavy(InvalidTransaction):
    """One step of the round could need more than half of a block's MACs."""


class CommitmentRepeated(InvalidTransaction):
    """The commitment of this part is already in the round, or was opened on this chain before."""


class RoundEnded(InvalidTransaction):
    """The round has already ended."""


class WrongPhase(InvalidTransaction):
    """The round is in another phase at this tick, in which it does not accept this transaction."""


class NothingDue(InvalidTransaction):
    """No step of the round is due at this tick."""


class NotTheOpener(InvalidTransaction):
    """Only the opener of the round may send this."""


class NotAWitness(InvalidTransaction):
    """Neither the terms of the round nor the model name the sender as a witness."""


class AlreadySealed(InvalidTransaction):
    """The witness has already sealed a part in this round."""


class DrawNonceMismatch(InvalidTransaction):
    """The nonce is not the one that the opener committed to when the round opened."""


class PartNotDrawn(InvalidTransaction):
    """The part is not among those that this sender has to open in this phase."""


class PartOpened(InvalidTransaction):
    """The part has already been opened in this round."""


class CommitmentMismatch(InvalidTransaction):
    """The commitment was made of another salt or of other bytes."""


class PartRepeated(InvalidTransaction):
    """Another part that the same owner has opened in this round holds the same bytes."""


class PartPublic(InvalidTransaction):
    """The bytes of the part were public before the round opened."""


class TooFewOldRows(InvalidTransaction):
    """The part holds fewer rows of old classes than the terms of the round promise."""


class CommitRepeated(InvalidTransaction):
    """The author has already committed in this epoch."""


class CommitMissing(InvalidTransaction):
    """The sender has no commit in this epoch of the round that is still to be revealed."""


class CommitMismatch(InvalidTransaction):
    """The revealed claim and salt are not what the sender committed to."""


class BaseMismatch(InvalidTransaction):
    """The update is based on other parameters than those of the version that the round improves."""


class ParametersMismatch(InvalidTransaction):
    """The revealed update does not make the parameters that its author committed to."""


class LossMismatch(InvalidTransaction):
    """The claimed loss is not the loss that the update has."""


class UpdateKindMismatch(InvalidTransaction):
    """The update has the wrong kind: a TRAIN round takes whole networks, a GROW round takes growths."""


class ArchitectureMismatch(InvalidTransaction):
    """The update changes shapes or wiring: in TRAIN it may change shifts and parameters only."""


class NewClassesMismatch(InvalidTransaction):
    """The growth teaches another number of classes than the round asks for."""


class UpdateTooLarge(InvalidTransaction):
    """The encoded update has more bytes than the round allows."""


class UpdateTooWide(InvalidTransaction):
    """The update has more neurons than the round allows."""


class UpdateTooHeavy(InvalidTransaction):
    """Scoring the update on one part costs more multiply-accumulates than the round allows."""


class TensorRepeated(InvalidTransaction):
    """A tensor is in the transaction twice, or no segment names it."""


class HalvesMisplaced(InvalidTransaction):
    """A union has two halves, authors ascending, and only from the second epoch on."""


class HalfMissing(InvalidTransaction):
    """The author of a half has no candidate in the first epoch of the round."""


class UnionMismatch(InvalidTransaction):
    """The growth, its sources or its halves are not those of the union of the candidates that it names."""


class HalfNotScored(InvalidTransaction):
    """A half of the union has not been scored on all parts: what it has removed alone must be known first."""


class PartsNotScorable(InvalidTransaction):
    """No part has one of these numbers, or one of them is listed twice, or the list is not ascending."""


class PartScored(InvalidTransaction):
    """The candidate has already been scored on all of these parts."""


class ClaimMisplaced(InvalidTransaction):
    """Scores are claimed where every node computes them, or are missing where the author must claim them."""


class ClaimMalformed(InvalidTransaction):
    """Claimed scores have not the bytes of their rows, or a loss that no row can have."""


class OtherPartsClaimed(InvalidTransaction):
    """The rows are claimed of other parts than those with these numbers: parts have opened in another order
    than on the branch for which this was made, so claim again.
    """


class OtherClaimDisputed(InvalidTransaction):
    """The dispute is about another version, update or part than the claim that stands here: it was made for
    another branch, so compute the claim of this one.
    """


class NotTheAuthor(InvalidTransaction):
    """On this model, only the author of an update may claim its scores."""


class ClaimDecided(InvalidTransaction):
    """The claim has been confirmed or refuted already."""


class ClaimUnfinished(InvalidTransaction):
    """The scores of some part have not been claimed yet."""


class WindowOpen(InvalidTransaction):
    """The claim can still be refuted: it can be confirmed at a later tick."""


class ChunkNotClaimed(InvalidTransaction):
    """There is no such chunk, or it is not what the author has claimed."""


class AuditMismatch(InvalidTransaction):
    """The chunks are not those that the audit has drawn."""


class ClaimHolds(InvalidTransaction):
    """The disputed chunk is what every node computes: the claim stands, the challenger loses a deposit."""


class NoImprovement(InvalidTransaction):
    """By what its author has claimed, the update is not below the baseline on the validation parts."""


class RoundRunning(InvalidTransaction):
    """The round has not ended yet."""


class NothingToWithdraw(InvalidTransaction):
    """The author has neither a commit nor a candidate in this epoch of the round."""


class NotTheFounder(InvalidTransaction):
    """Only the founder of the model may send this."""


class LimitLowered(InvalidTransaction):
    """The limit of what growths may lose can only be raised, at most to all rows."""


class PartNotRetained(InvalidTransaction):
    """The part is not among the retention parts of the model."""


class ForkStale(InvalidTransaction):
    """Only the current version of a model can be forked, and another one is current by now."""
