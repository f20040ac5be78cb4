"""The root command group: names, one-line helps and the lazy loading of what is behind them, no more.

A command NAME lives in `engram/commands/NAME.py` as `command`, a click command or group. Its line in
COMMANDS is what makes it exist. Help and completion of the root read the table only, so they import
no command module and stay fast whatever the commands need.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click
from click.shell_completion import CompletionItem

from engram import __version__

# The help is the first line of the command's own; a test holds the two together.
COMMANDS = MappingProxyType[str, str](
    {
        "init": "Make a data directory for a chain.",
        "run": "Run a node until Ctrl-C.",
        "localnet": "A network of nodes on this machine: start, look, stop.",
        "demo": "Play the paper on a network of this machine, adversaries included.",
        "key": "Make, list and import account keys.",
        "account": "Show balances and claim rewards.",
        "tx": "Send coins and follow transactions.",
        "model": "Models, versions, scores, predictions, proofs.",
        "round": "Open, play and look at rounds.",
        "participate": "Play rounds as an author: verify, train, commit, reveal, have the result scored.",
        "chain": "Look at the chain: head, blocks, headers, rules.",
        "mempool": "Look at the transactions that wait.",
        "miner": "Start, stop and drive the node's miner.",
        "peer": "List, add and remove peers.",
        "db": "Check or rebuild a stopped node's data.",
        "verify": "Check a proof bundle offline: headers, work, and the records they commit to.",
    }
)


class LazyGroup(click.Group):
    """A group that imports `engram.commands.NAME` when NAME is run, and no sooner."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """As click does, but every error is printed and given its exit status by `commands.failures`."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        arguments = list(sys.argv[1:] if args is None else args)
        asked: dict[str, bool] = {}
        try:
            status = super().main(
                arguments, prog_name, complete_var, standalone_mode=False, obj=asked, **extra
            )
        except (Exception, KeyboardInterrupt) as error:
            failures = import_module("engram.commands.support.failures")
            status = failures.report(error, arguments, as_json=asked.get("as_json", False))
        sys.exit(status)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table: first steps first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command behind a name of the table, imported now; None for any other name."""
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
        """As click does, with the names of the table as suggestions for a mistyped one."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table instead of asking each command for its help, which would import it."""
        if COMMANDS:
            with formatter.section("Commands"):
                formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the table, options as every command does."""
        names = [
            CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="engram")
def main() -> None:
    """Engram: a proof-of-work chain that trains, verifies, freezes and grows a neural network.

    \b
    Completion in bash (zsh and fish alike):
      eval "$(_ENGRAM_COMPLETE=bash_source engram)"
    """


if __name__ == "__main__":
    main()
