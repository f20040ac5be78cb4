"""`engram model predict`, `infer`, `prove`, `pull`, `score`, `publish-part`: what a version is good for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.files import check_free, output_option
from engram.commands.support.lookup import ask_model, find_model, model_argument
from engram.commands.support.options import Command, with_key, with_session
from engram.commands.support.param_types import HASH
from engram.commands.support.predictions import ChosenRows, show_predictions, with_rows
from engram.commands.support.sending import send_made, with_fee
from engram.commands.support.session import CommandSession

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.wallet import Wallet
    from engram.statemachine.transaction import TxPayload

version_option = click.option("--version", type=click.IntRange(0), help="Number; default: the current one.")


@click.command(
    "predict",
    cls=Command,
    example="engram model predict --data digits --first 10 --rows 3\n"
    "engram model predict 3fa2 --row 0,0,5,13,9,1,0,0,… --version 1",
)
@model_argument
@with_rows
@version_option
@with_session
def predict(
    session: CommandSession,
    model: str | None,
    chosen: ChosenRows,
    version: int | None,
) -> None:
    """Ask the node what a version sees in some rows, and whose neurons say so."""

    async def action(client: RpcClient) -> Any:
        model_id = await find_model(client, model)
        return await client.call("model_predict", id=model_id, rows=chosen.features, version=version)

    result = session.run(action)
    for answer, label in zip(result["predictions"], chosen.labels, strict=False):
        answer["label"] = label
    show_predictions(session, result)


@click.command("infer", cls=Command, example="engram model infer --data digits --first 10 --key alice")
@model_argument
@with_rows
@version_option
@with_fee
@with_key
@with_session
def infer(
    session: CommandSession,
    model: str | None,
    chosen: ChosenRows,
    version: int | None,
    fee: int | None,
    wait: bool,
) -> None:
    """Have every node predict some rows; the answer stands in the transaction's receipt for good."""

    async def make(wallet: Wallet) -> TxPayload:
        from engram.participant.testsets import inference

        model_id = bytes.fromhex(await find_model(wallet.client, model))
        return inference(model_id, version, chosen.features)

    send_made(session, make, fee=fee, wait=wait)


@click.command("prove", cls=Command, example="engram model prove -o model.proof")
@model_argument
@version_option
@click.option("--checkpoint", type=HASH, help="A block that verifiers trust; default: prove from genesis.")
@output_option("model.proof")
@with_session
def prove(
    session: CommandSession,
    model: str | None,
    version: int | None,
    checkpoint: bytes | None,
    output: Path,
    force: bool,
) -> None:
    """Write a proof bundle that `engram verify` checks with no node."""
    check_free(output, force=force)
    answer = ask_model(session, "model_prove", model, version=version, checkpoint=checkpoint)
    raw = bytes.fromhex(answer["bundle"])
    output.write_bytes(raw)
    result = {"file": str(output), "size_bytes": len(raw)}
    session.show(result, result.items())


@click.command(
    "pull",
    cls=Command,
    example="engram model pull -o model.npz\nengram model pull 3fa2 --version 1 -o v1.npz",
)
@model_argument
@version_option
@output_option("model.npz")
@with_session
def pull(session: CommandSession, model: str | None, version: int | None, output: Path, force: bool) -> None:
    """Download a version: its integers as .npz, its record as .json, its root recomputed from the bytes."""
    check_free(output, output.with_suffix(".json"), force=force)

    async def action(client: RpcClient) -> dict[str, Any]:
        from engram.participant.export import pull_version

        pulled = await pull_version(client, bytes.fromhex(await find_model(client, model)), version)
        return pulled.save(output)

    result = session.run(action)
    session.show(result, result.items())


@click.command("score", cls=Command, example="engram model score 3fa2 --part 9c1b… --version 2 --key alice")
@model_argument
@click.option("--part", type=HASH, required=True, help="Commitment of a published or revealed part.")
@version_option
@with_fee
@with_key
@with_session
def score(
    session: CommandSession, model: str | None, part: bytes, version: int | None, fee: int | None, wait: bool
) -> None:
    """Have every node score a version on a part; the ledger keeps the result."""

    async def make(wallet: Wallet) -> TxPayload:
        from engram.statemachine.transactions.score_version import ScoreVersion

        model_id = await find_model(wallet.client, model)
        number = (await wallet.client.call("model_get", id=model_id))["head"] if version is None else version
        return ScoreVersion(bytes.fromhex(model_id), number, part)

    send_made(session, make, fee=fee, wait=wait)


@click.command(
    "publish-part",
    cls=Command,
    example="engram model publish-part test.npz --classes 10\nengram model publish-part digits",
)
@click.argument("data")
@click.option("--classes", type=click.IntRange(1), help="Labels are below this; default: the highest + 1.")
@with_fee
@with_key
@with_session
def publish(session: CommandSession, data: str, classes: int | None, fee: int | None, wait: bool) -> None:
    """Publish labelled rows as a part of no round, such as a test set, for `score`."""

    async def make(wallet: Wallet) -> TxPayload:
        from engram.participant.testsets import publish_part

        return await publish_part(wallet, data, classes)

    send_made(session, make, fee=fee, wait=wait)
