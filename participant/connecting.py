"""Finds the node to ask, and opens a client of it that outlasts restarts. Commands and the library use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from engram.node.client import RpcClient
from engram.node.configsources import LoadedConfig
from engram.node.datadir import find_run_info, read_spec
from engram.node.errors import ChainNotFound
from engram.node.settingrules import shown
from engram.participant.errors import ForeignNode
from engram.participant.notices import Report
from engram.participant.reconnect import PATIENCE_S, PatientClient


@dataclass(frozen=True)
class ChosenNode:
    """Which node is meant."""

    loaded: LoadedConfig
    """The settings of the data directory."""
    rpc: str | None = None
    """The address that the user has given; it is believed."""

    @property
    def url(self) -> str:
        """The address that was given; else that of the node which runs on the data directory; else the one in
        its settings, at which a node may or may not answer (see `check_chain`).
        """
        if self.rpc is not None:
            return self.rpc
        running = find_run_info(self.data_dir)
        return self.loaded.config.rpc_url if running is None else running.rpc_url

    @property
    def data_dir(self) -> Path:
        """The data directory of the settings."""
        return self.loaded.config.data_dir

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
            if self.loaded.origins["data_dir"] != "default":
                raise
            return
        from engram.consensus.chainspec import chain_id, spec_id  # imports numpy, which few commands need

        info = await client.call("node_info")
        own, served = spec_id(spec).hex(), str(info["spec_id"])
        if served != own:
            theirs = f"{shown(info['name'])[1:-1]}, chain id {shown(info['chain_id'])}"
            raise ForeignNode(
                f"the node that answers at {self.url} is of another chain ({theirs}) than the data directory "
                f"{self.data_dir} ({spec.name}, chain id {chain_id(spec)}): to ask that node anyway, use "
                f"--rpc {self.url}; to ask a node of the directory's own chain, start it with `engram run`, "
                "at another --rpc-port if the first node is to go on",
                expected=own,
                got=shown(served)[1:-1],
            )

    @asynccontextmanager
    async def patient_client(
        self, report: Report, *, holds: bool, patience_s: float | None = None
    ) -> AsyncIterator[RpcClient]:
        """A client that waits if the node goes away: `patience_s` seconds, or as long as others do.

        `report` is told when the node is lost and when it is back. With `holds`, the blocks of a test network
        wait for it.
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
            async with client.holding() if holds else nullcontext():
                yield client
