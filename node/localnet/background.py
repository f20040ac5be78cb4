"""A localnet that goes on running after the command that started it has ended. Its folder is all it needs.

    node0/ node1/ …    the data directory of each node; each holds all keys of the network
    localnet.json      how many nodes there are

The ports are chosen when the network is made and stand in the engram.toml of each node. A node that is
started again, by `up` or by hand, therefore finds the others at the same ports.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from engram.consensus.chainspec import ChainSpec
from engram.node.client import RpcClient
from engram.node.config import CONFIG_NAME
from engram.node.configsources import load_config
from engram.node.datadir import KEYS_DIRECTORY, find_run_info, make_data_dir
from engram.node.errors import (
    FileDamaged,
    LocalnetExists,
    LocalnetIncomplete,
    LocalnetMissing,
    NodeUnreachable,
)
from engram.node.files import open_log, read_json, write_private
from engram.node.localnet.nodeprocess import (
    LOG_NAME,
    START_S,
    STOP_S,
    announced,
    environment_of,
    not_started,
    run_command,
    write_settings,
)
from engram.primitives.errors import ChainError
from engram.primitives.keys import format_address
from engram.primitives.types import Address

HOST: Final = "127.0.0.1"
NETWORK_NAME: Final = "localnet.json"
MAX_NODES: Final = 32
CONNECT_S: Final = 60.0
"""So long `until_one` waits for nodes that run to find each other."""
PORTS: Final = range(10_000, 32_000)
"""Most systems give ports above these to whoever asks for any, or dials. Such a port could be taken before
the node that shall have it starts, even by another node that dials it.
"""
_RANDOM: Final = random.SystemRandom()
_MAX_BYTES: Final = 4096


@dataclass(frozen=True)
class LocalnetNodeStatus:
    """Whether one node of the network runs, where it listens, and what it says of itself."""

    name: str
    data_dir: str
    rpc_url: str | None
    """Where it answers or will answer; None, as the port is, if it does not run and its settings cannot be
    read.
    """
    p2p_port: int | None
    pid: int | None
    """Its process number; None if it does not run."""
    info: dict[str, Any] | None
    """Its answer to `node_info`; None if it does not answer."""
    problem: str | None
    """Why its settings cannot be read, so that it cannot start; None if they can."""


def make(folder: Path, spec: ChainSpec, miners: Sequence[Address], hashes_per_s: int, keys: Path) -> None:
    """Writes the data directories of a network: one node for each miner, each of which dials all others.

    Each data directory gets a copy of the key files in `keys`. `hashes_per_s` is shared among the miners.
    Raises `LocalnetExists` if the folder holds a localnet already.
    """
    if members(folder):
        raise LocalnetExists(f"{folder} already holds a localnet", got=str(folder))
    write_private(folder / NETWORK_NAME, (json.dumps({"nodes": len(miners)}) + "\n").encode())
    ports = free_ports(2 * len(miners))
    rpc, p2p = ports[: len(miners)], ports[len(miners) :]
    for number, miner in enumerate(miners):
        data_dir = folder / f"node{number}"
        make_data_dir(data_dir, spec)
        shutil.copytree(keys, data_dir / KEYS_DIRECTORY, dirs_exist_ok=True)
        write_settings(
            data_dir,
            rpc_port=rpc[number],
            p2p_port=p2p[number],
            peers=[f"{HOST}:{port}" for port in p2p if port != p2p[number]],
            connect_only=True,
            mine=True,
            miner_address=format_address(miner, spec.hrp),
            max_hashes_per_s=max(1, hashes_per_s // len(miners)),
            miner_waits=True,
            miner_waits_at=[f"http://{HOST}:{port}" for port in rpc if port != rpc[number]],
        )


def members(folder: Path) -> list[Path]:
    """The data directories of the network in `folder`, in the order of their numbers."""
    found = {path.parent for path in folder.glob(f"node*/{CONFIG_NAME}")}
    return [folder / f"node{number}" for number in range(MAX_NODES) if folder / f"node{number}" in found]


def up(folder: Path) -> None:
    """Starts every node that does not run and waits until all of them answer. They outlive the caller.

    Raises `LocalnetMissing` if the folder holds no localnet, `LocalnetIncomplete` if a node's directory is
    gone, `FileDamaged` if localnet.json does not say how many there are. Raises `NodeFailed`, with the end of
    its log, if a node does not start; the nodes that this call has started are stopped then.
    """
    _check_complete(folder)
    with ExitStack() as undo:
        starting = []
        for data_dir in _present(folder):
            if find_run_info(data_dir) is None:
                process = _spawn(data_dir)
                undo.callback(_end, process)
                starting.append((data_dir, process))
        for data_dir, process in starting:
            _wait_ready(data_dir, process)
        undo.pop_all()
    for _, process in starting:
        # The process goes on without this handle. Without a return code, Python would warn that it still
        # runs.
        process.returncode = 0


async def until_one(folder: Path) -> bool:
    """Waits until the nodes that run are one network: connected by way of peers, with the same head.

    False if they are not after `CONNECT_S` seconds. Raises `NodeUnreachable` if one of them ends meanwhile.
    """
    changed = asyncio.Event()

    async def listen(client: RpcClient, ready: asyncio.Event) -> None:
        async with client.subscribe("peers", "heads") as events:
            ready.set()
            async for _ in events:
                changed.set()

    async with AsyncExitStack() as stack:
        found = [find_run_info(data_dir) for data_dir in _present(folder)]
        clients = [
            await stack.enter_async_context(RpcClient(info.rpc_url)) for info in found if info is not None
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S), asyncio.TaskGroup() as group:
                listening = []
                for client in clients:
                    listening.append(group.create_task(listen(client, ready := asyncio.Event())))
                    await ready.wait()
                while not await _are_one(clients):
                    await changed.wait()
                    changed.clear()
                for task in listening:
                    task.cancel()
                return True
    return False


async def _are_one(clients: Sequence[RpcClient]) -> bool:
    """Whether every node is reached from the first one, from peer to peer, and has its head."""
    peers: dict[str, set[str]] = {}
    heads = set()
    for client in clients:
        info = await client.call("node_info")
        heads.add(info["head"]["id"])
        peers[info["node_id"]] = {str(peer["id"]) for peer in await client.call("peer_list")}
    edge = {*list(peers)[:1]}
    reached = set(edge)
    while edge:
        edge = {peer for node_id in edge for peer in peers.get(node_id, ())} - reached
        reached |= edge
    return reached >= peers.keys() and len(heads) <= 1


async def status(folder: Path) -> list[LocalnetNodeStatus]:
    """The status of every node of the network, running or not. Raises `LocalnetMissing`."""
    return [await _status(data_dir) for data_dir in _present(folder)]


def down(folder: Path) -> int:
    """Stops every node by SIGTERM and returns how many ran. Raises `LocalnetMissing`.

    A node that has not ended after `STOP_S` seconds is killed.
    """
    running = []
    for data_dir in _present(folder):
        if (info := find_run_info(data_dir)) is not None:
            with suppress(psutil.NoSuchProcess):
                running.append(psutil.Process(info.pid))
    for process in running:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(running, timeout=STOP_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_S)
    return len(running)


def free_ports(count: int) -> list[int]:
    """So many different TCP ports of `PORTS` that are free now, drawn at random."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in _RANDOM.sample(PORTS, len(PORTS)):
            if len(found) == count:
                break
            with suppress(OSError):  # somebody else has it
                stack.enter_context(socket.socket()).bind((HOST, port))
                found.append(port)
    return found


