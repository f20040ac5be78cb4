"""Models whose scores are claimed, on the command line: what is asked for, printed and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.commands.support.claims import places
from tests.support.cli import Shell
from tests.support.dev_node import served_shell
from tests.support.refuted_claim import HONEST, LIAR, WATCHER, refuted_claim

COIN = 10**8
FOUND = ("round", "open", "--data", "digits", "--take-classes", "0-1", "--rows", "20", "--key", "alice")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait; alice and bob have coins."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


def test_a_founder_chooses_that_scores_are_claimed_and_is_told_what_is_assumed(shell: Shell) -> None:
    chosen = ("--verification", "disputed", "--dispute-window", "20", "--audit-chunks", "3")
    result = shell.run(*FOUND, *chosen, "--bounty", "4", "--windows", "9")
    assert "anyone may dispute them for 20 ticks, 3 chunks are audited" in result.stdout
    assert "one honest watcher" in result.stderr
    opened = shell.json(*FOUND, *chosen, "--bounty", "4", "--windows", "9")
    claims = {"window": 20, "audited": 3}
    assert opened["claims"] == shell.json("model", "show", opened["model"])["claims"] == claims
    terms = opened["terms"]
    assert (terms["commit_window"], terms["score_window"]) == (9, 60), "three dispute windows"
    assert terms["author_bond"] == 8 * COIN, "twice the pot"
    assert shell.json(*FOUND)["claims"] is None


def test_a_watcher_looks_once_at_what_is_claimed(shell: Shell) -> None:
    opened = shell.json(*FOUND, "--verification", "disputed")
    assert shell.json("round", "claims", opened["id"]) == []
    assert "no claims" in shell.run("round", "claims", opened["id"]).stdout
    words = ("watch", "--once", "--models", opened["model"][:12], "--key", "bob")
    assert [json.loads(line) for line in shell.run(*words, "--json").stdout.splitlines()] == [
        {"event": "result", "checked": 0, "false": 0}
    ]
    assert "false claims" in shell.run(*words).stdout
    assert shell.error("watch", "--once", "--models", "0" * 12, "--key", "bob") == (65, "id_not_found")


def test_a_watcher_stops_when_it_is_told_to(shell: Shell) -> None:
    words = [sys.executable, "-m", "engram.cli", "watch", "--json", "--key", "bob"]
    words += ["--data-dir", str(shell.data_dir)]
    env = {**os.environ, **{name: value for name, value in shell.environment.items() if value is not None}}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["event"] == "watching"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in said


def test_a_user_is_told_what_became_of_each_claim(tmp_path: Path) -> None:
    with refuted_claim(tmp_path) as played:
        user = Shell(tmp_path, {})
        told = user.json("round", "show", played.round)
        assert [claim["status"] for claim in told["claims"]] == ["confirmed", "refuted"]
        assert [refuted["author"] for refuted in told["refuted"]] == [LIAR]
        assert user.json("round", "claims", played.round) == told["claims"]
        shown = user.text("round", "show", played.round)
        assert f"{HONEST}: confirmed; every node computed 2 of 6 chunks: chunk" in shown
        assert (
            f"{LIAR}: refuted; chunk 1 of part 1 is false, as {WATCHER} has shown, who disputed it" in shown
        )
        assert "lost a bond of 2 coins, 1 of them to" in shown
        drawn = places(told["claims"][0]["chunks_drawn"])
        assert drawn in user.text("round", "claims", played.round)
