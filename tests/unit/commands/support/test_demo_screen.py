"""What the demonstration shows at its end, for a terminal of the usual width."""

import io
import sys
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from rich.console import Console

from engram.commands.support.demo_pictures import round_bar
from engram.commands.support.demo_screen import show_report
from engram.participant.demo import report
from engram.participant.demo.report import (
    AttackRow,
    DemoReport,
    GroupRow,
    NodeRow,
    ScoreRow,
    VersionRow,
)
from engram.participant.demo.stage import RoundNow

BADGES = ["witness: witness", "participation: leaker"]
VERSIONS = [
    VersionRow(0, "FOUNDING", 6, 64, 2.122794, 2.129545, 0.18, "founder", [], 50_872, 27_483_136, 575_687),
    VersionRow(1, "TRAIN", 6, 64, 0.086784, 0.076033, 0.9756, "alice", BADGES, 50_872, 99_902_464, 715_555),
    VersionRow(2, "GROW", 10, 112, 0.196234, 0.21072, 0.924, "bob", BADGES, 38_320, 163_623_168, 717_437),
]
REPORT = DemoReport(
    "digits",
    0,
    nodes=[NodeRow("ab" * 32, 213, "cd" * 32, "ef" * 32, 210_800_640)],
    versions=VERSIONS,
    groups=[GroupRow(1, "witness", 40, 0.0202, 1.792643, 0.0113, 6.3)],
    attacks=[
        AttackRow("copycat", "refused: the commit was not its own", "commit_missing", 10**9, 10**9),
        AttackRow("forger", "FAILED", "base_mismatch", 10**9, 10**9 // 2),
    ],
    scores=[
        ScoreRow(1, "alice", 1, 0.086784, 0.076033, 0.0113, 0.9756, "won"),
        ScoreRow(1, "bob", 0, 0.08, 0.1, 0.02, 0.97, "beaten"),
        ScoreRow(1, "bob", 1, 0.08, 0.1, 0.03, 0.96, "beaten"),
        ScoreRow(1, "copycat", 0, None, None, None, None, "caught", "commit_missing"),
        ScoreRow(2, "forger", 0, None, None, None, None, "caught", "base_mismatch"),
        ScoreRow(2, "forger", 1, None, None, None, None, "caught", "growth_overlap"),
    ],
    test=report.TestRow(2, 200, 191, 0.955, 0.2),
    rounds=2,
    old_logits_unchanged=True,
)


def test_the_tables_fit_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show_report(REPORT, to_stderr=False, details=True)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    assert ["version", "0", "1", "2"] in words
    assert ["MACs", "27,483,136", "99,902,464", "163,623,168"] in words
    assert ["fee", "0.00575687", "0.00715555", "0.00717437"] in words
    assert [
        "copycat",
        "refused:",
        "the",
        "commit",
        "was",
        "not",
        "its",
        "own",
        "commit_missing",
        "0",
    ] in words
    assert ["1", "witness", "40", "0.0202", "1.7926", "1.1%", "6.3"] in words
    assert "old logits unchanged; 2 rounds; 1 nodes at height 213" in lines


def shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> tuple[str, list[str]]:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "80")
    show_report(REPORT, to_stderr=False)
    raw = capsys.readouterr().out
    return raw, click.unstyle(raw).splitlines()


def test_people_see_who_won_who_was_caught_and_what_is_frozen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, lines = shown(capsys, monkeypatch, terminal=True)
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    assert ["1", "alice", "2", "0.0868", "1.1%", "97.6%", "won"] in rows
    assert ["bob", "1", "0.0800", "2.0%", "97.0%", "beaten"] in rows
    assert sum(row[:1] == ["bob"] for row in rows) == 1, "one row for an honest author"
    assert ["copycat", "1", "-", "-", "-", "caught:", "sent", "another's", "update"] in rows
    assert [row[-4:] for row in rows if "forger" in row[:2]] == [
        ["caught:", "changed", "frozen", "weights"],
        ["caught:", "overwrote", "frozen", "ones"],
    ]
    assert "\x1b[9;35mcopycat\x1b[0m" in raw, "struck out, and not in the colour of errors"
    assert "\x1b[31m" not in raw
    told = " ".join(" ".join(lines).split())
    assert "64 neurons by alice, frozen: 0-5" in told
    assert "48 neurons by bob, new: 6-9" in told
    assert "Learned: the model tells 10 digits apart and is right on 95.5% of 200 rows" in told
    assert "Caught: the copycat sent somebody else's update, the forger changed what is frozen." in told
    assert "together they lost 5.0 coins." in told
    assert "`engram play` leads you through a round of your own" in told
    assert "MACs" not in told


