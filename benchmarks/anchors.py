"""Other programs to compare with, each installed in an environment of its own under build/anchors.

They are no part of Engram, and nothing needs them but the benchmarks. One that cannot be installed on a
machine, because a program or the network is missing, costs the rows that compare with it and no others.
"""

from __future__ import annotations

import shutil
import subprocess
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "build" / "anchors"
PY_EVM: Final = ("py-evm==0.12.1b1", "coincurve==21.0.0")
"""py-evm, and the fast library of its signatures, which it takes where it finds it."""
GANACHE: Final = "ganache@7.9.2"
ANVIL: Final = "@foundry-rs/anvil@1.7.1"
INSTALL_S: Final = 900.0


class AnchorMissing(Exception):
    """The program cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Anchor:
    """A program that may have to be installed first."""

    name: str
    program: str
    """Path of what is started, below the program's folder."""
    install: Callable[[Path], None]

    def path(self, *, install: bool) -> Path:
        """The program. Raises `AnchorMissing` if it is not there and may not or cannot be installed."""
        folder = FOLDER / self.name
        if not (program := folder / self.program).exists():
            if not install:
                raise AnchorMissing(f"{self.name} is not installed yet: a run without --quick installs it")
            fresh = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            self.install(fresh)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        return program


def _install_py_evm(folder: Path) -> None:
    venv.create(folder, with_pip=True, symlinks=True)
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PY_EVM], folder)


def _install_npm(package: str) -> Callable[[Path], None]:
    def install(folder: Path) -> None:
        if (npm := shutil.which("npm")) is None:
            raise AnchorMissing("npm is not on the path")
        _run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package], folder
        )

    return install


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise AnchorMissing(f"{Path(command[0]).name} did not end within {INSTALL_S:.0f} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines() or ["it said nothing"]
        raise AnchorMissing(f"{Path(command[0]).name} failed: {said[-1]}") from None


py_evm: Final = Anchor("py-evm", "bin/python", _install_py_evm)
ganache: Final = Anchor("ganache", "node_modules/.bin/ganache", _install_npm(GANACHE))
anvil: Final = Anchor("anvil", "node_modules/.bin/anvil", _install_npm(ANVIL))
