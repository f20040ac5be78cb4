"""`engram learn` and its commands, as far as they answer without a daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.consensus.chainspec import dev
from engram.node.datadir import make_data_dir
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, dev_spec, write_keys


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    make_data_dir(tmp_path, dev_spec())
    write_keys(tmp_path)
    return Shell(tmp_path, {"ENGRAM_PASSPHRASE": PASSPHRASE, "ENGRAM_KEY": "alice"})


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("ask", "--data", "digits"),
        ("teach", "--data", "digits", "--take-classes", "3"),
        ("status", "--model", "3fa2"),
        ("status", "--memory", "nowhere"),
    ],
)
def test_without_a_daemon_its_commands_say_so(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.error("learn", *words) == (75, "learner_missing")


def test_options_of_the_daemon_are_not_taken_in_vain(shell: Shell) -> None:
    assert shell.run("learn", "--after-rows", "5", "status").exit_code == 64
    assert shell.run("learn", "--dry-run", "--feed", "inbox").exit_code == 64
    assert shell.run("learn", "teach", "--data", "digits", "--name", "seven=7").exit_code == 64


def test_a_node_is_needed_to_begin(shell: Shell) -> None:
    assert shell.error("learn", "--model", "3fa2") == (69, "node_unreachable")


def test_work_is_asked_for_only_where_blocks_carry_some(tmp_path: Path) -> None:
    """By default none is asked for on a chain for development, so that the daemon learns there, too."""
    make_data_dir(tmp_path, dev((), 1))
    shell = Shell(tmp_path, {"ENGRAM_PASSPHRASE": PASSPHRASE, "ENGRAM_KEY": "alice"})
    shell.json("key", "new", "alice")
    assert shell.error("learn", "--model", "3fa2", "--min-work", "5") == (65, "no_work")
    assert shell.error("learn", "--model", "3fa2") == (69, "node_unreachable")
