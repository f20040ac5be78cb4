"""Follows the nodes of the demonstration, and tells the stage of heads, of the round, and of stalls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from engram.node.errors import NodeUnreachable
from engram.node.localnet.localnet import Localnet
from engram.node.localnet.nodeprocess import NodeProcess
from engram.participant.demo.cast import Cast
from engram.participant.demo.report import ScoreRow, mean_loss
from engram.participant.demo.stage import RoundNow, Stage
from engram.primitives.keys import parse_address
from engram.statemachine.rounds.records import RoundKind

FOLLOW_AGAIN_S: Final = 0.5
STALLED_S: Final = 60.0
"""After so many seconds without a new block the stage is told what each node waits for."""


@asynccontextmanager
async def watching(
    net: Localnet, cast: Cast, stage: Stage, stalled_s: float = STALLED_S
) -> AsyncIterator[None]:
    """Tells the stage of the nodes' events for as long as the `with` block runs, and if blocks stop."""
    first, *others = net.nodes
    tasks = [asyncio.create_task(_follow(node, stage)) for node in others]
    tasks.append(asyncio.create_task(_follow(first, stage, _RoundFollower(net, cast, stage))))
    tasks.append(asyncio.create_task(_tell_stalls(net, stage, stalled_s)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(node: NodeProcess, stage: Stage, rounds: _RoundFollower | None = None) -> None:
    """Follows one node until it is gone; with `rounds`, its rounds too."""
    while node.is_running:
        with suppress(NodeUnreachable):
            async with node.client.subscribe("heads", *(("rounds",) if rounds else ())) as events:
                async for topic, event in events:
                    if topic == "heads":
                        stage.head(node.name, event["height"], event["id"])
                    if rounds is not None:
                        await rounds.see(node, topic, event)
        await asyncio.sleep(FOLLOW_AGAIN_S)


class _RoundFollower:
    """Tells the stage where the round is, and of each candidate once it stands."""

    def __init__(self, net: Localnet, cast: Cast, stage: Stage) -> None:
        self._hrp, self._block_s = net.spec.hrp, net.spec.block_time_ms / 1000
        self._cast, self._stage = cast, stage
        self._ids: list[str] = []
        self._is_open = False
        self._told: set[tuple[int, str, int]] = set()

    async def see(self, node: NodeProcess, topic: str, event: dict[str, Any]) -> None:
        """Takes an event of the node in. Raises `NodeUnreachable`."""
        if topic == "rounds":
            if event["id"] not in self._ids:
                self._ids.append(event["id"])
            self._is_open = event["status"] == "open"
            if not self._is_open:
                self._stage.round(None)
        elif self._is_open:
            round_ = await node.client.call("round_get", id=self._ids[-1])
            self._stage.round(self._now(round_))
            for candidate in await node.client.call("round_candidates", id=self._ids[-1]):
                self._score(round_, candidate)

    def _now(self, round_: dict[str, Any]) -> RoundNow | None:
        if round_["ticks_left"] is None:
            return None
        last = max(last for _, last in round_["calendar"].values() if last is not None)
        return RoundNow(
            number=len(self._ids),
            kind=RoundKind(round_["terms"]["kind"]).name,
            phase=round_["phase"],
            epoch=round_["epoch"],
            epochs=round_["terms"]["epochs"],
            done=round_["tick"] - round_["opened"],
            total=last + 1 - round_["opened"],
            left=round_["ticks_left"],
            left_s=round_["ticks_left"] * self._block_s,
            step=_phases_begun(round_),
            steps=len(round_["calendar"]),
        )

    def _score(self, round_: dict[str, Any], candidate: dict[str, Any]) -> None:
        author = self._cast.name(parse_address(candidate["author"], self._hrp))
        key = len(self._ids), author, candidate["epoch"]
        if key not in self._told:
            self._told.add(key)
            rows = round_["terms"]["rows"] * len(round_["validation_opened"])
            loss = mean_loss(candidate["loss"], rows)
            self._stage.score(ScoreRow(*key, loss, None, None, None, "standing"))


def _phases_begun(round_: dict[str, Any]) -> int:
    """How many phases of the round have begun: which one it is in, or before whose end it waits."""
    firsts = [first for first, _ in round_["calendar"].values() if first is not None]
    return max(1, len([first for first in firsts if first <= round_["tick"]]))


async def _tell_stalls(net: Localnet, stage: Stage, after_s: float) -> None:
    """Tells the stage when no node has had a new head for `after_s` seconds, and what each node waits for."""
    heads: list[str] = []
    while True:
        with suppress(NodeUnreachable):
            before, heads = heads, [(await node.client.call("chain_head"))["id"] for node in net.nodes]
            if heads == before:
                stage.say("nodes", f"no new block for {after_s:g} s; the reason may be:")
                for node in net.nodes:
                    stage.say(node.name, await _standing(node))
        await asyncio.sleep(after_s)


async def _standing(node: NodeProcess) -> str:
    """A node's head and what its blocks wait for, in words."""
    head, pace, peers = [await node.client.call(name) for name in ("chain_head", "miner_pace", "peer_list")]
    said = f"is at height {head['height']}, block {head['id'][:12]}, with {len(peers)} peers"
    if pace["programs"]:
        said += f"; {pace['programs']} programs hold its blocks above height {pace['limit']}"
    return said
