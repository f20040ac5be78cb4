"""`engram model predict`, `infer`, `pull`, `score`, `publish-part`: commands that use a version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.explaining import explained_rows, picture_option, show_explained
from engram.commands.support.files import check_free, output_option
from engram.commands.support.founding import make_sure, yes_option
from engram.commands.support.lookup import model_argument
from engram.commands.support.options import Command, with_key, with_session
from engram.commands.support.param_types import HASH
from engram.commands.support.predictions import ChosenRows, note_unnamed, with_rows
from engram.commands.support.reading import label_option, mapping_option
from engram.commands.support.sending import Fee, send_made, with_fee
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.wallet import Wallet
    from engram.statemachine.transaction import TxPayload

version_option = click.option(
    "--version", type=click.IntRange(0), help="Version number. Default: the current one."
)


@click.command(
    "predict",
    cls=Command,
    example="engram model predict --data digits --first 10 --rows 3\n"
    "engram model predict --data test.csv --rows 500 --json\n"
    "engram model predict --row 5.1,3.5,0.2 --mapping iris.mapping.json\n"
    "engram model predict 3fa2 --row 0,0,5,13,9,1,0,0,… --version 1",
)
@model_argument
@with_rows
@version_option
@picture_option
@with_session
def predict(
    session: CommandSession,
    model: str | None,
    chosen: ChosenRows,
    version: int | None,
    picture: bool | None,
) -> None:
    """Ask the node which classes a version predicts for some rows, and whose neurons made the predictions.

    Give the rows with --row, or take them from a data set with --data, --first and --rows. One node computes
    the answer at no cost and nothing is recorded; `engram model infer` has every node compute it.

    Of --data one row is taken, unless --rows says how many; a line tells how many there are. With --mapping,
    --row takes the values as a table has them, and answers have the names of the classes.

    Up to three rows are shown one by one. "logit" is how strongly the predicted class speaks, "lead" how far
    ahead of the next class it is; both are split exactly into the contributions of those who made the
    neurons, in nats. Neurons also contribute to classes that came after them, whose outputs read them. Of
    more rows, a table names the group of neurons that did most for the lead. With --json, logits and
    contributions are integers in units of 2^-16 nat, and the lead is called "margin".
    """

    async def action(client: RpcClient) -> Any:
        model_id = await find_model(client, model)
        return await explained_rows(client, model_id, chosen.features, version)

    result = session.run(action)
    chosen.explain(result["predictions"])
    if chosen.source:
        result |= {"first": chosen.first, "rows": chosen.there}
    if chosen.source or chosen.classes:
        result |= {"filled": chosen.filled, "beyond": chosen.beyond}
    note_unnamed(session, chosen.mapping, len(result["predictions"][0]["logits"]))
    show_explained(session, result, chosen, picture)
    if chosen.changed is not None:
        session.note(chosen.changed)
    if chosen.extent is not None:
        session.note(chosen.extent)


@click.command(
    "infer",
    cls=Command,
    example="engram model infer --data digits --first 10 --key alice",
    sections={
        "Rows": ("row", "data", "label", "mapping", "first", "rows", "version"),
        "Fee": ("max_fee", "tip", "wait"),
    },
)
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
    fee: Fee,
    wait: bool,
) -> None:
    """Have every node predict some rows, and record the answer on the chain.

    The command sends a transaction, which costs a fee. The predicted classes and logits stand in its receipt.
    """

    if chosen.extent is not None:
        session.note(chosen.extent)

    async def make(wallet: Wallet) -> TxPayload:
        from engram.participant.testsets import inference

        model_id = bytes.fromhex(await find_model(wallet.client, model))
        return inference(model_id, version, chosen.features)

    send_made(session, make, fee=fee, wait=wait)


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
    """Download a version of a model into two files.

    The .npz file holds the weights and biases as integers, the .json file beside it the version's record. The
    command recomputes the version's root from the bytes before it writes them. `engram participate --adopt`
    takes such a file.
    """
    check_free(output, output.with_suffix(".json"), force=force)

    async def action(client: RpcClient) -> dict[str, Any]:
        from engram.participant.export import pull_version

        pulled = await pull_version(client, bytes.fromhex(await find_model(client, model)), version)
        return pulled.save(output)

    result = session.run(action)
    session.show(result, result.items())


@click.command("score", cls=Command, example="engram model score 3fa2 --part 9c1b… --version 2 --key alice")
@model_argument
@click.option(
    "--part", type=HASH, required=True, help="Commitment (id) of a part that is published or revealed."
)
@version_option
@with_fee
@with_key
@with_session
def score(
    session: CommandSession, model: str | None, part: bytes, version: int | None, fee: Fee, wait: bool
) -> None:
    """Have every node score a version on a part, and record the result on the chain.

    The command sends a transaction, which costs a fee. `engram model scores` lists the results. To score on
    rows of your own, publish them first with `engram model publish-part`.
    """

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
@label_option
@mapping_option
@click.option(
    "--classes",
    type=click.IntRange(1),
    help="Number of classes; every label is below it. Default: the highest label + 1.",
)
@yes_option
@with_fee
@with_key
@with_session
def publish(
    session: CommandSession,
    data: str,
    label: str | None,
    mapping: Path | None,
    classes: int | None,
    yes: bool,
    fee: Fee,
    wait: bool,
) -> None:
    """Publish labelled rows, such as a test set, so that versions can be scored on them.

    DATA is digits, or a file or folder that `engram data check` can read; of a source with training and test
    rows, the test rows are taken. The part belongs to no round. Its commitment, which `engram model score`
    asks for, stands in the printed event.
    """

    from engram.participant.datasets import load_source
    from engram.participant.tables.examining import part_doubts
    from engram.participant.tables.raw import ReadOptions

    rows, of_file = load_source(data, ReadOptions(label=label, test_rows=True), mapping)
    of_rows = part_doubts(rows.features, rows.labels, founds=False)
    make_sure(session, data, (*of_file, *of_rows), yes=yes)

    async def make(wallet: Wallet) -> TxPayload:
        from engram.participant.testsets import publish_part

        return await publish_part(wallet, rows, classes)

    send_made(session, make, fee=fee, wait=wait)
