"""`engram round`: shows rounds, their calendar, candidates, commits and revealed data.

Opening a round stands in `round_open.py`, what its opener and its witnesses do in `round_play.py`, and what
anyone may do for the updates of a round in `round_score.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands import round_open, round_play, round_score
from engram.commands.support.claims import places, status_of, with_claims
from engram.commands.support.completion import complete_models
from engram.commands.support.files import check_free, output_option
from engram.commands.support.lookup import round_argument
from engram.commands.support.options import Group, with_key, with_session
from engram.commands.support.output import Column, short
from engram.commands.support.round_fields import base_loss, kind_name, round_fields, status_name
from engram.commands.support.sending import Fee, send_made, with_fee
from engram.commands.support.session import CommandSession
from engram.commands.support.units import mean_loss
from engram.commands.support.verdicts import with_failed, with_verdicts
from engram.node.epochs import told_epoch
from engram.node.rpc.outcomes import outcomes
from engram.participant.coins import format_coins
from engram.participant.finding import find_model, find_round
from engram.participant.finding_work import find_round_to_settle

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.wallet import Wallet
    from engram.statemachine.transaction import TxPayload


@click.group(
    "round",
    cls=Group,
    example="engram round open --data digits --take-classes 0-5 --bounty 50\n"
    "engram round run\nengram round show",
)
def command() -> None:
    """Open rounds, play them as opener or witness, and show them.

    A round is a contest for the next version of a model. Its opener commits to parts of a data set, and the
    chain draws which parts are revealed first and which stay sealed. Authors commit to updates that they have
    trained, then reveal them. In the end witnesses and opener open what they have sealed, everybody has the
    updates scored on it. In each epoch the update that leaves the least loss takes the lead, in a later epoch
    only if it leaves an eighth less than the leader before; the last leader wins.

    ROUND is the beginning of a round's id. Without ROUND, a command that shows takes the open round, or the
    one opened last if none is open; a command that acts takes a round in which you have something to do.
    """


command.add_command(round_open.open_round)
command.add_command(round_play.run)
command.add_command(round_play.reveal)
command.add_command(round_play.seal)
command.add_command(round_play.unseal)
command.add_command(round_score.score)
command.add_command(round_score.withdraw)


@command.command("list", example="engram round list\nengram round list --model 3fa2 --json")
@click.option("--model", metavar="ID", shell_complete=complete_models, help="List rounds of this model only.")
@with_session
def list_rounds(session: CommandSession, model: str | None) -> None:
    """List the rounds of the chain.

    A round's status is open, decided (it made a version), kept (no update was good enough), aborted (the
    opener failed to reveal) or cancelled (a standing witness sealed nothing). "due" names what a passed
    deadline requires and no transaction has done yet.
    """

    async def action(client: RpcClient) -> Any:
        return await client.call("round_list", model=await find_model(client, model) if model else None)

    columns = (
        Column("round", lambda row: short(row["id"])),
        Column("model", lambda row: short(row["model"])),
        Column("kind", lambda row: kind_name(row["terms"]["kind"]), spare=1),
        Column("status", lambda row: status_name(row["status"])),
        Column("due", lambda row: row["due"], spare=3),
        Column("opened", lambda row: row["opened"], right=True, spare=4),
        Column("base", lambda row: row["version"], right=True, spare=5),
        Column("epochs", lambda row: row["terms"]["epochs"], right=True, spare=6),
        Column("witnesses", lambda row: len(row["witnesses"]), right=True, spare=2),
        Column("pot", lambda row: format_coins(row["pot"]), right=True),
        Column("opener", lambda row: row["opener"]),
    )
    session.show_rows(session.run(action), columns, "no rounds yet")


@command.command("show", example="engram round show\nengram round show 77ab --json\nengram round show --why")
@round_argument
@click.option("--why", is_flag=True, help="List every update and why it was paid or not.")
@with_session
def show(session: CommandSession, round_: str | None, why: bool) -> None:
    """Show one round: its state, its calendar, its parts and its terms.

    "why" explains how each candidate does, or why the round ended as it did. With --why the command lists the
    updates, with a code for every reason why no reward was paid; with --json, too.

    "caught" are the transactions of the round that failed in their block, such as an update that does not
    have the loss which its author claims: who sent it, why it failed, and the bond that was lost. Such an
    update is no candidate, so it is not under "why". Claims of scores that were refuted are caught, too: by
    whom, and what it cost.

    "claims" tells, on models whose authors claim scores, how far each claim has come: whether it is
    confirmed, refuted, expired or not decided, in which ticks it may be disputed, and which chunks of rows
    every node computed or is going to compute. With --json, "refuted" has the false chunks.

    "calendar" gives the first and last tick of each phase; where a phase ends early, the next ones move up. A
    phase begins after the head whose "ticks" are its first tick.
    "carried" are pots of earlier rounds that were refused; authors get of them the same shares as of the pot.

    Every block ticks that leaves half of its room free, unless the blocks before it were so full that fees
    have risen fourfold. So nobody can let a phase pass by filling blocks.
    """

    async def action(client: RpcClient) -> dict[str, Any]:
        found = await client.call("round_get", id=await find_round(client, round_))
        return await with_claims(client, await with_failed(client, await with_verdicts(client, found)))

    result = session.run(action)
    if not why:
        session.show(result, round_fields(result))
        return
    columns = (
        Column("epoch", lambda row: told_epoch(row["epoch"]), right=True),
        Column("author", lambda row: row["author"]),
        Column("paid", lambda row: format_coins(row["paid"]), right=True),
        Column("reasons", lambda row: ", ".join(row["reasons"]) or "-", whole=True, spare=1),
        Column("why", lambda row: "; ".join(row["why"]), whole=True),
    )
    session.show_rows(outcomes(result), columns, "no update was committed to")


@command.command("candidates", example="engram round candidates")
@round_argument
@with_session
def candidates(session: CommandSession, round_: str | None) -> None:
    """List the candidates: the updates whose claimed loss every node has verified, or may be disputed.

    "loss on D_k" is a candidate's mean loss per row on the parts that were revealed before training.
    They are scored on the parts that their authors could not see, which decide among them. Candidates stay
    until they are withdrawn after the round.
    """

    async def action(client: RpcClient) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        found = await find_round(client, round_)
        return await client.call("round_get", id=found), await client.call("round_candidates", id=found)

    terms, rows = session.run(action)
    scored = terms["terms"]["rows"] * terms["terms"]["validation"]
    columns = (
        Column("epoch", lambda row: told_epoch(row["epoch"]), right=True),
        Column("author", lambda row: row["author"]),
        Column("loss on D_k", lambda row: mean_loss(row["loss"], scored), right=True),
        Column("parts scored", lambda row: int(row["scored"] or "0", 16).bit_count(), right=True),
        Column("bond", lambda row: format_coins(row["bond"]), right=True, spare=2),
        Column("root", lambda row: short(row["root"]), spare=1),
    )
    session.show_rows(rows, columns, "no candidates yet")


@command.command("claims", example="engram round claims")
@round_argument
@with_session
def claims(session: CommandSession, round_: str | None) -> None:
    """List the claims of scores, on models whose authors claim them: how far each has come.

    A claim can be disputed while it is open, and counts once it is confirmed. It can be confirmed from the
    tick on that is shown, when its dispute window has passed; one that is not confirmed in time has expired.
    "chunks drawn" are those of the audit, which every node computes. `engram watch` computes what is claimed.
    """
    columns = (
        Column("epoch", lambda row: told_epoch(row["epoch"]), right=True),
        Column("author", lambda row: row["author"]),
        Column("claim", status_of),
        Column("parts claimed", lambda row: f"{row['parts_claimed']} of {row['parts']}", right=True),
        Column("audited", lambda row: f"{row['chunks_audited']} of {row['chunks']} chunks", spare=2),
        Column("can be confirmed", lambda row: _confirmable(row), spare=1),
        Column("chunks drawn", lambda row: places(row["chunks_drawn"] or ()) or "-", spare=3),
        Column("bond", lambda row: format_coins(row["bond"]), right=True),
    )
    empty = "no claims: none is revealed yet, or every node computes the scores of this model"
    session.show_rows(_ask(session, "round_claims", round_), columns, empty)


def _confirmable(claim: Mapping[str, Any]) -> str:
    if status_of(claim) != "open":
        return "-"
    if claim["confirm_tick"] is None:
        return "when all parts are claimed"
    left = claim["window_left"]
    return f"from tick {claim['confirm_tick']}, {left} to go" if left else "now"


@command.command("commits", example="engram round commits")
@round_argument
@with_session
def commits(session: CommandSession, round_: str | None) -> None:
    """List the commits: updates that authors have committed to and not yet revealed.

    An author who does not reveal in the phase for it loses the bond.
    """
    columns = (
        Column("epoch", lambda row: told_epoch(row["epoch"]), right=True),
        Column("author", lambda row: row["author"]),
        Column("bond", lambda row: format_coins(row["bond"]), right=True),
        Column("digest", lambda row: short(row["digest"])),
    )
    session.show_rows(_ask(session, "round_commits", round_), columns, "no open commits")


@command.command("parts", example="engram round parts")
@round_argument
@with_session
def parts(session: CommandSession, round_: str | None) -> None:
    """List the revealed parts, and how well the version to improve on does on their rows of old classes.

    Parts for validation are revealed before training, unseen ones after all updates. "loss" is the mean loss
    per row of an old class, in nats.
    """
    result = _ask(session, "round_get", round_)
    columns = (
        Column("part", lambda row: short(row["commitment"])),
        Column("use", lambda row: row["use"]),
        Column("owner", lambda row: row["owner"]),
        Column("old rows", lambda row: row["old"], right=True),
        Column("loss", base_loss, right=True),
    )
    opened = [{**part, "use": "validation"} for part in result["validation_opened"]]
    opened += [{**part, "use": "unseen"} for part in result["unseen"]]
    session.show_rows(opened, columns, "nothing is revealed yet")


@command.command("data", example="engram round data -o round.npz")
@round_argument
@output_option("round.npz")
@with_session
def data(session: CommandSession, round_: str | None, output: Path, force: bool) -> None:
    """Download the rows of all revealed parts into one .npz file.

    The arrays `features` and `labels` hold the rows, so the file can be used as --data. `part` gives for each
    row the number of its part, and `commitments` the parts' ids.
    """
    check_free(output, force=force)

    async def action(client: RpcClient) -> dict[str, Any]:
        from engram.participant.export import pull_parts, save_parts

        found = await pull_parts(client, bytes.fromhex(await find_round(client, round_)))
        rows = save_parts(output, found)
        return {"file": str(output), "parts": [part.hex() for part, _ in found], "rows": rows}

    result = session.run(action)
    session.show(result, result.items())


@command.command("advance", example="engram round advance --key alice")
@round_argument
@with_fee
@with_key
@with_session
def advance(session: CommandSession, round_: str | None, fee: Fee, wait: bool) -> None:
    """Settle what has become due in a round whose deadline has passed.

    When a phase is over, the chain acts on it only once somebody sends a transaction: it takes the bonds of
    witnesses who did not open their parts, decides the round or aborts it. Anyone may send this transaction.
    `engram round run` and `engram participate` send it by themselves.

    Without ROUND, the round is meant in which something is due; of several, the last in which you take part.
    """

    async def make(wallet: Wallet) -> TxPayload:
        from engram.statemachine.transactions.advance_round import AdvanceRound

        own = await wallet.address()
        return AdvanceRound(bytes.fromhex(await find_round_to_settle(wallet.client, round_, own)))

    send_made(session, make, fee=fee, wait=wait)


def _ask(session: CommandSession, method: str, round_: str | None) -> Any:
    async def action(client: RpcClient) -> Any:
        return await client.call(method, id=await find_round(client, round_))

    return session.run(action)
