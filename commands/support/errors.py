"""Errors in what a command line asks for: its keys, ids, rows, files and directories.

The first line of each docstring is the message that the user sees where the code gives no other.
"""

from __future__ import annotations

from engram.primitives.errors import InvalidInput, NotReady


class KeyNotChosen(InvalidInput):
    """The data directory does not hold exactly one key: name one with --key."""


class ExplorerOff(InvalidInput):
    """This node serves no pages: set rpc_explorer = true in its engram.toml, and start it anew."""


class SeedInvalid(InvalidInput):
    """The seed is not 64 hexadecimal digits, the 32 bytes of an Ed25519 private key."""


class RowsInvalid(InvalidInput):
    """A row must be whole numbers from 0 to 255, separated by commas: one for each input of the model."""


class FileExistsAlready(InvalidInput):
    """The output file exists already: name another one, or use --force to replace it."""


class DirectoryNotEmpty(InvalidInput):
    """The directory holds files already: name a new or empty one."""


class DirectoryNotWritable(InvalidInput):
    """The directory cannot be written to: change to another one, or name another one."""


class PlayStuck(InvalidInput):
    """A round of the play has made no version, so it cannot go on: delete its folder and begin anew."""


class NotAnchored(InvalidInput):
    """No statement is written about a proof without an anchor: give the --checkpoint that you trust."""


class NotBanned(InvalidInput):
    """Nothing was held against it: `engram peer list --banned` shows what the node refuses."""


class StillRunning(NotReady):
    """The node was asked to stop and has not ended within two minutes: its log says what it waits for."""


class WaitTimedOut(NotReady):
    """What is waited for has not come within the time that --timeout allows: wait longer."""
