"""Puts names in place of addresses: those that the keys of the data directory have there.

`Names` does so in what commands print, `People` in what a network says of its authors.

People read `alice (leng1gkx94dag…)`. With --json, the name stands beside the address: `author_name` beside
`author`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from engram.primitives.errors import ChainError

_ADDRESS: Final = re.compile(r"\b[a-z]{1,16}1[02-9ac-hj-np-z]{38}\b")
ACCOUNT_BYTES: Final = 20
_ACCOUNT: Final = re.compile(rf"[0-9a-f]{{{2 * ACCOUNT_BYTES}}}")
"""An account as a node's errors write it; ids have more digits."""
SHOWN: Final = 12
"""Letters of an address that stand beside its name."""
NOBODY: Final = "nobody"
SUFFIX: Final = "_name"
PAYLOAD: Final = "payload"
"""What a transaction says stays as it is: `engram tx sign` takes it."""


@dataclass(frozen=True)
class People:
    """Who stands behind the addresses of a chain, as far as this program knows."""

    hrp: str = ""
    """The first letters of addresses; empty for a network that is on no chain."""
    known: Mapping[str, str] = field(default_factory=dict)
    """Names, by address as text."""

    def address(self, raw: bytes) -> str:
        """An address as text, or in hexadecimal digits where no chain is known."""
        from engram.primitives.keys import format_address

        return format_address(raw, self.hrp) if self.hrp else raw.hex()

    @property
    def names(self) -> Names:
        """The same, for texts and tables."""
        return Names(lambda: self.known)

    def read(self, text: str) -> str:
        """A text in which names stand before the addresses that are known."""
        return str(self.names.for_people(text))

    def name(self, address: str | None) -> str | None:
        """The name of an address in text form; None if it is not known."""
        return None if address is None else self.known.get(address)


class Names:
    """The names of known addresses. `find` gives them, by address as text; it is asked once, when needed."""

    def __init__(self, find: Callable[[], Mapping[str, str]] = dict) -> None:
        self._find = find

    @cached_property
    def _known(self) -> Mapping[str, str]:
        return self._find()

    def for_people(self, value: Any) -> Any:
        """A copy of a value, lists and mappings among them, in which known addresses have their names."""
        match value:
            case str():
                return _ADDRESS.sub(self._shown, value)
            case Mapping():
                return {name: self.for_people(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self.for_people(inner) for inner in value]
            case _:
                return value

    def in_table(self, value: Any, *, cut: bool) -> Any:
        """As `for_people`, for a cell that holds an address and nothing else: the name alone.

        With `cut`, an address without a name is cut to its beginning.
        """
        if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
            return self.for_people(value)
        return self._known.get(value, f"{value[:SHOWN]}…" if cut else value)

    def called(self, address: str | None) -> str:
        """What a table calls whoever has an address: its name, else its beginning; nobody without one."""
        return NOBODY if address is None else self._known.get(address, f"{address[:SHOWN]}…")

    def for_programs(self, value: Any) -> Any:
        """A copy of a JSON value; beside each field that holds a known address stands its name."""
        if isinstance(value, list):
            return [self.for_programs(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        found = {}
        for key, inner in value.items():
            if key == PAYLOAD:
                found[key] = inner
                continue
            found[key] = self.for_programs(inner)
            if not isinstance(inner, str) or "name" in value or not _ADDRESS.fullmatch(inner):
                continue
            if (name := self._known.get(inner)) is not None:
                found[f"{key}{SUFFIX}"] = name
        return found

    def _shown(self, found: re.Match[str]) -> str:
        name = self._known.get(found[0])
        return found[0] if name is None else f"{name} ({found[0][:SHOWN]}…)"


def name_in(error: BaseException, people: People) -> None:
    """Puts names in place of the known addresses in the text of an error, and of those that it groups.

    Accounts that were expected or found are read as addresses. What an error has `expected` and `got` stays
    as it is, for programs.
    """
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            name_in(each, people)
    elif isinstance(error, ChainError):
        names = people.names
        error.message = names.for_people(error.message)
        error.read = (_readable(error.expected, people), _readable(error.got, people))


def tells_accounts(error: BaseException) -> bool:
    """Whether an error expected or found accounts, as bytes or digits, which `name_in` makes addresses."""
    if isinstance(error, BaseExceptionGroup):
        return any(tells_accounts(each) for each in error.exceptions)
    return isinstance(error, ChainError) and (_has_account(error.expected) or _has_account(error.got))


def _has_account(fact: object) -> bool:
    if isinstance(fact, list | tuple):
        return any(_has_account(item) for item in fact)
    if isinstance(fact, bytes):
        return len(fact) == ACCOUNT_BYTES
    return isinstance(fact, str) and _ACCOUNT.fullmatch(fact) is not None


def _readable(fact: object, people: People) -> object:
    """A fact of an error, in which the 20 bytes of an account are its address, with its name."""
    match fact:
        case list() | tuple() if _has_account(fact):
            return [_readable(item, people) for item in fact]
        case str() if _ACCOUNT.fullmatch(fact):
            return people.read(people.address(bytes.fromhex(fact)))
        case bytes() if len(fact) == ACCOUNT_BYTES:
            return people.read(people.address(fact))
        case str():
            return people.read(fact)
        case _:
            return fact


NO_PEOPLE: Final = People()
"""Of a network that is on no chain."""
