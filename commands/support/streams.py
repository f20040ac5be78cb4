"""Standard input, output and errors as a command finds them: open, closed, full, or of another encoding.

`prepare` is called before anything else runs, so that every stream is there and takes every character.
`finish` is called at the end: results that did not get out are an error, and no status is lost to it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Final, TextIO, cast

MAX_INPUT_CHARACTERS: Final = 2**27
MAX_LINE_CHARACTERS: Final = 2**12


class _Closed(io.RawIOBase):
    """Standard output that was closed before the command began: whatever is written to it fails."""

    name = "standard output"

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        raise OSError(errno.EBADF, "it was closed before the command began")


class OutputRefused(OSError):
    """Standard output did not take what was written to it.

    It has no `errno`: click and rich end the process in ways of their own when they see a broken pipe.
    """

    def __init__(self, reason: OSError) -> None:
        super().__init__(f"standard output: {reason.strerror}")
        self.reason = reason


class _Output(io.TextIOWrapper):
    """Standard output, whose errors say that they are its own."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputRefused(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputRefused(error) from error


class _Forgiving(io.TextIOWrapper):
    """Standard error output. What it does not take is lost, and nothing ends because of that.

    A node whose log has no room left, or a player of a round whose terminal is gone, must go on.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def prepare() -> None:
    """Puts something in the place of each closed stream, and lets none of them fail for a character.

    The numbers of closed descriptors are taken up, because the next file that is opened would get one of
    them, and what is meant for the terminal would then be written into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = _null("r")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdout is None:
        sys.stdout = _Output(io.BufferedWriter(_Closed()), "utf-8")
    elif sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        # What a stream of a test harness does with its characters is left to it.
        old, lines = sys.stdout, sys.stdout.line_buffering
        sys.stdout = _Output(old.buffer, old.encoding, "backslashreplace", line_buffering=lines)
    if sys.stderr is None:
        sys.stderr = _null("w")
    elif sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        old = sys.stderr
        sys.stderr = _Forgiving(old.buffer, old.encoding, "backslashreplace", line_buffering=True)


def output_failure() -> OutputRefused | None:
    """The error with which standard output refuses what was written to it; None if all of it is out."""
    try:
        sys.stdout.flush()
    except OutputRefused as error:
        return error
    return None


def drop_output() -> None:
    """Gives up what standard output did not take; whatever is written from now on goes nowhere."""
    refused, sys.stdout = sys.stdout, _null("w")
    if isinstance(refused, io.TextIOWrapper):
        with suppress(OSError, ValueError):
            # At its end the interpreter flushes this stream, too. Its descriptor leads nowhere by then.
            os.dup2(sys.stdout.fileno(), refused.fileno())


def read_line() -> str:
    """The first line of standard input, or its beginning if it is longer than any line that is asked for."""
    return sys.stdin.readline(MAX_LINE_CHARACTERS)


def read_input() -> str:
    """The whole of standard input, which may be no text. Raises `ValueError` if it has no end."""
    text = sys.stdin.read(MAX_INPUT_CHARACTERS + 1)
    if len(text) > MAX_INPUT_CHARACTERS:
        raise ValueError(f"standard input has more than {MAX_INPUT_CHARACTERS} characters")
    return text


def _null(mode: str) -> TextIO:
    return cast(
        "TextIO", open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")
    )  # it stays open
