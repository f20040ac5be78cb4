"""Keeps on disk what an author needs to reveal a commit. No network.

Only the claim, its salt and the update open a commit, and an author who cannot reveal loses the bond. So they
are saved before the commit is sent, and a program that died in between finds them here when it starts again.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from engram.node.errors import FileDamaged, NotAFile
from engram.node.files import make_folder, read_plain, write_private
from engram.participant.errors import AlreadyPlaying, SecretsInvalid
from engram.primitives.codec import decode, encode
from engram.primitives.errors import CodecError
from engram.primitives.types import Address, Hash, Size
from engram.statemachine.additions import Update
from engram.statemachine.rounds.update import UpdateClaim, commit_digest

_MAX_BYTES: Final = 2**30


@dataclass(frozen=True)
class CommitSecret:
    """Everything that is needed to reveal one commit."""

    claim: UpdateClaim
    update: Update
    """The update without its tensors."""
    tensors: Annotated[tuple[Annotated[bytes, Size(1, 2**26)], ...], Size(0, 1024)]
    """Every tensor that the update needs and the chain did not have when it was made."""

    @classmethod
    def of(cls, claim: UpdateClaim, update: Update) -> CommitSecret:
        """The secret of a claim and its update, with the tensors taken out of the update."""
        return cls(claim, replace(update, tensors=()), update.tensors)

    @property
    def digest(self) -> Hash:
        """The digest of the claim, which is all that the commit on the chain says."""
        return commit_digest(self.claim)


class Journal:
    """The secrets of this user's commits, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def playing(self, round_id: Hash, author: Address) -> Iterator[None]:
        """Inside the `with` block, no other program can play this round with this key.

        Two programs would overwrite each other's secrets. The lock is the operating system's (flock), so a
        program that dies gives it up. Raises `AlreadyPlaying`.
        """
        make_folder(self._folder)
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
        """Writes the secret to its file, readable by the owner only, and syncs it. A crash leaves the file
        whole or absent.
        """
        claim = secret.claim
        write_private(self._path(claim.round, claim.epoch, claim.author), encode(secret))

    def find(self, round_id: Hash, epoch: int, author: Address) -> CommitSecret | None:
        """The secret that an earlier run has saved; None if there is none. Raises `SecretsInvalid`."""
        path = self._path(round_id, epoch, author)
        try:
            return decode(CommitSecret, read_plain(path, _MAX_BYTES), max_bytes=_MAX_BYTES)
        except FileNotFoundError:
            return None
        except (CodecError, FileDamaged, NotAFile) as error:
            raise SecretsInvalid(f"{path} is damaged: {error}") from error

    def forget(self, round_id: Hash, author: Address) -> None:
        """Deletes the secrets of a round that has ended."""
        for path in self._folder.glob(f"{round_id.hex()}-{author.hex()}-*.commit"):
            path.unlink(missing_ok=True)

    def _path(self, round_id: Hash, epoch: int, author: Address) -> Path:
        return self._folder / f"{round_id.hex()}-{author.hex()}-{epoch}.commit"
