"""Turns an error of any command into the message that the user reads and the exit status that the shell gets.

What each status means stands in `exitcodes`. A command without an error ends with 0.
"""

from __future__ import annotations

import errno
import json
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import click

from engram.commands.support import streams
from engram.commands.support.exitcodes import (
    BROKEN_PIPE,
    DATA,
    INTERNAL,
    INTERRUPTED,
    IO,
    LATER,
    STATUS_OF,
    UNREACHABLE,
    USAGE,
)
from engram.commands.support.options import AS_JSON
from engram.primitives.errors import ChainError, NotReady, StorageError, error_classes

_HINTS: Final = {
    "node_unreachable": "start a node with `engram run`, or name another one with --rpc URL",
    "chain_not_found": "`engram run --dev` makes one to try things; --data-dir chooses another directory, "
    "--rpc a node, and `engram key new --chain` makes a key without one",
    "unauthorized": "this changes the node itself: use --data-dir with the directory that the node runs on",
    "insufficient_balance": "`engram account show` shows the balance; `engram account claim` adds rewards",
    "wrong_passphrase": "give the passphrase of this key in ENGRAM_PASSPHRASE or with --passphrase-file; "
    "or make the key again from a backup with `engram key import`",
    "bad_address": "copy the address whole, to the last letter; or name a key of the data directory",
    "fee_too_low": "leave --max-fee out to offer what the node suggests, or wait until full blocks are over",
    "not_included": "`engram tx status TXID` shows what became of it",
    "transaction_dropped": "the code says why; you can send it again",
    "key_not_found": "`engram key list` shows the keys, --data-dir chooses another directory",
    "blob_missing": "this node does not keep these bytes; ask another one with --rpc",
    "method_not_found": "the node and this command line are of different versions of engram",
    "no_open_round": "`engram round list` shows the rounds, `engram round open` opens one",
    "secrets_not_found": "use the --data-dir and --key with which you opened the round or sealed the part",
    "version_mismatch": "ask another node with --rpc: this one serves other data than the chain has verified",
    "bond_above_limit": "`engram round show` shows the bond of an author; raise --max-bond to play",
    "not_enough_rows": "--data and --share choose the rows; a larger share has more",
    "dataset_mismatch": "`engram model show` shows inputs and classes; --take-classes chooses labels",
    "round_over": "`engram round show` shows the round's phase and the calendar of all its phases",
    "round_already_open": "`engram round list` shows the open round; a model has one at a time",
    "spec_not_given": "`engram chain spec` prints it where a node of the chain runs",
    "wrong_spec": "if that is the chain that you mean, give its chain.json as --chain; people who take "
    "part in it have this file",
    "state_pruned": "--rpc names another node",
    "before_snapshot": "--rpc names another node",
    "account_index_off": "--rpc names another node",
    "checkpoint_needed": "give its id as --checkpoint: `engram chain head` on a node of the chain prints one",
    "weights_mismatch": "`engram model pull --version N` gets the weights of version N from a node",
    "model_file_invalid": "get the file again: `engram model pull` writes such files",
    "bad_spec": "`engram chain spec`, where a node of the chain runs, prints a whole one",
    "timestamp_ahead": "it is from the future: check this machine's clock, or try again later",
    "upgrade_required": "install a newer engram and start the node again; its data stay as they are",
}
"""What to do about an error, by its code; printed below the message, which says it not already."""
_SYSTEM_HINTS: Final = {
    errno.EACCES: "the directory or file belongs to another user, or its mode keeps you out: see `ls -ld`",
    errno.EPERM: "the directory or file belongs to another user, or its mode keeps you out: see `ls -ld`",
    errno.ENOSPC: "free some space: nothing that was complete before is lost",
    errno.EDQUOT: "free some space: nothing that was complete before is lost",
    errno.EROFS: "the file system is read-only: --data-dir or -o choose another place",
    errno.EMFILE: "this process may open no more files: raise its limit (ulimit -n)",
    errno.ENAMETOOLONG: "a name has 255 bytes at most",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.ELOOP: "a link leads to itself: remove it",
}
"""What to do about an error of the system, by its number."""


