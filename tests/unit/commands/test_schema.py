"""The schemas of outputs: one for each command that takes --json, valid, strict, and of one type a name."""

import json
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

from engram.commands.support.options import AS_JSON
from engram.commands.support.shapes import FILE, PageInvalid, load_page, parse
from engram.library.words import in_words
from tests.support.cli import Shell
from tests.support.json_shapes import check_output, prints_lines
from tests.unit.commands.test_help import LEAVES

PAGE = load_page()
TAKES_JSON = {" ".join(path) for path, command in LEAVES if AS_JSON in [p.name for p in command.params]}
GROUPS = {"learn"}
"""Groups that do something without a command."""
WRITES_JSON = {"demo"}
"""Commands whose --json names a file."""


def test_every_command_that_takes_json_has_a_shape_and_no_other() -> None:
    assert set(PAGE.commands) == TAKES_JSON | GROUPS | WRITES_JSON


@pytest.mark.parametrize("command", PAGE.commands)
def test_a_schema_is_valid_and_names_what_it_refers_to(command: str) -> None:
    schema = PAGE.schema(command)
    Draft202012Validator.check_schema(schema)
    assert set(_references(schema)) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def test_every_type_is_explained_and_every_shape_used() -> None:
    schemas = json.dumps([PAGE.error(), *map(PAGE.schema, PAGE.commands)])
    assert [name for name in PAGE.texts if f'"#/$defs/{name}"' not in schemas] == []
    assert [name for name in PAGE.shapes if name != "Error" and f'"#/$defs/{name}"' not in schemas] == []
    assert [name for name in set(PAGE.fields.values()) if name not in {*PAGE.texts, *PAGE.shapes}] == []


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_the_help_says_which_commands_print_lines(path: tuple[str, ...], command: Any) -> None:
    name = " ".join(path)
    if name in TAKES_JSON:
        assert command.lines == prints_lines(name)
        assert command.lines == ("line of JSON" in _help_of_json(command))


def test_the_command_prints_the_schema_and_lists_those_there_are(fresh: Shell) -> None:
    assert json.loads(fresh.text("schema", "account", "show")) == PAGE.schema("account show")
    assert json.loads(fresh.text("schema", "error")) == PAGE.error()
    listed = fresh.text("schema").splitlines()
    assert [line.removesuffix(" (lines)") for line in listed] == list(PAGE.commands)
    assert "participate (lines)" in listed
    assert fresh.error("schema", "account") == (64, "usage")
    assert "account history" in fresh.run("schema", "account").stderr


def test_an_output_of_another_shape_is_refused() -> None:
    key = {"name": "a", "address": "leng1qq", "file": "a.key"}
    check_output(("key", "list", "--json"), json.dumps([key]))
    for wrong in ({**key, "more": 1}, {**key, "name": 1}, {"name": "a"}):
        with pytest.raises(AssertionError, match="another shape"):
            check_output(("key", "list", "--json"), json.dumps([wrong]))
    with pytest.raises(AssertionError, match="no shape"):
        check_output(("config", "--json"), "{}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("sparks: amount", "sparks: loss amount"), "two types"),
        (("key list = [Key]", "key list = [Key"), "] expected"),
        (("key list = [Key]", "key list = [Kez]"), "no type or shape Kez"),
        (("key list = [Key]", "key list = [{strange}]"), "the field strange has no type"),
        (("key list = [Key]", "key list = [Key] Key"), "not understood from here"),
    ],
)
def test_a_page_that_breaks_its_grammar_is_refused(change: tuple[str, str], said: str) -> None:
    text = FILE.read_text()
    assert change[0] in text
    with pytest.raises(PageInvalid, match=said):
        parse(text.replace(*change)).schema("key list")


def test_words_take_the_place_of_numbers() -> None:
    round_ = {"status": 1, "terms": {"kind": 1, "commitments": []}, "root": "0" * 64, "txid": "0" * 64}
    assert in_words(round_) == {
        "status": "decided",
        "terms": {"kind": "grow", "commitments": []},
        "root": None,
        "txid": "0" * 64,
    }
    receipt = {"status": 1, "fee": 3, "macs": 0, "events": []}
    assert in_words([receipt])[0]["status"] == "failed"
    assert in_words({"kind": 1, "max_fee": 1, "tip": 0})["kind"] == "transfer"
    assert in_words({"kind": 255, "max_fee": 1, "tip": 0})["kind"] == 255
    assert in_words({"policy": 2, "loss_kind": 1, "badge": 4}) == {
        "policy": "relative",
        "loss_kind": "softmax_cross_entropy",
        "badge": "founder",
    }


def _help_of_json(command: click.Command) -> str:
    (option,) = [param for param in command.params if param.name == AS_JSON]
    assert isinstance(option, click.Option)
    return option.help or ""


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return here + [found for item in value.values() for found in _references(item)]
