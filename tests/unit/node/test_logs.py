"""Log lines: one stream, two forms, libraries included, and no flood that a peer can cause."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from engram.node import logs
from engram.statemachine.errors import NonceMismatch
from tests.support.source_tree import ROOT


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    log = logs.get_logger("chain")
    log.debug("not shown")
    log.info("head changed", block=b"\x00\xff", height=7)
    log.warning("refused", error=NonceMismatch(expected=7, got=9))
    first, second = lines(stream)
    assert (first["event"], first["service"], first["level"]) == ("head changed", "chain", "info")
    assert (first["block"], first["height"]) == ("00ff", 7)
    assert str(first["timestamp"]).endswith("Z")
    assert second["code"] == "nonce_mismatch"


def test_a_traceback_fits_one_json_line(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    try:
        raise LookupError("a bug")
    except LookupError:
        logs.get_logger("rpc").exception("internal error")
    [line] = lines(stream)
    assert "a bug" in json.dumps(line["exception"])


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_values_of_variables(stream: io.StringIO, form: str) -> None:
    logs.configure("info", form, stream)
    passphrase = "".join(("never ", "shown"))
    try:
        raise LookupError(len(passphrase))
    except LookupError:
        logs.get_logger("rpc").exception("internal error")
    assert "LookupError" in stream.getvalue()
    assert passphrase not in stream.getvalue()


def test_console_lines_without_a_terminal_are_plain(stream: io.StringIO) -> None:
    logs.configure("info", "console", stream)
    logs.get_logger("chain").info("head changed", height=7)
    text = stream.getvalue()
    assert "head changed" in text
    assert "height=7" in text
    assert "\x1b" not in text


def test_libraries_log_to_the_same_stream(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream)
    logging.getLogger("asyncio").warning("Executing %s took %d s", "task", 3)
    logging.getLogger("asyncio").info("not shown")
    [line] = lines(stream)
    assert (line["event"], line["service"], line["level"]) == (
        "Executing task took 3 s",
        "asyncio",
        "warning",
    )


def test_what_peers_cause_is_limited_and_counted(stream: io.StringIO) -> None:
    now_s = 0.0
    logs.configure("info", "json", stream, lambda: now_s)
    log = logs.get_logger("p2p")
    for number in range(logs.PEER_LINES + 5):
        log.info("session ended", peer="a", number=number)
        log.info("own line", number=number)
    shown = [line["event"] for line in lines(stream)]
    assert shown.count("session ended") == logs.PEER_LINES
    assert shown.count("own line") == logs.PEER_LINES + 5
    now_s = logs.PEER_WINDOW_S
    log.info("session ended", peer="b")
    assert lines(stream)[-1]["suppressed"] == 5
    log.info("session ended", peer="b")
    assert "suppressed" not in lines(stream)[-1]


@pytest.mark.parametrize("event", sorted(logs.OF_PEERS))
def test_lines_of_peers_are_limited_though_they_name_none(event: str, stream: io.StringIO) -> None:
    """The event is one that some service of the node logs, and no line of its own making."""
    logs.configure("info", "json", stream, lambda: 0.0)
    for number in range(logs.PEER_LINES + 5):
        logs.get_logger("chain").info(event, height=number)
    assert len(lines(stream)) == logs.PEER_LINES
    services = [path.read_text() for path in (ROOT / "node").rglob("*.py") if path.name != "logs.py"]
    assert any(f'"{event}"' in text for text in services)


def test_people_read_short_ids_and_programs_whole_ones(stream: io.StringIO) -> None:
    identity = bytes(range(32))
    logs.configure("info", "console", stream)
    logs.get_logger("chain").info("block", id=identity, text=identity.hex() + "0")
    assert "id=000102030405… " in stream.getvalue() + " "
    assert identity.hex() + "0" in stream.getvalue(), "only what is an id by its length is cut"
    stream.seek(stream.truncate(0))
    logs.configure("info", "json", stream)
    logs.get_logger("chain").info("block", id=identity)
    assert lines(stream)[0]["id"] == identity.hex()
