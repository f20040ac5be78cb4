"""`engram peer`: shows and changes which other nodes a node talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.options import Group, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.session import CommandSession
from engram.commands.support.units import format_duration

if TYPE_CHECKING:
    from engram.node.client import RpcClient


@click.group("peer", cls=Group, example="engram peer list\nengram peer add 127.0.0.1:8646")
def command() -> None:
    """List, add, remove and ban peers.

    A peer is another node of the same chain. What changes the node needs the token in its data directory;
    `list` and `info` do not.
    """


@command.command("list", example="engram peer list\nengram peer list --banned")
@click.option("--banned", is_flag=True, help="List what the node refuses instead, why, and for how long.")
@with_session
def list_peers(session: CommandSession, banned: bool) -> None:
    """List the peers that the node is connected to, and the addresses that it cannot reach.

    "link" says whether the connection is encrypted. "height" is that of the best block that the peer has
    shown to have, by telling or fetching it, and "shown" says how long ago; it may have others by now. For an
    address that does not answer, that "refuses" this node, or that a ban keeps off, a line below gives the
    reason and when the node tries again.

    With --banned, "by" says who refuses the node, host or network: the operator, by `engram peer ban`, or the
    node itself, because of what its peer did, which is the reason then.
    """
    if banned:
        _list_bans(session)
        return

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        peers: list[dict[str, Any]] = await client.call("peer_list")
        targets = await client.call("peer_targets")
        unreached = [_unreached(target) for target in targets if target["peer"] is None]
        return [*({**peer, "state": "connected"} for peer in peers), *unreached]

    columns = (
        Column("peer", lambda row: None if row["id"] is None else short(row["id"])),
        Column("address", lambda row: row["address"], whole=True),
        Column("from", lambda row: row["origin"]),
        Column("link", lambda row: None if row["id"] is None else _link(row)),
        Column("height", lambda row: row["height"], right=True),
        Column("shown", _shown, right=True),
        Column("state", _word),
    )
    rows = session.run(action)
    session.show_rows(
        rows,
        columns,
        "the node is connected to no peer and dials none: add one with `engram peer add HOST:PORT`",
    )
    if not session.as_json:
        for row in rows:
            if row["id"] is None:
                click.echo(f"{row['address']}: {row['state']}")


def _link(peer: dict[str, Any]) -> str:
    return "encrypted" if peer["encrypted"] else "plain"


def _word(row: dict[str, Any]) -> str:
    """The state in one word, since the reason would fold the table."""
    if row["id"] is not None or row["error"] is None:
        return str(row["state"])
    if row["error"]["got"] == "refused":
        return "refuses"
    return {"peer_banned": "banned", "peer_refused": "refused"}.get(row["error"]["code"], "unreached")


def _shown(peer: dict[str, Any]) -> str | None:
    return None if peer["shown_s"] is None else f"{format_duration(peer['shown_s'])} ago"


def _unreached(target: dict[str, Any]) -> dict[str, Any]:
    """The row of an address that the node dials and has no connection to."""
    error, retry_s = target["error"], target["retry_s"]
    state = "dialling" if error is None else error["message"]
    if retry_s is not None:
        state += f"; next try in {format_duration(retry_s)}"
    named = {
        "id": None,
        "address": target["address"],
        "direction": "outbound",
        "height": None,
        "shown_s": None,
    }
    named |= {"origin": "named"}
    return {**named, "state": state, "error": error, "retry_s": retry_s}


def _list_bans(session: CommandSession) -> None:
    from engram.node.clock import utc_text

    columns = (
        Column("banned", lambda row: row["subject"], whole=True),
        Column("host", lambda row: row["host"] or None),
        Column("by", lambda row: "operator" if row["by_operator"] else "node"),
        Column("reason", lambda row: row["reason"] or None),
        Column("since", lambda row: utc_text(row["since_ms"])),
        Column("until", lambda row: utc_text(row["until_ms"])),
    )
    session.show_rows(session.call("peer_bans"), columns, "the node refuses nobody")


@command.command("addresses", example="engram peer addresses\nengram peer addresses --json")
@with_session
def addresses(session: CommandSession) -> None:
    """Show how many addresses of other nodes the node knows.

    "tried" have answered it, "new" are hearsay; "anchors" are dialled first at the next start. With --json,
    every address is listed, with its times in seconds since 1970.
    """
    result = session.call("peer_addresses", entries=session.as_json)
    session.show(result, result.items())


@command.command("info", example="engram peer info 3b5c8f\nengram peer info 192.0.2.7")
@click.argument("peer")
@with_session
def info(session: CommandSession, peer: str) -> None:
    """Show one connected peer.

    PEER is its id or the beginning of it, its address, or its host alone, as `engram peer list` shows them.
    """
    result = session.call("peer_info", peer=peer)
    session.show(result, result.items())


@command.command(
    "ban",
    example="engram peer ban 192.0.2.7\n"
    "engram peer ban 198.51.100.0/24 --reason floods\n"
    "engram peer ban 3b5c8f --for 3600",
)
@click.argument("peer")
@click.option(
    "--for",
    "seconds",
    type=click.IntRange(1, 10 * 366 * 86_400),
    default=86_400,
    show_default=True,
    help="Seconds for which the ban holds.",
)
@click.option("--reason", default="", help="A note for `engram peer list --banned`.")
@with_session
def ban(session: CommandSession, peer: str, seconds: int, reason: str) -> None:
    """Refuse a node, a host or a network from now on, and end its connections. The ban outlives a restart.

    PEER is an IP address or a network, such as 198.51.100.0/24 or 2001:db8::/32, of which all nodes are
    refused; or a node key, or the beginning of the id of a connected peer. Of an IPv6 address the whole /64
    is meant. This machine's own addresses are refused only if PEER names them.

    A ban goes before the setting `peers` and `engram peer add`: named addresses that it concerns
    ("not_dialled") are not dialled until it ends or `engram peer unban` lifts it.
    """
    from engram.node.clock import utc_text

    result = session.call("peer_ban", admin=True, subject=peer, seconds=seconds, reason=reason)
    times = (("since", utc_text(result["since_ms"])), ("until", utc_text(result["until_ms"])))
    named = [(name, result[name]) for name in ("subject", "reason", "disconnected", "not_dialled")]
    session.show(result, (*named[:1], *times, *named[1:]))
    if not result["disconnected"] and not result["not_dialled"]:
        session.note("this concerns no connected peer and no named address; `engram peer list` shows both")
    # Only a ban by key knows a node wherever it is, so whoever was met by its address alone may come back.
    for node in result["disconnected"] if result["subject"] not in result["disconnected"] else ():
        session.note(
            f"the node {short(node)} may dial in again at once from an address that the ban does not "
            f"concern; `engram peer ban {node}` refuses it wherever it is"
        )
    for target in session.call("peer_targets") if result["not_dialled"] else ():
        stays = target["peer"] not in (None, *result["disconnected"])
        if stays and target["address"] in result["not_dialled"]:
            node = short(target["peer"])
            session.note(
                f"the node of {target['address']}, {node}, stays connected, from an address that the ban "
                f"does not concern; `engram peer ban {node}` refuses it wherever it is"
            )


@command.command("unban", example="engram peer unban 192.0.2.7\nengram peer unban 3b5c8f")
@click.argument("banned")
@with_session
def unban(session: CommandSession, banned: str) -> None:
    """Lift a ban, whoever imposed it.

    BANNED is a node key or its beginning, an IP address or a network, as `engram peer list --banned` shows
    it. With a host or a network, its nodes are forgiven, too. If nothing was held against it, the
    command ends with status 65 (`not_banned`).
    """
    from engram.commands.support.errors import NotBanned

    result = session.call("peer_unban", admin=True, subject=banned)
    still = result["still"]
    if not result["unbanned"] and still:
        raise NotBanned(
            f"no ban names it, but that of {still} keeps it off: `engram peer unban {still}` lifts that",
            got=result["subject"],
        )
    if not result["unbanned"]:
        raise NotBanned(got=result["subject"])
    if still:
        session.note(f"the ban of {still} still keeps it off: `engram peer unban {still}` lifts that")
    still_banned = [] if still is None else [("still banned by", still)]
    session.show(result, [("subject", result["subject"]), ("unbanned", result["unbanned"]), *still_banned])


@command.command("add", example="engram peer add 127.0.0.1:8646")
@click.argument("address")
@with_session
def add(session: CommandSession, address: str) -> None:
    """Connect to the peer at an address, and connect again whenever the connection is lost.

    ADDRESS is HOST:PORT, or NODEKEY@HOST:PORT to accept only the node with that public key. The node dials
    it after a restart, too, until `engram peer remove`.
    """
    result = session.call("peer_add", admin=True, address=address)
    if result["ban"]:
        subject = result["ban"]["subject"]
        session.note(
            f"it is not dialled while the ban of {subject} holds: `engram peer unban {subject}` lifts that"
        )
    session.show(result, [("address", result["address"])])


@command.command("remove", example="engram peer remove 127.0.0.1:8646\nengram peer remove 192.0.2.7")
@click.argument("address")
@with_session
def remove(session: CommandSession, address: str) -> None:
    """Stop dialling an address, and end the connection that the node has made to it.

    ADDRESS is HOST:PORT, as `engram peer list` shows it; the host alone or the beginning of the peer's id
    will do where one of these addresses is meant. A connection that the peer itself has opened (its
    direction is "inbound") stays. An address of the setting `peers` or the option --peer of `engram run` is
    dialled again after a restart.
    """
    result = session.call("peer_remove", admin=True, address=address)
    session.show(result, result.items())
