"""`engram play`: a round by hand as one guided command. The steps stand in `support/play_steps.py`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from engram.commands.support.dev_chain import DEV_KEY, make_dev_chain
from engram.commands.support.options import Command, json_flag
from engram.commands.support.output import print_fields
from engram.commands.support.session import PASSPHRASE, CommandSession

if TYPE_CHECKING:
    from engram.commands.support.play_steps import Game, Step
    from engram.library.portal import Portal
    from engram.participant.notices import Notice, Report

WIDTH: Final = 78


@click.command(
    "play",
    cls=Command,
    lines=True,
    example="engram play\nengram play ~/my-first-round\nengram play --yes\nengram play --yes --json",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("engram-play"))
@click.option("--yes", is_flag=True, help="Go through all steps without waiting for a key.")
@json_flag
def command(folder: Path, yes: bool, as_json: bool) -> None:
    """Play a first round, step by step, on a chain of your own.

    The command starts a node in FOLDER (by default ./engram-play) at free ports. Before each step it says
    what happens and which command does the same by hand, and waits for a key. The chain waits, too: no phase
    of the round passes while you read. A second chapter lets the model grow; you may stop before it.

    If it is interrupted, by Ctrl-C or a crash, the same command goes on where it was. With --json it prints
    one line of JSON for each step and waits for nobody.
    """
    from engram.node.process import use_one_blas_thread

    use_one_blas_thread()
    if not (yes or as_json or sys.stdin.isatty()):
        context = click.get_current_context()
        raise click.UsageError("there is no terminal to wait for a key at: give --yes to go through", context)
    player = _Player(folder, waits=not (yes or as_json), as_json=as_json)
    session = CommandSession(as_json=True, data_dir=folder)
    passphrase = session.given_passphrase() or DEV_KEY
    folder.mkdir(parents=True, exist_ok=True)
    make_dev_chain(session)
    try:
        with _node(session) as portal:
            player.play(portal, passphrase)
    except KeyboardInterrupt:
        player.say(f"\nStopped. The same command goes on here: engram play {folder}")
        raise


@contextmanager
def _node(session: CommandSession) -> Iterator[Portal]:
    """Runs the node, whose miner starts only when it knows for whom the open round waits."""
    from engram.library.portal import Portal
    from engram.node.config import Config
    from engram.node.datadir import read_spec
    from engram.node.threaded import running_node

    config = Config(
        data_dir=session.config.data_dir,
        rpc_port=0,
        p2p_port=0,
        miner_address=session.address(DEV_KEY),
        miner_waits=True,
    )
    portal = Portal()
    try:
        with running_node(config, read_spec(config.data_dir)):
            try:
                yield portal
            finally:
                portal.close()
    finally:
        portal.close()


class _Player:
    def __init__(self, folder: Path, *, waits: bool, as_json: bool) -> None:
        self._folder = folder
        self._waits = waits
        self._as_json = as_json

    def play(self, portal: Portal, passphrase: str) -> None:
        from engram.commands.support.play_steps import STORY, Game

        game = Game(self._folder, passphrase, self._voice)
        portal.run(_begin(game))
        self.say(f"A node runs in {self._folder}. Each step says first what it will do.")
        chapter = 1
        for number, step in enumerate(STORY, 1):
            if step.chapter != chapter:
                chapter = step.chapter
                if self._waits and not click.confirm(
                    "\nGo on with the second chapter, a growth?", default=True
                ):
                    break
            self._play_step(portal, game, step, f"{number} of {len(STORY)}")
        self._end()

    def _play_step(self, portal: Portal, game: Game, step: Step, place: str) -> None:
        if portal.run(step.is_done(game)):
            self._told(step, "done before", {})
            self.say(f"\n{place}: {step.title}: done before.")
            return
        self.say(click.style(f"\n{place}: {step.title}", bold=True))
        self.say(click.wrap_text(step.text, WIDTH))
        self.say("By hand:")
        for line in step.commands:
            self.say(f"  $ {line}")
        if self._waits:
            self._wait()
        found = portal.run(step.act(game))
        self._told(step, "done", found)
        if not self._as_json:
            print_fields(found.items(), "  ")
            if step.commands[0].startswith("engram model predict"):
                self._predict()

    def _wait(self) -> None:
        """Waits for a key. It is not `click.pause`, which takes Ctrl-C for a key like any other."""
        click.echo("Press a key to do it (Ctrl-C stops; you can go on later)…", nl=False)
        try:
            click.getchar()
        except EOFError:  # Ctrl-D
            raise KeyboardInterrupt from None
        finally:
            click.echo()

    def _predict(self) -> None:
        """Runs the very command that is shown."""
        from engram.cli import main
        from engram.commands.support.play_steps import PREDICT

        main([*PREDICT.split()[1:], "--data-dir", str(self._folder)], "engram", standalone_mode=False)

    def _told(self, step: Step, status: str, found: Mapping[str, Any]) -> None:
        if self._as_json:
            facts = {name: str(value) for name, value in found.items() if value is not None}
            click.echo(json.dumps({"step": step.id, "status": status, "commands": step.commands, **facts}))

    def _voice(self, name: str) -> Report:
        def tell(notice: Notice) -> None:
            if not self._as_json:
                click.echo(click.wrap_text(f"{name}: {notice}", WIDTH, "  ", "    "))

        return tell

    def say(self, text: str) -> None:
        """Prints a line for people."""
        if not self._as_json:
            click.echo(text)

    def _end(self) -> None:
        folder = self._folder
        passphrase = "" if PASSPHRASE in os.environ else f" {PASSPHRASE}={DEV_KEY}"
        self.say(f"\nThat was it. The chain, the keys and a log of the node are in {folder}.")
        self.say("To look at the chain, start its node again and ask it from a second terminal:")
        self.say(f"  $ export ENGRAM_DATA_DIR={folder}{passphrase}")
        self.say("  $ engram run --dev")
        self.say("  $ engram model show")
        self.say(f"To delete everything: rm -r {folder}")
        self.say(
            "To try next: `engram demo` shows cheats who are caught; README.md shows what else there is."
        )


async def _begin(game: Game) -> None:
    """Starts the miner once nothing can pass that somebody would miss, and waits for what was sent before."""
    from engram.commands.support.play_steps import muster
    from engram.node.client import RpcClient
    from engram.participant.reconnect import watch

    await muster(game)
    async with game.chain() as chain:
        async with RpcClient.of_data_dir(chain.url, game.folder) as admin:
            await admin.call("miner_start")

        async def look() -> bool | None:
            return None if await chain.client.call("mempool_list") else True

        await watch(chain.client, look, "heads", "transactions")
