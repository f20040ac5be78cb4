"""Finds the node to ask, and opens a client of it that outlasts restarts. Commands and the library use it."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engram.node.client import RpcClient
from engram.node.configsources import find_data_dir, load_config
from engram.node.datadir import find_run_info, read_spec
from engram.node.errors import ChainNotFound
from engram.node.settingrules import shown
from engram.participant.errors import ForeignNode
from engram.participant.notices import Report
from engram.participant.reconnect import PATIENCE_S, PatientClient
from engram.participant.waiting import held

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec


def start_words(data_dir: Path, spec: ChainSpec) -> str:
    """The command that starts the node of a data directory with this chain, in back-quotes.

    A chain without work is one for development. Where ports are taken, such a node takes others by itself.
    """
    from engram.consensus.chainspec import has_work  # imports numpy, which few commands need

    place = shlex.quote(str(data_dir))
    if has_work(spec):
        return f"`engram run --data-dir {place}`, with another --rpc-port if the port is taken"
    return f"`engram run --dev --data-dir {place}`"


@dataclass(frozen=True)
class ChosenNode:
    """Which node is meant. A node that runs is found although its engram.toml has become wrong since."""

    data_dir: Path
    is_named: bool
    """Whether the user has named the data directory; else it is the default one."""
    rpc: str | None = None
    """The address that the user has given; it is believed."""

    @classmethod
    def of(cls, data_dir: Path | None, rpc: str | None = None) -> ChosenNode:
        """The node of what the user has given; None for what was not. Raises `ConfigInvalid`."""
        return cls(*find_data_dir(data_dir, os.environ), rpc)

    @property
    def url(self) -> str:
        """The address that was given; else that of the node which runs on the data directory; else the one in
        its settings, at which a node may or may not answer (see `check_chain`).

        Raises what `load_config` raises if the settings are needed.
        """
        if self.rpc is not None:
            return self.rpc
        running = find_run_info(self.data_dir)
        if running is not None:
            return running.rpc_url
        return load_config({"data_dir": self.data_dir}, os.environ).config.rpc_url

    async def check_chain(self, client: RpcClient) -> None:
        """Checks that a node found only by the settings' port serves the data directory's chain.

        Without a given address and without a node that runs on the data directory, the address is a guess:
        another node of this machine may answer there, with other accounts and another chain. Raises
        `ForeignNode` if that node's chain is not the directory's. If the directory holds no chain, there is
        nothing to compare with; then a directory that the user has named raises `ChainNotFound`, and for the
        default directory the guess is accepted.
        """
        if self.rpc is not None or find_run_info(self.data_dir) is not None:
            return
        try:
            spec = read_spec(self.data_dir)
        except ChainNotFound:
            if self.is_named:
                raise
            return
        from engram.consensus.chainspec import chain_id, spec_id  # imports numpy, which few commands need

        info = await client.call("node_info")
        own, served = spec_id(spec).hex(), str(info["spec_id"])
        if served != own:
            theirs = f"{shown(info['name'])[1:-1]}, chain id {shown(info['chain_id'])}"
            raise ForeignNode(
                f"the node of {self.data_dir} is not running: start it with "
                f"{start_words(self.data_dir, spec)}. (At {self.url} answers the node of another chain, "
                f"{theirs}, not of {spec.name}, chain id {chain_id(spec)}; --rpc {self.url} asks that one.)",
                expected=own,
                got=shown(served)[1:-1],
            )

    @asynccontextmanager
    async def patient_client(
        self, report: Report, *, holds: bool, patience_s: float | None = None
    ) -> AsyncIterator[RpcClient]:
        """A client that waits if the node goes away: `patience_s` seconds, or as long as others do.

        `report` is told when the node is lost and when it is back. With `holds`, the blocks of a test network
        wait for it (`held`).
        """
        last = self.url

        def find() -> str:
            """The address of the node that runs on the data directory now; else the last address known."""
            nonlocal last
            running = find_run_info(self.data_dir) if self.rpc is None else None
            last = running.rpc_url if running is not None else last
            return last

        most_s = PATIENCE_S if patience_s is None else patience_s
        async with PatientClient(find, report, patience_s=most_s) as client:
            await self.check_chain(client)
            async with held(client, report) if holds else nullcontext():
                yield client
