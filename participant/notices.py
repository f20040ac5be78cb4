"""The messages with which participants report what they do: a line for people and its facts as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Notice(str):
    """A line of text for people. For programs, `event` names its kind and `facts` holds JSON values."""

    event: str
    facts: dict[str, Any]

    def __new__(cls, text: str, event: str, **facts: Any) -> Notice:
        notice = super().__new__(cls, text)
        notice.event, notice.facts = event, facts
        return notice

    def to_json(self) -> dict[str, Any]:
        """The notice as one JSON object."""
        return {"event": self.event, "text": str(self), **self.facts}


Report = Callable[[Notice], None]
"""A function that is called with each notice as soon as it is known."""
