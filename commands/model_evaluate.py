"""`engram model evaluate`: how well versions recognise labelled rows, computed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.engines import engine_option
from engram.commands.support.evaluations import evaluated, show_evaluation, show_versions, steps_of
from engram.commands.support.lookup import model_argument
from engram.commands.support.options import Command, with_session
from engram.commands.support.output import print_json
from engram.commands.support.plot_files import check_plot, plot_option, write_plot
from engram.commands.support.predictions import note_unnamed, say_mapping
from engram.commands.support.selecting import SELECTION, selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.library.network import Network
    from engram.nn.loss import LossKind
    from engram.node.client import RpcClient
    from engram.participant.datasets import Dataset

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "evaluate",
    cls=Command,
    example="engram model evaluate --data digits\n"
    "engram model evaluate 3fa2 --data test.npz --version 1 --take-classes 0-7\n"
    "engram model evaluate --data test.npz --versions --plot retention.svg\n"
    "engram model evaluate --file model.npz --data test.csv --json",
    sections={
        "Rows": SELECTION,
        "Network": ("version", "every", "file", "engine"),
        "Plot": ("plot", "force"),
    },
)
@model_argument
@with_selection()
@click.option("--version", type=click.IntRange(0), help="Version number. Default: the current one.")
@click.option(
    "--file", type=FILE, help="Evaluate what `engram model pull` has written to this file, and ask no node."
)
@click.option(
    "--versions", "every", is_flag=True, help="Evaluate every version on the same rows, up to --version."
)
@engine_option
@plot_option
@with_session
def evaluate(
    session: CommandSession,
    model: str | None,
    version: int | None,
    file: Path | None,
    every: bool,
    engine: str | None,
    plot: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Show how well a version recognises labelled rows: accuracy, loss, recall of each class, confusions.

    The version is downloaded and checked against its root on the chain, and all is computed here: the rows
    are sent nowhere. "recall" is the share of a class's rows that were recognised. "classes" compares those
    with which the model was founded with those of each growth.

    With --versions, a table says what each version gets right of the same rows, so that one sees whether a
    growth has cost old classes anything. Rows of classes that a version did not know yet are left out for it.
    """
    if file is not None and (model is not None or version is not None or every):
        raise click.UsageError(
            "give either --file, or MODEL, --version and --versions", click.get_current_context()
        )
    from engram.participant.tables.applying import mapping_beside

    check_plot(plot, force=force)
    asked = selection_of(options)
    selection = asked.with_mapping_beside()
    data, names = selection.rows_of(0), selection.class_names()
    if asked.mapping is None and (beside := mapping_beside(asked.source)) is not None:
        say_mapping(beside)
    name = session.config.engine if engine is None else engine
    if every:
        versions = session.run(_all(model, version, data, name))
        note_unnamed(session, selection.naming_mapping(), max(each["classes"] for each in versions))
        _show_every(session, versions, plot)
        return
    network, kind = _network_in(file) if file is not None else session.run(_pulling(model, version))
    note_unnamed(session, selection.naming_mapping(), network.classes)
    class_names = tuple(names(label) for label in range(network.classes))
    found = replace(network.evaluate(data.features, data.labels, kind, engine=name), names=class_names)
    steps = steps_of(found, network.class_steps)
    on_chain = network.version
    if session.as_json:
        print_json(
            {
                "model": on_chain.model.hex() if on_chain else None,
                "version": on_chain.number if on_chain else None,
                "root": network.root.hex(),
                **found.to_json(),
                "steps": steps,
            }
        )
    else:
        show_evaluation(network, found, steps)
    if plot is not None:
        from engram.library.plots import evaluation_plots

        write_plot(plot, *evaluation_plots(found))


def _show_every(session: CommandSession, versions: Sequence[dict[str, Any]], plot: Path | None) -> None:
    if session.as_json:
        print_json(versions)
    else:
        show_versions(versions)
    if plot is not None:
        from engram.library.plots import retention_plots

        write_plot(plot, *retention_plots([each for each in versions if each["rows"]]))


def _network_in(file: Path) -> tuple[Network, LossKind]:
    """A network in a file; how its model counts losses stands in no file, so they are cross-entropies."""
    from engram.library.network import Network
    from engram.nn.loss import LossKind

    return Network.load(file), LossKind.SOFTMAX_CROSS_ENTROPY


def _pulling(model: str | None, version: int | None) -> Any:
    async def action(client: RpcClient) -> tuple[Network, LossKind]:
        identity = await find_model(client, model)
        return await _pulled(client, identity, version), await _loss_kind(client, identity)

    return action


def _all(model: str | None, last: int | None, data: Dataset, engine: str) -> Any:
    """What every version up to `last` makes of the rows."""

    async def action(client: RpcClient) -> list[dict[str, Any]]:
        identity = await find_model(client, model)
        kind = await _loss_kind(client, identity)
        end = int((await client.call("model_get", id=identity))["head"]) if last is None else last
        return [
            evaluated(await _pulled(client, identity, each), data, kind, engine) for each in range(end + 1)
        ]

    return action


async def _pulled(client: RpcClient, model: str, version: int | None) -> Network:
    from engram.library.network import Network
    from engram.participant.export import pull_version

    return Network.of_version(await pull_version(client, bytes.fromhex(model), version))


async def _loss_kind(client: RpcClient, model: str) -> LossKind:
    from engram.nn.loss import LossKind

    return LossKind((await client.call("model_get", id=model))["loss_kind"])
