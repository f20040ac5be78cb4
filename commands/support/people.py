"""Names for addresses: those of the keystore where it knows them, else the ends of the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engram.commands.support.session import CommandSession

FIRST_LETTERS: Final = 6
LAST_LETTERS: Final = 4
NOBODY: Final = "nobody"


def people_of(session: CommandSession) -> Callable[[str | None], str]:
    """What to call whoever has an address, so that a table stays narrow; --json has the whole address."""
    names = {entry.address_text: entry.name for entry in session.key_entries()}

    def name(address: str | None) -> str:
        if address is None:
            return NOBODY
        return names.get(address) or short_address(address)

    return name


def short_address(address: str) -> str:
    """The first and the last letters of an address."""
    if len(address) <= FIRST_LETTERS + LAST_LETTERS:
        return address
    return f"{address[:FIRST_LETTERS]}…{address[-LAST_LETTERS:]}"
