"""Streams that are closed, full, broken or no text, and a user without a home: an error by name, or none.

Each command is a process of its own, because only a process has descriptors to close.
"""

import json
import os
import pwd
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engram.node.configsources import load_config
from engram.node.datadir import RUN_NAME, write_spec
from engram.node.errors import ConfigInvalid
from tests.support.dev_node import PASSPHRASE, dev_spec, write_keys
from tests.support.until import until

pytestmark = pytest.mark.fault(id=49)

ENGRAM = f"{shlex.quote(sys.executable)} -m engram.cli"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    directory = tmp_path_factory.mktemp("streams")
    write_spec(directory, dev_spec())
    write_keys(directory)
    return directory


def environment(directory: Path, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAM_")}
    return {**own, "ENGRAM_DATA_DIR": str(directory), "ENGRAM_PASSPHRASE": PASSPHRASE, **more}


def shell(directory: Path, line: str, **more: str) -> tuple[int, str, str]:
    """Status, output and errors of a command line; `engram` stands for this one."""
    script = line.replace("engram", ENGRAM, 1)
    done = subprocess.run(
        ["bash", "-c", script], env=environment(directory, **more), capture_output=True, check=False
    )
    said = done.stderr.decode()
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    return done.returncode, done.stdout.decode(), said


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("engram key list >&-", 74, "standard output"),
        ("engram --help >&- <&-", 74, "standard output"),
        ("engram key list --json >/dev/full", 74, "standard output: No space left on device"),
        ("engram key show nobody --json >/dev/full", 65, "key_not_found"),
        ("engram key show nobody --json >&-", 65, "key_not_found"),
        ("engram key show nobody 2>&-", 65, ""),
        ("engram key show nobody >/dev/full 2>&1", 65, ""),
        ("engram key import-seed b <&-", 65, "seed_invalid"),
        ("engram key import-seed b </dev/zero", 65, "seed_invalid"),
        ("engram key import-seed b < <(printf '\\xff\\xfe')", 65, "seed_invalid"),
        ("engram key list | exec true; exit ${PIPESTATUS[0]}", 141, ""),
        ("engram key list --json 2>&1 | exec true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_what_a_command_says(line: str, status: int, said: str, directory: Path) -> None:
    ended, _, error = shell(directory, line)
    if status == 141 and ended == 0:
        pytest.skip("the reader was slower than the writer, so the pipe was whole")
    assert ended == status
    assert said in error if said else not error
    assert sorted(path.name for path in (directory / "keys").iterdir()) == [
        "alice.json",
        "bob.json",
        "miner.json",
    ]


def test_characters_that_a_terminal_does_not_know(directory: Path, tmp_path: Path) -> None:
    odd = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    status, output, _ = shell(directory, "engram key verify --help", **odd)
    assert status == 0
    assert "\\u2026" in output, "the ellipsis of the example"
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9")
    for words in ("init", "key new a", "config show", "key list", "db size"):
        status, _, error = shell(directory, f"engram {words}", ENGRAM_DATA_DIR=strange, **odd)
        assert status == (65 if words == "db size" else 0), error


def started(directory: Path, streams: str) -> subprocess.Popen[bytes]:
    line, quiet = f"exec {ENGRAM} run --rpc-port 0 --p2p-port 0 {streams}", subprocess.DEVNULL
    words = ["bash", "-c", line]
    return subprocess.Popen(words, env=environment(directory), stdout=quiet, stderr=quiet)


@pytest.mark.parametrize("streams", ["2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
async def test_a_node_goes_on(streams: str, tmp_path: Path) -> None:
    """In a directory whose name is no UTF-8, too."""
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_spec(directory, dev_spec())
    process = started(directory, streams)
    try:
        await until(lambda: (directory / RUN_NAME).exists() or process.poll() is not None)
        info = json.loads((directory / RUN_NAME).read_text())
        assert info["pid"] == process.pid
        assert shell(directory, "engram node info --json")[0] == 0
        database = b"".join(path.read_bytes() for path in (directory / "leveldb").iterdir())
        assert b"ready" not in database, "a log line that went into the database"
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait()
    assert status in (0, 74)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(ConfigInvalid, match="--data-dir"):
        load_config({}, {})
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    with pytest.raises(ConfigInvalid, match="ENGRAM_DATA_DIR"):
        load_config({}, {})