def report(error: BaseException, arguments: Sequence[str], *, as_json: bool) -> int:
    """Prints an error and returns its exit status: JSON on standard output, or words on standard error.

    `arguments` is the command line: if click could not parse it, it is searched for --json.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return _say({"code": "interrupted", "message": "interrupted"}, INTERRUPTED, as_json)
    if isinstance(error, click.ClickException):
        return _report_usage(error, as_json or _flagged(error, arguments))
    if isinstance(error, ChainError):
        hint = _HINTS.get(error.code)
        return _say({**error.to_json(), "hint": hint, "text": str(error)}, exit_status(error), as_json)
    if isinstance(error, OSError):
        if isinstance(error, streams.OutputRefused):
            return report_output(error, IO)
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        hint = None if as_json else _SYSTEM_HINTS.get(error.errno or 0)
        return _say({"code": "io", "message": text, "hint": hint}, IO, as_json)
    traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}; this is a bug in engram"
    return _say({"code": "internal_error", "message": text}, INTERNAL, as_json)


def report_output(refusal: streams.OutputRefused, status: int) -> int:
    """Says that results did not get out, unless nobody reads them any more; the exit status.

    `status` is that of the command itself, which stands if it has failed for another reason.
    """
    streams.drop_output()
    if isinstance(refusal.reason, BrokenPipeError):
        return BROKEN_PIPE
    hint = _SYSTEM_HINTS.get(refusal.reason.errno or 0)
    said = _say({"code": "io", "message": str(refusal), "hint": hint}, IO, False)
    return status or said


def exit_status(error: ChainError) -> int:
    """The exit status for the code of an error, or else for its family; an error that a node sent has the
    family of its code.
    """
    from engram.node.errors import AnswerInvalid, NodeUnreachable, RemoteError

    if (status := STATUS_OF.get(error.code)) is not None:
        return status
    if isinstance(error, NodeUnreachable | AnswerInvalid):
        return UNREACHABLE
    family = _family(error.code) if isinstance(error, RemoteError) else type(error)
    if issubclass(family, StorageError):
        return IO
    if issubclass(family, NotReady):
        return LATER
    return DATA


def _family(code: str) -> type[ChainError]:
    """The error class of a code that a node sent; `RemoteError` if this installation knows no such code."""
    import engram.consensus.errors
    import engram.statemachine.errors  # noqa: F401  # for the classes it defines
    from engram.node.errors import RemoteError

    return next((cls for cls in error_classes() if cls.code == code), RemoteError)


def _report_usage(error: click.ClickException, as_json: bool) -> int:
    status = USAGE if isinstance(error, click.UsageError) else IO
    code = "usage" if status == USAGE else "io"
    if as_json:
        return _say({"code": code, "message": error.format_message()}, status, as_json)
    with suppress(OSError):
        error.show()
    return status


def _flagged(error: click.ClickException, arguments: Sequence[str]) -> bool:
    """Whether a command line that click could not parse to its end asks for --json.

    The flag counts only if the command knows it: elsewhere the text may be the value of something else.
    """
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    command = ctx.command if ctx is not None else None
    knows = isinstance(command, click.Group) or (
        command is not None and any(param.name == AS_JSON for param in command.params)
    )
    return knows and "--json" in arguments


def _say(facts: dict[str, object], status: int, as_json: bool) -> int:
    text = facts.pop("text", facts["message"])
    if as_json:
        # On one line, because a command that prints its events as lines of JSON may have printed some before.
        line = json.dumps({"error": {name: value for name, value in facts.items() if value is not None}})
        try:
            click.echo(line)
            return status
        except OSError:  # the words below may still reach somebody
            streams.drop_output()
    with suppress(OSError):
        click.echo(f"engram: {text} [{facts['code']}]", err=True)
        if hint := facts.get("hint"):
            click.echo(f"  {hint}", err=True)
    return status