def _present(folder: Path) -> list[Path]:
    found = members(folder)
    if not found:
        raise LocalnetMissing(
            f"there is no localnet in {folder}: make one with `engram localnet up`", got=str(folder)
        )
    return found


def _check_complete(folder: Path) -> None:
    """Raises `LocalnetMissing`, `LocalnetIncomplete`, `FileDamaged`, `NotAFile`."""
    numbers = [int(path.name[4:]) for path in _present(folder)]
    count = _count(folder / NETWORK_NAME)
    missing = sorted(set(range(max(count, numbers[-1] + 1))) - set(numbers))
    if missing:
        names = ", ".join(f"node{number}" for number in missing)
        raise LocalnetIncomplete(
            f"{folder} lacks {names}: put the directory back, or delete the network with "
            "`engram localnet down --delete` and make another",
            expected=max(count, numbers[-1] + 1),
            got=len(numbers),
        )


def _count(path: Path) -> int:
    """How many nodes a network was made with; 0 if it is of an earlier version, which did not write that."""
    try:
        document = read_json(path, _MAX_BYTES)
    except FileNotFoundError:
        return 0
    count = document.get("nodes") if isinstance(document, dict) else None
    if type(count) is not int or not 1 <= count <= MAX_NODES:
        message = (
            f'{path} does not say how many nodes there are: write {{"nodes": N}} into it, N nodes in all'
        )
        raise FileDamaged(message)
    return count


def _spawn(data_dir: Path) -> subprocess.Popen[bytes]:
    with open_log(data_dir / LOG_NAME) as log:
        return subprocess.Popen(
            run_command(data_dir),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment_of(os.environ),
            start_new_session=True,  # so that closing the terminal does not end the node
        )


def _wait_ready(data_dir: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until the node has printed where it listens. Raises `NodeFailed`."""
    assert process.stdout is not None, "the process was started with a pipe"
    with process.stdout as stdout:
        readable, _, _ = select.select([stdout], [], [], START_S)
        line = stdout.readline() if readable else b""
        if announced(line) is None:
            said = (line + stdout.read()).decode("utf-8", "replace") if readable else ""
            raise not_started(data_dir, said)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _status(data_dir: Path) -> LocalnetNodeStatus:
    running = find_run_info(data_dir)
    url, port, problem = None, None, None
    try:
        config = load_config({"data_dir": data_dir}, {}).config
        url, port = config.rpc_url, config.p2p_port
    except (ChainError, OSError) as error:
        problem = str(error)
    info: Mapping[str, Any] | None = None
    if running is not None:
        url, port = running.rpc_url, running.p2p_port
        with suppress(NodeUnreachable):
            async with RpcClient(running.rpc_url) as client:
                info = await client.call("node_info")
    pid = None if running is None else running.pid
    return LocalnetNodeStatus(
        data_dir.name, str(data_dir), url, port, pid, None if info is None else dict(info), problem
    )
