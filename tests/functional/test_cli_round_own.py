"""Which round somebody acts in, and which rows they bring: by names, and only where they have a part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Shell
from tests.support.dev_node import address_of, served_shell
from tests.support.played_scene import actor, played_scene
from tests.support.round_matter import ALICE

pytestmark = pytest.mark.xdist_group("cli_round_own")
FOUND = ("round", "open", "--data", "digits", "--take-classes", "0-1", "--rows", "20", "--key", "alice")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait; alice and bob have coins."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture(scope="module")
def opened(shell: Shell) -> Any:
    """A round that alice has opened."""
    return shell.json(*FOUND, "--windows", "60")


def test_nobody_acts_in_a_round_that_is_not_theirs(shell: Shell, opened: Any) -> None:
    """What no key has opened or witnesses is refused at once, and what could be meant is named."""
    told = shell.run("round", "run", "--key", "miner")
    assert (told.exit_code, told.stdout) == (75, "")
    alice, bob, miner = map(address_of, ("alice", "bob", "miner"))
    assert f"there is no open round that miner ({miner[:12]}…) has opened" in told.stderr
    assert f"{opened['round'][:12]} of alice ({alice[:12]}…)" in told.stderr
    for_programs = json.loads(shell.run("round", "run", "--key", "miner", "--json").stdout)["error"]
    assert f"that {miner} has opened" in for_programs["message"], "programs read whole addresses"
    assert "`engram round list`" in told.stderr
    foreign = shell.run("round", "run", opened["round"], "--key", "bob")
    assert (foreign.exit_code, foreign.stdout) == (65, "")
    named = f"alice ({alice[:12]}…) has opened the round {opened['round'][:12]}, not bob ({bob[:12]}…):"
    assert named in foreign.stderr
    for words in (("run",), ("reveal",)):
        refused = refusal(shell, "round", *words, opened["round"], "--key", "bob")
        assert refused == (65, "foreign_round")
    assert refusal(shell, "round", "reveal", "--key", "miner") == (75, "no_open_round")


def test_a_round_that_has_ended_is_told_to_its_own_opener_only(tmp_path: Path) -> None:
    with served_shell(tmp_path) as shell:
        over = shell.json(*FOUND, "--witness", "bob", "--windows", "2")["round"]
        shell.text("miner", "mine", "12")
        assert refusal(shell, "round", "run", "--key", "alice") == (65, "round_aborted")
        told = shell.run("round", "run", "--key", "bob")
        assert (told.exit_code, told.stdout) == (75, ""), "how it ended is not told as bob's"
        assert "no round goes on" in told.stderr
        assert refusal(shell, "round", "run", over, "--key", "bob") == (65, "foreign_round")
        assert refusal(shell, "round", "reveal", "--key", "alice") == (75, "no_open_round")
        assert refusal(shell, "round", "reveal", over, "--key", "alice") == (65, "round_over")
        seal = ("round", "seal", "--data", "digits", "--take-classes", "0-1", "--key")
        assert refusal(shell, *seal, "bob") == (75, "no_open_round")
        assert refusal(shell, *seal, "alice") == (75, "no_open_round")


def test_classes_are_taken_by_the_words_of_a_mapping(shell: Shell, tmp_path: Path) -> None:
    """Seen: only numbers could be given, which nobody knows who has named the classes by words."""
    rows = tmp_path / "trees.csv"
    lines = [f"{n % 97},{n * 7 % 89},{('birch', 'elm', 'oak')[n % 3]}\n" for n in range(300)]
    rows.write_text("".join(lines))
    shell.text("data", "convert", str(rows), "-o", str(tmp_path / "trees.npz"))
    mapping = str(tmp_path / "trees.mapping.json")
    words = ("round", "open", "--data", str(rows), "--mapping", mapping, "--rows", "20", "--key", "alice")
    opened = shell.json(*words, "--take-classes", "elm,birch", "--windows", "30", "--yes")
    assert shell.json("model", "show", opened["model"])["classes"] == 2, "elm is 1, and oak would be 2"
    assert refusal(shell, *words, "--take-classes", "birch,ash") == (65, "label_unknown")
    assert refusal(shell, *words, "--take-classes", "birch,0") == (64, "usage")
    assert refusal(shell, *FOUND, "--take-classes", "birch") == (64, "usage")


def refusal(shell: Shell, *words: str) -> tuple[int, str]:
    """Status and code of a command that fails."""
    result = shell.run(*words, "--json")
    return result.exit_code, json.loads(result.stdout.splitlines()[-1])["error"]["code"]


def test_what_is_due_is_done_in_the_round_in_which_it_is_due(tmp_path: Path) -> None:
    """Seen: without an id, `round withdraw` and `round advance` took the round that goes on."""
    with played_scene(tmp_path) as scene:
        shell, author = scene.shell, actor(ALICE)
        withdraw = ("round", "withdraw", "--author", author, "--key", "bob")
        assert shell.error(*withdraw) == (65, "nothing_to_withdraw")
        told = shell.run(*withdraw).stderr
        assert f"no round that has ended holds an update of {author}; updates in 1 round that goes on" in told
        ended = scene.rounds.growing.hex()
        while shell.json("round", "show", ended)["due"] is None:
            shell.text("miner", "mine", "2")
        alive = shell.json(*FOUND, "--windows", "60")["round"]
        assert shell.json("round", "show")["id"] == alive, "which is the one that goes on"
        assert shell.json("round", "advance", "--key", "bob")["status"] == "included"
        assert shell.json("round", "show", ended)["status"] == "aborted"
        assert shell.error("round", "advance", "--key", "bob") == (65, "nothing_due")
        assert shell.error("round", "score", "--author", author, "--key", "bob") == (75, "no_open_round")
        *_, last = shell.text(*withdraw, "--json").splitlines()
        assert (json.loads(last)["round"], json.loads(last)["bonds_returned"] > 0) == (ended, True)
        assert shell.error(*withdraw) == (65, "nothing_to_withdraw")
