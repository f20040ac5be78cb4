"""What actors tell whoever watches them: a line for people that carries the same facts for machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Notice(str):
    """A line of text; `event` names its kind, `facts` are plain JSON values."""

    event: str
    facts: dict[str, Any]

    def __new__(cls, text: str, event: str, **facts: Any) -> Notice:
        notice = super().__new__(cls, text)
        notice.event, notice.facts = event, facts
        return notice

    def to_json(self) -> dict[str, Any]:
        """The notice as one object."""
        return {"event": self.event, "text": str(self), **self.facts}


Report = Callable[[Notice], None]
"""Told what happens, as it happens."""
