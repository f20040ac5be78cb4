"""The root command `engram`: it lists the commands and imports the one that the user runs.

The command NAME is the object `command` (a click command or group) in `engram/commands/NAME.py`. To add a
command, write that file and add its line to COMMANDS. Nothing else stands here: what a command does is in
its own file, and how errors are printed is in `commands/support/failures.py`.

The help and the shell completion of the root read the table COMMANDS only. They import no command module,
so `engram --help` stays fast however much the commands import.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click
from click.shell_completion import CompletionItem

from engram.commands.support import streams
from engram.primitives.version import VERSION

# Each text repeats the first line of the command's own help; a test compares the two.
COMMANDS = MappingProxyType[str, str](
    {
        "init": "Make a data directory for a chain.",
        "run": "Run a node until Ctrl-C, SIGTERM or SIGHUP, which stop it with status 0.",
        "config": "Show a node's settings, and where each value comes from.",
        "status": "Show on one screen how the node fares, and what needs attention.",
        "explore": "Explore the node's chain in a browser: blocks, accounts, rounds, models.",
        "dev": "Move the time of a chain for development, and take it back.",
        "node": "Show, adjust and stop the running node.",
        "localnet": "Start, show and stop a network of nodes on this machine.",
        "experiment": "Run an experiment cell by cell, and write its report with tables and plots.",
        "demo": "Demonstrate the whole protocol on a network of nodes on this machine.",
        "play": "Play a first round, step by step, on a chain of your own.",
        "key": "Make, list, back up and use account keys.",
        "account": "Show balances and claim rewards.",
        "tx": "Send coins and follow transactions; sign them on one machine and submit them on another.",
        "model": "Show, score and download models; make predictions and proofs.",
        "round": "Open rounds, play them as opener or witness, and show them.",
        "data": "Check data files, and make of any of them rows that a model can take.",
        "participate": "Play rounds as an author: train, commit, reveal, have the update scored, withdraw.",
        "watch": "Compute what authors claim of their updates, and dispute what is false.",
        "memory": "Found and show memory folders, by which models grow without anybody's old rows.",
        "stats": "Make, merge and check the sums and mixtures that owners hand over instead of rows.",
        "learn": "Learn from examples, answer at once, and teach the chain when it is time.",
        "chain": "Show the chain: head, blocks, headers, rules; carry its blocks as a file.",
        "mempool": "Show the transactions that wait for a block.",
        "miner": "Start, stop and drive the node's miner.",
        "peer": "List, add, remove and ban peers.",
        "rpc": "Call any RPC method of the node and print its result as JSON.",
        "db": "Check, measure, prune or rebuild a stopped node's data, and begin a node with a snapshot.",
        "glossary": "Explain a word that Engram uses, or list them all.",
        "schema": "Print the JSON Schema of what a command prints with --json.",
        "shell": "Install tab completion and manual pages.",
        "verify": "Check a proof bundle offline: headers, work, and the records that they name.",
    }
)


class LazyGroup(click.Group):
    """A group that imports `engram.commands.NAME` only when the user runs or asks about NAME."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line. `commands.support.failures` prints every error and gives its exit status.

        With `standalone_mode=False`, errors are raised to the caller, as click does.
        """
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        streams.prepare()
        arguments = list(sys.argv[1:] if args is None else args)
        asked: dict[str, bool] = {}
        try:
            status = super().main(
                arguments, prog_name, complete_var, standalone_mode=False, obj=asked, **extra
            )
        except (Exception, KeyboardInterrupt) as error:
            failures = import_module("engram.commands.support.failures")
            status = failures.report(error, arguments, as_json=asked.get("as_json", False))
        if (refusal := streams.output_failure()) is not None:
            failures = import_module("engram.commands.support.failures")
            status = failures.report_output(refusal, status)
        sys.exit(status)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The command names in the order of the table, which begins with what a new user needs first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of this name; None if the table does not hold the name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"engram.commands.{cmd_name}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module.__name__}.command is a {type(command).__name__}, not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does. For a mistyped name, the error suggests names of the table."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the texts of the table: asking each command for its own help would import its module."""
        if COMMANDS:
            with formatter.section("Commands"):
                formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the table, and options as every click command does."""
        names = [
            CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="engram")
def main() -> None:
    """Engram: a proof-of-work chain that trains, verifies, freezes and grows a neural network.

    Each command below explains itself: `engram COMMAND --help` says what it does and ends with examples. Most
    commands talk to a node that `engram run` has started.

    \b
    Examples:
      engram demo
      engram play
      engram run --dev
      engram round --help

    \b
    What a word means, tab completion and manual pages:
      engram glossary witness
      engram shell install
    """


if __name__ == "__main__":
    main()
