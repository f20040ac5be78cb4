"""Ids as people read them: their first digits, which are accepted in place of the whole."""

from __future__ import annotations

from typing import Final

SHORT_DIGITS: Final = 12


def short(identity: str) -> str:
    """The first digits of a hexadecimal id, which commands accept in its place; "-" for an id of zeros."""
    return identity[:SHORT_DIGITS] if identity.strip("0") else "-"
