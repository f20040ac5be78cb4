"""`engram status`: everything about a node on one screen, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.exitcodes import NOT_READY_STATUS
from engram.commands.support.options import Command, refuse_given, with_session
from engram.commands.support.output import print_fields, print_json, short
from engram.commands.support.param_types import RealNumber
from engram.commands.support.session import CommandSession
from engram.commands.support.units import NO_WORK, format_bytes, format_duration
from engram.node.epochs import phase_and_epoch
from engram.participant.coins import format_coins

if TYPE_CHECKING:
    from engram.node.client import RpcClient

MOST_KEYS = 8
"""How many keys are shown with their balances; `engram key list` shows all."""


@click.command(
    "status",
    cls=Command,
    example="engram status\nengram status --watch\nengram status --watch --every 10 --json\n"
    "engram status --check --min-peers 2 --max-head-age 600",
)
@click.option("--watch", is_flag=True, help="Show it again and again until Ctrl-C.")
@click.option(
    "--every",
    type=RealNumber(0.1, 3600),
    metavar="SECONDS",
    default=2.0,
    show_default=True,
    help="Time between two looks, with --watch.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Say only whether clients should use the node: status 0, or 2 with the reasons.",
)
@click.option("--min-peers", type=click.IntRange(0), help="With --check: so many peers must be connected.")
@click.option(
    "--max-head-age",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="With --check: the head must not be older.",
)
@with_session
def command(
    session: CommandSession,
    watch: bool,
    every: float,
    check: bool,
    min_peers: int | None,
    max_head_age: int | None,
) -> None:
    """Show on one screen how the node fares, and what needs attention.

    That is: the head and its age, how fast blocks come, peers, sync, waiting transactions, fees, the miner,
    open rounds, the balances of the data directory's keys, disk, memory and warnings. Each warning names the
    remedy. With --json and --watch, each look is one line.

    With --check, the node is asked as the probe /ready asks it. One that has no peer and knows none is ready
    only if it mines, as on a chain of one's own; --min-peers 1 asks for one in any case.
    """
    if check:
        refuse_given(("watch", "every"), "does not go with --check")
        _check(session, {"min_peers": min_peers, "max_head_age_s": max_head_age})
        return
    refuse_given(("min_peers", "max_head_age"), "needs --check")
    if not watch:
        refuse_given(("every",), "needs --watch")
        _show(session, _look(session))
        return
    try:
        while True:
            _show_again(session)
            time.sleep(every)
    except KeyboardInterrupt:
        return


def _check(session: CommandSession, asked: dict[str, int | None]) -> None:
    conditions = {name: value for name, value in asked.items() if value is not None}
    answer = session.run(lambda client: client.probe(**conditions))
    reasons = [f"{each['message']} [{each['code']}]" for each in answer["not_ready"]]
    session.show(answer, [("ready", answer["ready"]), *([("why not", reasons)] if reasons else ())])
    if not answer["ready"]:
        click.get_current_context().exit(NOT_READY_STATUS)


def _show_again(session: CommandSession) -> None:
    """One look of many. A node that does not answer is shown as such: it may come back."""
    from engram.node.errors import NodeUnreachable

    try:
        status = _look(session)
    except NodeUnreachable as error:
        status = {"error": error.to_json()}
    if session.as_json:
        click.echo(json.dumps(status))
        return
    if sys.stdout.isatty():
        click.clear()
    if "error" in status:
        click.echo(status["error"]["message"])
    else:
        _show(session, status)


def _look(session: CommandSession) -> dict[str, Any]:
    entries = session.key_entries()[:MOST_KEYS]
    names = {entry.name: session.address(entry.name) for entry in entries}

    async def action(client: RpcClient) -> dict[str, Any]:
        status: dict[str, Any] = await client.call("node_status")
        accounts = {name: await client.call("account_get", address=names[name]) for name in names}
        keys = [
            {"name": name, "address": names[name], "balance": account["balance"]}
            for name, account in accounts.items()
        ]
        return {**status, "keys": keys}

    return session.run(action)


def _show(session: CommandSession, status: dict[str, Any]) -> None:
    if session.as_json:
        print_json(status)
        return
    node = f"{short(status['node_id'])} of chain {status['name']}, engram {status['version']}"
    fields = [
        ("node", f"{node}, up {format_duration(status['uptime_s'])}"),
        ("head", _head(status["head"], has_work=status["has_work"])),
        ("blocks", _blocks(status["pace"], status["reorgs"])),
        ("peers", _peers(status["peers"])),
        ("clock", _clock(status["clock"])),
        ("sync", _sync(status)),
        *_account_index(status["account_index"]),
        ("mempool", _mempool(status["mempool"])),
        ("fees", f"{format_coins(status['fees']['least'])} at least, exponent {status['fees']['exponent']}"),
        ("miner", _miner(status["miner"], has_work=status["has_work"])),
        ("rounds", [_round(each) for each in status["rounds"]]),
        ("keys", [f"{key['name']} {format_coins(int(key['balance']))}" for key in status["keys"]]),
        ("disk", _disk(status["disk"])),
        ("engine", _engine(status["engine"])),
        ("memory", f"{format_bytes(status['memory']['anonymous_bytes'])} and mapped files"),
        ("warnings", [f"{each['message']} [{each['code']}]" for each in status["warnings"]]),
    ]
    print_fields((name, session.names.for_people(value)) for name, value in fields)


def _head(head: dict[str, Any], *, has_work: bool) -> str:
    age = f"{format_duration(head['age_s'])} {'old' if head['age_s'] >= 0 else 'ahead of the clock'}"
    work = f"{int(head['work']):.3g}" if has_work else NO_WORK
    return f"height {head['height']}, {age}, id {short(head['id'])}, work {work}"


def _blocks(pace: dict[str, Any], reorgs: dict[str, Any]) -> str:
    due = f"one is due every {pace['due_s']:g} s"
    words = ["they come while transactions wait or a round runs" if pace["on_demand"] else due]
    if pace["mean_s"] is not None:
        words.append(f"the last {pace['blocks']} took {pace['mean_s']:.3g} s each")
    if pace["network_hashes_per_s"] is not None:
        words.append(f"network {_hashes(pace['network_hashes_per_s'])}")
    if reorgs["count"]:
        words.append(f"{reorgs['count']} reorganisations, the deepest of {reorgs['deepest']}")
    return ", ".join(words)


def _peers(peers: dict[str, Any]) -> str:
    return f"{peers['outbound']} outbound, {peers['inbound']} inbound, {peers['dialled']} addresses dialled"


def _clock(clock: dict[str, Any]) -> str:
    ahead_s, voices = clock["ahead_s"], clock["voices"]
    if ahead_s is None:
        return "too few peers have told the time to judge it"
    peers = "the peer's" if voices == 1 else f"those of {voices} peers"
    if abs(ahead_s) < 1:
        return f"agrees with {peers}"
    return f"{format_duration(abs(ahead_s))} {'behind' if ahead_s > 0 else 'ahead of'} {peers}"


def _engine(engine: dict[str, Any]) -> str:
    words = f"{engine['name']} evaluates networks"
    return f"{words}, not {' or '.join(engine['wrong'])}" if engine["wrong"] else words


def _sync(status: dict[str, Any]) -> str:
    target, height, backfill = status["syncing_to"], status["head"]["height"], status["backfill"]
    words = "nothing to fetch"
    if target is not None:
        words = f"at {height} of {target} ({100 * height / target:.1f} %)"
    if backfill["left"]:
        there = backfill["base"] - backfill["left"]
        newer = "nothing newer to fetch" if target is None else words
        words = (
            f"{newer}; of the {backfill['base']} blocks from before the snapshot {there} are here, and "
            "the others are fetched from peers in the background"
        )
    return words


def _account_index(held: dict[str, int] | None) -> list[tuple[str, str]]:
    """Nothing on a node without that index."""
    if held is None:
        return []
    first, last = held["from_height"], held["to_height"]
    return [("account index", f"blocks {first} to {last}" if first <= last else "no block yet")]


def _mempool(pool: dict[str, Any]) -> str:
    waiting = f"{pool['count']} transactions wait, {pool['parked']} of them for lower fees"
    return f"{waiting}; {format_bytes(pool['bytes'])} of {format_bytes(pool['max_bytes'])}"


def _miner(miner: dict[str, Any], *, has_work: bool) -> str:
    found = f"{miner['blocks']} blocks found"
    if not miner["mining"]:
        return f"off, {found}"
    if miner["waits"]:
        return f"{miner['waits']}; {found}"
    state = "waits for sync" if miner["paused"] else _hashes(miner["hashes_per_s"]) if has_work else "on"
    return f"{state}, {found}, for {miner['address']}"


def _round(each: dict[str, Any]) -> str:
    left = "" if each["ticks_left"] is None else f", {each['ticks_left']} ticks left"
    phase = phase_and_epoch(each["phase"], each["epoch"])
    return f"{short(each['id'])} {phase}{left}, model {short(each['model'])}"


def _disk(disk: dict[str, Any]) -> str:
    used = (
        f"database {format_bytes(disk['database_bytes'])}, blocks {format_bytes(disk['block_files_bytes'])}"
    )
    return f"{used}, {format_bytes(disk['free_bytes'])} free"


def _hashes(rate: int) -> str:
    for size, unit in ((10**9, "GH/s"), (10**6, "MH/s"), (10**3, "kH/s")):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate} H/s"
