"""The sizes of folders whose files come and go."""

from pathlib import Path

from engram.node.files import folder_bytes


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
