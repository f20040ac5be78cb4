"""Python source for one dataclass's reader and writer, generated from its schema; no bytes, no msgpack.

A node reads and writes dataclasses all the time, and walking through a schema for every value is slow. So the
schema is walked once for each class, to generate this pair of functions. What remains for each field of a
value is one read, one type test and one bound test:

    def write(o):                                    def read_1(take, count, is_nil):
        if type(o) is not cls: refuse_record(…)          v1 = take()
        v1 = o.amount                                    if type(v1) is not int or not 0 <= v1 <= …:
        if type(v1) is not int or not 0 <= v1 <= …:          refuse_int(v1, 'Transfer.amount', 0, …)
            refuse_int(v1, 'Transfer.amount', 0, …)      return cls(v1)
        return (v1,)

`write` returns the wire form (nested tuples and lists). `read_N` is called once the header of the record's
array has been read, which says that N fields follow. `take()` returns the next scalar, `count(where)` the
length of the array that comes next, and `is_nil()` says whether nil comes next.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from engram.primitives.errors import OutOfRange, UnknownTag, WrongArity, WrongType
from engram.primitives.schema import (
    BoolSchema,
    BytesSchema,
    IntSchema,
    ListSchema,
    OptionalSchema,
    RecordSchema,
    Schema,
    TextSchema,
    TupleSchema,
    UnionSchema,
    check_nesting,
    record,
    trailing,
)

Take = Callable[[], Any]
Count = Callable[[str], int]
IsNil = Callable[[], bool]
Read = Callable[[Take, Count, IsNil], Any]
_PLAIN: Final = (IntSchema, BytesSchema, TextSchema, BoolSchema)


@dataclass(frozen=True, slots=True)
class Functions:
    """The generated pair of one dataclass."""

    write: Callable[[object], tuple[object, ...]]
    """The checked wire form of an instance. Raises `CodecError`."""

    reads: Mapping[int, Read]
    """By the number of fields that stand in the array, which differs only if some of them are `Trailing`:
    reads them, after the array's header, and makes the instance. Raises `CodecError`."""

    @property
    def arity(self) -> int | str:
        """The number of fields that an array may hold, for errors; "a..b" if there are several."""
        return _span(self.reads)


def _span(counts: Iterable[int]) -> int | str:
    least, *_, most = sorted([*counts] * 2)
    return most if least == most else f"{least}..{most}"


def _compile(cls: type) -> Functions:
    fields = record(cls)
    check_nesting(cls)
    source = _Source({**_REFUSALS, "cls": cls})
    source.write_function(cls, fields)
    counts = range(len(fields) - len(trailing(cls)), len(fields) + 1)
    for count in counts:
        source.read_function(fields[:count])
    scope = source.scope
    name = f"<codec of {cls.__module__}.{cls.__qualname__}>"
    lines = [f"{line}\n" for line in source.lines]
    linecache.cache[name] = (sum(map(len, lines)), None, lines, name)  # a traceback shows the line
    exec(compile("".join(lines), name, "exec"), scope)
    return Functions(scope["write"], {count: scope[f"read_{count}"] for count in counts})


functions: Final[Callable[[type], Functions]] = cache(_compile)
"""The pair of a frozen dataclass, compiled once. Raises `TypeError` for a class without a canonical form."""


