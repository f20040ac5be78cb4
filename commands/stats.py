"""`engram stats`: sums and mixtures, which owners hand over instead of rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.commands.support.completion import complete_models
from engram.commands.support.files import check_free
from engram.commands.support.founding import selected_rows
from engram.commands.support.options import Group, json_flag, with_session
from engram.commands.support.output import print_fields, print_json
from engram.commands.support.selecting import memory_option, selection_of, with_selection
from engram.commands.support.session import CommandSession
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.memory.folder import MemoryFolder
    from engram.participant.memory.handover import HandoverFile
    from engram.participant.memory.trunk import Trunk
    from engram.primitives.types import Hash

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
MEMORY = memory_option("A memory folder of the model: its banks, and its least number of rows of a class.")


class VersionType(click.ParamType[tuple[str, int]]):
    """A version of a model such as 3fa2/2; the value is the beginning of the model's id, and the number."""

    name = "version"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9a-fA-F]{1,64})/([0-9]{1,9})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a version such as 3fa2/2", param, ctx)
        return match[1].lower(), int(match[2])


@click.group(
    "stats",
    cls=Group,
    example="engram stats make --memory mind --data mine.csv -o mine.sums\n"
    "engram stats merge -o all.sums mine.sums theirs.sums\n"
    "engram stats verify all.sums --memory mind",
)
def command() -> None:
    """Make, merge and check the sums and mixtures that owners hand over instead of rows.

    A model grows by new classes without the rows of the old ones, if the owners of these hand over sums over
    the model's neurons (engines gate and analytic) or mixtures of Gaussians (engine replay). Files of one
    kind add up exactly, in any order. A file is named by the hash of its content, and a growth names what it
    was made from.

    What a file reveals: sums give the mean of each class in the neurons and, for all rows together, how
    neurons vary with each other; mixtures give the mean of each component and its main directions. That says
    what typical rows of a class look like. Of few rows the rows themselves can be computed, so a file with
    fewer rows of a class than the model's minimum (20 or more) is neither made nor read. The minimum protects
    no row for certain: from two files that differ in one row this row can be found, whatever their size. So
    hand over one file of all your rows, and never a second one of almost the same rows.
    """


