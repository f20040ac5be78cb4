"""How a shell that does not find `engram` is told where it is."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def missing_path() -> str | None:
    """The line that puts this program's folder on the path of a shell; None if `engram` is found already."""
    if shutil.which("engram") is not None:
        return None
    return f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
