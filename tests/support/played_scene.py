"""A node on which rounds were really played, and a user of its commands."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engram.node.client import RpcClient
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.threaded import running_node
from engram.primitives.keys import PrivateKey, format_address
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, dev_spec, write_keys
from tests.support.rpc_round import PARTS, PlayedRounds, RpcPlay

LOW, HIGH = [50, 0, *[10] * PARTS], [206, 0, *[10] * PARTS]
"""A row of class 0 and one of class 1."""


@dataclass(frozen=True)
class Scene:
    """A user of a node with a model of two versions, its finished round, and an open one with a candidate."""

    shell: Shell
    rounds: PlayedRounds

    @property
    def model(self) -> str:
        return self.rounds.model.hex()


@contextmanager
def played_scene(directory: Path) -> Iterator[Scene]:
    """A node on a data directory, whose rounds are played before this yields."""
    write_keys(directory)
    config = Config(data_dir=directory, rpc_port=0, p2p_port=0, mine=True, miner_address=address_of("miner"))
    with running_node(config, dev_spec()):
        yield Scene(Shell(directory, {"ENGRAM_PASSPHRASE": PASSPHRASE}), asyncio.run(_play(directory)))


async def _play(directory: Path) -> PlayedRounds:
    running = find_run_info(directory)
    assert running is not None
    async with RpcClient.of_data_dir(running.rpc_url, directory) as client:
        return await RpcPlay(client).play()


def actor(key: PrivateKey) -> str:
    """The address of a key on the scene's chain."""
    return format_address(key.address, "leng")


def row(values: list[int]) -> str:
    """A row as --row takes it."""
    return ",".join(map(str, values))
