"""The sizes of folders whose files come and go; files that are made where no hard links are."""

import errno
import os
from pathlib import Path

import pytest

from engram.node.files import folder_bytes, write_private


def test_the_bytes_of_a_folder_and_those_below_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "one").write_bytes(bytes(3))
    (tmp_path / "below" / "two").write_bytes(bytes(4))
    assert folder_bytes(tmp_path) == 7
    assert folder_bytes(tmp_path / "nowhere") == 0


def test_a_file_that_is_listed_and_gone_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(3))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert folder_bytes(tmp_path) == 3


@pytest.mark.fault(id=49)
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_a_file_system_without_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*names: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "folder" / "key"
    write_private(path, b"whole", replace=False)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"whole", 0o600)
    with pytest.raises(FileExistsError):
        write_private(path, b"another", replace=False)
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"whole", ["key"])


@pytest.mark.fault(id=49)
def test_a_disk_that_refuses_links_for_another_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*names: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "key", b"whole", replace=False)
    assert os.listdir(tmp_path) == []
