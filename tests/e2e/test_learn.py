"""The daemon as a process: fed by files, killed or told to end at each turn of a round, and started again."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engram.node.datadir import make_data_dir
from engram.participant.memory.folder import MemoryFolder
from tests.e2e.test_participate import BLOCK_MS, Player, rest, until
from tests.support.dev_node import address_of, write_keys
from tests.support.learning import RULES
from tests.support.node_process import WAIT_S, NodeCommand, processes
from tests.support.stage import digits, stage_spec

WINDOWS = "open=8,reveal=8,commit=8,update=8,witness=8,audit=8,score=8,gap=1"
FOUND = ("--data", "digits", "--take-classes", "0-2")
ENDED_AT = {
    "sent": signal.SIGKILL,
    "committed": signal.SIGTERM,
    "admitted": signal.SIGKILL,
    "sums_kept": signal.SIGTERM,
    "forgotten": signal.SIGKILL,
}
"""What the daemon says before it is ended, and how."""


@pytest.mark.timeout(1800)
def test_a_daemon_that_is_ended_at_every_turn_plays_one_round_and_loses_no_row(tmp_path: Path) -> None:
    data_dir, mind, inbox = tmp_path / "node", str(tmp_path / "mind"), tmp_path / "inbox"
    make_data_dir(data_dir, replace(stage_spec(RULES), block_time_ms=BLOCK_MS))
    write_keys(data_dir)
    node = NodeCommand(data_dir, "--dev", "--no-mine", "--miner-address", address_of("miner"))

    def mine_for(programs: int) -> None:
        """From now on, no phase passes before so many programs play at once."""
        node.call("miner_muster", programs=programs)
        node.call("miner_start")

    daemon = (
        *("learn", "--memory", mind, "--key", "bob", "--feed", str(inbox), "--after-rows", "60"),
        *("--open", "--bounty", "1", "--windows", WINDOWS, "--confirmations", "1"),
    )
    with processes(node):
        player = Player(data_dir)
        mine_for(1)
        player.run(
            *("memory", "found", *FOUND, "--share", "1/4", "--engine", "gate"),
            *("--bank-neurons", "100", "--growths", "3", mind),
        )
        player.run(
            *("round", "open", "--memory", mind, *FOUND, "--share", "2/4", "--rows", "28", "--epochs", "1"),
            *("--windows", WINDOWS, "--bounty", "10", "--key", "bob"),
        )
        mine_for(2)
        with player.running("round", "run", "--key", "bob") as opening:
            assert player.run("participate", "--memory", mind, "--key", "alice")["status"] == "decided"
            until(opening, "result")
        inbox.mkdir()
        for name, classes in (("old", (0, 1, 2)), ("new", (3, 4))):
            rows = digits(3, *classes).rows_of(0)
            np.savez(tmp_path / "rows.npz", features=rows.features, labels=rows.labels)
            (tmp_path / "rows.npz").rename(inbox / f"{name}.npz")
        (inbox / "damaged.csv").write_text("no rows\n")
        fed = digits(3, 0, 1, 2, 3, 4).rows_of(0).rows
        for event, number in ENDED_AT.items():
            mine_for(2)
            with player.running(*daemon) as dying:
                until(dying, event)
                node.call("miner_stop")
                dying.send_signal(number)
                _, said = rest(dying)
                assert dying.wait(WAIT_S) == (0 if number == signal.SIGTERM else -signal.SIGKILL), said
                assert "Traceback" not in said
        with player.running(*daemon) as living:
            until(living, "answering")
            status = player.run("learn", "status", "--memory", mind)
            assert (status["unknown"], status["classes"], status["version"]) == ([], 5, 2)
            assert status["arrived"] == fed, "every row once"
            asked = ("--data", "digits", "--share", "4/4", "--take-classes", "0-4")
            answers = player.run("learn", "ask", "--memory", mind, *asked)
            assert {answer["memory"] for answer in answers} == {"slow"}
            assert np.mean([answer["label"] == answer["given"] for answer in answers]) > 0.8
            np.savetxt(
                tmp_path / "questions.csv", digits(3, 4).rows_of(0).features[:6], fmt="%d", delimiter=","
            )
            bare = ("--data", str(tmp_path / "questions.csv"), "--label", "none")
            answers = player.run("learn", "ask", "--memory", mind, *bare)
            assert [(answer["row"], answer["given"]) for answer in answers] == [
                (row, None) for row in range(6)
            ]
            assert sum(answer["label"] == 4 for answer in answers) > 3
            living.send_signal(signal.SIGTERM)
            _, said = rest(living)
            assert living.wait(WAIT_S) == 0
            assert "Traceback" not in said
        ended = [each["status"] for each in player.run("round", "list")]
        assert ended.count("decided") == 2, "the founding, and one round of the daemon"
        assert set(ended) <= {"decided", "kept"}, "so few rows may be drawn that a gain is not proved"
    sums = MemoryFolder(Path(mind)).statistics()
    assert sums is not None
    assert sums.classes == (0, 1, 2, 3, 4)
    assert [path.name for path in sorted(inbox.iterdir())] == ["rejected"]
    assert (inbox / "rejected" / "damaged.csv").read_text() == "no rows\n"
    state = json.loads((Path(mind) / "learn" / "state.json").read_text())["state"]
    assert (state["at"]["type"], state["failures"]) == ("Resting", 0)
