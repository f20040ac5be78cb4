"""The root command: fast to ask for help, complete in the shell, and true to the commands behind it."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import engram.commands
from engram.cli import COMMANDS, main

HEAVY = ("aiohttp", "asyncio", "cryptography", "msgpack", "numpy", "plyvel", "rich", "structlog")


def engram_command(*arguments: str, **environment: str) -> str:
    """Standard output of `engram ARGUMENTS` in a process of its own."""
    program = "from engram.cli import main; main(prog_name='engram')"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from engram.cli import main; main(['--help'], standalone_mode=False);"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, check=True
    ).stdout
    assert printed.splitlines()[-1] == "heavy: []"
    assert [name for name in COMMANDS if f"\n  {name} " not in printed] == []


def test_version() -> None:
    assert engram_command("--version") == f"engram, version {engram.__version__}\n"


def test_the_table_is_the_command_modules() -> None:
    folder = Path(engram.commands.__path__[0])
    modules = {path.stem: import_module(f"engram.commands.{path.stem}") for path in folder.glob("[a-z]*.py")}
    commands = {name: module.command for name, module in modules.items() if hasattr(module, "command")}
    assert commands.keys() == COMMANDS.keys()
    assert {name: command.get_short_help_str(limit=200) for name, command in commands.items()} == dict(
        COMMANDS
    )
    assert {name: command.name for name, command in commands.items()} == {name: name for name in COMMANDS}


def test_an_unknown_command_is_refused_with_a_suggestion() -> None:
    context = click.Context(main, info_name="engram")
    for name in COMMANDS:
        with pytest.raises(click.NoSuchCommand) as refusal:
            main.resolve_command(context, [f"{name}x"])
        assert name in (refusal.value.possibilities or [])
    assert main.get_command(context, "no-such-command") is None


def test_shell_completion() -> None:
    assert "_engram_completion" in engram_command(_ENGRAM_COMPLETE="bash_source")
    options = engram_command(_ENGRAM_COMPLETE="bash_complete", COMP_WORDS="engram --v", COMP_CWORD="1")
    assert options.split() == ["plain,--version"]
    names = engram_command(_ENGRAM_COMPLETE="bash_complete", COMP_WORDS="engram ", COMP_CWORD="1")
    assert names.split() == [f"plain,{name}" for name in COMMANDS]
