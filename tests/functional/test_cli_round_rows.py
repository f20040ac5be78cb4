"""The rows that an opener brings: which are doubtful, how many are enough, and what of it people are told."""

from __future__ import annotations

import re
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


def test_a_growth_says_how_many_rows_decide_and_how_many_it_may_lose(shell: Shell, tmp_path: Path) -> None:
    """Seen: the founding said both, and the growth, whose rows had to be enough, said neither."""
    rows = ("--data", "digits", "--take-classes", "0,1", "--new-classes", "1", "--key", "alice")
    one = ("--classes", "1", "--hidden", "none", "--epsilon", "0.05", "--windows", "1", "--epochs", "1")
    founded = shell.json("round", "open", *rows, *one)
    shell.text("miner", "mine", "14")  # it ends without a version, because nobody has revealed
    words = ("round", "open", founded["model"], *rows)
    options = ("--parts", "4", "--sealed", "2", "--rows", "40")
    result = shell.run(*words, *options, "--windows", "30")
    assert result.exit_code == 0, result.stderr
    fields = dict(re.findall(r"^(\S.*?)  +(.*)$", result.stdout, re.MULTILINE))
    assert fields["parts"].strip() == "4 of 40 rows; 2 stay sealed, and their 80 rows decide"
    opened = shell.json("round", "show", fields["round"].strip())
    assert opened["terms"]["rows"] == 40
    (lost, old), share = re.findall(r"\d+", fields["may forget"])[:2], fields["may forget"]
    assert share.endswith("(epsilon 0.05, of the model)")
    assert 35 <= int(old) <= 41, "half of the rows are of the old class"
    assert int(lost) == int(old) * 5 // 100
    assert f"of {old} old rows a growth of this model may lose {lost}" in result.stderr
    assert "of your rows decide" not in result.stderr, "80 rows are enough"


def test_few_rows_that_decide_are_warned_of_and_taken(shell: Shell) -> None:
    words = (
        "round",
        "open",
        "--data",
        "digits",
        "--take-classes",
        "0-2",
        "--z-squared",
        "9",
        "--key",
        "alice",
    )
    few = shell.run(*words, "--rows", "60")
    assert few.exit_code == 0
    assert "misses the proof of its gain in 39% of rounds; with --rows 121, in 5%" in few.stderr
    told = shell.json(*words, "--rows", "60")
    assert (told["deciding_rows"], round(told["proof_chance"], 2)) == (60, 0.61)
    for enough in (("--rows", "121"), ("--rows", "60", "--parts", "5", "--sealed", "3")):
        assert "proof" not in shell.run(*words, *enough).stderr
    strict = shell.run(*words, "--rows", "121", "--z-squared", "25")
    assert "misses the proof of its gain" in strict.stderr