@pytest.mark.parametrize("on_path", [True, False])
def test_the_command_at_the_end_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, on_path: bool
) -> None:
    """It is longer than a line, and not broken; and a shell that does not find `engram` is told the path."""
    if on_path:
        (tmp_path / "engram").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    proof = report.ProofRow(
        "/home/somebody/demo.proof", "/home/somebody/demo.chain.json", "ab" * 32, True, False
    )
    monkeypatch.setattr(REPORT, "proof", proof)
    _, lines = shown(capsys, monkeypatch, terminal=True)
    command = f"engram verify {proof.path} --chain {proof.chain} --checkpoint {proof.checkpoint}"
    assert command in lines
    exported = [line for line in lines if line.startswith("export PATH=")]
    assert exported == ([] if on_path else [f"export PATH={Path(sys.executable).parent}:$PATH"])


def test_a_pipe_gets_everything_and_no_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, lines = shown(capsys, monkeypatch, terminal=False)
    assert "\x1b" not in raw
    assert any(line.startswith("MACs") for line in lines)
    assert any("caught: changed frozen weights" in line for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []
    learned, macs, height = (
        next(number for number, line in enumerate(lines) if line.startswith(begin))
        for begin in ("Learned:", "MACs", "old logits")
    )
    assert macs < learned < height, "the sentences stand after the tables, right above the commands they name"


def test_a_row_with_less_left_that_lost_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    close = [
        ScoreRow(1, "bob", 1, 0.07, 0.09, 0.28, 0.98, "beaten", "gain_too_small"),
        ScoreRow(1, "alice", 1, 0.07, 0.09, 0.29, 0.97, "beaten", "not_best_of_epoch"),
        ScoreRow(1, "alice", 0, 0.08, 0.1, 0.3, 0.97, "won"),
    ]
    monkeypatch.setattr(REPORT, "scores", close)
    _, lines = shown(capsys, monkeypatch, terminal=True)
    rows = [line.split() for line in lines]
    alice, bob = (next(n for n, row in enumerate(rows) if name in row[:2]) for name in ("alice", "bob"))
    assert rows[alice] == ["1", "alice", "1", "0.0800", "30.0%", "97.0%", "won"]
    assert alice < bob
    told = " ".join(" ".join(lines).split())
    assert "beaten: did not beat the" in told
    assert "only if it leaves at least an eighth less than the leader before" in told


def test_a_terminal_without_colours_loses_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, coloured = shown(capsys, monkeypatch, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    raw, lines = shown(capsys, monkeypatch, terminal=True)
    assert "35m" not in raw
    assert lines == coloured


def test_bars_say_how_far_a_round_is() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    now = RoundNow(1, "TRAIN", "commit", 0, 2, 14, 70, 5, 1.75, 4, 10)
    console.print(round_bar(now, is_over=False))
    console.print(round_bar(now, is_over=True))
    running, does, over = console.export_text().splitlines()
    assert running.endswith("commit, epoch 1 of 2: 5 blocks, 1.8 s")
    assert does == "  phase 4 of 10: authors train, and commit to updates"
    assert over.split()[-1] == "decided"


def test_the_picture_is_one_file_that_loads_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "demo.svg"
    show_report(REPORT, to_stderr=False, picture=picture)
    capsys.readouterr()
    text = picture.read_text("utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "url(http" not in text
    assert "href" not in text
    said = " ".join("".join(root.itertext()).split())
    assert "caught:" in said.replace("\xa0", " ")
