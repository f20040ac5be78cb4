"""What every command promises: help with an example that works, --json, and no heavy import for help."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from engram.cli import COMMANDS, main
from engram.commands.support.glossary import TECHNICAL, find_term, load_terms
from engram.commands.support.options import AS_JSON, Command, Group
from tests.unit.test_cli import HEAVY

MOST_TOGETHER = 15
"""Options in one list, those for the node, the output and the help among them."""
ASKS_NOTHING = ("demo", "init", "localnet", "run", "participate")
"""Commands of other files, whose --json is their own."""
OFFLINE = [
    ("chain", "export"),
    ("chain", "import"),
    ("chain", "verify"),
    ("config", "show"),
    ("key", "node"),
    ("learn", "ask"),
    ("learn", "teach"),
    ("learn", "status"),
]
"""Beside those of `db`, the commands that only read or write the data directory."""


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, member in command.commands.items():
        yield from leaves(member, (*path, name))


def all_leaves() -> list[tuple[tuple[str, ...], click.Command]]:
    modules = {name: import_module(f"engram.commands.{name}") for name in COMMANDS}
    return [leaf for name, module in modules.items() for leaf in leaves(module.command, (name,))]


LEAVES = all_leaves()
NAMES = [" ".join(path) for path, _ in LEAVES]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=NAMES)
def test_help_ends_with_an_example(path: tuple[str, ...], command: click.Command) -> None:
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="engram")
    assert result.exit_code == 0
    assert isinstance(command, Command), f"{command.name} has no example"
    shown = [line.strip() for line in result.stdout.splitlines()]
    assert shown[-len(command.example.splitlines()) :] == command.example.splitlines()
    assert (command.help or "").strip()


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=NAMES)
def test_examples_are_command_lines(path: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, Command)
    for line in command.example.splitlines():
        words = shlex.split(line.partition(" < ")[0].partition(" > ")[0])
        assert tuple(words[: 1 + len(path)]) == ("engram", *path)
        arguments = ["0" * 64 if "…" in word else word for word in words[1 + len(path) :]]
        try:
            command.make_context(path[-1], arguments).close()
        except click.BadParameter as error:
            problem = error.message
        else:
            problem = "a file does not exist"
        assert "does not exist" in problem, line


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=NAMES)
def test_long_lists_of_options_have_sections(path: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, Command)
    context = click.Context(command, info_name=path[-1])
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    records = [option.get_help_record(context) for option in options]
    own = {param.name for param in command.params}
    shown = [record for _, section in command.option_sections(context) for record in section]
    assert sorted(shown) == sorted(record for record in records if record is not None)
    assert bool(command.sections) or len(shown) <= MOST_TOGETHER
    for title, names in command.sections.items():
        assert title in ("Key and node", "Output") or set(names) <= own, title


def test_a_help_names_the_words_that_the_glossary_explains() -> None:
    printed = CliRunner().invoke(main, ["account", "show", "--help"], prog_name="engram").stdout
    assert "`engram glossary WORD` explains:\n  bond, claimable, maturing\n" in printed
    terms = load_terms()
    assert [word for word in TECHNICAL if find_term(terms, word) is None] == []


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=NAMES)
def test_every_command_takes_json(path: tuple[str, ...], command: click.Command) -> None:
    if path[0] not in ASKS_NOTHING and path != ("chain", "spec"):
        assert AS_JSON in [param.name for param in command.params]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=NAMES)
def test_commands_that_ask_no_node_take_no_address_of_one(
    path: tuple[str, ...], command: click.Command
) -> None:
    """An option that does nothing would let one think that the command works on another machine's node."""
    if path[0] == "db" or path in OFFLINE:
        assert "rpc" not in [param.name for param in command.params]


def test_groups_list_their_commands_whole() -> None:
    for name in COMMANDS:
        module = import_module(f"engram.commands.{name}")
        if isinstance(module.command, click.Group):
            printed = CliRunner().invoke(main, [name, "--help"], prog_name="engram").stdout
            assert "..." not in printed.partition("Commands:")[2]
            assert all(f"  {member} " in printed for member in module.command.commands)


def test_help_of_a_group_ends_with_examples_of_its_commands() -> None:
    for name in COMMANDS:
        group = import_module(f"engram.commands.{name}").command
        if isinstance(group, Group):
            examples = group.example.splitlines()
            printed = CliRunner().invoke(main, [name, "--help"], prog_name="engram").stdout
            assert [line.strip() for line in printed.splitlines()][-len(examples) :] == examples
            for line in examples:
                words = shlex.split(line)
                assert words[:2] == ["engram", name]
                alone = group.invoke_without_command and words[2].startswith("--")
                assert alone or words[2] in group.commands


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ASKS_NOTHING])
def test_help_of_a_group_imports_nothing_heavy(name: str) -> None:
    program = (
        f"import sys; from engram.cli import main; main([{name!r}, '--help'], standalone_mode=False);"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, check=True
    ).stdout
    assert printed.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=NAMES)
def test_no_option_takes_what_is_no_number(path: tuple[str, ...], command: click.Command) -> None:
    """`nan` and `inf` are numbers to Python, and `nan` passes every bound."""
    for option in command.params:
        if isinstance(option.type, click.FloatRange | click.types.FloatParamType):
            for word in ("nan", "-nan", "inf"):
                result = CliRunner().invoke(main, [*path, option.opts[0], word], prog_name="engram")
                assert result.exit_code == 64, (option.opts[0], word)
                assert f"'{option.opts[0]}'" in result.stderr, "the option is what is named"
