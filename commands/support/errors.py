"""What can be wrong between a command line and the account or file it names. Leaves only."""

from __future__ import annotations

from engram.primitives.errors import InvalidInput


class PassphraseMissing(InvalidInput):
    """A passphrase is needed and nobody can type it: set ENGRAM_PASSPHRASE, or use --passphrase-file."""


class KeyNotChosen(InvalidInput):
    """The data directory does not hold exactly one key: name one with --key."""


class ForeignNode(InvalidInput):
    """No node runs on the data directory; at its port is one of another chain, which --rpc would mean."""


class SeedInvalid(InvalidInput):
    """A seed is 64 hexadecimal digits, the 32 bytes of an Ed25519 private key."""


class IdNotFound(InvalidInput):
    """Nothing of this kind has an id that begins so."""


class IdAmbiguous(InvalidInput):
    """Several ids begin so: give more digits."""


class RowsInvalid(InvalidInput):
    """A row is as many whole numbers from 0 to 255 as the model has inputs, separated by commas."""


class FileExistsAlready(InvalidInput):
    """The output file exists: name another one, or use --force to replace it."""


class DirectoryNotEmpty(InvalidInput):
    """The directory holds files already: name a new or empty one."""


class DirectoryNotWritable(InvalidInput):
    """The directory cannot be written to: work in another one, or name one."""
