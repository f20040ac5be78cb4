"""The exception tree of the whole package: families here, leaves in each package's own `errors.py`.

The shell maps families to actions in one place (ban, park, stop); RPC and tests use `code`.

    ChainError
    ├ Invalid                  the peer or the user is wrong; deterministic, may be cached and scored
    │ ├ CodecError             NonCanonical · Truncated · TooLarge · WrongType · OutOfRange · WrongArity
    │ │                        UnknownTag
    │ ├ InvalidKey             BadPublicKey · BadSignature · BadAddress
    │ ├ InvalidProof           ListProofMismatch · SmtProofMismatch · MalformedProof; consensus/errors.py
    │ ├ InvalidTransaction     leaves in statemachine/errors.py, statemachine/rounds/errors.py
    │ ├ InvalidNetwork         leaves in nn/errors.py
    │ ├ InvalidHeader          ┐
    │ ├ InvalidBody            ├ leaves in consensus/errors.py
    │ ├ InvalidExecution       ┘
    │ └ InvalidInput           a user's file or argument; leaves where they are read
    ├ NotReady                 nobody is wrong; parked and retried
    ├ StorageError             our own disk; the node stops with the remedy in the message
    └ leaves                    of node/errors.py and participant/errors.py: what ended a command

`AssertionError` is our bug: it is never caught.
"""

from __future__ import annotations

from collections.abc import Iterator

_SHOWN_BYTES = 32


class ChainError(Exception):
    """Something the chain refuses or cannot do."""

    code: str = "chain"

    def __init__(self, message: str = "", *, expected: object = None, got: object = None) -> None:
        self.message = message or _first_line(type(self))
        self.expected = expected
        self.got = got
        super().__init__(self.message)

    def __str__(self) -> str:
        """The fact, then what was expected and what was met, where they are known."""
        facts = [f"{name} {_show(value)}" for name, value in self._facts() if value is not None]
        return f"{self.message} ({', '.join(facts)})" if facts else self.message

    def to_json(self) -> dict[str, object]:
        """The error as JSON values: `code`, `message`, `expected`, `got`; bytes as lower-case hex."""
        return {
            "code": self.code,
            "message": self.message,
            "expected": _json_value(self.expected),
            "got": _json_value(self.got),
        }

    def _facts(self) -> tuple[tuple[str, object], tuple[str, object]]:
        return (("expected", self.expected), ("got", self.got))


def _first_line(cls: type) -> str:
    return (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")


def _show(value: object) -> str:
    if isinstance(value, bytes):
        shown = value[:_SHOWN_BYTES].hex()
        return shown if len(value) <= _SHOWN_BYTES else f"{shown}… ({len(value)} bytes)"
    return str(value)


def _json_value(value: object) -> object:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return [_json_value(item) for item in value]
    return str(value)


class Invalid(ChainError):
    """The peer or the user is wrong, for every node alike."""

    code = "invalid"


class NotReady(ChainError):
    """Nobody is wrong: what is needed to judge has not arrived yet."""

    code = "not_ready"


class StorageError(ChainError):
    """Our own disk does not hold what it should."""

    code = "storage"


class CodecError(Invalid):
    """The value is not the one canonical form of its type."""

    code = "codec"


class InvalidTransaction(Invalid):
    """The transaction breaks a rule, so no block may hold it."""

    code = "invalid_transaction"


class InvalidHeader(Invalid):
    """The block header breaks a rule."""

    code = "invalid_header"


class InvalidBody(Invalid):
    """The block body breaks a rule or does not belong to its header."""

    code = "invalid_body"


class InvalidExecution(Invalid):
    """Executing the block does not give what its header claims."""

    code = "invalid_execution"


class InvalidNetwork(Invalid):
    """The network, its parameters or its data break a rule."""

    code = "invalid_network"


class InvalidKey(Invalid):
    """The key, signature or address is not acceptable."""

    code = "invalid_key"


class InvalidProof(Invalid):
    """The proof does not prove its claim."""

    code = "invalid_proof"


class InvalidInput(Invalid):
    """A user's file or argument cannot be used."""

    code = "invalid_input"


class NonCanonical(CodecError):
    """The bytes are not the shortest form of the value, or bytes follow it."""

    code = "non_canonical"


class Truncated(CodecError):
    """The bytes end before the value does."""

    code = "truncated"


class TooLarge(CodecError):
    """More bytes than the reader accepts."""

    code = "too_large"


class WrongType(CodecError):
    """A value of another type stands here."""

    code = "wrong_type"


class OutOfRange(CodecError):
    """A number or a length lies outside its range."""

    code = "out_of_range"


class WrongArity(CodecError):
    """A record has more or fewer fields than its type."""

    code = "wrong_arity"


class UnknownTag(CodecError):
    """No member of the union has this tag."""

    code = "unknown_tag"


class BadPublicKey(InvalidKey):
    """The public key is not the canonical encoding of a point of large order."""

    code = "bad_public_key"


class BadSignature(InvalidKey):
    """The signature is malformed or does not verify."""

    code = "bad_signature"


class BadAddress(InvalidKey):
    """The address text is malformed."""

    code = "bad_address"


class ListProofMismatch(InvalidProof):
    """The list proof leads to another root."""

    code = "list_proof_mismatch"


class SmtProofMismatch(InvalidProof):
    """The tree proof leads to another root, or its path to another leaf."""

    code = "smt_proof_mismatch"


class MalformedProof(InvalidProof):
    """The proof cannot belong to any tree."""

    code = "malformed_proof"


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
"""Classes that the shell catches; every other error is a leaf with a code of its own."""


def error_classes() -> Iterator[type[ChainError]]:
    """Every error class defined by the modules imported so far, the root first."""
    pending: list[type[ChainError]] = [ChainError]
    while pending:
        cls = pending.pop()
        yield cls
        pending.extend(cls.__subclasses__())


def all_error_codes() -> dict[str, list[type[ChainError]]]:
    """Code -> the classes that answer with it, over every module imported so far.

    A sound tree has exactly one class a code: a leaf that forgets its own code shows up beside its family.
    """
    codes: dict[str, list[type[ChainError]]] = {}
    for cls in dict.fromkeys(error_classes()):
        codes.setdefault(cls.code, []).append(cls)
    return codes
