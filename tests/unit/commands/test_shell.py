"""Completion and manual pages: installed where shells and man look, a page a command, readable by man."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from engram.commands.shell import COMPLETIONS
from engram.commands.support.manpages import pages
from tests.support.cli import Shell
from tests.unit.commands.test_help import NAMES


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    installed = Shell(folder, {}).json("shell", "install", "--share", str(folder))
    assert installed["share"] == str(folder)
    assert installed["pages"] == len(list((folder / "man/man1").iterdir()))
    return folder


def test_every_command_has_a_page(share: Path) -> None:
    stems = {path.name.removesuffix(".1") for path in (share / "man/man1").iterdir()}
    assert {f"engram-{name.replace(' ', '-')}" for name in NAMES} <= stems
    assert "engram" in stems


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_shell_can_read_its_completion(share: Path, shell: str) -> None:
    path = share / COMPLETIONS[shell]
    assert "_ENGRAM_COMPLETE" in path.read_text()
    program = shutil.which(shell)
    if program is not None:
        assert subprocess.run([program, "-n", str(path)]).returncode == 0


def test_a_page_says_what_the_help_says(share: Path) -> None:
    page = (share / "man/man1/engram-tx-send.1").read_text()
    assert page.startswith('.TH "ENGRAM\\-TX\\-SEND" "1"')
    assert "engram\\-tx\\-send \\- Send AMOUNT coins" in page
    assert ".B \\-\\-max\\-fee COINS\n" in page
    assert ".SH EXAMPLES\n.nf\nengram tx send" in page
    assert ".BR engram\\-tx\\-send (1)" in (share / "man/man1/engram-tx.1").read_text()


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_reads_the_pages_without_a_warning(share: Path) -> None:
    for name in ("engram", "engram-tx-sign"):
        words = ["man", "--warnings=w", "-l", str(share / f"man/man1/{name}.1")]
        shown = subprocess.run(words, capture_output=True, text=True)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "DESCRIPTION" in shown.stdout


def test_text_that_man_would_take_for_a_request() -> None:
    command = click.Command("x", help=".SH not a heading\n\n'quoted' and \"double\" \\fB")
    ((_, page),) = pages(command, "x", "1")
    body = page.partition(".SH DESCRIPTION\n")[2]
    assert "\n.SH not" not in body
    assert "\\&.SH not a heading" in body
    assert "\\&'quoted' and \\(dqdouble\\(dq \\efB" in body


def test_a_second_install_replaces_the_first(share: Path) -> None:
    page = share / "man/man1/engram.1"
    before = page.read_text()
    page.write_text("old")
    assert Shell(share, {"XDG_DATA_HOME": str(share)}).json("shell", "install")["share"] == str(share)
    assert page.read_text() == before
