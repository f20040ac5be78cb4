"""Errors of chains that begin with the state of another chain."""

from __future__ import annotations

from engram.primitives.errors import InvalidInput


class ForkUnreadable(InvalidInput):
    """The state of the other chain cannot be taken over."""


class OriginMissing(InvalidInput):
    """The chain began with the state of another one, which is in no block file: make it anew with --fork."""
