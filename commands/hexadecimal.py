"""Hexadecimal arguments: ids of a fixed length, and raw bytes of any."""

from __future__ import annotations

from typing import Any, Final

import click


class Hexadecimal(click.ParamType[bytes]):
    """A click parameter of hexadecimal digits; its value is bytes."""

    def __init__(self, name: str, size_bytes: int | None = None) -> None:
        self.name = name
        self._size_bytes = size_bytes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The bytes. Refuses other characters and lengths as wrong usage."""
        if isinstance(value, bytes):
            return value
        try:
            raw = bytes.fromhex(value)
        except ValueError:
            self.fail(f"{value!r} is not hexadecimal", param, ctx)
        if self._size_bytes not in (None, len(raw)):
            self.fail(f"{2 * (self._size_bytes or 0)} hexadecimal digits, not {len(value)}", param, ctx)
        return raw


HASH: Final = Hexadecimal("id", 32)
HEX: Final = Hexadecimal("hex")
