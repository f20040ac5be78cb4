"""`engram memory`: founds a model's memory from rows of its first classes, and shows what a folder holds."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.completion import complete_models
from engram.commands.support.founding import sure_selection, yes_option
from engram.commands.support.options import Group, data_dir_option, json_flag, with_session
from engram.commands.support.param_types import RealNumber
from engram.commands.support.selecting import SELECTION, selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.nn.spec import NetworkLimits, NetworkSpec
    from engram.node.client import RpcClient

MEMORY_ENGINES: Final = ("gate", "analytic", "experts", "replay", "naive")
TRUNK_KINDS: Final = ("auto", "convolution", "pixels")
"""Names of `ENGINES` and `TRUNKS`: written out, so that help needs no numpy."""


@click.group(
    "memory",
    cls=Group,
    example="engram memory found --data digits --share 1/4 --take-classes 0-2 --engine gate mind\n"
    "engram memory info mind",
)
def command() -> None:
    """Found and show memory folders, by which models grow without anybody's old rows.

    A memory folder is what one participant knows of one model beside the chain: the rules that its founder
    has fixed, and sums or mixtures of rows, which take the place of the rows themselves. Only `memory.json`
    is needed by everybody: a founder gives it to whoever shall teach the model, who puts it into a folder.
    """


@command.command(
    "found",
    example="engram memory found --data digits --share 1/4 --take-classes 0-2 --engine gate mind\n"
    "engram memory found --data mnist --take-classes 0,1 --relabel --engine analytic --bank-neurons 500 mind",
    sections={
        "Data": (*SELECTION, "yes"),
        "Growths": (
            *("engine", "trunk", "bank_neurons", "growths", "growth_classes"),
            *("least_rows", "ridge", "seed"),
        ),
    },
)
@click.argument("out", type=click.Path(path_type=Path))
@with_selection()
@click.option(
    "--engine",
    type=click.Choice(MEMORY_ENGINES),
    required=True,
    help="How growths are made. gate: a relative growth, solved from sums; analytic: a gated one; experts: a "
    "strict one, from the new rows alone; replay: trained on rows made from mixtures; naive: trained on new "
    "rows alone, to show that this forgets.",
)
@click.option(
    "--trunk",
    type=click.Choice(TRUNK_KINDS),
    default="auto",
    show_default=True,
    help="The frozen layers below all growths. convolution: edges and corners of square images whose side is "
    "a multiple of 4; pixels: none; auto: convolution, where it is possible.",
)
@click.option(
    "--bank-neurons",
    type=click.IntRange(1, 65_536),
    default=1_000,
    show_default=True,
    help="The neurons of a bank. Each growth of gate and analytic brings one; all are fixed now.",
)
@click.option(
    "--growths",
    type=click.IntRange(1, 1_000),
    help="For how many growths banks are fixed. Default: as many as a row may cost on the chain, at most 10.",
)
@click.option(
    "--growth-classes",
    type=click.IntRange(1, 1_000),
    default=2,
    show_default=True,
    help="How many classes a growth is expected to bring, for its costs and for the limits that are advised.",
)
@click.option(
    "--least-rows",
    type=click.IntRange(20),
    default=20,
    show_default=True,
    help="The least number of rows of a class in every file of sums or mixtures of this model.",
)
@click.option(
    "--ridge",
    type=RealNumber(0, 1, min_open=True),
    help="The ridge of what is solved, relative to the mean of the diagonal. Default: what loses least on "
    "rows that are held out.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Fixes the banks. Default: a random number.")
@yes_option
@data_dir_option
@json_flag
def found(
    out: Path,
    engine: str,
    trunk: str,
    bank_neurons: int,
    growths: int | None,
    growth_classes: int,
    least_rows: int,
    ridge: float | None,
    seed: int | None,
    yes: bool,
    data_dir: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make the memory folder OUT from rows of a model's first classes.

    The classes must be numbered 0, 1, … without a gap (--relabel). The rows must not be those with which the
    round will be opened: use another --share there. The command learns the first classes, chooses on rows
    that it holds out, and simulates growths among these classes: `engram round open --memory OUT` takes from
    them how much the model must allow its growths to lose.

    OUT holds the founding's rules (memory.json), what was learned (founding, trials.json), and the sums or
    mixtures of the rows, if the engine needs them. `engram stats --help` says what these reveal of the rows.
    What a row may cost is read from the chain of the data directory, if there is one.
    """
    from engram.participant.memory.facts import folder_facts
    from engram.participant.memory.making import FoundingPlan, found_memory

    session = CommandSession(as_json=as_json, data_dir=data_dir)
    limits = _limits(session)
    drawn = secrets.randbelow(2**63) if seed is None else seed
    plan = FoundingPlan(engine, drawn, trunk, bank_neurons, growths, least_rows, ridge, growth_classes)
    data = sure_selection(session, selection_of(options), yes=yes, founds=False).rows_of(0)
    made = found_memory(data, plan, out, limits, session.note)
    _show(session, folder_facts(made.folder, limits))


