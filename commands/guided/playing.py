"""Plays a round with everybody who has a part in it, in this process; and goes on with one that was cut off.

Blocks wait for all of them, from before the first one has begun until the last one has ended: so no phase
passes because the machine is slow, or because the play was interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from engram.commands.guided.openings import STEPS, Opening
from engram.commands.guided.playground import Playground
from engram.commands.support.phases import PHASES

if TYPE_CHECKING:
    from engram.library.rounds import AsyncRound
    from engram.node.client import RpcClient
    from engram.participant.notices import Notice

Part = Callable[[], Coroutine[Any, Any, None]]


async def play(ground: Playground, opening: Opening, round_id: str) -> None:
    """Plays the round to its end. What an earlier run has done is not done again."""
    from engram.node.client import RpcClient

    async with await ground.chain(opening.opener) as chain:
        parts = await _parts(ground, opening, round_id, chain.client)
        if not parts:
            return
        gate = RpcClient.of_data_dir(chain.url, ground.folder)
        async with gate, gate.holding(), asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(part()) for part in parts]
            await _all_hold(gate, playing)
            await gate.call("miner_muster", programs=0)
            await gate.call("miner_start")
            with ground.narrator.round_bar():
                following = tasks.create_task(_follow(ground, chain.client, round_id))
                await gate.ready(2**62)
                await asyncio.wait(playing)
                following.cancel()


async def is_played(ground: Playground, opening: Opening, client: RpcClient, round_id: str) -> bool:
    """Whether the round has ended, and everybody has taken back what they had at stake."""
    found = await client.call("round_get", id=round_id)
    return not is_open(found) and not await _with_updates(ground, opening, client, round_id)


def count_players(opening: Opening, found: dict[str, Any]) -> int:
    """How many programs still have to play a round, in the form that `round_get` gives."""
    return 1 + len(opening.authors) + _has_witness(opening, found)


async def _parts(ground: Playground, opening: Opening, round_id: str, client: RpcClient) -> list[Part]:
    """What is still to be done, by whom."""
    found = await client.call("round_get", id=round_id)
    if not is_open(found):
        authors = await _with_updates(ground, opening, client, round_id)
        return [_author(ground, opening, round_id, name) for name in authors]
    parts = [_opener(ground, opening, round_id)]
    parts += [_author(ground, opening, round_id, name) for name in opening.authors]
    if opening.witness is not None and _has_witness(opening, found):
        parts.append(_witness(ground, opening.witness, round_id))
    return parts


def _has_witness(opening: Opening, found: dict[str, Any]) -> bool:
    """Whether a sealed part of the witness is still to be opened."""
    return opening.witness is not None and not all(each["opened"] for each in found["witnesses"])


def _opener(ground: Playground, opening: Opening, round_id: str) -> Part:
    async def part() -> None:
        async with await ground.chain(opening.opener) as chain:
            await _round(chain, round_id).run(_teller(ground, opening.opener))

    return part


def _author(ground: Playground, opening: Opening, round_id: str, name: str) -> Part:
    async def part() -> None:
        from engram.participant.errors import RoundMissed

        rows = await asyncio.to_thread(opening.rows, name, trains=True)
        tell = _teller(ground, name)
        async with await ground.chain(name) as chain:
            try:
                await _round(chain, round_id).participate(
                    rows.features, rows.labels, steps=STEPS, report=tell
                )
            except RoundMissed as error:
                ground.narrator.notice(name, error.message)

    return part


def _witness(ground: Playground, name: str, round_id: str) -> Part:
    async def part() -> None:
        async with await ground.chain(name) as chain:
            await _round(chain, round_id).unseal(_teller(ground, name))

    return part


def _round(chain: Any, round_id: str) -> AsyncRound:
    from engram.library.rounds import AsyncRound

    return AsyncRound(chain, round_id)


def _teller(ground: Playground, name: str) -> Callable[[Notice], None]:
    """Tells what somebody does, but not that they wait: the bar shows for what."""

    def tell(notice: Notice) -> None:
        if notice.event != "waiting":
            text, is_warning = ground.named(str(notice)), notice.event == "opener_decides"
            ground.narrator.notice(name, text, is_warning=is_warning)

    return tell


async def _all_hold(gate: RpcClient, playing: list[asyncio.Task[None]]) -> None:
    """Waits until the blocks wait for everybody who still plays; the gate itself is one of the programs."""
    async with gate.subscribe("pace") as events:
        while True:
            alive = [task for task in playing if not task.done()]
            if (await gate.call("miner_pace"))["programs"] > len(alive):
                return
            changed = asyncio.ensure_future(anext(events))
            try:
                await asyncio.wait((changed, *alive), return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()


async def _follow(ground: Playground, client: RpcClient, round_id: str) -> None:
    """Shows the round's phase after each block."""
    async with client.subscribe("heads") as heads:
        async for _ in heads:
            found = await client.call("round_get", id=round_id)
            calendar, tick = found["calendar"], int(found["tick"])
            first, last = calendar["open"][0], calendar["score"][1]
            ground.narrator.phase(PHASES[found["phase"]], tick - first, last - first + 1)


async def _with_updates(ground: Playground, opening: Opening, client: RpcClient, round_id: str) -> list[str]:
    """The authors who have not withdrawn their updates yet."""
    from engram.participant.view import ChainView
    from engram.primitives.keys import parse_address
    from engram.statemachine.rounds.records import Round

    view = ChainView(client)
    round_ = await view.get(Round, bytes.fromhex(round_id))
    hrp = ground.session.hrp
    return [
        name
        for name in opening.authors
        if await view.updates_of(round_, parse_address(ground.address(name), hrp))
    ]


def is_open(found: dict[str, Any]) -> bool:
    """Whether a round, as `round_get` gives it, goes on."""
    from engram.statemachine.rounds.records import RoundStatus

    return bool(found["status"] == RoundStatus.OPEN)
