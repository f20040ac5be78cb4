"""Turns objects of the chain into JSON values: ids become hexadecimal text, addresses their usual text form.

The form is that of `primitives.jsonform`, with one exception: a field of 20 bytes is always an address and
becomes its text, or null for the zero address, which belongs to nobody. This module reads neither store nor
state.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Final

from engram.consensus.block import BlockHeader
from engram.node.storage.store import BlockRef
from engram.p2p.protocol import PeerInfo
from engram.primitives.errors import BadAddress, Invalid
from engram.primitives.keys import ADDRESS_BYTES, address, format_address, parse_address
from engram.primitives.schema import (
    BytesSchema,
    ListSchema,
    OptionalSchema,
    RecordSchema,
    Schema,
    TupleSchema,
    UnionSchema,
    record,
)
from engram.statemachine.receipt import Receipt
from engram.statemachine.record import Record
from engram.statemachine.records import RoundClock
from engram.statemachine.rounds.calendar import Calendar, Phase
from engram.statemachine.rounds.records import Round, RoundStatus
from engram.statemachine.rules import Rules
from engram.statemachine.transaction import Transaction, TxPayload
from engram.statemachine.transactions import TX_TYPES, decode_payload

NOBODY: Final = bytes(ADDRESS_BYTES)
LEAST_CUT: Final = 64
"""Values of so many bytes are never cut: ids, addresses, keys and signatures stay whole."""


class Renderer:
    """Turns the objects of one chain into JSON values. `hrp` is the prefix of the chain's addresses."""

    def __init__(self, hrp: str, rules: Rules, *, has_work: bool = True) -> None:
        """`has_work`: whether blocks of the chain cost work."""
        self._hrp = hrp
        self._rules = rules
        self._has_work = has_work
        self._longest: int | None = None

    def cutting(self, longest: int | None) -> Renderer:
        """One that cuts values of more bytes than `longest` to their first bytes, but never below
        `LEAST_CUT`; None cuts nothing.
        """
        other = copy(self)
        other._longest = None if longest is None else max(LEAST_CUT, longest)
        return other

    def hex(self, raw: bytes) -> str:
        """Bytes as hexadecimal text, cut if they are too many."""
        return raw[: self._longest].hex()

    def address(self, raw: bytes) -> str | None:
        """The text of an address; None for the zero address."""
        return None if raw == NOBODY else format_address(raw, self._hrp)

    def parse_address(self, text: str) -> bytes:
        """The address that a text stands for. Raises `BadAddress`."""
        if not text:
            raise BadAddress("an address is missing", expected=f"{self._hrp}1…")
        return parse_address(text, self._hrp)

    def record(self, obj: Record | BlockHeader | TxPayload | Receipt) -> dict[str, Any]:
        """A record, header, payload or receipt, field by field."""
        return self._object(obj)

    def header(self, ref: BlockRef) -> dict[str, Any]:
        """A header with its id, the total work up to it, and whether blocks of the chain cost any."""
        shown = {"id": ref.id.hex(), **self._object(ref.header)}
        return {**shown, "work": ref.total_work, "has_work": self._has_work}

    def head(self, ref: BlockRef, clock: RoundClock) -> dict[str, Any]:
        """The header of a head, with ticks of the round clock and base exponent of fees after it."""
        return {**self.header(ref), "ticks": clock.ticks, "exponent": clock.exponent}

    def round(self, round_: Round, head: int, tick: int) -> dict[str, Any]:
        """A round with its calendar in ticks and with its situation in the block after height `head`.

        That is the phase of `tick`, in which the block falls, and under `due` the step, if any, that the next
        transaction of the round would settle.
        """
        calendar = Calendar.of(round_, self._rules)
        span, step = calendar.at(tick), calendar.due(round_, tick)
        is_open = round_.status == RoundStatus.OPEN
        is_closed = span.phase is Phase.CLOSED
        return {
            **self._object(round_),
            "phase": span.phase.name.lower() if is_open else Phase.CLOSED.name.lower(),
            "epoch": span.epoch,
            "due": step.name.lower() if step is not None else None,
            "height": head,
            "tick": tick,
            "ticks_left": None if is_closed or not is_open else span.last + 1 - tick,
            "independent": round_.independent,
            "calendar": {
                span_name(span.phase, span.epoch): [
                    span.first,
                    None if span.phase is Phase.CLOSED else span.last,
                ]
                for span in calendar.spans
                if _is_shown(span.phase)
            },
        }

    def transaction(self, tx: Transaction, size_bytes: int) -> dict[str, Any]:
        """A transaction; its payload is decoded if this version of Engram knows its type, else null."""
        cls = TX_TYPES.get(tx.kind)
        return {
            "txid": tx.id.hex(),
            "sender": self.address(address(tx.sender)),
            "public_key": tx.sender.hex(),
            "nonce": tx.nonce,
            "max_fee": tx.max_fee,
            "tip": tx.tip,
            "kind": tx.kind,
            "name": cls.NAME if cls is not None else None,
            "size_bytes": size_bytes,
            "payload": self._payload(tx),
        }

    def peer(self, info: PeerInfo) -> dict[str, Any]:
        """A session with a peer, with durations in seconds or milliseconds and traffic in bytes."""
        return {
            "id": info.node_key.hex(),
            "address": str(info.address),
            "direction": "inbound" if info.inbound else "outbound",
            "origin": info.origin.value,
            "height": info.head.height,
            "head": info.head.head.hex(),
            "shown_s": round(info.shown_s, 3),
            "agent": info.agent,
            "version": info.version,
            "connected_s": round(info.connected_s, 3),
            "round_trip_ms": None if info.round_trip_s is None else round(info.round_trip_s * 1000, 3),
            "clock_ahead_s": None if info.clock_ahead_s is None else round(info.clock_ahead_s, 3),
            "sent_bytes": info.sent_bytes,
            "received_bytes": info.received_bytes,
            "queued_bytes": info.queued_bytes,
            "encrypted": info.encrypted,
        }

    def _payload(self, tx: Transaction) -> dict[str, Any] | None:
        try:
            return self._object(decode_payload(tx))
        except Invalid:
            return None

    def _object(self, obj: object) -> dict[str, Any]:
        return {name: self._value(schema, getattr(obj, name)) for name, schema in record(type(obj))}

    def _value(self, schema: Schema, value: Any) -> Any:
        match schema:
            case BytesSchema(lo, hi):
                return self.address(value) if lo == hi == ADDRESS_BYTES else self.hex(value)
            case RecordSchema():
                return self._object(value)
            case UnionSchema():
                return {"type": type(value).__name__, **self._object(value)}
            case OptionalSchema(inner):
                return None if value is None else self._value(inner, value)
            case ListSchema(item):
                return [self._value(item, each) for each in value]
            case TupleSchema(items):
                return [self._value(item, each) for item, each in zip(items, value, strict=True)]
            case _:
                return value


def _is_shown(phase: Phase) -> bool:
    return phase is not Phase.WAIT


def span_name(phase: Phase, epoch: int) -> str:
    """What a phase is called in a calendar: its word, and which epoch's it is where there is one in each."""
    name = phase.name.lower()
    return f"{name}_{epoch}" if phase in (Phase.COMMIT, Phase.UPDATE) else name
