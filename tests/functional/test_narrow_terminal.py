"""In a terminal of 80 columns, no line of a command's table or fields is longer, and no title is broken."""

from __future__ import annotations

import click
import pytest
from click.testing import _NamedTextIOWrapper

from tests.support.played_scene import HIGH, LOW, Scene, row

pytestmark = pytest.mark.xdist_group("cli_model")
WIDTH = 80
TABLES = (
    *("model list", "model versions", "model history", "model scores", "model badges", "model reputation"),
    *("round list", "round candidates", "round parts", "round show {trained} --why", "chain headers"),
    *("key list", "config show", f"model predict --row {row(LOW)} --row {row(HIGH)}"),
)
FIELDS = ("model show", "round show", "round show {trained}", "status", "miner status", "node info")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda self: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def lines_of(scene: Scene, command: str) -> list[str]:
    result = scene.shell.run(*command.format(trained=scene.rounds.trained.hex()).split())
    assert result.exit_code == 0, result.output
    return click.unstyle(result.stdout).splitlines()


@pytest.mark.parametrize("command", TABLES)
def test_a_table_fits_and_its_titles_stand_in_one_line(scene: Scene, command: str) -> None:
    lines = lines_of(scene, command)
    assert len(lines) > 1, "the scene has rows for every table"
    assert [line for line in lines if len(line) > WIDTH] == []
    assert not lines[0].startswith(" " * 12), "titles are broken over two lines"


@pytest.mark.parametrize("command", FIELDS)
def test_fields_are_broken_between_words(scene: Scene, command: str) -> None:
    lines = lines_of(scene, command)
    assert [line for line in lines if len(line) > WIDTH] == []
    assert lines[0][0] != " "
