"""The exception tree of the whole package: families here, leaves in each package's own `errors.py`.

A family says what to do about an error; the shell decides by it whom to blame, what to try again, and when to
stop. A leaf says which fact was violated. Its `code` is stable, so RPC clients and tests may rely on it. The
first paragraph of its docstring is its message, unless the place that raises it gives a more exact one.

    ChainError
    ├ Invalid                  a peer or a user is wrong, for every node alike and for ever; the verdict may
    │ │                        be remembered and counted against a peer
    │ ├ CodecError             NonCanonical · Truncated · TooLarge · WrongType · OutOfRange · WrongArity
    │ │                        UnknownTag · BadPacking
    │ ├ InvalidKey             BadPublicKey · BadSignature · BadAddress
    │ ├ InvalidProof           ListProofMismatch · SmtProofMismatch · MalformedProof; consensus/errors.py
    │ ├ InvalidTransaction     leaves in statemachine/errors.py, statemachine/rounds/errors.py
    │ ├ InvalidNetwork         leaves in nn/errors.py
    │ ├ InvalidHeader          ┐
    │ ├ InvalidBody            ├ leaves in consensus/errors.py
    │ ├ InvalidExecution       ┘
    │ └ InvalidInput           a user's file or argument; the leaves stand in the package that reads it
    ├ NotReady                 this node cannot judge yet and nobody is to blame; it tries again later
    ├ StorageError             this node's own disk; the node stops, and the message says what to do
    └ leaves                   of node/errors.py and participant/errors.py: why a command ended

An `AssertionError` is a bug in this software; nothing catches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram.primitives.coins import format_coins

_SHOWN_BYTES = 32
IN_SPARKS: frozenset[str] = frozenset(
    {
        *("bond_above_limit", "bond_too_low", "fee_above_limit", "fee_too_low"),
        *("insufficient_balance", "replacement_fee"),
    }
)
"""Codes of errors that tell two amounts of sparks. Their text, which people read, has them in coins."""


class ChainError(Exception):
    """The chain refuses this or cannot do it."""

    code: str = "chain"
    """Stable for clients: the class's name in snake case, unless the class says otherwise."""

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = _snake_case(cls.__name__)

    def __init__(self, message: str = "", *, expected: object = None, got: object = None) -> None:
        self.message = message or _first_paragraph(type(self))
        self.expected = expected
        self.got = got
        self.read: tuple[object, object] | None = None
        """`expected` and `got` as people read them, where this differs: addresses as addresses."""
        super().__init__(self.message)

    def __str__(self) -> str:
        """The message, followed by what was expected and what was found, unless it says both itself.

        Amounts are in coins; in `expected` and `got` they are in sparks.
        """
        show = _amount if self.code in IN_SPARKS else _show
        facts = [(name, value) for name, value in self._facts() if value is not None]
        if all(_is_told(value, self.message) for _, value in facts):
            return self.message
        return f"{self.message} ({', '.join(f'{name} {show(value)}' for name, value in facts)})"

    def to_json(self) -> dict[str, object]:
        """The error as JSON values: `code`, `message`, `expected`, `got`; bytes as lower-case hex."""
        return {
            "code": self.code,
            "message": self.message,
            "expected": _json_value(self.expected),
            "got": _json_value(self.got),
        }

    def _facts(self) -> tuple[tuple[str, object], tuple[str, object]]:
        expected, got = self.read or (self.expected, self.got)
        return (("expected", expected), ("got", got))


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _first_paragraph(cls: type) -> str:
    return " ".join((cls.__doc__ or cls.__name__).partition("\n\n")[0].split()).rstrip(".")


def _show(value: object) -> str:
    if isinstance(value, bytes):
        shown = value[:_SHOWN_BYTES].hex()
        return shown if len(value) <= _SHOWN_BYTES else f"{shown}… ({len(value)} bytes)"
    if isinstance(value, list):
        return ", ".join(map(_show, value)) or "none"
    return str(value)


