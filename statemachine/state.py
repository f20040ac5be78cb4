"""The working view of the state: an immutable tree, and an overlay of changed records on top. No rules.

A state can have children. A child sees its parent, and the parent does not see the child's changes until it
absorbs them. Code that fails just drops its child, and nothing has to be undone. Records are encoded and
paths hashed only once, at `commit`.

    place in the tree   tagged_hash(Tag.KEY, KIND ‖ key)          value there   KIND ‖ encode(record)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar, cast

from engram.primitives import smt
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError, UnknownTag
from engram.primitives.hashing import Tag, tagged_hash
from engram.primitives.types import Address, Hash
from engram.statemachine.errors import MissingRecord
from engram.statemachine.record import Record
from engram.statemachine.records import Account

R = TypeVar("R", bound=Record)

_KIND_BYTES: Final = tuple(bytes([kind]) for kind in range(256))
_UNKNOWN: Final = object()


def record_path(cls: type[Record], *key_parts: bytes) -> Hash:
    """The tree key of a record: 32 bytes, from its kind and the parts of its key in order."""
    return tagged_hash(Tag.KEY, _KIND_BYTES[cls.KIND], *key_parts)


def read_leaf(cls: type[R], raw: bytes) -> R:
    """The record of this class that a tree leaf holds. Raises `CodecError`."""
    if raw[:1] != _KIND_BYTES[cls.KIND]:
        raise UnknownTag("the leaf holds another kind of record", expected=cls.KIND, got=raw[:1])
    return decode(cls, raw[1:])


def leaf_value(record: Record) -> bytes:
    """The bytes of a record in the tree. Raises `CodecError` when a field breaks its rule."""
    return _KIND_BYTES[record.KIND] + encode(record)


class State:
    """The records under a tree root, with this state's own changes on top."""

    __slots__ = ("_base", "_overlay", "_parent")

    def __init__(self, reader: smt.NodeReader, root: Hash) -> None:
        """The state under `root`, whose nodes `reader` holds; nothing is changed yet."""
        self._base = _Base(reader, root)
        self._parent: State | None = None
        self._overlay: dict[bytes, Record | None] = {}

    def find(self, cls: type[R], *key_parts: bytes) -> R | None:
        """The record of this class whose key is the joined parts, or None."""
        name = b"".join((_KIND_BYTES[cls.KIND], *key_parts))
        state: State | None = self
        while state is not None:
            record = state._overlay.get(name, _UNKNOWN)
            if record is not _UNKNOWN:
                return cast("R | None", record)
            state = state._parent
        return cast("R | None", self._base.load(cls, name))

    def get(self, cls: type[R], *key_parts: bytes) -> R:
        """The record of this class whose key is the joined parts. Raises `MissingRecord`."""
        record = self.find(cls, *key_parts)
        if record is None:
            raise MissingRecord(_snake_case(cls.__name__), b"".join(key_parts))
        return record

    def account(self, address: Address) -> Account:
        """The account of an address; an empty one if there is no record."""
        return self.find(Account, address) or Account(address)

    def put(self, record: Record) -> None:
        """Sets the record at its own key."""
        self._overlay[_KIND_BYTES[record.KIND] + record.key] = record

    def delete(self, record: Record) -> None:
        """Removes the record at this record's key."""
        self._overlay[_KIND_BYTES[record.KIND] + record.key] = None

    def child(self) -> State:
        """A new state that sees this one; this one does not see the new one's changes."""
        child = object.__new__(State)
        child._base = self._base
        child._parent = self
        child._overlay = {}
        return child

    def absorb(self, child: State) -> None:
        """Takes over the changes of a child of this state."""
        assert child._parent is self, "callers make the child from this very state"
        self._overlay.update(child._overlay)

    def changes(self) -> dict[Hash, bytes | None]:
        """Tree key -> leaf value of every record set since the root, and None for every one removed.

        A record that was made and removed since the root never was, so it is not named.
        """
        merged: dict[bytes, Record | None] = {}
        layers = [self]
        while (parent := layers[-1]._parent) is not None:
            layers.append(parent)
        for layer in reversed(layers):
            merged.update(layer._overlay)
        return {
            tagged_hash(Tag.KEY, name): None if record is None else _trusted_leaf(record)
            for name, record in merged.items()
            if record is not None or self._base.holds(name)
        }

    def commit(self, changes: Mapping[Hash, bytes | None] | None = None) -> tuple[Hash, dict[Hash, bytes]]:
        """The root of the tree with all changes in it, and its new nodes. This state itself is not changed.

        A caller that has called `changes()` already can pass the result as `changes`.
        """
        return smt.update(self._base.reader, self._base.root, self.changes() if changes is None else changes)


class _Base:
    """The records under one root; each is read and decoded only once."""

    __slots__ = ("_records", "reader", "root")

    def __init__(self, reader: smt.NodeReader, root: Hash) -> None:
        self.reader = reader
        self.root = root
        self._records: dict[bytes, Record | None] = {}

    def holds(self, name: bytes) -> bool:
        """Whether there is a record of this name."""
        if name in self._records:
            return self._records[name] is not None
        return smt.get(self.reader, self.root, tagged_hash(Tag.KEY, name)) is not None

    def load(self, cls: type[Record], name: bytes) -> Record | None:
        if name in self._records:
            return self._records[name]
        raw = smt.get(self.reader, self.root, tagged_hash(Tag.KEY, name))
        record = None if raw is None else read_leaf(cls, raw)
        self._records[name] = record
        return record


def _trusted_leaf(record: Record) -> bytes:
    """No transaction makes a record that is too large: `check_rules` keeps all sums within their types."""
    try:
        return leaf_value(record)
    except CodecError as error:
        raise AssertionError(f"a rule made a record that cannot be stored: {error}") from error


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
