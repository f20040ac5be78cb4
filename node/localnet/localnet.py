"""A network of real nodes on this machine, each a process with its own LevelDB, key and proof of work.

It serves tests, the demonstration, and experiments by hand. A pytest fixture takes five lines:

    @pytest_asyncio.fixture
    async def net(tmp_path):
        spec = local((Allocation(alice.address, 1_000 * 10**8),), time.time_ns() // 1_000_000)
        async with Localnet(tmp_path, spec, nodes=3) as net:
            yield net

    async def test_transfer_reaches_everyone(net):
        wallet = Wallet(net.nodes[0].client, alice)
        txid = await wallet.transfer(bob, 5)
        await net.wait_for("everyone to include it", lambda: included_everywhere(net, txid))

Nothing here sleeps for a fixed time. A wait is a predicate, which is asked again at every event of any node.
If it is not met in time, the error says where every node stands and what it logged last.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from engram.consensus.chainspec import ChainSpec
from engram.node.concurrency import cause_of
from engram.node.datadir import write_spec
from engram.node.engines.registry import AUTO
from engram.node.errors import LocalnetStalled, NodeUnreachable, RemoteError
from engram.node.localnet.links import CuttableLink
from engram.node.localnet.nodeprocess import NodeProcess, write_settings
from engram.primitives.keys import PrivateKey, format_address
from engram.primitives.types import Address
from engram.statemachine.rounds.records import RoundStatus

Predicate = Callable[[], Awaitable[bool]]

WAIT_S: Final = 300.0
"""How long a wait lasts before it counts as failed. It is long, because a busy machine is no failure."""
HASHES_PER_S: Final = 600
"""Proof-of-work hashes per second of all miners together. A fraction of one core is enough for this pace."""
_RETRY_S: Final = 0.25
_TOPICS: Final = ("heads", "rounds", "versions", "transactions", "peers")


class Localnet:
    """A network in which every node is connected to every other by a link that can be cut.

    All files stay in `folder`. The caller removes them if they are no longer needed.
    """

    def __init__(
        self,
        folder: Path,
        spec: ChainSpec,
        *,
        nodes: int = 4,
        miners: Sequence[Address] | None = None,
        hashes_per_s: int = HASHES_PER_S,
        engine: str = AUTO,
    ) -> None:
        """Prepares the network; `async with` starts it.

        `miners` names, for each node, the address that is paid for its blocks. Nodes for which it names none
        do not mine. By default every node mines for an address whose private key is thrown away.
        `hashes_per_s` is shared among the miners. `engine` names what the nodes evaluate networks with.
        """
        self.spec: Final = spec
        self.engine: Final = engine
        self.nodes: Final = tuple(
            NodeProcess(f"node{number}", folder / f"node{number}") for number in range(nodes)
        )
        self._links: Final = {pair: CuttableLink() for pair in combinations(range(nodes), 2)}
        self._rpc_links: Final = tuple(CuttableLink() for _ in range(nodes))
        """To each node's RPC, for the other miners: a node has another port after each start."""
        self._miners = (
            [PrivateKey.generate(os.urandom(32)).address for _ in range(nodes)] if miners is None else miners
        )
        self._hashes_per_s = max(1, hashes_per_s // max(1, len(self._miners)))

    async def __aenter__(self) -> Self:
        """Makes missing data directories, starts every node and waits until all of them are connected.

        Raises `NodeFailed`, and `LocalnetStalled` if the nodes do not connect.
        """
        try:
            for link in (*self._links.values(), *self._rpc_links):
                await link.open()
            for number, node in enumerate(self.nodes):
                write_spec(node.data_dir, self.spec)
                self._configure(number)
            await self._start_all()
            await self.wait_for("every node to be connected", self._connected)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops every node and waits until it has ended."""
        await self._end()

    @property
    def running(self) -> tuple[NodeProcess, ...]:
        """The nodes that run and are not paused."""
        return tuple(node for node in self.nodes if node.is_running and not node.is_paused)

    async def start(self, number: int) -> None:
        """Starts a node that does not run. Raises `NodeFailed`."""
        info = await self.nodes[number].start()
        self._rpc_links[number].lead_to(info.rpc_port)
        for (_, far), link in self._links.items():
            if far == number:
                link.lead_to(info.p2p_port)

    async def stop(self, number: int) -> int:
        """Ends a node by SIGTERM and returns its exit status."""
        return await self.nodes[number].stop()

    async def kill(self, number: int) -> None:
        """Kills a node by SIGKILL, which is like a power cut to it."""
        await self.nodes[number].kill()

    def pause(self, number: int) -> None:
        """Freezes a node: it keeps its connections but answers nobody."""
        self.nodes[number].pause()

    def resume(self, number: int) -> None:
        """Lets a paused node go on."""
        self.nodes[number].resume()

    def partition(self, *groups: Iterable[int]) -> None:
        """Cuts every link between two nodes that are not in the same group."""
        sides = [set(group) for group in groups]
        for pair, link in self._links.items():
            if not any(side.issuperset(pair) for side in sides):
                link.cut()

    def heal(self) -> None:
        """Joins every link that was cut. The nodes dial each other again by themselves."""
        for link in self._links.values():
            link.join()

    async def wait_for(self, what: str, predicate: Predicate, timeout_s: float = WAIT_S) -> None:
        """Waits until the predicate holds. It is asked now and again after every event of any running node.

        A predicate may call a node that has ended: if it raises `NodeUnreachable`, it does not hold yet.
        Raises `LocalnetStalled` after `timeout_s` seconds, with the words of `what` and the report on every
        node.
        """
        changed = asyncio.Event()
        watchers = [asyncio.create_task(_watch(node, changed)) for node in self.running]
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    changed.clear()
                    if await _holds(predicate):
                        return
                    await changed.wait()
        except TimeoutError:
            raise LocalnetStalled(f"waited {timeout_s:g} s for {what}\n{await self.report()}") from None
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)

    async def wait_height(self, height: int, timeout_s: float = WAIT_S) -> None:
        """Waits until the head of every running node is at least this high. Raises `LocalnetStalled`."""

        async def reached() -> bool:
            return all(head["height"] >= height for head in await self.heads())

        await self.wait_for(f"height {height}", reached, timeout_s)

    async def wait_agreement(self, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Waits until all running nodes have the same head, and returns it. Raises `LocalnetStalled`."""
        agreed: dict[str, Any] = {}

        async def agree() -> bool:
            heads = await self.heads()
            agreed.update(heads[0])
            return len({head["id"] for head in heads}) == 1

        await self.wait_for("one head", agree, timeout_s)
        return agreed

    async def leave_one_miner(self) -> None:
        """Stops all miners but the first, and waits until every running node is on the chain of that one.

        While several mine, a block that holds a transaction may be replaced, and what builds on the
        transaction with it; and nodes that stop at once could keep different heads with equal work for ever.
        So one mines on until every node is two blocks above all heads that the others had: one that they have
        just found may still come. Then one head has the most work. Raises `LocalnetStalled`.
        """
        for node in self._mining()[1:]:
            await node.client.call("miner_stop")
        highest = max(int(head["height"]) for head in await self.heads())
        await self.wait_height(highest + 2)

    async def settle(self) -> dict[str, Any]:
        """Ends mining, waits until all running nodes have one head, which stays, and returns it.

        What is read of a node afterwards is what every node holds. Raises `LocalnetStalled`.
        """
        if mining := self._mining():
            await self.leave_one_miner()
            await mining[0].client.call("miner_stop")
        return await self.wait_agreement()

    async def heads(self) -> list[dict[str, Any]]:
        """The head of every running node, in the order of the nodes."""
        return [await node.client.call("chain_head") for node in self.running]

    async def report(self, lines: int = 15) -> str:
        """A text on every node: its head, peers, open rounds, and the last `lines` lines of its log."""
        return "\n".join([await _described(node, lines) for node in self.nodes])

    def _mining(self) -> list[NodeProcess]:
        """The running nodes that have a miner."""
        return [node for node in self.nodes[: len(self._miners)] if node in self.running]

    async def _start_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as starts:
                for number in range(len(self.nodes)):
                    starts.create_task(self.start(number))
        except BaseExceptionGroup as failures:
            raise cause_of(failures) from None

    def _configure(self, number: int) -> None:
        """Writes the settings of a node. It dials the nodes with higher numbers: each pair has one link."""
        node = self.nodes[number]
        peers = [link.address for (near, far), link in self._links.items() if near == number]
        mine = number < len(self._miners)
        address = format_address(self._miners[number], self.spec.hrp) if mine else ""
        others = [f"http://{link.address}" for far, link in enumerate(self._rpc_links) if far != number]
        write_settings(
            node.data_dir,
            rpc_port=0,
            p2p_port=0,
            peers=peers,
            connect_only=True,  # else nodes would go around the links that are cut
            mine=mine,
            miner_address=address,
            max_hashes_per_s=self._hashes_per_s,
            miner_waits=True,
            miner_waits_at=others,
            log_format="json",
            engine=self.engine,
        )

    async def _connected(self) -> bool:
        infos = [await node.client.call("node_info") for node in self.running]
        return all(info["peers"] == len(self.nodes) - 1 for info in infos)

    async def _end(self) -> None:
        ends = [node.stop() for node in self.nodes]
        links = (*self._links.values(), *self._rpc_links)
        await asyncio.gather(*ends, *(link.close() for link in links))


async def _watch(node: NodeProcess, changed: asyncio.Event) -> None:
    """Sets `changed` at every event of the node, and once more when the node has ended.

    If the node runs on although the connection has broken, it is asked again.
    """
    while node.is_running:
        try:
            async with node.client.subscribe(*_TOPICS) as events:
                changed.set()
                async for _ in events:
                    changed.set()
        except NodeUnreachable:
            changed.set()
            await asyncio.sleep(_RETRY_S)


async def _holds(predicate: Predicate) -> bool:
    try:
        return await predicate()
    except NodeUnreachable:
        return False


async def _described(node: NodeProcess, lines: int) -> str:
    if not node.is_running:
        return f"{node.name}: does not run\n{node.log_tail(lines)}"
    try:
        async with asyncio.timeout(5):
            info = await node.client.call("node_info")
            rounds = await node.client.call("round_list")
    except (TimeoutError, NodeUnreachable, RemoteError) as error:
        return f"{node.name}: no answer ({type(error).__name__})\n{node.log_tail(lines)}"
    head = info["head"]
    stands = [f"round {row['id'][:12]} {row['phase']}" for row in rounds if row["status"] == RoundStatus.OPEN]
    facts = [f"height {head['height']} {head['id'][:12]}", f"{info['peers']} peers", *stands]
    return f"{node.name}: {', '.join(facts)}\n{node.log_tail(lines)}"
