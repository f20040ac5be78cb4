"""Errors of participants: with their files, data and plans, and in the course of a round.

The first line of each docstring is the message that the user sees where the code gives no other. The families
that the classes derive from stand in `primitives.errors`.
"""

from __future__ import annotations

from engram.primitives.errors import ChainError, InvalidInput, NotReady


class ForeignNode(InvalidInput):
    """The node that answers is of another chain than the data directory; to ask it anyway, use --rpc."""


class KeyMissing(InvalidInput):
    """This needs a key: open the chain with key=NAME, a key of the data directory, or for an account of a
    chain of `dev_node` with key=engram.dev_key(NAME).
    """


class AmountInvalid(InvalidInput, ValueError):
    """This is not an amount of coins."""


class PassphraseMissing(InvalidInput):
    """A passphrase is needed and there is no terminal to ask: set ENGRAM_PASSPHRASE or --passphrase-file."""


class IdNotFound(InvalidInput):
    """No model or round has an id that begins with these digits."""


class IdAmbiguous(InvalidInput):
    """Several ids begin with these digits: give more of them."""


class DatasetNotFound(InvalidInput):
    """There is no data set or data file at this path."""


class EmptyDataset(InvalidInput):
    """The data set holds no rows."""


class ForeignDataset(InvalidInput):
    """The file is not a data set that Engram can read."""


class FeatureOutOfRange(InvalidInput):
    """A feature is not a whole number from 0 to 255."""


class DatasetLabelOutOfRange(InvalidInput):
    """A label is not a whole number from 0 to 65,535."""


class ChecksumMismatch(InvalidInput):
    """The data file is not the published one: its SHA-256 differs."""


class NotEnoughRows(InvalidInput):
    """The data set has fewer rows than are asked for."""


class DatasetMismatch(InvalidInput):
    """The rows do not fit the model: their number of features or their labels differ from the model's."""


class OldRowsMissing(InvalidInput):
    """A part has fewer rows of old classes than the terms promise, so the chain would take it for broken."""


class NewRowsMissing(InvalidInput):
    """Nobody's rows could judge a class that the growth adds, or none could let an update take part."""


class GrowthImpossible(InvalidInput):
    """A growth must add something: new classes, new neurons or both."""


class TorchMissing(NotReady):
    """PyTorch, of the extra `torch`, is not installed."""


class DeviceMissing(InvalidInput):
    """PyTorch finds no such device on this machine."""


class NoOpenRound(NotReady):
    """There is no open round that still takes updates: wait for one with --follow, or open one."""


class ForeignRound(InvalidInput):
    """Another account has opened this round, and only its opener can play the opener's side."""


class RoundMissed(NotReady):
    """No epoch of the round was played, because its phases had passed: begin earlier, or use --follow."""


class AlreadyPlaying(InvalidInput):
    """Another program already plays this round with this key: let it go on, or end it first."""


class SecretsNotFound(InvalidInput):
    """The file with the secrets that are needed to reveal is missing."""


class SecretsInvalid(InvalidInput):
    """The file with the secrets that are needed to reveal is damaged."""


class NothingRevealed(InvalidInput):
    """No part of the round is revealed yet: the opener reveals parts after the chain has drawn them."""


class ModelFileInvalid(InvalidInput):
    """The files are not a model that `engram model pull` has written."""


class WeightsMismatch(InvalidInput):
    """The weights in the file are not those of the proven version: another version's, or changed ones."""


class BondAboveLimit(InvalidInput):
    """The round asks for a higher bond, or more bonds at one time, than --max-bond allows."""


class FeeAboveLimit(InvalidInput):
    """The fees and entries of this round would exceed what --max-fee allows."""


class VersionMismatch(ChainError):
    """The version's recomputed loss is not the loss that the chain has recorded: do not build on it."""


class TrainingStopped(ChainError):
    """The training was stopped because its caller was cancelled."""


class ClaimsNotActive(NotReady):
    """On this chain scores cannot be claimed and disputed yet, because its transaction types for that are
    not in force: found the model without `--verification disputed`.
    """


class ScoresClaimed(InvalidInput):
    """On this model each author claims the scores of their own updates, so nobody has them scored;
    `engram watch --confirm` confirms what authors have claimed.
    """


class ClaimedRowsMissing(ChainError):
    """The node has no block that holds what the author has claimed of this part, so nobody can dispute it
    through this node: watch through a node that has all blocks of the round.
    """


class RoundOver(ChainError):
    """The round has passed the phase in which this step is possible."""


class RoundAborted(ChainError):
    """The round is aborted: the opener did not reveal in time, or revealed data that the chain refused."""


class TransactionDropped(ChainError):
    """The node gave the transaction up before any block held it."""


class NotIncluded(NotReady):
    """No block holds the transaction yet; it may still be included: ask for its status, or wait longer."""


class UploadUnfinished(NotReady):
    """Some chunks of the upload are not on the chain: send it again; only what is missing is then sent."""


class TransactionRefused(ChainError):
    """A block holds the transaction, but it FAILED; its receipt gives the reason."""

    def __init__(self, message: str, *, code: str, expected: object = None, got: object = None) -> None:
        super().__init__(message, expected=expected, got=got)
        self.code = code


class RecordMissing(ChainError):
    """The chain, as far as the node knows it, has no such record."""


class BlobMismatch(ChainError):
    """The node sent other data than it was asked for: ask another node."""


class UnexpectedOutcome(ChainError):
    """Something in the demonstration turned out otherwise than the protocol promises."""
