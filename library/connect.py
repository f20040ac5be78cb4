"""Opens a chain for a program without an event loop."""

from __future__ import annotations

from pathlib import Path

from engram.library.chain import AsyncChain
from engram.library.sync import SyncChain
from engram.primitives.keys import PrivateKey


def connect(
    url: str | None = None,
    *,
    data_dir: str | Path | None = None,
    key: str | PrivateKey | None = None,
    passphrase: str | None = None,
    patience_s: float | None = None,
) -> SyncChain:
    """A chain through the node at `url`, or through the node of the data directory; open already.

    `data_dir` is the data directory: that of the node if no `url` is given, and in any case the place of keys
    and of the secrets of the rounds that this program opens and plays. None is ENGRAM_DATA_DIR, or the user's
    default one, which other programs and commands use, too.

    Close it, or use it in a `with` block. `key` names a key of the data directory, which pays and plays; its
    `passphrase` is that of the environment (ENGRAM_PASSPHRASE) if none is given. Without a key the chain is
    only read. `patience_s`: so many seconds a node that has answered before may be away before a call raises;
    by default an hour, so that a round outlasts a restart of the node. Raises `NodeUnreachable`,
    `AnswerInvalid`, `ForeignNode`, `ChainNotFound`, `KeyNotFound`,
    `PassphraseMissing`, `WrongPassphrase`.
    """
    return SyncChain(
        AsyncChain(url, data_dir=data_dir, key=key, passphrase=passphrase, patience_s=patience_s)
    )
