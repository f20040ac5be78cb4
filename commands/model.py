"""`engram model`: models and their versions, scores, badges, predictions, proofs and downloads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.files import check_free, output_option
from engram.commands.hexadecimal import HASH
from engram.commands.lookup import find_model, model_argument
from engram.commands.options import Group, with_key, with_session
from engram.commands.output import Column, short
from engram.commands.predictions import chosen_rows, show_predictions, with_rows
from engram.commands.quality import accuracy, mean_loss
from engram.commands.sending import send_made, with_fee
from engram.commands.session import Session

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.wallet import Wallet
    from engram.statemachine.transaction import TxPayload

version_option = click.option("--version", type=click.IntRange(0), help="Number; default: the current one.")


@click.group("model", cls=Group)
def command() -> None:
    """Models, versions, scores, predictions, proofs.

    MODEL is the beginning of a model's id; where it is left out, the chain's only model is meant.
    """


@command.command("list", example="engram model list")
@with_session
def list_models(session: Session) -> None:
    """List the models of the chain."""
    columns = (
        Column("model", lambda row: short(row["id"])),
        Column("version", lambda row: row["head"], right=True),
        Column("classes", lambda row: row["classes"], right=True),
        Column("frozen", lambda row: row["frozen"]),
        Column("loss", lambda row: mean_loss(row["loss"], row["loss_rows"]), right=True),
        Column("rounds", lambda row: row["rounds"], right=True),
        Column("open round", lambda row: short(row["open_round"])),
        Column("founder", lambda row: row["founder"]),
    )
    session.show_rows(session.call("model_list"), columns, "no models yet: open a round that founds one")


@command.command("show", example="engram model show\nengram model show 3fa2 --json")
@model_argument
@with_session
def show(session: Session, model: str | None) -> None:
    """Show one model: its rules, its current version and what it must not forget."""
    from engram.nn.loss import LOSSES
    from engram.statemachine.records import Openers, Policy

    result = _ask(session, "model_get", model)
    named = {
        **result,
        "policy": Policy(result["policy"]).name.lower(),
        "openers": Openers(result["openers"]).name.lower(),
        "loss_kind": LOSSES[result["loss_kind"]].__name__,
        "mean_loss": mean_loss(result["loss"], result["loss_rows"]),
    }
    session.show(result, named.items())


@command.command("versions", example="engram model versions")
@model_argument
@with_session
def versions(session: Session, model: str | None) -> None:
    """List the versions of a model, from founding on."""
    columns = (
        Column("version", lambda row: row["number"], right=True),
        Column("height", lambda row: row["height"], right=True),
        Column("neurons", lambda row: row["neurons"], right=True),
        Column("classes", lambda row: row["spec"]["classes"], right=True),
        Column("loss on D_k", lambda row: _loss_of(row, "validation"), right=True),
        Column("sealed loss", lambda row: _loss_of(row, "sealed"), right=True),
        Column(
            "sealed accuracy", lambda row: accuracy(row["sealed_correct"], row["sealed_rows"]), right=True
        ),
        Column("bytes", lambda row: row["size_bytes"], right=True),
        Column("author", lambda row: row["author"]),
        Column("root", lambda row: short(row["root"])),
    )
    session.show_rows(_ask(session, "model_versions", model), columns, "no versions")


@command.command("scores", example="engram model scores --json")
@model_argument
@with_session
def scores(session: Session, model: str | None) -> None:
    """List the ledger: what each version scored on each part."""
    columns = (
        Column("version", lambda row: row["version"], right=True),
        Column("part", lambda row: short(row["part"])),
        Column("rows", lambda row: row["rows"], right=True),
        Column("loss", lambda row: mean_loss(row["loss"], row["rows"]), right=True),
        Column("accuracy", lambda row: accuracy(row["correct"], row["rows"]), right=True),
    )
    session.show_rows(_ask(session, "model_scores", model), columns, "nothing scored yet")


@command.command("badges", example="engram model badges")
@model_argument
@with_session
def badges(session: Session, model: str | None) -> None:
    """List the badges given for work on a model."""
    from engram.statemachine.records import BadgeKind

    columns = (
        Column("version", lambda row: row["version"], right=True),
        Column("badge", lambda row: BadgeKind(row["badge"]).name.lower()),
        Column("address", lambda row: row["address"]),
        Column("height", lambda row: row["height"], right=True),
    )
    session.show_rows(_ask(session, "model_badges", model), columns, "no badges yet")


@command.command("reputation", example="engram model reputation")
@model_argument
@with_session
def reputation(session: Session, model: str | None) -> None:
    """List who removed how much of a model's sealed loss, in millionths."""
    columns = (
        Column("address", lambda row: row["address"]),
        Column("points", lambda row: row["points"], right=True),
    )
    session.show_rows(_ask(session, "model_reputation", model), columns, "no reputation yet")


