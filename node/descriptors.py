"""File descriptors: how many this process may have, who may use how many, and a reserve for the disk.

Whoever connects costs the node a descriptor, and a node that cannot open its files has to end. Therefore the
connections at each port are bounded so that the files always have some left, whatever the system allows; and
what is opened for the disk has spare descriptors to fall back on if others have taken the rest all the same.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from dataclasses import dataclass
from typing import Final

WANTED: Final = 8_192
"""The soft limit is raised to this where the hard limit allows it."""
FOR_FILES: Final = 96
"""Kept for the database, block files, logs, threads and dials."""
PER_PEER_PENDING: Final = 64
"""Connections at the peer port that may stand beside the sessions: those that are just beginning."""
RPC_CONNECTIONS: Final = 512
SPARES: Final = 8
RETRY_S: Final = 0.05
GIVE_UP_S: Final = 30.0
"""How long a file waits for a descriptor when the spares are used up, too: until silent clients are cut."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})


def is_exhaustion(error: BaseException) -> bool:
    """Whether the system refused a descriptor, which is nobody's damage and passes."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


def raise_limit() -> int:
    """Raises this process's soft limit as far as the hard limit allows, to `WANTED`; the limit that holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


@dataclass(frozen=True)
class PortShares:
    """How many connections may stand at each port at once."""

    peers: int
    sessions: int
    """How many of those at the peer port may become sessions."""
    rpc: int


def shares(limit: int, max_inbound: int) -> PortShares:
    """Divides a limit of descriptors: what the files leave is enough, or each port gets half of it."""
    left = max(8, limit - FOR_FILES - SPARES)
    peers, rpc = max_inbound + PER_PEER_PENDING, RPC_CONNECTIONS
    if peers + rpc > left:
        rpc = min(rpc, max(left // 2, left - peers))
        peers = min(peers, left - rpc)
    return PortShares(peers, min(max_inbound, peers - peers // 4), rpc)


class _Spares:
    """Descriptors that are open for nothing, so that one can be had when the system gives no more."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[int] = []
        self._lock = threading.Lock()

    def open(self, path: str | os.PathLike[str], flags: int, mode: int) -> int:
        give_up_s = time.monotonic() + GIVE_UP_S
        while True:
            try:
                return self._open(path, flags, mode)
            except OSError as error:
                if not is_exhaustion(error) or time.monotonic() >= give_up_s:
                    raise
            time.sleep(RETRY_S)

    def _open(self, path: str | os.PathLike[str], flags: int, mode: int) -> int:
        with self._lock:
            while True:
                try:
                    opened = os.open(path, flags, mode)
                except OSError as error:
                    if not is_exhaustion(error) or not self._held:
                        raise
                    os.close(self._held.pop())
                    continue
                self._refill()
                return opened

    def _refill(self) -> None:
        try:
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if not is_exhaustion(error):
                raise


_spares = _Spares(SPARES)
"""One reserve for the process, because its descriptors are one stock, too."""


def open_file(path: str | os.PathLike[str], flags: int, mode: int = 0o777) -> int:
    """As `os.open`, but where no descriptor is left, one of the spares is used, and else it waits for one.

    It may block for `GIVE_UP_S` and is therefore called in worker threads only. Raises `OSError`.
    """
    return _spares.open(path, flags, mode)
