"""Log lines of a node: for people on a console, or one JSON object a line for machines. No files.

Everything goes to one stream, lines of libraries that use `logging` included. What peers cause is limited
here, so that nobody can fill an operator's disk by misbehaving.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from engram.primitives.errors import ChainError

Logger = FilteringBoundLogger

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
PEER_LINES: Final = 20
"""Lines of one event that peers may cause in `PEER_WINDOW_S`."""
PEER_WINDOW_S: Final = 10.0
_HTTP_SERVER: Final = "aiohttp.server"
_BAD_REQUEST: Final = 400


def configure(level: str, form: str, stream: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Sends every log line from `level` up to `stream`; `form` is `console` or `json`."""
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        PeerRateLimit(monotonic),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _plain_values,
    ]
    if form == "json":
        rendering: list[Processor] = [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        rendering = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(max(LEVELS[level], logging.WARNING))


def get_logger(service: str) -> Logger:
    """The logger of one service; its name stands in every line."""
    logger: Logger = structlog.get_logger(service=service)
    return logger


class PeerRateLimit:
    """Lets through `PEER_LINES` lines a window for each event that names a `peer`, then counts the rest."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: dict[str, tuple[float, int]] = {}

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """The line, with `suppressed` where lines before it were dropped. Raises `DropEvent`."""
        if "peer" not in line:
            return line
        event, now_s = str(line["event"]), self._monotonic()
        opened_s, count = self._windows.get(event, (now_s, 0))
        if now_s - opened_s >= PEER_WINDOW_S:
            suppressed = max(0, count - PEER_LINES)
            self._windows[event] = (now_s, 1)
            if suppressed:
                line["suppressed"] = suppressed
            return line
        self._windows[event] = (opened_s, count + 1)
        if count >= PEER_LINES:
            raise structlog.DropEvent
        return line


def _plain_values(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Bytes as hexadecimal; a chain error as its code and its sentence."""
    plain: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, bytes):
            plain[name] = value.hex()
        elif isinstance(value, ChainError) and name != "exc_info":
            plain |= {name: str(value), "code": value.code}
        else:
            plain[name] = value
    return plain


class _Bridge(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        line = get_logger(record.name)
        if record.name == _HTTP_SERVER and getattr(error, "code", None) == _BAD_REQUEST:
            # aiohttp takes bytes that are no HTTP, which anyone may send, for an error of the server.
            line.info(
                "what came is no HTTP", peer=record.getMessage().rpartition(" ")[2], error=str(error)[:200]
            )
            return
        line.log(record.levelno, record.getMessage(), **({"exc_info": error} if error else {}))
