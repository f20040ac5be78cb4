"""Tells the service manager how the process stands, by systemd's protocol, sd_notify(3).

A state is a datagram on a socket. Where the environment names none, nothing is told. A manager that
has gone costs nothing but the message.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"


class Supervisor:
    """The service manager that has started this process, if there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get(_SOCKET, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        text = environ.get(_WATCHDOG, "")
        self.alive_every_s: Final = int(text) / 2_000_000 if text.isascii() and text.isdecimal() else 0.0
        """Seconds between two signs of life that the manager is to get; 0 if it wants none."""

    def tell(self, **states: str) -> None:
        """Sends states such as READY="1"."""
        if not self._address:
            return
        message = "\n".join(f"{name}={value}" for name, value in states.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outlet:
            outlet.setblocking(False)
            outlet.sendto(message.encode(), self._address)

    async def show_life(self) -> None:
        """Sends signs of life for ever. They end if the event loop hangs, and the manager starts it anew."""
        while self.alive_every_s:
            self.tell(WATCHDOG="1")
            await asyncio.sleep(self.alive_every_s)
