"""`engram learn`: the daemon of the dual memory, and the commands that ask it.

This file turns options into settings and prints what happens. What the daemon does stands in
`participant/learn/`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands import learn_ask
from engram.commands.learn_ask import OWN, with_memory
from engram.commands.support.options import Group, refuse_given, with_key, with_session
from engram.commands.support.param_types import WINDOW_LENGTHS, RealNumber
from engram.commands.support.progress import ProgressPrinter
from engram.commands.support.session import CommandSession
from engram.commands.support.units import COINS
from engram.participant.coins import format_coins
from engram.participant.finding import find_model

if TYPE_CHECKING:
    from engram.node.client import RpcClient
    from engram.participant.learn.learner import Learner
    from engram.participant.learn.settings import LearnSettings, NodeAccess
    from engram.participant.memory.folder import MemoryFolder
    from engram.participant.notices import Report
    from engram.participant.wallet import Wallet
    from engram.primitives.types import Hash

DAEMON: Final = (
    *("feeds", "keep_files", "after_rows", "after_hours", "surprise", "least_rows", "opens", "bounty"),
    *("windows", "max_bond", "max_fee", "max_bond_per_day", "max_fee_per_day", "confirmations"),
    *("own_labels", "max_rows", "min_work", "port", "dry_run", "model", "memory"),
)


@click.group(
    "learn",
    cls=Group,
    invoke_without_command=True,
    example="engram learn --feed inbox --after-rows 500 --open --max-fee 1 --max-fee-per-day 5\n"
    "engram learn --dry-run\n"
    "engram learn ask --data questions.csv",
)
@with_memory
@click.option(
    "--feed",
    "feeds",
    multiple=True,
    metavar="DIR|-",
    help="Learn every .csv and .npz file that is put into this folder, once, and remove it; - reads JSON "
    "lines from standard input. May be repeated.",
)
@click.option(
    "--keep-files",
    is_flag=True,
    help="Move learned files to taken/ in their folder instead of removing them.",
)
@click.option(
    "--after-rows",
    type=click.IntRange(1),
    help="Consolidate when there are so many examples of classes that the chain lacks. Default: 1000, unless "
    "--after-hours or --surprise is given.",
)
@click.option(
    "--after-hours",
    type=RealNumber(0, min_open=True),
    help="Consolidate when the oldest such example has waited so many hours.",
)
@click.option(
    "--surprise",
    type=RealNumber(0, 1, min_open=True),
    help="Consolidate when the chain did not answer this share of the last 200 examples rightly.",
)
@click.option(
    "--least-rows",
    type=click.IntRange(20),
    default=20,
    show_default=True,
    help="A class with fewer examples to teach waits.",
)
@click.option("--open", "opens", is_flag=True, help="Open a growth round when one is due, if your key may.")
@click.option(
    "--bounty",
    type=COINS,
    metavar="COINS",
    default=0,
    help="Coins for the authors of a round that is opened here. Default: none.",
)
@click.option(
    "--windows",
    type=WINDOW_LENGTHS,
    metavar="LENGTHS",
    default={},
    help="Lengths of the phases of a round that is opened here, as in `engram round open`.",
)
@click.option("--max-bond", type=COINS, metavar="COINS", help="Most coins at stake in one round.")
@click.option(
    "--max-fee", type=COINS, metavar="COINS", help="Most coins to pay in one round, bounty included."
)
@click.option("--max-bond-per-day", type=COINS, metavar="COINS", help="Most coins at stake in 24 hours.")
@click.option("--max-fee-per-day", type=COINS, metavar="COINS", help="Most coins to pay in 24 hours.")
@click.option(
    "--confirmations",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="Blocks that must stand on a version before the rows that it has learned are forgotten.",
)
@click.option(
    "--own-labels",
    is_flag=True,
    help="Labels are your own numbers. Without this, label 3 means class 3 of the chain, also if that is "
    "still to come.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Most examples to keep; of a class with many, a random sample.",
)
@click.option(
    "--min-work",
    type=click.IntRange(1),
    help="The least work, in expected digests, that a proof of the model must show. Default: 1. On a chain "
    "whose blocks carry no work, none can be asked for: there the node that is asked is believed.",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Where to answer on 127.0.0.1. Default: any."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be done now and what it would cost, and end. If a daemon runs on the folder, it is "
    "asked, and its own options count.",
)
@with_key
@with_session
def command(session: CommandSession, model: str | None, memory: Path | None, **options: Any) -> None:
    """Learn from examples, answer at once, and teach the chain when it is time.

    The command runs until Ctrl-C or SIGTERM. It learns labelled rows into a fast memory, which is encrypted
    on disk, and answers questions from that and from the chain's model, whose proof it checks itself. When
    its policy says so, it makes one growth of the model from what it has learned, in a round that somebody
    has opened or, with --open, in its own. Once a proof shows that the chain has learned it, it keeps sums of
    the rows in the memory folder and forgets the rows.

    It can be stopped, or die, at any moment: the same command goes on where it was. The memory folder comes
    from `engram memory`. With --json each event is a line of JSON.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        refuse_given(DAEMON, f"is for the daemon: give it after `{context.invoked_subcommand}` if it has it")
        return
    from engram.node.process import use_one_blas_thread

    use_one_blas_thread()
    dry_run = options.pop("dry_run")
    with session.printer() as printer:
        if dry_run:
            _dry_run(session, model, memory, options, printer)
        else:
            _run(session, model, memory, options, printer)


