"""What an author must not lose between commit and reveal: on disk before the commit is sent. No network.

Without claim, salt and update nobody can reveal, and the bond is gone; so a program that died in between
finds them here when it is started again.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from engram.node.keystore import write_private
from engram.participant.errors import AlreadyPlaying, SecretsInvalid
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.types import Address, Hash, Size
from engram.statemachine.rounds.update import Update, UpdateClaim, commit_digest

_MAX_BYTES: Final = 2**30


@dataclass(frozen=True)
class CommitSecret:
    """What opens one commit."""

    claim: UpdateClaim
    update: Update
    """Without its tensors."""
    tensors: Annotated[tuple[Annotated[bytes, Size(1, 2**26)], ...], Size(0, 1024)]
    """Every tensor that the update needs and the chain did not have when it was made."""

    @classmethod
    def of(cls, claim: UpdateClaim, update: Update) -> CommitSecret:
        """The secret of a claim about a whole update."""
        return cls(claim, replace(update, tensors=()), update.tensors)

    @property
    def digest(self) -> Hash:
        """What the commit on the chain carries."""
        return commit_digest(self.claim)


class Journal:
    """The commits of this user's authors, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def playing(self, round_id: Hash, author: Address) -> Iterator[None]:
        """Inside the block, no other program plays this round with this key: it would overwrite the secrets.

        Raises `AlreadyPlaying`. A program that dies plays no more.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{round_id.hex()}-{author.hex()}.lock"
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyPlaying(got=round_id) from error
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def save(self, secret: CommitSecret) -> None:
        """Writes and syncs the file, readable by its owner only. A crash leaves no half file."""
        claim = secret.claim
        write_private(self._path(claim.round, claim.epoch, claim.author), encode(secret))

    def find(self, round_id: Hash, epoch: int, author: Address) -> CommitSecret | None:
        """What an earlier run saved. Raises `SecretsInvalid`."""
        path = self._path(round_id, epoch, author)
        try:
            return decode(CommitSecret, path.read_bytes(), max_bytes=_MAX_BYTES)
        except FileNotFoundError:
            return None
        except CodecError as error:
            raise SecretsInvalid(f"{path} is damaged: {error}") from error

    def forget(self, round_id: Hash, author: Address) -> None:
        """Removes what a finished round no longer needs."""
        for path in self._folder.glob(f"{round_id.hex()}-{author.hex()}-*.commit"):
            path.unlink(missing_ok=True)

    def _path(self, round_id: Hash, epoch: int, author: Address) -> Path:
        return self._folder / f"{round_id.hex()}-{author.hex()}-{epoch}.commit"
