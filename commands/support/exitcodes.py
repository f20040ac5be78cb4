"""The statuses with which commands end: what each means, and whether starting a node again can help.

The numbers are those of sysexits.h. `deploy/systemd/engram.service` and the table in `docs/operate.md` say
the same, and a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NOT_ANCHORED_STATUS, NOT_READY_STATUS, USAGE, DATA, UNREACHABLE, INTERNAL, IO = 1, 2, 64, 65, 69, 70, 74
LATER, NOT_ALLOWED, UNFIT, INTERRUPTED, BROKEN_PIPE = 75, 77, 78, 130, 141


@dataclass(frozen=True)
class ExitStatus:
    """One status."""

    number: int
    meaning: str
    again: bool | None
    """Whether a node that ended with it may run when it is started again, though nobody has mended anything;
    None if no node ends with it.
    """


EXIT_STATUSES: Final = (
    ExitStatus(NOT_ANCHORED_STATUS, "`engram verify`: the proof holds, and rests on no anchor", None),
    ExitStatus(NOT_READY_STATUS, "`engram status --check`: clients should not use the node now", None),
    ExitStatus(USAGE, "wrong usage", False),
    ExitStatus(
        DATA, "a setting, a key or an input is wrong, the chain refuses it, or damage was found", False
    ),
    ExitStatus(UNREACHABLE, "no node answers", None),
    ExitStatus(INTERNAL, "a bug in Engram", True),
    ExitStatus(IO, "reading or writing failed, or the disk is full", True),
    ExitStatus(
        LATER, "not now: another program has the port or the data directory, or something is awaited", True
    ),
    ExitStatus(NOT_ALLOWED, "the token is missing or wrong", None),
    ExitStatus(
        UNFIT,
        "the data directory is damaged, of another chain, or of another version; or this Engram is too old",
        False,
    ),
    ExitStatus(INTERRUPTED, "Ctrl-C ended a command (a node ends with 0 then)", None),
    ExitStatus(BROKEN_PIPE, "nobody reads the output, as in `engram … | head`", None),
)
"""Every status but 0, which means that all went well."""

STATUS_OF: Final = {
    "port_taken": LATER,
    "address_unusable": LATER,
    "data_dir_locked": LATER,
    "damaged_body": LATER,
    "corrupt_store": UNFIT,
    "foreign_data": UNFIT,
    "schema_mismatch": UNFIT,
    "upgrade_required": UNFIT,
    "unauthorized": NOT_ALLOWED,
    "internal_error": INTERNAL,
    "method_not_found": INTERNAL,
    "invalid_request": INTERNAL,
    "parse_error": INTERNAL,
}
"""Statuses of errors by their code, where the family of the error does not say enough. An address that this
machine does not have may be its own once the network is up, so that one is for later, too.
"""