def _is_told(value: object, message: str) -> bool:
    """Whether a message holds this value, or each of these, as a word or a number of its own."""
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_told(item, message) for item in value)
    forms = {_show(value), f"{value:,}" if type(value) is int else _show(value)}
    return any(
        form and re.search(rf"(?<![\w.,-]){re.escape(form)}(?![\w-]|[.,]\w)", message) for form in forms
    )


def _amount(value: object) -> str:
    return f"{format_coins(value)} coins" if isinstance(value, int) else _show(value)


def _json_value(value: object) -> object:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return [_json_value(item) for item in value]
    return str(value)


class Invalid(ChainError):
    """The peer or the user is wrong, and every node would say so."""


class NotReady(ChainError):
    """This node cannot judge yet: something that it needs for that has not arrived."""


class StorageError(ChainError):
    """This node's own disk does not hold what it should."""

    code = "storage"


class CodecError(Invalid):
    """The value is not the one canonical form of its type."""

    code = "codec"


class InvalidTransaction(Invalid):
    """The transaction breaks a rule, so no block may hold it."""


class InvalidHeader(Invalid):
    """The block header breaks a rule."""


class InvalidBody(Invalid):
    """The block body breaks a rule or does not belong to its header."""


class InvalidExecution(Invalid):
    """Executing the block does not give what its header claims."""


class InvalidNetwork(Invalid):
    """The network, its parameters or its data break a rule."""


class InvalidKey(Invalid):
    """The key, signature or address is not acceptable."""


class InvalidProof(Invalid):
    """The proof does not prove its claim."""


class InvalidInput(Invalid):
    """A user's file or argument cannot be used."""


class NonCanonical(CodecError):
    """The bytes are not the shortest form of the value, or bytes follow it."""


class Truncated(CodecError):
    """The bytes end before the value does."""


class TooLarge(CodecError):
    """There are more bytes than the reader accepts."""


class WrongType(CodecError):
    """The value has another type than the field."""


class OutOfRange(CodecError):
    """A number or a length lies outside its range."""


class WrongArity(CodecError):
    """A record has more or fewer fields than its type."""


class UnknownTag(CodecError):
    """No member of the union has this tag."""


class BadPacking(CodecError):
    """The bytes are no packed form of others."""


class BadPublicKey(InvalidKey):
    """The public key is not the canonical encoding of a point of large order."""


class BadSignature(InvalidKey):
    """The signature is malformed or does not verify."""


class BadAddress(InvalidKey):
    """The address text is malformed."""


class ListProofMismatch(InvalidProof):
    """The root that follows from the list proof is not the expected one."""


class SmtProofMismatch(InvalidProof):
    """The root that follows from the tree proof is not the expected one."""


class MalformedProof(InvalidProof):
    """The proof cannot belong to any tree."""


FAMILIES: frozenset[type[ChainError]] = frozenset(
    {
        ChainError,
        Invalid,
        NotReady,
        StorageError,
        CodecError,
        InvalidTransaction,
        InvalidHeader,
        InvalidBody,
        InvalidExecution,
        InvalidNetwork,
        InvalidKey,
        InvalidProof,
        InvalidInput,
    }
)
"""The classes that the shell catches; every other error class is a leaf with a code of its own."""


def error_classes() -> Iterator[type[ChainError]]:
    """Every error class defined by the modules imported so far, the root first."""
    pending: list[type[ChainError]] = [ChainError]
    while pending:
        cls = pending.pop()
        yield cls
        pending.extend(cls.__subclasses__())


def all_error_codes() -> dict[str, list[type[ChainError]]]:
    """Code -> the classes that have it, over every module imported so far.

    Each code should belong to exactly one class. A leaf that sets no code inherits its family's, and so shows
    up here beside its family.
    """
    codes: dict[str, list[type[ChainError]]] = {}
    for cls in dict.fromkeys(error_classes()):
        codes.setdefault(cls.code, []).append(cls)
    return codes
