"""What the demonstration shows at its end, for a terminal of the usual width."""

import sys

import click
import pytest

from engram.commands.support.demo_screen import show_report
from engram.participant.demo.report import AttackRow, DemoReport, GroupRow, NodeRow, VersionRow

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
    attacks=[AttackRow("copycat", "refused: the commit was not its own", "commit_missing", 10**9, 10**9)],
    rounds=2,
    old_logits_unchanged=True,
)


def test_the_tables_fit_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show_report(REPORT, to_stderr=False)
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