def _run(
    session: CommandSession,
    model: str | None,
    memory: Path | None,
    options: dict[str, Any],
    printer: ProgressPrinter,
) -> None:
    import asyncio

    from engram.participant.learn.service import LearnService, until_signal

    feeds, port, keeps = options.pop("feeds"), options.pop("port"), options.pop("keep_files")
    folders = [Path(feed) for feed in feeds if feed != "-"]
    stream = sys.stdin.buffer if "-" in feeds else None

    async def work() -> None:
        async with _opened(session, model, memory, options, printer.notice) as (learner, own):
            service = LearnService(
                *(learner, own, printer.notice), folders=folders, stream=stream, port=port, keeps=keeps
            )
            await service.run()

    async def main() -> None:
        await until_signal(work())

    asyncio.run(main())


def _dry_run(
    session: CommandSession,
    model: str | None,
    memory: Path | None,
    options: dict[str, Any],
    printer: ProgressPrinter,
) -> None:
    import asyncio

    from engram.participant.learn.endpoint import LearnClient
    from engram.participant.learn.errors import LearnerMissing

    async def main() -> dict[str, Any]:
        try:
            running: LearnClient | None = learn_ask.client_of(session, model, memory)
        except LearnerMissing:
            running = None
        if running is not None:
            async with running as client:
                return await client.get("/outlook")
        async with _opened(session, model, memory, options, lambda notice: None) as (learner, _):
            return (await learner.outlook()).to_json()

    refuse_given(("feeds", "keep_files", "port"), "is not used with --dry-run")
    for name in ("feeds", "keep_files", "port"):
        options.pop(name)
    result = asyncio.run(main())
    money = {"opening_fee", "opener_bond", "bounty", "author_bond", "entry", "author_fees"}
    shown = {name: format_coins(value) if name in money else value for name, value in result.items()}
    printer.result(result, shown.items())


@asynccontextmanager
async def _opened(
    session: CommandSession, model: str | None, memory: Path | None, options: dict[str, Any], report: Report
) -> AsyncIterator[tuple[Learner, Path]]:
    """The learner that the options ask for, and its own folder."""
    from engram.consensus.chainspec import has_work
    from engram.consensus.proof import check_has_work
    from engram.node.datadir import read_spec
    from engram.participant.learn.learner import Learner, Places
    from engram.participant.memory.slow import Trust

    spec, min_work = read_spec(session.data_dir), options.pop("min_work")
    if min_work is None:
        min_work = 1 if has_work(spec) else 0
    check_has_work(spec, min_work)
    key = session.unlock()
    access = _access(session, key, report)
    async with access.look() as client:
        identity = bytes.fromhex(await find_model(client, model))
    settings = _settings(options)
    folder = _folder(session, memory, identity)
    places = Places(folder.path / OWN, session.rounds_folder)
    trust = Trust(spec, identity, min_work, settings.confirmations)
    async with Learner.opened(folder, places, key, trust, access, settings, _now_ms, report) as learner:
        yield learner, places.own


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _settings(options: dict[str, Any]) -> LearnSettings:
    from engram.participant.learn.budget import SpendingLimits
    from engram.participant.learn.memories import Numbering
    from engram.participant.learn.policy import LearnPolicy
    from engram.participant.learn.settings import DEFAULT_POLICY, LearnSettings
    from engram.participant.memory.fast import FastLimits

    reasons = (options["after_rows"], options["after_hours"], options["surprise"])
    rows = DEFAULT_POLICY.after_rows if reasons == (None, None, None) else options["after_rows"]
    return LearnSettings(
        policy=LearnPolicy(
            rows, options["after_hours"], options["surprise"], least_rows=options["least_rows"]
        ),
        spending=SpendingLimits(
            options["max_bond"],
            options["max_fee"],
            options["max_bond_per_day"],
            options["max_fee_per_day"],
        ),
        opens=options["opens"],
        bounty=options["bounty"],
        windows=options["windows"],
        confirmations=options["confirmations"],
        numbering=Numbering.OWN if options["own_labels"] else Numbering.CHAIN,
        limits=FastLimits(rows=options["max_rows"]),
    )


def _access(session: CommandSession, key: Any, report: Report) -> NodeAccess:
    """Connections that wait for the node however long it is away."""
    from engram.participant.learn.settings import NodeAccess
    from engram.participant.wallet import Wallet as KeyWallet
    from engram.primitives.errors import Invalid, NotReady

    def look() -> AbstractAsyncContextManager[RpcClient]:
        return session.node.patient_client(report, holds=False, patience_s=math.inf)

    @asynccontextmanager
    async def act() -> AsyncIterator[Wallet]:
        async with session.node.patient_client(report, holds=True, patience_s=math.inf) as client:
            try:
                yield KeyWallet(client, key)
            except (Invalid, NotReady):  # what a daemon gives up, nobody begins again
                await client.finish()
                raise

    return NodeAccess(look, act)


def _folder(session: CommandSession, memory: Path | None, model: Hash) -> MemoryFolder:
    from engram.participant.memory.folder import MemoryFolder, folder_of

    return folder_of(session.data_dir, model) if memory is None else MemoryFolder(memory)


command.add_command(learn_ask.ask)
command.add_command(learn_ask.teach)
command.add_command(learn_ask.status)
