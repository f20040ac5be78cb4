"""A model founded and grown from the command line, by owners who never show each other a row of theirs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from engram.node.datadir import make_data_dir
from engram.participant.selection import Selection
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, write_keys
from tests.support.node_process import WAIT_S, NodeCommand, command, processes
from tests.support.stage import stage_spec

BLOCK_MS: Final = 100
ROUND: Final = (
    *("--rows", "44", "--parts", "3", "--epochs", "1", "--bounty", "2"),
    *("--windows", "open=4,reveal=4,commit=4,update=4,witness=4,audit=4,score=4,gap=1"),
)
OPENER: Final = ("--data", "digits", "--share", "1/3")


class People:
    """Users of one data directory, in which `bob` opens rounds and `alice` is an author."""

    def __init__(self, folder: Path, node: NodeCommand) -> None:
        self.folder, self._node = folder, node
        self._settings = {"ENGRAM_DATA_DIR": str(node.data_dir), "ENGRAM_PASSPHRASE": PASSPHRASE}
        self.shell = Shell(node.data_dir, {"ENGRAM_PASSPHRASE": PASSPHRASE})

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, *words: str) -> Any:
        """What a command that succeeds prints with --json."""
        return self.shell.json(*words)

    def refused(self, *words: str) -> str:
        """The code with which a command is refused."""
        return self.shell.error(*words)[1]

    @contextmanager
    def opening(self) -> Iterator[subprocess.Popen[str]]:
        """Bob plays the round that he has opened; the process does not outlive the block."""
        process = subprocess.Popen(
            command("round", "run", "--key", "bob", "--json"),
            env={**os.environ, **self._settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def play(self, opening: tuple[str, ...], author: tuple[str, ...]) -> tuple[Any, list[Any]]:
        """A round that bob opens and alice plays: what was opened, and what her program told."""
        opened = self.run("round", "open", *opening, *ROUND, "--wait-for", "2", "--key", "bob")
        with self.opening() as run:
            printed = self.shell.text("participate", *author, "--key", "alice", "--json")
            printed_by_opener, said = run.communicate(timeout=WAIT_S)
            assert run.returncode == 0, printed_by_opener + said
        return opened, [json.loads(line) for line in printed.splitlines()]

    def predicted(self, model: str, *classes: int) -> float:
        """The share of right answers of the current version on rows that nobody used, at most 100."""
        rows = Selection("digits", (3, 3), classes).rows_of(7)
        answers = self._node.call("model_predict", id=model, rows=rows.features[:100].tolist())
        found = np.array([answer["class"] for answer in answers["predictions"]])
        return float(np.mean(found == rows.labels[:100]))


@contextmanager
def people(tmp_path: Path) -> Iterator[People]:
    """People on a node of their own that makes blocks while somebody waits for them."""
    directory = tmp_path / "node"
    make_data_dir(directory, replace(stage_spec(), block_time_ms=BLOCK_MS))
    write_keys(directory)
    node = NodeCommand(directory, "--dev", "--miner-address", address_of("miner"))
    with processes(node):
        yield People(tmp_path, node)


def found(user: People, engine: str, *options: str) -> Any:
    return user.run(
        *("memory", "found", *OPENER, "--share", "2/3", "--take-classes", "0-2", "--engine", engine),
        *("--bank-neurons", "120", "--seed", "5", *options, user.path("founder")),
    )


@pytest.mark.timeout(1800)
def test_a_model_grows_from_sums_of_two_owners_and_keeps_what_it_knew(tmp_path: Path) -> None:
    with people(tmp_path) as user:
        founder, author = user.path("founder"), user.path("author")
        facts = found(user, "gate", "--growths", "2")
        assert facts["costs"]["growths_left"] == facts["costs"]["fitting"] == 2
        opened, events = user.play(
            ("--memory", founder, *OPENER, "--take-classes", "0-2"), ("--memory", founder)
        )
        model = opened["model"]
        assert [epoch["code"] for epoch in events[-1]["epochs"]] == ["candidate_admitted"]
        assert events[-1]["status"] == "decided"
        odds = opened["odds"]
        assert odds["epsilon_ppm"] >= odds["advice"]["epsilon_ppm"]
        assert odds["surely"] >= 0.999
        shown = user.run("model", "show", model)
        assert shown["frozen"]
        assert (shown["policy"], shown["retention_epsilon_ppm"]) == ("relative", odds["epsilon_ppm"])
        assert user.predicted(model, 0, 1, 2) > 0.9

        # The author knows the founder's rules and no row of the first classes; two owners hand over sums.
        os.mkdir(author)
        shutil.copy(f"{founder}/memory.json", author)
        owners = ("--memory", author, "--data", "digits")
        mine = ("--share", "2/3", "--take-classes", "0-2", "-o", user.path("one.sums"))
        one = user.run("stats", "make", *owners, *mine)
        assert user.run("memory", "info", founder)["sums"]["id"] == one["id"], "the same rows, the same file"
        two = user.run(
            *(
                "stats",
                "make",
                *owners,
                "--share",
                "3/3",
                "--take-classes",
                "0-2",
                "-o",
                user.path("two.sums"),
            )
        )
        files = (one["file"], two["file"])
        merged = user.run("stats", "merge", "-o", user.path("both.sums"), *files)
        again = user.run("stats", "merge", "-o", user.path("again.sums"), *reversed(files))
        assert merged["id"] == again["id"]
        assert merged["rows"] == one["rows"] + two["rows"]
        assert user.run("stats", "verify", merged["file"], "--memory", author)["id"] == merged["id"]
        growth = ("--data", "digits", "--share", "2/3", "--take-classes", "3,4", "--memory", author)
        opened, events = user.play(
            (model, "--memory", founder, *OPENER, "--take-classes", "0-4", "--new-classes", "2"),
            (*growth, "--statistics", files[0], "--statistics", files[1]),
        )
        assert events[-1]["status"] == "decided"
        named = next(event for event in events if event["event"] == "consolidating")
        assert named["statistics"] == merged["id"]

        assert user.run("model", "show", model)["classes"] == 5
        assert user.predicted(model, 0, 1, 2) > 0.85, "it keeps what it knew"
        assert user.predicted(model, 3, 4) > 0.85
        named_growth = ("--growth", f"{model[:12]}/2", "--memory", author)
        assert len(user.run("stats", "verify", *files, *named_growth)) == 2
        assert user.refused("stats", "verify", files[0], *named_growth) == "growth_names_other"
        assert (
            user.refused("stats", "verify", files[0], "--growth", f"{model[:12]}/1") == "growth_names_other"
        )
        kept = user.run("stats", "make", *growth)
        assert Path(kept["file"]).parent == Path(author, "sums")
        info = user.run("memory", "info", author, "--model", model)
        assert info["costs"]["growths_left"] == 1
        assert info["sums"]["classes"].keys() == {"3", "4"}
        assert info["costs"]["now"] > facts["costs"]["now"]
