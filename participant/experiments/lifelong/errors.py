"""Errors of the experiment `lifelong`. The first line of a docstring is the message."""

from __future__ import annotations

from engram.primitives.errors import ChainError


class GrowthRefused(ChainError):
    """The chain has not accepted a growth, in as many rounds as were tried."""
