"""The version of this software, in one place that every package may read."""

from typing import Final

VERSION: Final = "0.1.0"
