"""Players as processes: killed, interrupted and given again, on a node that is killed too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.node.datadir import make_data_dir
from tests.support.dev_node import PASSPHRASE, address_of, write_keys
from tests.support.node_process import WAIT_S, NodeCommand, command, engram, processes
from tests.support.stage import stage_spec

BLOCK_MS = 150
WINDOWS = "open=8,reveal=8,commit=8,update=8,witness=8,audit=8,score=8,gap=1"
ROUND = ("--data", "digits", "--share", "1/4", "--take-classes", "0-1", "--rows", "20", "--epochs", "1")
BOUNTY = 2 * 10**8


class Player:
    """A user with the data directory of the node."""

    def __init__(self, data_dir: Path) -> None:
        self._settings = {"ENGRAM_DATA_DIR": str(data_dir), "ENGRAM_PASSPHRASE": PASSPHRASE}

    def run(self, *words: str) -> Any:
        """What a command that succeeds prints with --json; of JSON lines, the last."""
        done = engram(*words, "--json", **self._settings)
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return json.loads(done.stdout.splitlines()[-1])

    def refused(self, *words: str) -> tuple[str, str]:
        """The code and the message with which a command fails."""
        done = engram(*words, "--json", **self._settings)
        assert done.returncode != 0, done.stdout
        error = json.loads(done.stdout.splitlines()[-1])["error"]
        return str(error["code"]), str(error["message"])

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """The command in the background, its events on a pipe; it does not outlive the block."""
        process = subprocess.Popen(
            command(*words, "--json"),
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


def until(process: subprocess.Popen[str], event: str) -> list[dict[str, Any]]:
    """The events of a process up to the first of this name."""
    assert process.stdout is not None
    events: list[dict[str, Any]] = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1].get("event") == event:
            return events
    raise AssertionError(f"no {event}: {events}")


def begun(process: subprocess.Popen[str]) -> None:
    """Waits until a process has told its first event: it has reached the node."""
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert "event" in first, first


def rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process still says until it ends; `communicate` would miss what was read ahead."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.read(), process.stderr.read()


AUTHOR = ("participate", "--data", "digits", "--share", "2/4", "--steps", "100", "--key", "alice")
OPENER = ("round", "run", "--key", "bob")


@contextmanager
def mustered(tmp_path: Path) -> Iterator[tuple[Player, subprocess.Popen[str]]]:
    """A node whose blocks wait for two programs, and the one of them that plays the opener of a round."""
    make_data_dir(tmp_path, replace(stage_spec(), block_time_ms=BLOCK_MS))
    write_keys(tmp_path)
    with processes(NodeCommand(tmp_path, "--dev", "--miner-address", address_of("miner"))):
        player = Player(tmp_path)
        opened = (*ROUND, "--windows", WINDOWS, "--bounty", "2", "--wait-for", "2", "--key", "bob")
        player.run("round", "open", *opened)
        with player.running(*OPENER) as opener:
            yield player, opener


@contextmanager
def committed_and_sent(player: Player, sent: signal.Signals) -> Iterator[subprocess.Popen[str]]:
    """An author who is sent this signal after she has committed to an update."""
    with player.running(*AUTHOR) as author:
        until(author, "committed")
        author.send_signal(sent)
        yield author


@pytest.mark.timeout(900)
def test_the_blocks_wait_for_an_author_who_is_killed_before_she_has_revealed(tmp_path: Path) -> None:
    with mustered(tmp_path) as (player, opening):
        with committed_and_sent(player, signal.SIGKILL):
            pass
        assert until(opening, "program_left")[-1]["left"] == 1
        waiting = player.run("miner", "status")
        assert waiting["pace"]["left"] == 1
        assert "`engram miner muster 0`" in waiting["waits"]
        result = player.run(*AUTHOR)
        assert [epoch["code"] for epoch in result["epochs"]] == ["candidate_admitted"]
        assert (result["status"], result["version"], result["bonds_burned"]) == ("decided", 1, 0)
        events = [event["event"] for event in until(opening, "result")]
        assert events[0] == "programs_complete"
        assert player.run("miner", "status")["waits"] is None


@pytest.mark.timeout(900)
def test_an_operator_lets_the_blocks_go_on_without_an_author_who_stays_away(tmp_path: Path) -> None:
    with mustered(tmp_path) as (player, opening):
        with committed_and_sent(player, signal.SIGINT) as leaving:
            until(leaving, "left_waiting")
            assert leaving.wait(WAIT_S) == 130
        until(opening, "program_left")
        assert player.run("miner", "muster", "0")["left"] is None
        ended = until(opening, "result")[-1]
        assert (ended["status"], ended["winner"]) == ("kept", None)
        lost = f"epoch 1, {address_of('alice')}: committed and not revealed in time, so its bond is lost"
        assert ended["reasons"] == ["no update became a candidate", lost]
        (update,) = player.run("account", "show", "alice")["updates"]
        assert (update["bond"], update["can_withdraw"], update["bond_returns"]) == (10**8, True, False)
        code, message = player.refused(*AUTHOR)
        assert code == "no_open_round"
        assert f"In round {ended['round'][:12]}, epoch 1, you committed to an update" in message
        assert message.endswith("so that bond is lost (1)")


@pytest.mark.timeout(1800)
def test_a_killed_author_opener_and_node_lose_nothing(tmp_path: Path) -> None:
    make_data_dir(tmp_path, replace(stage_spec(), block_time_ms=BLOCK_MS))
    write_keys(tmp_path)
    node = NodeCommand(tmp_path, "--dev", "--no-mine", "--miner-address", address_of("miner"))

    def mine_for(programs: int) -> None:
        """From now on, no phase passes before so many programs play at once."""
        node.call("miner_muster", programs=programs)
        node.call("miner_start")

    with processes(node):
        mine_for(1)
        player = Player(tmp_path)
        player.run("round", "open", *ROUND, "--windows", WINDOWS, "--bounty", "2", "--key", "bob")
        with player.running(*OPENER) as dying:
            until(dying, "revealed")
            mine_for(2)
            dying.send_signal(signal.SIGKILL)
        with player.running(*OPENER) as opening:
            begun(opening)
            with player.running(*AUTHOR) as dying:
                until(dying, "committed")
                mine_for(3)
                dying.send_signal(signal.SIGKILL)
            assert node.stop(signal.SIGKILL) == -signal.SIGKILL
            until(opening, "node_unreachable")
            node.start()
            mine_for(2)
            until(opening, "node_reached")
            with player.running(*AUTHOR) as leaving:
                events = until(leaving, "committed")
                assert "training" not in [event["event"] for event in events], "it is not trained anew"
                mine_for(3)
                leaving.send_signal(signal.SIGINT)
                assert until(leaving, "left_committed")[-1]["bond"] == 10**8
                printed, said = rest(leaving)
                assert leaving.wait(WAIT_S) == 130
                assert json.loads(printed)["error"]["code"] == "interrupted"
                assert "Traceback" not in said
            mine_for(2)
            result = player.run(*AUTHOR)
            assert [epoch["code"] for epoch in result["epochs"]] == ["candidate_admitted"]
            assert (result["status"], result["version"]) == ("decided", 1)
            assert (result["bonds_returned"], result["bonds_burned"]) == (10**8, 0)
            assert until(opening, "result")[-1]["status"] == "decided"
            (told,) = player.run("round", "show", "--why")
            assert (told["author"], told["epoch"], told["reasons"]) == (address_of("alice"), 0, [])
            assert BOUNTY // 8 <= told["paid"] == result["maturing"] <= BOUNTY
            code, _ = player.refused("round", "withdraw", "--author", "alice", "--key", "bob")
            assert code == "nothing_to_withdraw", "her own program has withdrawn it"
