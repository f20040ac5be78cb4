"""`engram play`, the guided round: in front of a person, killed anywhere, and gone on with to its end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest

from engram.cli import main
from engram.commands.guided.openings import FOUNDING, GROWTH
from engram.commands.guided.steps import MODEL, STEPS
from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.datadir import KEYS_DIRECTORY, find_run_info, read_spec
from engram.node.keystore import Keystore
from engram.node.threaded import running_node
from tests.support.until import until

ENGRAM = (sys.executable, "-m", "engram.cli")
COLUMNS = 80
ASK = "q stops here: "

pytestmark = pytest.mark.xdist_group("play")


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def killed_when(folder: Path, happened: Callable[[RpcClient], Awaitable[bool]]) -> list[dict[str, Any]]:
    """What a play prints until SIGKILL ends it, as soon as its chain shows that something has happened."""
    play = subprocess.Popen((*ENGRAM, "play", "--json", str(folder)), stdout=subprocess.PIPE, text=True)

    async def watch() -> None:
        await until(lambda: find_run_info(folder) is not None or play.poll() is not None)
        found = find_run_info(folder)
        assert found is not None, "the play has ended before its node answered"
        async with RpcClient(found.rpc_url) as client, client.subscribe("heads", "transactions") as events:
            while not await happened(client):
                await anext(events)

    try:
        asyncio.run(watch())
    finally:
        play.kill()
        output, _ = play.communicate()
    assert play.returncode == -signal.SIGKILL
    return lines_of(output)


async def somebody_is_paid(client: RpcClient) -> bool:
    return int((await client.call("chain_head"))["height"]) > 0


async def somebody_has_committed(client: RpcClient) -> bool:
    """An author has a bond at stake, and loses it unless the secret on the disk is found again."""
    rounds = await client.call("round_list")
    return bool(rounds) and bool(await client.call("round_commits", id=rounds[-1]["id"]))


def sent(folder: Path) -> Counter[tuple[str, str]]:
    """How many transactions of each kind everybody has sent, by the blocks of the chain."""
    spec = read_spec(folder)
    names = {each.address_text: each.name for each in Keystore(folder / KEYS_DIRECTORY, spec.hrp).entries()}

    async def ask(url: str) -> Counter[tuple[str, str]]:
        async with RpcClient(url) as client:
            height = int((await client.call("chain_head"))["height"])
            blocks = [await client.call("chain_block", height=each) for each in range(1, height + 1)]
            return Counter(
                (names[each["sender"]], each["name"]) for block in blocks for each in block["transactions"]
            )

    with running_node(Config(data_dir=folder, rpc_port=0, p2p_port=0), spec) as node:
        assert node.info is not None
        return asyncio.run(ask(node.info.rpc_url))


class Terminal:
    """A person's terminal with a play in it."""

    def __init__(self, folder: Path) -> None:
        self._end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        self._play = subprocess.Popen(
            (*ENGRAM, "play", str(folder)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        """What is on the screen up to this text."""
        seen = ""
        while text not in seen:
            seen += os.read(self._end, 2**16).decode()
        return seen

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def ended(self) -> int:
        """The exit status, once the play has ended."""
        try:
            return self._play.wait()
        finally:
            os.close(self._end)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a play that was killed while coins were sent."""
    folder = tmp_path_factory.mktemp("play") / "new"
    lines = killed_when(folder, somebody_is_paid)
    assert [line["step"] for line in lines if line["event"] == "step"][:1] == ["keys"]
    return folder


@pytest.mark.parametrize("line", [line for step in STEPS for line in step.commands])
def test_a_shown_command_is_one(line: str) -> None:
    if not line.startswith("engram "):
        return
    words = shlex.split(line.removesuffix(" &").replace("$trusted", "0" * 64).replace(MODEL, "0" * 12))
    path: list[str] = []
    command: click.Command = main
    while isinstance(command, click.Group):
        path.append(words[1 + len(path)])
        found = command.get_command(click.Context(command), path[-1])
        assert found is not None, line
        command = found
    problem = ""
    try:
        command.make_context(path[-1], words[1 + len(path) :]).close()
    except click.BadParameter as error:
        problem = error.message
    assert not problem or "does not exist" in problem, line  # a file that an earlier command writes


def test_a_person_is_told_each_step_and_stops_when_they_like(begun: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(begun, tmp_path / "play")
    terminal = Terminal(folder)
    told = terminal.read_until(ASK)
    assert "This play was begun before" in told
    assert "engram round open --help" in " ".join(told.split())
    assert "Done already: Keys" in told
    assert "engram tx send alice 20 --key dev" in told or "engram round open" in told
    while "Founding a model" not in told:
        terminal.type("\r")
        told = terminal.read_until(ASK)
    assert max(map(len, told.splitlines())) <= COLUMNS
    terminal.type("q\r")
    said = terminal.read_until("goes on here")
    assert terminal.ended() == 0
    assert "Stopped before this step" in said
    assert find_run_info(folder) is None


def test_a_killed_play_goes_on_and_pays_nothing_twice(begun: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(begun, tmp_path / "play")
    killed_when(folder, somebody_has_committed)
    done = subprocess.run(
        (*ENGRAM, "play", "--json", str(folder)), stdout=subprocess.PIPE, text=True, check=True
    )
    lines = lines_of(done.stdout)
    before = [line["step"] for line in lines if line["event"] == "before"]
    assert before == ["keys", "coins", "open", "seal"]
    results = {line["step"]: line["result"] for line in lines if line["event"] == "step"}
    assert list(results) == [step.name for step in STEPS[len(before) :]]
    assert lines[-1] == {"event": "result", "folder": str(folder), "steps": len(STEPS)}
    assert results["play"]["winner"] in FOUNDING.authors
    assert [update["author"] for update in results["play"]["updates"]] != []
    assert results["model"]["frozen"] is True
    assert results["prove"]["accepted"] is True
    assert results["play-growth"]["winner"] in GROWTH.authors
    assert [version["classes"] for version in results["grown"]["versions"]] == [6, 6, 10]
    answer = results["predict-new"]
    assert answer["predictions"][0]["label"] == 7
    assert {group["version"] for group in answer["lineage"]} == {1, 2}
    found = sent(folder)
    assert (found["dev", "transfer"], found["dev", "open_round"], found["bob", "open_round"]) == (3, 1, 1)
    assert found["carol", "seal_part"] == 1
    commits = Counter({who: count for (who, kind), count in found.items() if kind == "commit_update"})
    assert commits == {"alice": 1, "bob": 1, "carol": 1, "dev": 1}
    assert results["play"]["old_rows"] == 0
    growth = results["play-growth"]
    assert 0 <= growth["forgotten"] < growth["old_rows"]
    ends_when_told(folder)


def ends_when_told(folder: Path) -> None:
    """The node of a play that is over answers until the person presses Enter: that is when they can draw."""
    terminal = Terminal(folder)
    for _ in range(2):  # the two steps at the end that only look
        terminal.read_until(ASK)
        terminal.type("\r")
    told = terminal.read_until("stops its node: ")
    found = re.search(r"http://\S+#/draw/[0-9a-f]{64}", told)
    assert found is not None
    with urlopen(found[0]) as page:
        assert page.status == 200
    terminal.type("\r")
    assert f"engram run --dev --data-dir {folder}" in terminal.read_until("How to delete it")
    assert terminal.ended() == 0


def test_without_a_terminal_it_asks_for_yes(tmp_path: Path) -> None:
    folder = tmp_path / "play"
    done = subprocess.run(
        (*ENGRAM, "play", str(folder)), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 64
    assert "--yes" in done.stderr
    assert not folder.exists()


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = subprocess.run(
        (*ENGRAM, "play", "--json", str(tmp_path)), stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 65
    assert json.loads(done.stdout)["error"]["code"] == "directory_not_empty"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
