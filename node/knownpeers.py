"""The peers that the operator has added to a running node: kept in peers.json, dialled at each start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from engram.node import logs
from engram.node.files import read_json, set_aside, write_private
from engram.p2p.link import PeerAddress
from engram.primitives.errors import ChainError

PEERS_NAME: Final = "peers.json"
_MAX_BYTES: Final = 2**24


class KnownPeers:
    """The addresses in peers.json of one data directory. An address of the settings need not stand there."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / PEERS_NAME

    def addresses(self) -> tuple[PeerAddress, ...]:
        """What is kept. A file that cannot be read is set aside with a warning."""
        try:
            texts = read_json(self._path, _MAX_BYTES)
            return tuple(dict.fromkeys(PeerAddress.parse(text) for text in _texts(texts)))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, ChainError) as error:
            kept = set_aside(self._path)
            logs.get_logger("peers").warning(
                "peers.json cannot be read, so the peers in it are not dialled",
                error=str(error),
                kept_as=kept and kept.name,
            )
            return ()

    def add(self, address: PeerAddress) -> None:
        """Keeps an address. Raises `NotAFile` and `OSError` if it cannot be written."""
        kept = self.addresses()
        if address not in kept:
            self._write((*kept, address))

    def remove(self, address: PeerAddress) -> None:
        """Forgets an address. Raises `NotAFile` and `OSError` if that cannot be written."""
        kept = self.addresses()
        if address in kept:
            self._write(each for each in kept if each != address)

    def _write(self, addresses: Iterable[PeerAddress]) -> None:
        write_private(self._path, (json.dumps([str(each) for each in addresses], indent=1) + "\n").encode())


def _texts(document: object) -> list[str]:
    if not isinstance(document, list) or not all(isinstance(text, str) for text in document):
        raise ValueError("it is no list of addresses")
    return document
