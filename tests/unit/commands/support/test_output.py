"""What people and pipes get to see."""

import sys
from dataclasses import replace

import click
import pytest

from engram.commands.support.output import Column, print_fields, print_table, short, show
from engram.commands.support.units import accuracy, mean_loss

COLUMNS = (Column("name", lambda row: row[0]), Column("number", lambda row: row[1], right=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        ((), "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ([1, None], "1, -"),
        ("x", "x"),
        ("0" * 64, "-"),
        ("0" * 12, "0" * 12),
    ],
)
def test_values(value: object, text: str) -> None:
    assert show(value) == text


def test_fields_are_aligned_and_nested(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("a", 1), ("longer", None), ("inner", {"x": "y"}), ("rows", [{"n": 1}, {"n": 2}])])
    assert capsys.readouterr().out.splitlines() == [
        "a       1",
        "longer  -",
        "inner",
        "  x  y",
        "rows",
        "  [0]",
        "    n  1",
        "  [1]",
        "    n  2",
    ]


def test_long_members_of_a_list_get_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("ids", ["a" * 64, "b" * 64]), ("heights", [1, 2])])
    assert capsys.readouterr().out.splitlines() == [
        "ids",
        "  " + "a" * 64,
        "  " + "b" * 64,
        "heights  1, 2",
    ]


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("x" * 150, 7), ("[bold]y", 12)], "nothing")
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "number"]
    assert first.split() == ["x" * 150, "7"]
    assert second.split() == ["[bold]y", "12"]
    assert first.index("7") == second.index("2")


def test_a_narrow_terminal_cuts_names_and_never_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    number = Column("a long title", lambda row: row[1], right=True)
    print_table((COLUMNS[0], number), [("x" * 60, 123_456_789_012)], "nothing")
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[-1].split() == ["x" * 25 + "…", "123456789012"]
    print_table((replace(COLUMNS[0], whole=True), number), [("x" * 60, 1)], "nothing")
    assert capsys.readouterr().out.count("x") == 60


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [], "nothing here")
    assert capsys.readouterr().out == "nothing here\n"


def test_short_ids() -> None:
    assert short("0123456789abcdef" * 4) == "0123456789ab"
    assert short("0" * 64) == "-"


def test_losses_and_accuracies() -> None:
    assert mean_loss(3 * 2**23, 3) == "0.5000"
    assert accuracy(1, 3) == "33.33 %"
    assert (mean_loss(0, 0), accuracy(0, 0)) == ("-", "-")


def test_a_narrow_terminal_leaves_out_what_can_be_spared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (
        Column("id", lambda row: "a" * 12),
        Column("first to go", lambda row: "x" * 30, spare=2),
        Column("second", lambda row: "y" * 30, spare=1),
        Column("why", lambda row: "because of " * 6, whole=True),
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    print_table(columns, [0], "none")
    printed = capsys.readouterr()
    titles, *lines = click.unstyle(printed.out).splitlines()
    assert titles.split() == ["id", "second", "why"]
    assert lines[0].split()[:2] == ["a" * 12, "y" * 30]
    assert max(map(len, (titles, *lines))) <= 80
    assert printed.err == "no room for: first to go; a wider terminal or --json shows them\n"
    monkeypatch.setenv("COLUMNS", "200")
    print_table(columns, [0], "none")
    printed = capsys.readouterr()
    assert "first to go" in printed.out
    assert printed.err == ""
