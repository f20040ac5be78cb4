"""One place maps errors to exit statuses and text."""

import errno
import json
import re

import click
import pytest

from engram.cli import main
from engram.commands.support.exitcodes import EXIT_STATUSES, STATUS_OF
from engram.commands.support.failures import _HINTS, exit_status, report
from engram.node.errors import (
    AddressUnusable,
    CorruptStore,
    DamagedBody,
    DataDirLocked,
    DiskFull,
    ForeignData,
    KeyNotFound,
    NodeUnreachable,
    PortForbidden,
    PortTaken,
    RemoteError,
    SchemaMismatch,
)
from engram.participant.errors import NotIncluded, TransactionRefused
from engram.primitives.errors import ChainError, error_classes
from engram.statemachine.errors import UpgradeRequired
from tests.architecture.test_error_codes import import_everything


def test_people_read_amounts_of_an_error_in_coins(capsys: pytest.CaptureFixture[str]) -> None:
    error = RemoteError("too little", code="insufficient_balance", expected=3 * 10**8, got=5)
    assert report(error, [], as_json=False) == 65
    assert (
        "too little (expected 3 coins, got 0.00000005 coins) [insufficient_balance]"
        in capsys.readouterr().err
    )
    report(error, [], as_json=True)
    told = json.loads(capsys.readouterr().out)["error"]
    assert (told["expected"], told["got"]) == (3 * 10**8, 5)


def remote(code: str) -> RemoteError:
    return RemoteError("refused", code=code)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyNotFound(), 65),
        (NodeUnreachable(), 69),
        (DiskFull(), 74),
        (PortTaken(), 75),
        (PortForbidden(), 65),
        (AddressUnusable(), 75),
        (DataDirLocked(), 75),
        (DamagedBody(), 75),
        (CorruptStore(), 78),
        (ForeignData(), 78),
        (SchemaMismatch(), 78),
        (UpgradeRequired(), 78),
        (NotIncluded(), 75),
        (TransactionRefused("FAILED", code="loss_mismatch"), 65),
        (remote("insufficient_balance"), 65),
        (remote("missing_model"), 65),
        (remote("a_code_of_a_later_version"), 65),
        (remote("invalid_params"), 65),
        (remote("corrupt_store"), 78),
        (remote("pool_full"), 75),
        (remote("missing_blob"), 75),
        (remote("unauthorized"), 77),
        (remote("internal_error"), 70),
        (remote("method_not_found"), 70),
    ],
)
def test_the_status_is_the_familys(error: ChainError, status: int) -> None:
    assert exit_status(error) == status


def test_every_status_is_explained_and_every_exception_is_a_code_that_there_is() -> None:
    assert set(STATUS_OF.values()) <= {each.number for each in EXIT_STATUSES}
    of_json_rpc = {"unauthorized", "internal_error", "method_not_found", "invalid_request", "parse_error"}
    assert STATUS_OF.keys() - of_json_rpc <= {cls.code for cls in error_classes()}


def test_a_chain_error_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    error = NodeUnreachable("no node answers at http://x", got=1)
    assert report(error, [], as_json=False) == 69
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "engram: no node answers at http://x (got 1) [node_unreachable]",
        "  start a node with `engram run`, or name another one with --rpc URL",
    ]


def test_a_chain_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyNotFound("no key", expected=b"\x01", got=2), [], as_json=True) == 65
    out, err = capsys.readouterr()
    assert err == ""
    error = json.loads(out)["error"]
    assert {name: error[name] for name in ("code", "message", "expected", "got")} == {
        "code": "key_not_found",
        "message": "no key",
        "expected": "01",
        "got": 2,
    }


def test_interrupts(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt(), [], as_json=False) == 130
    assert report(click.Abort(), [], as_json=True) == 130
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "interrupted"


def test_the_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(OSError(errno.EACCES, "Permission denied", "/x"), [], as_json=True) == 74
    assert json.loads(capsys.readouterr().out)["error"] == {"code": "io", "message": "/x: Permission denied"}


def test_a_bug_goes_to_standard_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(AssertionError("impossible"), [], as_json=True) == 70
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "internal_error"
    assert "AssertionError: impossible" in err


def test_the_only_error_of_a_group_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup("services", [ExceptionGroup("inner", [KeyNotFound()])])
    assert report(group, [], as_json=True) == 65
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "key_not_found"


def test_main_exits_with_130_when_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(ctx: click.Context) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "invoke", interrupt)
    with pytest.raises(SystemExit) as caught:
        main(["key", "list"], prog_name="engram")
    assert caught.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("code", sorted(_HINTS))
def test_a_hint_does_not_say_the_message_again(code: str) -> None:
    """No command, no option and no three words in a row stand in the hint and in the remedy that the message
    names, which stands behind a colon.
    """
    import_everything()
    hint = _HINTS[code]
    for cls in (each for each in error_classes() if each.code == code and each is not NodeUnreachable):
        remedy = cls().message.partition(":")[2]
        assert not named(hint) & named(remedy), remedy
        assert not in_a_row(hint) & in_a_row(remedy), remedy


def named(text: str) -> set[str]:
    return set(re.findall(r"`engram [a-z ]+|--[a-z-]+", text))


def in_a_row(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))
