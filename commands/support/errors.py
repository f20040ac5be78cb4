"""What can be wrong between a command line and the account or file it names. Leaves only."""

from __future__ import annotations

from engram.primitives.errors import InvalidInput


class PassphraseMissing(InvalidInput):
    """A passphrase is needed and nobody can type it: set ENGRAM_PASSPHRASE, or use --passphrase-file."""


class KeyNotChosen(InvalidInput):
    """The data directory does not hold exactly one key: name one with --key."""


class ForeignNode(InvalidInput):
    """No node runs on the data directory. The node at its port is of another chain: name it with --rpc."""


class SeedInvalid(InvalidInput):
    """A seed is 64 hexadecimal digits, the 32 bytes of an Ed25519 private key."""


class IdNotFound(InvalidInput):
    """Nothing of this kind has an id that begins with these digits."""


class IdAmbiguous(InvalidInput):
    """Several ids begin with these digits: give more of them."""


class RowsInvalid(InvalidInput):
    """A row is one whole number from 0 to 255 for each input of the model, separated by commas."""


class FileExistsAlready(InvalidInput):
    """The output file exists: name another one, or use --force to replace it."""


class DirectoryNotEmpty(InvalidInput):
    """The directory holds files already: name a new or empty one."""


class DirectoryNotWritable(InvalidInput):
    """The directory cannot be written to: work in another directory, or name one."""