@command.command(
    "predict",
    example="engram model predict --data digits --first 10 --rows 3\n"
    "engram model predict 3fa2 --row 0,0,5,13,9,1,0,0,… --version 1",
)
@model_argument
@with_rows
@version_option
@with_session
def predict(
    session: Session,
    model: str | None,
    row: tuple[str, ...],
    data: str | None,
    first: int,
    rows: int,
    version: int | None,
) -> None:
    """Ask the node what a version sees in some rows, and whose neurons say so."""
    chosen = chosen_rows(row, data, first, rows)

    async def action(client: RpcClient) -> Any:
        model_id = await find_model(client, model)
        return await client.call("model_predict", id=model_id, rows=chosen.features, version=version)

    result = session.run(action)
    for answer, label in zip(result["predictions"], chosen.labels, strict=False):
        answer["label"] = label
    show_predictions(session, result)


@command.command("infer", example="engram model infer --data digits --first 10 --key alice")
@model_argument
@with_rows
@version_option
@with_fee
@with_key
@with_session
def infer(
    session: Session,
    model: str | None,
    row: tuple[str, ...],
    data: str | None,
    first: int,
    rows: int,
    version: int | None,
    fee: int | None,
    wait: bool,
) -> None:
    """Have every node predict some rows; the answer stands in the transaction's receipt for good."""
    chosen = chosen_rows(row, data, first, rows)

    async def make(wallet: Wallet) -> TxPayload:
        from engram.participant.testsets import inference

        model_id = bytes.fromhex(await find_model(wallet.client, model))
        return inference(model_id, version, chosen.features)

    send_made(session, make, fee=fee, wait=wait)


@command.command("prove", example="engram model prove -o model.proof")
@model_argument
@version_option
@click.option("--checkpoint", type=HASH, help="A block that verifiers trust; default: prove from genesis.")
@output_option("model.proof")
@with_session
def prove(
    session: Session,
    model: str | None,
    version: int | None,
    checkpoint: bytes | None,
    output: Path,
    force: bool,
) -> None:
    """Write a proof bundle that `engram verify` checks with no node."""
    check_free(output, force=force)
    answer = _ask(session, "model_prove", model, version=version, checkpoint=checkpoint)
    raw = bytes.fromhex(answer["bundle"])
    output.write_bytes(raw)
    result = {"file": str(output), "size_bytes": len(raw)}
    session.show(result, result.items())


@command.command(
    "pull", example="engram model pull -o model.npz\nengram model pull 3fa2 --version 1 -o v1.npz"
)
@model_argument
@version_option
@output_option("model.npz")
@with_session
def pull(session: Session, model: str | None, version: int | None, output: Path, force: bool) -> None:
    """Download a version: its integers as .npz, its record as .json, its root recomputed from the bytes."""
    check_free(output, output.with_suffix(".json"), force=force)

    async def action(client: RpcClient) -> dict[str, Any]:
        from engram.participant.export import pull_version

        pulled = await pull_version(client, bytes.fromhex(await find_model(client, model)), version)
        return pulled.save(output)

    result = session.run(action)
    session.show(result, result.items())


@command.command("score", example="engram model score 3fa2 --part 9c1b… --version 2 --key alice")
@model_argument
@click.option("--part", type=HASH, required=True, help="Commitment of a published or revealed part.")
@version_option
@with_fee
@with_key
@with_session
def score(
    session: Session, model: str | None, part: bytes, version: int | None, fee: int | None, wait: bool
) -> None:
    """Have every node score a version on a part; the ledger keeps the result."""

    async def make(wallet: Wallet) -> TxPayload:
        from engram.statemachine.transactions.score_version import ScoreVersion

        model_id = await find_model(wallet.client, model)
        number = (await wallet.client.call("model_get", id=model_id))["head"] if version is None else version
        return ScoreVersion(bytes.fromhex(model_id), number, part)

    send_made(session, make, fee=fee, wait=wait)


@command.command(
    "publish-part",
    example="engram model publish-part test.npz --classes 10\nengram model publish-part digits",
)
@click.argument("data")
@click.option("--classes", type=click.IntRange(1), help="Labels are below this; default: the highest + 1.")
@with_fee
@with_key
@with_session
def publish(session: Session, data: str, classes: int | None, fee: int | None, wait: bool) -> None:
    """Publish labelled rows as a part of no round, such as a test set, for `score`."""

    async def make(wallet: Wallet) -> TxPayload:
        from engram.participant.testsets import publish_part

        return await publish_part(wallet, data, classes)

    send_made(session, make, fee=fee, wait=wait)


def _loss_of(version: dict[str, Any], parts: str) -> str:
    return mean_loss(version[f"{parts}_loss"], version[f"{parts}_rows"])


def _ask(session: Session, method: str, model: str | None, **params: Any) -> Any:
    async def action(client: RpcClient) -> Any:
        return await client.call(method, id=await find_model(client, model), **params)

    return session.run(action)
