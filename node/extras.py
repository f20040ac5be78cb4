"""What installs the libraries of an extra, such as `onnx`, where this program runs."""

from __future__ import annotations

import shlex
import sys


def install_command(extra: str) -> str:
    """The command, in backquotes, that installs an extra of `pyproject.toml` beside the Engram that runs.

    It names this Python: pip finds Engram installed there, and no package index has it. The quotes are for
    shells to which brackets mean something.
    """
    python = shlex.quote(sys.executable or "python3")
    return f'`{python} -m pip install "engram[{extra}]"`'