@command.command("info", example="engram memory info mind\nengram memory info mind --model 3fa2 --json")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--model",
    metavar="ID",
    shell_complete=complete_models,
    help="Ask the node for the model's current version, for the cost of a row and the growths left.",
)
@with_session
def info(session: CommandSession, folder: Path, model: str | None) -> None:
    """Show what a memory folder holds, what a row costs, and how many growths are left.

    Every file is read and checked. Without --model, costs are those of the founding, which only the folder of
    the founder holds.
    """
    from engram.participant.memory.facts import folder_facts
    from engram.participant.memory.folder import MemoryFolder

    spec = None if model is None else session.run(lambda client: _network(client, model))
    _show(session, folder_facts(MemoryFolder(folder), _limits(session), spec))


async def _network(client: RpcClient, beginning: str) -> NetworkSpec:
    """The network of a model's current version."""
    from engram.participant.view import ChainView
    from engram.statemachine.records import Model

    view = ChainView(client)
    model = await view.get(Model, bytes.fromhex(await find_model(client, beginning)))
    return (await view.head_network(model)).spec


def _limits(session: CommandSession) -> NetworkLimits:
    """The limits of the data directory's chain; those of the presets if it holds no chain."""
    from engram.nn.spec import NetworkLimits
    from engram.node.datadir import read_spec
    from engram.node.errors import ChainNotFound

    try:
        return read_spec(session.data_dir).rules.networks
    except ChainNotFound:
        return NetworkLimits()


def _show(session: CommandSession, facts: dict[str, Any]) -> None:
    fields: dict[str, object] = {
        "folder": facts["folder"],
        "engine": facts["engine"],
        "policy": " or ".join(facts["policies"]),
        "trunk": f"{facts['trunk_segments']} segments, {facts['trunk_values']} values",
        "banks": f"{facts['banks']} of {facts['bank_neurons']} neurons, {facts['bank'][:12]}",
        "least rows": f"{facts['least_rows']} of a class in a file",
        "needs": f"{facts['needs']} of old classes",
    }
    for kind in ("sums", "mixtures"):
        if (held := facts[kind]) is not None:
            rows = ", ".join(f"{label}: {count}" for label, count in held["classes"].items())
            fields[kind] = f"{held['id'][:12]}, rows of each class {rows}"
    if (trials := facts.get("trials")) is not None:
        fields["simulated"] = f"{trials['growths']} growths lost {trials['lost']} of {trials['losable']} rows"
    if (costs := facts["costs"]) is not None:
        fields["row"] = f"{costs['now']:,} multiply-accumulates of {costs['limit']:,}"
        if costs["growths_left"] is not None:
            fields["growths left"] = f"{costs['growths_left']} banks, {costs['fitting']} within the limit"
    session.show(facts, fields.items())
