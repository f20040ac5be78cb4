"""Descriptors: the ports never get all of them, and a file is opened although there is none left."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from engram.node import descriptors
from engram.node.descriptors import FOR_FILES, RPC_CONNECTIONS, SPARES, PortShares, open_file, shares


@pytest.mark.parametrize("limit", [128, 256, 512, 1_024, 4_096, 65_536])
@pytest.mark.parametrize("max_inbound", [0, 1, 32, 10_000])
def test_the_ports_leave_what_the_files_need(limit: int, max_inbound: int) -> None:
    given = shares(limit, max_inbound)
    assert given.peers + given.rpc <= limit - FOR_FILES - SPARES
    assert given.rpc >= 8
    assert 0 <= given.sessions <= max_inbound
    assert given.peers > given.sessions, "there is a place for one that is just beginning"


def test_a_usual_limit_takes_nothing_from_the_settings() -> None:
    assert shares(8_192, 32) == PortShares(peers=96, sessions=32, rpc=RPC_CONNECTIONS)


@contextmanager
def all_taken() -> Iterator[None]:
    """No descriptor is left in this process."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        with suppress(OSError):
            while True:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield


def test_a_file_is_opened_although_no_descriptor_is_left(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    path.write_bytes(b"content")
    os.close(open_file(path, os.O_RDONLY))  # the spares are filled with the first file
    with all_taken():
        for _ in range(3 * SPARES):
            opened = open_file(path, os.O_RDONLY)
            assert os.read(opened, 100) == b"content"
            os.close(opened)


def test_a_file_waits_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "GIVE_UP_S", 0.0)
    path = tmp_path / "blocks"
    path.touch()
    os.close(open_file(path, os.O_RDONLY))
    with all_taken():
        kept = [open_file(path, os.O_RDONLY) for _ in range(SPARES)]
        with pytest.raises(OSError, match="Too many open files"):
            open_file(path, os.O_RDONLY)
        for each in kept:
            os.close(each)
        os.close(open_file(path, os.O_RDONLY))


def test_the_soft_limit_is_raised_and_never_lowered() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, limits[1]))
        raised = descriptors.raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (raised, limits[1])
        assert 300 <= raised <= descriptors.WANTED
        assert descriptors.raise_limit() == raised
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
