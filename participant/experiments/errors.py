"""Errors of experiments. The first line of each docstring is the message where the code gives no other."""

from __future__ import annotations

from engram.primitives.errors import ChainError, InvalidInput


class ExperimentUnknown(InvalidInput):
    """There is no experiment of this name: `engram experiment list` shows them."""


class CellUnknown(InvalidInput):
    """The experiment has no cell of this name."""


class CellFailed(ChainError):
    """Some cells failed; the same command goes on with them, and those that are finished are kept."""


class LibraryMissing(InvalidInput):
    """A library is missing that this needs: install it as the message says."""


class SchedulerUnreachable(ChainError):
    """No scheduler answers at this address: start one, or leave --scheduler out to work on this machine."""
