"""Runs commands as a shell does, in this process: arguments in, output, errors and exit status out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engram.cli import main
from engram.node import keystore
from tests.support.json_shapes import check_output

_derive = keystore._derive
_derived: dict[tuple[str, str], bytes] = {}


def _derive_once(header: dict[str, Any], passphrase: str) -> bytes:
    """The key derivation of key files. It takes a third of a second by design, and tests open the same few
    files hundreds of times.
    """
    asked = json.dumps(header["kdf"], sort_keys=True), passphrase
    if asked not in _derived:
        _derived[asked] = _derive(header, passphrase)
    return _derived[asked]


@dataclass(frozen=True)
class Shell:
    """A user with a data directory and an environment."""

    data_dir: Path
    environment: dict[str, str | None]

    def run(self, *arguments: str, typed: str | None = None, **environment: str | None) -> Result:
        """What a command line gives, whatever its status. An exception that is no exit is raised."""
        settings = {"ENGRAM_DATA_DIR": str(self.data_dir), **self.environment, **environment}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keystore, "_derive", _derive_once)
            result = CliRunner().invoke(main, arguments, input=typed, env=settings, prog_name="engram")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        check_output(arguments, result.stdout)
        return result

    def text(self, *arguments: str, typed: str | None = None) -> str:
        """Standard output of a command that succeeds."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, typed: str | None = None) -> Any:
        """What a command that succeeds prints with --json."""
        return json.loads(self.text(*arguments, "--json", typed=typed))

    def error(self, *arguments: str, typed: str | None = None, **environment: str | None) -> tuple[int, str]:
        """Exit status and code of a command that fails, the same with --json and without."""
        plain = self.run(*arguments, typed=typed, **environment)
        coded = self.run(*arguments, "--json", typed=typed, **environment)
        assert plain.exit_code == coded.exit_code != 0, (plain.output, coded.output)
        error = json.loads(coded.stdout)["error"]
        assert plain.stdout == "", "errors do not go where results do"
        assert error["message"]
        if error["code"] != "usage":
            assert f"[{error['code']}]" in plain.stderr
        return coded.exit_code, str(error["code"])
