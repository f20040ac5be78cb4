"""`engram model evaluate` and `export`: commands that compute here with the integers of a version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.files import check_free
from engram.commands.support.lookup import model_argument
from engram.commands.support.options import Command, json_flag, with_session
from engram.commands.support.output import Column, print_fields, print_json, print_table
from engram.commands.support.selecting import selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.commands.support.units import accuracy
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.library.evaluation import Evaluation
    from engram.library.network import Network
    from engram.nn.loss import LossKind
    from engram.node.client import RpcClient

MOST_COLUMNS = 20
"""A confusion matrix of more classes is printed with --json only."""
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "evaluate",
    cls=Command,
    example="engram model evaluate --data digits\n"
    "engram model evaluate 3fa2 --data test.npz --version 1 --take-classes 0-7\n"
    "engram model evaluate --file model.npz --data test.csv --json",
)
@model_argument
@with_selection()
@click.option("--version", type=click.IntRange(0), help="Version number. Default: the current one.")
@click.option(
    "--file", type=FILE, help="Evaluate what `engram model pull` has written to this file, and ask no node."
)
@with_session
def evaluate(
    session: CommandSession,
    model: str | None,
    version: int | None,
    file: Path | None,
    **options: Any,
) -> None:
    """Show how well a version recognises labelled rows: accuracy, loss, recall of each class, confusions.

    The version is downloaded and checked against its root on the chain, and all is computed here: the rows
    are sent nowhere. "recall" is the share of a class's rows that were recognised. "classes" compares those
    with which the model was founded with those of each growth.
    """
    if file is not None and (model is not None or version is not None):
        raise click.UsageError("give either --file, or MODEL and --version", click.get_current_context())
    data = selection_of(options).rows_of(0)
    network, kind = _network_in(file) if file is not None else session.run(_pulling(model, version))
    found = network.evaluate(data.features, data.labels, kind)
    steps = [_step(found, number, classes) for number, classes in enumerate(network.class_steps) if classes]
    if session.as_json:
        on_chain = network.version
        print_json(
            {
                "model": on_chain.model.hex() if on_chain else None,
                "version": on_chain.number if on_chain else None,
                "root": network.root.hex(),
                **found.to_json(),
                "steps": steps,
            }
        )
        return
    _show(network, found, steps)


@click.command(
    "export",
    cls=Command,
    example="engram model export model.npz --onnx model.onnx",
)
@click.argument("file", type=FILE)
@click.option("--onnx", "onnx_file", type=FILE, required=True, help="The ONNX file to write.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@json_flag
def export(file: Path, onnx_file: Path, force: bool, as_json: bool) -> None:
    """Write a version as an ONNX model whose logits are the chain's integers.

    FILE is what `engram model pull` has written. The input `features` is uint8 (rows, inputs), the output
    `logits` int64 (rows, classes) in units of 2^-16 nat; the largest is the class. Before the file is
    written, onnxruntime computes the logits of random and extreme rows with it, and they are compared. Needs
    `pip install engram[onnx]`.
    """
    from engram.library.network import Network

    check_free(onnx_file, force=force)
    network = Network.load(file)
    network.to_onnx(onnx_file)
    result = {
        "file": str(onnx_file),
        "root": network.root.hex(),
        "inputs": network.inputs,
        "classes": network.classes,
        "size_bytes": onnx_file.stat().st_size,
    }
    if as_json:
        print_json(result)
    else:
        print_fields(result.items())


def _network_in(file: Path) -> tuple[Network, LossKind]:
    """A network in a file; how its model counts losses stands in no file, so they are cross-entropies."""
    from engram.library.network import Network
    from engram.nn.loss import LossKind

    return Network.load(file), LossKind.SOFTMAX_CROSS_ENTROPY


def _pulling(model: str | None, version: int | None) -> Any:
    async def action(client: RpcClient) -> tuple[Network, LossKind]:
        from engram.library.network import Network
        from engram.nn.loss import LossKind
        from engram.participant.export import pull_version

        identity = await find_model(client, model)
        pulled = await pull_version(client, bytes.fromhex(identity), version)
        kind = (await client.call("model_get", id=identity))["loss_kind"]
        return Network.of_version(pulled), LossKind(kind)

    return action


def _step(found: Evaluation, number: int, classes: range) -> dict[str, Any]:
    """How well the classes are recognised that one addition has brought."""
    rows = sum(found.support[label] for label in classes)
    return {
        "step": "founded" if number == 0 else f"growth {number}",
        "first_class": classes.start,
        "classes": len(classes),
        "rows": rows,
        "accuracy": found.accuracy_of(classes),
    }


def _show(network: Network, found: Evaluation, steps: Sequence[dict[str, Any]]) -> None:
    on_chain = network.version
    print_fields(
        [
            ("model", on_chain.model.hex() if on_chain else None),
            ("version", on_chain.number if on_chain else None),
            ("rows", found.rows),
            ("accuracy", accuracy(found.correct, found.rows)),
            ("loss", f"{found.loss:.4f} nats a row ({found.loss_kind.name.lower()})"),
        ]
    )
    if len(steps) > 1:
        click.echo()
        print_table(
            [
                Column("classes", lambda step: _interval(step)),
                Column("since", lambda step: step["step"]),
                Column("rows", lambda step: step["rows"], right=True),
                Column("accuracy", lambda step: _share(step["accuracy"]), right=True),
            ],
            steps,
            "no classes",
        )
    click.echo()
    recall = found.recall
    shown = [label for label, rows in enumerate(found.support) if rows]
    columns = [
        Column("class", lambda label: label, right=True),
        Column("rows", lambda label: found.support[label], right=True),
        Column("recall", lambda label: _share(recall[label]), right=True),
    ]
    if len(recall) <= MOST_COLUMNS:
        columns += [_taken(found, other) for other in range(len(recall))]
    print_table(columns, shown, "no rows")
    if len(recall) <= MOST_COLUMNS:
        click.echo("→ N: how many rows of the class were taken for class N")


def _taken(found: Evaluation, other: int) -> Column:
    """The column of the confusion matrix that counts rows taken for one class."""
    return Column(f"→ {other}", lambda label: int(found.confusion[label, other]) or None, right=True)


def _interval(step: dict[str, Any]) -> str:
    first, last = step["first_class"], step["first_class"] + step["classes"] - 1
    return str(first) if first == last else f"{first}-{last}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
