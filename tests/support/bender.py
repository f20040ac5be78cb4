"""Bends a field of a transaction out of shape, for tests of what happens then."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields, is_dataclass, replace
from random import Random
from typing import Any

EXTREMES = (0, 1, 2, 7, 8, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1, -1, -128)


class Bender:
    """Changes one field somewhere in a value; bytes may become others of their length that it has seen."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.known: defaultdict[int, list[bytes]] = defaultdict(list)

    def learn(self, value: Any) -> None:
        if isinstance(value, bytes):
            self.known[len(value)].append(value)
        elif isinstance(value, tuple):
            for item in value:
                self.learn(item)
        elif is_dataclass(value):
            for field in fields(value):
                self.learn(getattr(value, field.name))

    def bend(self, value: Any) -> Any:
        match value:
            case bool():
                return not value
            case int():
                return self.random.choice((*EXTREMES, value + 1, value - 1, 2 * value, value // 2))
            case bytes():
                return self._bytes(value)
            case tuple() if value:
                return self._tuple(value)
            case _ if is_dataclass(value) and not isinstance(value, type):
                name = self.random.choice(fields(value)).name
                return replace(value, **{name: self.bend(getattr(value, name))})
        return value

    def _bytes(self, value: bytes) -> bytes:
        at = self.random.randrange(len(value) + 1)
        others = (bytes(len(value)), value[:at], value + b"x", self.random.randbytes(len(value)))
        return self.random.choice((*others, *self.known[len(value)][:4]))

    def _tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        at = self.random.randrange(len(value))
        bent = (*value[:at], self.bend(value[at]), *value[at + 1 :])
        shorter, longer = value[:at] + value[at + 1 :], (*value[: at + 1], *value[at:])
        return self.random.choice((bent, bent, shorter, longer, tuple(self.random.sample(value, len(value)))))
