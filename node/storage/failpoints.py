"""Named places at which a test ends the process as a power cut would: no clean-up, no flush, no `finally`.

A claim such as "a crash between these two writes loses nothing" is worth little until a process has really
died there. Therefore every step of a write has a name here, and a test kills a real process at each of them.

All fail points are off unless the environment names one: with `ENGRAM_FAILPOINT=name` the process ends at the
first visit of that point, with `name:3` at the third. The crash test runs one process for each member of
`FailPoint` and expects `EXIT_CODE`, so a point that the process never reaches makes the test fail.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Final

VARIABLE: Final = "ENGRAM_FAILPOINT"
EXIT_CODE: Final = 86
"""Exit status of a process that ended at a fail point; the node uses it for nothing else."""


class FailPoint(StrEnum):
    """Every fail point, in the order in which a data directory passes them in its life."""

    FILES_BEFORE_CREATE = "files.before_create"
    FILES_AFTER_CREATE = "files.after_create"
    FILES_TORN_PREAMBLE = "files.torn_preamble"
    FILES_BEFORE_APPEND = "files.before_append"
    FILES_TORN_HEAD = "files.torn_head"
    FILES_TORN_PAYLOAD = "files.torn_payload"
    FILES_BEFORE_FSYNC = "files.before_fsync"
    FILES_AFTER_FSYNC = "files.after_fsync"
    FILES_BEFORE_TRUNCATE = "files.before_truncate"
    FILES_AFTER_TRUNCATE = "files.after_truncate"
    GENESIS_BEFORE_COMMIT = "genesis.before_commit"
    GENESIS_AFTER_COMMIT = "genesis.after_commit"
    IMPORT_AFTER_HEADER = "import.after_header"
    IMPORT_AFTER_BODY = "import.after_body"
    IMPORT_AFTER_EXECUTION = "import.after_execution"
    IMPORT_BEFORE_COMMIT = "import.before_commit"
    IMPORT_AFTER_COMMIT = "import.after_commit"
    IMPORT_AFTER_HEAD = "import.after_head"
    SIDE_BEFORE_COMMIT = "side.before_commit"
    SIDE_AFTER_COMMIT = "side.after_commit"
    REORG_BEFORE_COMMIT = "reorg.before_commit"
    REORG_AFTER_COMMIT = "reorg.after_commit"
    INVALID_BEFORE_COMMIT = "invalid.before_commit"
    INVALID_AFTER_COMMIT = "invalid.after_commit"
    PRUNE_BEFORE_COMMIT = "prune.before_commit"
    PRUNE_AFTER_COMMIT = "prune.after_commit"
    RESTORE_BEFORE_COMMIT = "restore.before_commit"
    RESTORE_AFTER_COMMIT = "restore.after_commit"
    COMPACT_BEFORE_COMMIT = "compact.before_commit"
    COMPACT_AFTER_COMMIT = "compact.after_commit"
    MEND_BEFORE_COMMIT = "mend.before_commit"
    MEND_AFTER_COMMIT = "mend.after_commit"
    HISTORY_BEFORE_COMMIT = "history.before_commit"
    HISTORY_AFTER_COMMIT = "history.after_commit"
    OPEN_AFTER_CHECK = "open.after_check"
    ROLL_FORWARD_BEFORE_BLOCK = "roll_forward.before_block"
    ROLL_FORWARD_AFTER_BLOCK = "roll_forward.after_block"
    REBUILD_BEFORE_SWAP = "rebuild.before_swap"
    REBUILD_IN_SWAP = "rebuild.in_swap"
    REBUILD_AFTER_SWAP = "rebuild.after_swap"


_remaining: dict[str, int] = {}


def arm(setting: str) -> None:
    """Switches on the point of a setting `name[:count]` and all others off; an empty setting means none.

    Raises `ValueError` if there is no such point.
    """
    _remaining.clear()
    if setting:
        name, _, count = setting.partition(":")
        _remaining[FailPoint(name)] = int(count or "1")


def hit(point: FailPoint) -> None:
    """Ends the process at once if this point is switched on and its count is reached; else does nothing."""
    if not _remaining or point not in _remaining:
        return
    _remaining[point] -= 1
    if _remaining[point] == 0:
        os._exit(EXIT_CODE)


arm(os.environ.get(VARIABLE, ""))