@command.command(
    "make",
    example="engram stats make --memory mind --data mine.csv\n"
    "engram stats make --memory mind --data digits --share 2/4 --take-classes 3,4 -o mine.sums",
)
@memory_option("The memory folder of the model, with memory.json of its founder.", required=True)
@with_selection()
@click.option(
    "--model",
    metavar="ID",
    shell_complete=complete_models,
    help="The model, through whose trunk the rows pass. Default: the network in the founder's folder, or "
    "else the chain's only model.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a file to hand over, instead of keeping it in the folder.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@with_session
def make(
    session: CommandSession,
    memory: Path,
    model: str | None,
    output: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Make sums or mixtures of your rows, as the model's engine needs them.

    Without -o they are kept in the memory folder, where `engram participate --memory` finds them; with -o
    they are written to a file that you can give to others. Number the classes as on the chain
    (--first-class). The same rows give the same file.

    The file says something about your rows: read `engram stats --help` before you give it away. It needs at
    least as many rows of each class as the model's founder has fixed.
    """
    from engram.participant.memory.folder import MemoryFolder
    from engram.participant.memory.handover import HandoverFile, identity_of, write_file
    from engram.participant.memory.making import handed_over

    if output is not None:
        check_free(output, force=force)
    folder = MemoryFolder(memory)
    data = selected_rows(session, selection_of(options), 0)
    trunk = _trunk(session, folder, model)
    session.note(f"{data.rows} rows pass the trunk")
    values = trunk.run(data.features)
    given = handed_over(folder.memory, values, data.labels)
    if output is None:
        path = folder.keep(given)
    else:
        path = output
        write_file(path, given)
    _show([HandoverFile(path, given, identity_of(given))], as_json=session.as_json)


@command.command("merge", example="engram stats merge -o all.sums mine.sums theirs.sums")
@FILES
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@MEMORY
@json_flag
def merge(files: tuple[Path, ...], output: Path, force: bool, memory: Path | None, as_json: bool) -> None:
    """Add the rows of several files up into one.

    The result is the same file in whatever order the files are given or have been merged before. A file whose
    rows are all in another one is left out. Two files that share only some rows cannot be merged: their rows
    would count twice. That two owners have not summed up the same rows each by themselves, no file can tell.
    Nor can anybody check what a file says it was merged from, unless they merge these files again.
    """
    from engram.participant.memory.handover import HandoverFile, identity_of, merge_files, write_file

    check_free(output, force=force)
    given, left = merge_files(_read(files, memory))
    write_file(output, given)
    for path in left:
        CommandSession(as_json=as_json).note(f"{path} is left out: another file holds all of its rows")
    _show([HandoverFile(output, given, identity_of(given))], as_json=as_json)


@command.command("info", example="engram stats info mine.sums\nengram stats info mine.sums --json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_flag
def info(file: Path, as_json: bool) -> None:
    """Show what a file says: its content id, its bank, the rows of each class, and what was merged into it.

    The file is read whole and checked as `engram stats verify` checks it without a memory.
    """
    _show(_read((file,), None), as_json=as_json)


@command.command(
    "verify",
    example="engram stats verify mine.sums --memory mind\n"
    "engram stats verify mine.sums theirs.sums --memory mind --growth 3fa2/2",
)
@FILES
@MEMORY
@click.option(
    "--growth",
    type=VersionType(),
    metavar="MODEL/VERSION",
    help="Ask the node whether this version's growth names these files: of several, what they add up to.",
)
@with_session
def verify(
    session: CommandSession, files: tuple[Path, ...], memory: Path | None, growth: tuple[str, int] | None
) -> None:
    """Check that rows can have these sums or mixtures, that they are of this model, and that they hide rows.

    With --memory, the bank must be the model's, and each class must have as many rows as the founder has
    fixed; without it, 20. What no check can see is whether the rows were real and labelled rightly: sums of
    invented rows are sums of rows, too. A growth that was made from bad sums is judged by the chain.
    """
    from engram.participant.memory.handover import HandoverFile, check_named, identity_of, merge_files

    found = _read(files, memory)
    given = merge_files(found)[0]
    whole = HandoverFile(files[0], given, identity_of(given))
    if growth is not None:
        beginning, number = growth
        check_named(given, session.run(lambda client: _named(client, beginning, number)))
        session.note(f"the growth of version {number} names {whole.identity.hex()}")
    _show(found, as_json=session.as_json)


def _read(files: tuple[Path, ...], memory: Path | None) -> list[HandoverFile]:
    from engram.participant.memory.folder import MemoryFolder
    from engram.participant.memory.handover import read_file

    folder = None if memory is None else MemoryFolder(memory)
    return [read_file(path, folder) for path in files]


def _trunk(session: CommandSession, folder: MemoryFolder, model: str | None) -> Trunk:
    """The trunk of the folder's founding, or else that of a model on the chain."""
    from engram.participant.memory.trunk import trunk_in

    segments = folder.memory.trunk_segments
    if folder.has_founding and model is None:
        network = folder.founding()
        return trunk_in(network.spec, network.parameters, segments)

    async def action(client: RpcClient) -> Trunk:
        from engram.participant.view import ChainView
        from engram.statemachine.records import Model

        view = ChainView(client)
        record = await view.get(Model, bytes.fromhex(await find_model(client, model)))
        version = await view.head_version(record)
        spec = (await view.composition(version)).spec
        return trunk_in(spec, await view.parameters(version), segments)

    return session.run(action)


async def _named(client: RpcClient, beginning: str, number: int) -> Hash:
    """The content id that the growth of a version names; zero for a version that is no growth."""
    from engram.participant.view import ChainView
    from engram.primitives.types import ZERO_HASH
    from engram.statemachine.additions import GrowUpdate
    from engram.statemachine.record import u32
    from engram.statemachine.records import Version

    model = bytes.fromhex(await find_model(client, beginning))
    version = await ChainView(client).get(Version, model, u32(number))
    return version.added.statistics if isinstance(version.added, GrowUpdate) else ZERO_HASH


def _show(files: list[HandoverFile], *, as_json: bool) -> None:
    facts = [each.facts() for each in files]
    if as_json:
        print_json(facts[0] if len(facts) == 1 else facts)
        return
    for known in facts:
        rows = ", ".join(f"{label}: {count}" for label, count in known["classes"].items())
        merged = f"{len(known['sources'])} files" if known["sources"] else "nothing, it was made from rows"
        fields = {
            "file": known["file"],
            "kind": known["kind"],
            "id": known["id"],
            "bank": known["bank"],
            "rows of each class": rows,
            "merged from": merged,
        }
        print_fields(fields.items())
