"""Who has a key in the data directory is called by its name, everybody else by the ends of an address."""

from pathlib import Path

from engram.commands.support.people import people_of
from engram.commands.support.session import CommandSession
from engram.primitives.keys import format_address
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE


def test_names_come_from_the_keystore(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"ENGRAM_PASSPHRASE": PASSPHRASE})
    made = shell.json("key", "new", "alice", "--chain", "local")
    person = people_of(CommandSession(as_json=True, data_dir=tmp_path))
    stranger = format_address(bytes(range(20)), "leng")
    assert person(made["address"]) == "alice"
    assert person(stranger) == f"{stranger[:6]}…{stranger[-4:]}"
    assert person(None) == "nobody"
