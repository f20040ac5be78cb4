"""The rows that an opener brings: which are doubtful, how many are enough, and what of it people are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Shell
from tests.support.dev_node import served_shell

pytestmark = pytest.mark.xdist_group("cli_round_rows")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait; alice and bob have coins."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


def test_repeated_rows_are_judged_alike_in_every_share_and_told_once(shell: Shell, tmp_path: Path) -> None:
    """Seen: all rows of a file were refused, a third of them was taken without a word, and what was refused
    was said twice.
    """
    lines = [f"{number % 256},{number * 7 % 256},{number // 256},{number % 2}\n" for number in range(900)]
    rows = tmp_path / "rows.csv"
    rows.write_text("".join([*lines, *lines[:12]]))  # 1.3 %, so that a share may hold fewer than one in 100
    words = ("round", "open", "--data", str(rows), "--label", "last", "--key", "alice")
    for share in ("1/1", "1/3", "2/3", "3/3"):
        result = shell.run(*words, "--share", share)
        assert result.exit_code == 65
        assert result.stderr.count("12 of 912 rows repeat an earlier one") == 1, result.stderr
        assert "(got" not in result.stderr


def test_parts_that_are_too_large_are_told_what_fits(shell: Shell) -> None:
    """Seen: `choose other --rows and --parts`, where leaving --rows out was enough."""
    words = ("round", "open", "--data", "digits", "--share", "1/9", "--parts", "6", "--key", "alice")
    told = shell.run(*words, "--rows", "60").stderr
    assert (
        "6 parts of 60 rows take 360 rows, and there are 199: leave out --rows, which makes parts of 33"
        in told
    )
    assert "(expected" not in told
    told = shell.run(*words, "--rows", "60", "--parts", "30").stderr
    assert "30 parts of 60 rows take 1800 rows, and there are 199: bring more rows: a part has" in told
