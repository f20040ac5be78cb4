"""Whatever the moment at which a node dies, the next start ends where a node that never died ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.node.storage.failpoints import EXIT_CODE, VARIABLE, FailPoint, arm
from tests.support.crash_server import DIGEST
from tests.support.faults import inputs

ROOT = Path(__file__).resolve().parents[2]

AFTER_TEARING = {FailPoint.FILES_BEFORE_TRUNCATE, FailPoint.FILES_AFTER_TRUNCATE}
"""Reached only by a start that finds a torn tail."""


class Server:
    """Forks a node and lets it live, or die."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.crash_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live(self, directory: Path, setting: str = "-") -> int:
        """The exit status of a node in this directory."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{directory} {setting}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="module")
def control(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a node that never died ends with."""
    directory = tmp_path_factory.mktemp("control")
    assert server.live(directory) == 0
    return (directory / DIGEST).read_text()


@pytest.mark.fault(id=16)
@pytest.mark.parametrize("point", FailPoint)
def test_a_death_at_each_fail_point_loses_nothing(
    server: Server, control: str, tmp_path: Path, point: FailPoint
) -> None:
    if point in AFTER_TEARING:
        assert server.live(tmp_path, f"{FailPoint.FILES_TORN_PAYLOAD}:2") == EXIT_CODE
    assert server.live(tmp_path, point) == EXIT_CODE, "no test reaches this point: it is dead or unused"
    assert server.live(tmp_path) == 0
    assert (tmp_path / DIGEST).read_text() == control


@pytest.mark.fault(id=16)
@pytest.mark.parametrize("count", range(2, 2 + inputs(16, sample=5, share=0.05)))
@pytest.mark.parametrize(
    "point",
    [
        FailPoint.FILES_TORN_HEAD,
        FailPoint.FILES_AFTER_FSYNC,
        FailPoint.IMPORT_AFTER_COMMIT,
        FailPoint.ROLL_FORWARD_AFTER_BLOCK,
    ],
)
def test_a_death_in_the_middle_and_another_on_the_way_back_lose_nothing(
    server: Server, control: str, tmp_path: Path, point: FailPoint, count: int
) -> None:
    assert server.live(tmp_path, f"{point}:{count}") == EXIT_CODE
    assert server.live(tmp_path, FailPoint.OPEN_AFTER_CHECK) == EXIT_CODE
    assert server.live(tmp_path) == 0
    assert (tmp_path / DIGEST).read_text() == control


def test_the_environment_arms_a_point() -> None:
    code = "from engram.node.storage.failpoints import FailPoint, hit\nhit(FailPoint.OPEN_AFTER_CHECK)\n" * 2
    for setting, status in (("open.after_check:2", EXIT_CODE), ("open.after_check:3", 0), ("", 0)):
        environment = {**os.environ, VARIABLE: setting}
        assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == status


def test_an_unknown_point_is_refused() -> None:
    with pytest.raises(ValueError, match="no_such_point"):
        arm("no_such_point")
    arm("")
