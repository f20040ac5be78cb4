"""Log lines of a node: text for people on a console, or one JSON object per line for programs.

All lines go to one stream, including those of libraries that use `logging`. The number of lines that peers
can cause is limited here, so that a misbehaving peer cannot fill the operator's disk.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from engram.node.errors import LogLevelUnknown
from engram.primitives.errors import ChainError

Logger = FilteringBoundLogger

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
PEER_LINES: Final = 10
"""How many lines of one event all peers together may cause in `PEER_WINDOW_S` seconds."""
PEER_WINDOW_S: Final = 60.0
OF_PEERS: Final = frozenset({"another branch has more work", "caught up"})
"""Events that peers cause and whose lines name no peer: where blocks cost no work, as often as they like."""
_TRACEBACKS: Final = ExceptionDictTransformer(show_locals=False, use_rich=False)
"""Without the values of variables: keys and passphrases may be among them."""
_WHOLE_ID: Final = re.compile("[0-9a-f]{64}")
_SHOWN_DIGITS: Final = 12
_HTTP_SERVER: Final = "aiohttp.server"
_BAD_REQUEST: Final = 400


def configure(level: str, form: str, stream: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Writes every log line of `level` or above to `stream`; `form` is `console` or `json`.

    Lines of libraries are written from `warning` up, even if `level` is lower.
    """
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        PeerRateLimit(monotonic),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _plain_values,
    ]
    if form == "json":
        rendering: list[Processor] = [
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        rendering = [
            _short_ids,
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain),
        ]
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,  # `set_level` reaches the loggers that exist already
    )
    logging.getLogger().handlers[:] = [_Bridge()]
    set_level(level)


def set_level(level: str) -> None:
    """From now on writes the lines of `level`, a name of `LEVELS`, and above.

    It also holds for loggers that exist already. Raises `LogLevelUnknown`.
    """
    if level not in LEVELS:
        raise LogLevelUnknown(expected=list(LEVELS), got=level)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]))
    logging.getLogger().setLevel(max(LEVELS[level], logging.WARNING))


def get_level() -> str:
    """The least important level whose lines are written now, a name of `LEVELS`."""
    number = get_logger("logs").get_effective_level()
    return next((name for name, least in LEVELS.items() if least >= number), "error")


def get_logger(service: str) -> Logger:
    """The logger of one service. The name of the service stands in every line."""
    logger: Logger = structlog.get_logger(service=service)
    return logger


def no_descriptor(error: OSError) -> None:
    """Says that a port accepts nothing for a moment; one line a minute at most, however often it happens."""
    get_logger("descriptors").warning(
        "connections wait: this process may open no more files; raise its limit (ulimit -n)",
        peer="any",
        error=error.strerror,
    )


class PeerRateLimit:
    """Of each event that peers cause, lets `PEER_LINES` lines per window through and counts the rest.

    Those are the events that name a `peer`, and those of `OF_PEERS`.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: dict[str, tuple[float, int]] = {}

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        """The line, or `DropEvent` is raised and the line is not written.

        The first line of a new window says in `suppressed` how many lines of the last window were dropped.
        """
        event, now_s = str(line["event"]), self._monotonic()
        if "peer" not in line and event not in OF_PEERS:
            return line
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
    """Turns bytes into hexadecimal text, and a chain error into its code and its sentence."""
    plain: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, bytes):
            plain[name] = value.hex()
        elif isinstance(value, ChainError) and name != "exc_info":
            plain |= {name: str(value), "code": value.code}
        else:
            plain[name] = value
    return plain


def _short_ids(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Cuts whole ids to their first digits, which name them well enough for people. JSON lines keep them."""
    return {
        name: f"{value[:_SHOWN_DIGITS]}…" if isinstance(value, str) and _WHOLE_ID.fullmatch(value) else value
        for name, value in line.items()
    }


class _Bridge(logging.Handler):
    """Passes the lines that libraries log with `logging` on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        line = get_logger(record.name)
        if record.name == _HTTP_SERVER and getattr(error, "code", None) == _BAD_REQUEST:
            # Anyone may send bytes that are not HTTP. aiohttp would log them as an error of the server.
            line.info(
                "a client sent bytes that are not HTTP",
                peer=record.getMessage().rpartition(" ")[2],
                error=str(error)[:200],
            )
            return
        line.log(record.levelno, record.getMessage(), **({"exc_info": error} if error else {}))