class _Source:
    """Lines of generated source and the objects that they name."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.lines: list[str] = []
        self._names = 0

    def write_function(self, cls: type, fields: tuple[tuple[str, Schema], ...]) -> None:
        self._line(0, "def write(o):")
        self._line(1, f"if type(o) is not cls: refuse_record(o, {cls.__qualname__!r}, {cls.__name__!r})")
        wires, values = [], []
        for name, schema in fields:
            value = self._fresh()
            self._line(1, f"{value} = o.{name}")
            wires.append(self._write(1, schema, value, f"{cls.__qualname__}.{name}"))
            values.append(value)
        for default in reversed(trailing(cls)):
            self._line(1, f"if {values.pop()} != {self._bind(default)}: {_return(wires)}")
            wires.pop()
        self._line(1, _return(wires))

    def read_function(self, fields: tuple[tuple[str, Schema], ...]) -> None:
        self._line(0, f"def read_{len(fields)}(take, count, is_nil):")
        where = self.scope["cls"].__qualname__
        values = [self._read(1, schema, f"{where}.{name}") for name, schema in fields]
        self._line(1, f"return cls({', '.join(values)})")

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def _fresh(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _bind(self, value: object) -> str:
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name

    def _check(self, depth: int, schema: Schema, value: str, where: str) -> None:
        """Adds lines that refuse `value` unless it is a plain value within its schema."""
        match schema:
            case IntSchema(lo, hi):
                test = f"type({value}) is not int or not {lo} <= {value} <= {hi}"
                self._line(depth, f"if {test}: refuse_int({value}, {where!r}, {lo}, {hi})")
            case BytesSchema(lo, hi):
                bad_size = f"len({value}) != {lo}" if lo == hi else f"not {lo} <= len({value}) <= {hi}"
                test = f"type({value}) is not bytes or {bad_size}"
                self._line(depth, f"if {test}: refuse_sized({value}, bytes, {where!r}, {lo}, {hi})")
            case TextSchema(lo, hi):
                self._line(depth, f"check_text({value}, {where!r}, {lo}, {hi})")
            case _:
                self._line(depth, f"if type({value}) is not bool: refuse_type({value}, bool, {where!r})")

    def _write(self, depth: int, schema: Schema, value: str, where: str) -> str:
        """Adds lines that check `value`; returns the expression of its wire form."""
        if isinstance(schema, _PLAIN):
            self._check(depth, schema, value, where)
            return value
        wire = self._fresh()
        match schema:
            case RecordSchema(cls):
                self._line(depth, f"{wire} = {self._bind(functions(cls).write)}({value})")
            case UnionSchema(members):
                writers = self._bind({cls: _tagged_writer(tag, cls) for tag, cls in members})
                names = "|".join(cls.__name__ for _, cls in members)
                self._line(depth, f"{wire} = {writers}.get(type({value}))")
                self._line(depth, f"if {wire} is None: refuse_record({value}, {where!r}, {names!r})")
                self._line(depth, f"{wire} = {wire}({value})")
            case OptionalSchema(inner):
                self._line(depth, f"{wire} = None")
                self._line(depth, f"if {value} is not None:")
                self._line(depth + 1, f"{wire} = {self._write(depth + 1, inner, value, where)}")
            case ListSchema(item, lo, hi):
                self._line(depth, f"if type({value}) is not tuple or not {lo} <= len({value}) <= {hi}:")
                self._line(depth + 1, f"refuse_sized({value}, tuple, {where!r}, {lo}, {hi})")
                self._write_items(depth, item, value, wire, where)
            case TupleSchema(items):
                size = len(items)
                test = f"type({value}) is not tuple or len({value}) != {size}"
                self._line(depth, f"if {test}: refuse_sized({value}, tuple, {where!r}, {size}, {size})")
                each = [self._fresh() for _ in items]
                self._line(depth, f"{', '.join(each)}, = {value}")
                wires = [
                    self._write(depth, item, name, f"{where}[{index}]")
                    for index, (item, name) in enumerate(zip(items, each, strict=True))
                ]
                self._line(depth, f"{wire} = ({', '.join(wires)},)")
        return wire

    def _write_items(self, depth: int, item: Schema, value: str, wire: str, where: str) -> None:
        each = self._fresh()
        if isinstance(item, _PLAIN):
            self._line(depth, f"for {each} in {value}:")
            self._check(depth + 1, item, each, where)
            self._line(depth, f"{wire} = {value}")
            return
        self._line(depth, f"{wire} = []")
        self._line(depth, f"for {each} in {value}:")
        self._line(depth + 1, f"{wire}.append({self._write(depth + 1, item, each, where)})")

    def _read(self, depth: int, schema: Schema, where: str) -> str:
        """Adds lines that read one value; returns the name of its variable."""
        value = self._fresh()
        match schema:
            case OptionalSchema(inner):
                self._read_optional(depth, inner, value, where)
            case RecordSchema(cls):
                known = functions(cls)
                read = self._fresh()
                self._line(depth, f"{value} = count({where!r})")
                self._line(depth, f"{read} = {self._bind(known.reads)}.get({value})")
                self._line(depth, f"if {read} is None: refuse_arity({value}, {where!r}, {known.arity!r})")
                self._line(depth, f"{value} = {read}(take, count, is_nil)")
            case UnionSchema(members):
                readers = self._bind({tag: functions(cls) for tag, cls in members})
                self._line(depth, f"{value} = count({where!r})")
                self._line(depth, f"{value} = member({readers}, {value}, take, {where!r})")
                self._line(depth, f"{value} = {value}(take, count, is_nil)")
            case ListSchema(item, lo, hi):
                refusal = f"refuse_length({{}}, {where!r}, {lo}, {hi})"
                count = self._count(depth, where, f"< {lo} or {{}} > {hi}", refusal)
                self._line(depth, f"{value} = []")
                self._line(depth, f"for _ in range({count}):")
                self._line(depth + 1, f"{value}.append({self._read(depth + 1, item, where)})")
                self._line(depth, f"{value} = tuple({value})")
            case TupleSchema(items):
                self._count(depth, where, f"!= {len(items)}", f"refuse_arity({{}}, {where!r}, {len(items)})")
                values = [self._read(depth, item, f"{where}[{index}]") for index, item in enumerate(items)]
                self._line(depth, f"{value} = ({', '.join(values)},)")
            case _:
                self._line(depth, f"{value} = take()")
                self._check(depth, schema, value, where)
        return value

    def _read_optional(self, depth: int, inner: Schema, value: str, where: str) -> None:
        if isinstance(inner, _PLAIN):
            self._line(depth, f"{value} = take()")
            self._line(depth, f"if {value} is not None:")
            self._check(depth + 1, inner, value, where)
            return
        self._line(depth, f"if is_nil(): {value} = take()")
        self._line(depth, "else:")
        self._line(depth + 1, f"{value} = {self._read(depth + 1, inner, where)}")

    def _count(self, depth: int, where: str, test: str, refusal: str) -> str:
        count = self._fresh()
        self._line(depth, f"{count} = count({where!r})")
        self._line(depth, f"if {count} {test.format(count)}: {refusal.format(count)}")
        return count


def _tagged_writer(tag: int, cls: type) -> Callable[[object], tuple[object, ...]]:
    write = functions(cls).write
    return lambda value: (tag, *write(value))


def _return(wires: list[str]) -> str:
    return f"return ({''.join(f'{wire}, ' for wire in wires)})"


def _member(readers: dict[int, Functions], count: int, take: Take, where: str) -> Read:
    """The reader of the union member whose tag comes next in an array of `count` items."""
    if count == 0:
        raise WrongArity(f"{where}: the array is empty, so the tag is missing", expected="1 or more", got=0)
    tag = take()
    if type(tag) is not int:
        _refuse_type(tag, int, f"{where} tag")
    if tag not in readers:
        raise UnknownTag(f"{where} has no member with this tag", expected=sorted(readers), got=tag)
    known = readers[tag]
    read = known.reads.get(count - 1)
    if read is None:
        refuse_arity(count, where, _span(fields + 1 for fields in known.reads))
    return read


def _refuse_type(value: object, cls: type, where: str) -> NoReturn:
    raise WrongType(f"{where} has a wrong type", expected=cls.__name__, got=type(value).__name__)


def _refuse_record(value: object, where: str, names: str) -> NoReturn:
    raise WrongType(f"{where} has a wrong type", expected=names, got=type(value).__name__)


def _refuse_int(value: object, where: str, lo: int, hi: int) -> NoReturn:
    if type(value) is not int:
        _refuse_type(value, int, where)
    raise OutOfRange(f"{where} is out of range", expected=f"{lo}..{hi}", got=value)


def _refuse_sized(value: object, cls: type, where: str, lo: int, hi: int) -> NoReturn:
    if type(value) is cls and isinstance(value, Sized):
        _refuse_length(len(value), where, lo, hi)
    _refuse_type(value, cls, where)


def _refuse_length(length: int, where: str, lo: int, hi: int) -> NoReturn:
    raise OutOfRange(f"{where} has a wrong length", expected=lo if lo == hi else f"{lo}..{hi}", got=length)


def refuse_arity(count: int, where: str, expected: int | str) -> NoReturn:
    """Raises `WrongArity`: an array has `count` items where the type demands `expected`."""
    raise WrongArity(f"{where} has a wrong number of items", expected=expected, got=count)


def _check_text(value: Any, where: str, lo: int, hi: int) -> None:
    if type(value) is not str:
        _refuse_type(value, str, where)
    if len(value) > hi:
        _refuse_length(len(value), where, lo, hi)
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise WrongType(
            f"{where} holds half of a surrogate pair, which UTF-8 cannot encode", expected="UTF-8 text"
        ) from error
    if not lo <= size <= hi:
        _refuse_length(size, where, lo, hi)


_REFUSALS: Final[Mapping[str, object]] = {
    "member": _member,
    "check_text": _check_text,
    "refuse_type": _refuse_type,
    "refuse_record": _refuse_record,
    "refuse_int": _refuse_int,
    "refuse_sized": _refuse_sized,
    "refuse_length": _refuse_length,
    "refuse_arity": refuse_arity,
}
