"""Counts the bytes of all sessions by the message that carried them: what is the traffic for?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from engram.p2p.messages import frame_name

SENT: Final = "sent"
RECEIVED: Final = "received"


class Traffic:
    """Bytes of frames, without what encryption and the transport add. Handshakes are not counted."""

    def __init__(self) -> None:
        self._bytes: Counter[tuple[str, str]] = Counter()

    def sent(self, frame: bytes) -> None:
        """A frame has left."""
        self._bytes[SENT, frame_name(frame)] += len(frame)

    def received(self, frame: bytes) -> None:
        """A frame has come, whatever it holds."""
        self._bytes[RECEIVED, frame_name(frame)] += len(frame)

    def by_message(self) -> Mapping[tuple[str, str], int]:
        """Bytes by direction, `SENT` or `RECEIVED`, and name of the message."""
        return dict(self._bytes)
