"""A browser for all tests of pages, and a node with its explorer for each module; else all are skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Explorer, browser, why_not
from tests.support.cli import Shell
from tests.support.dev_node import served_shell

MISSING = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MISSING:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="session")
def driver() -> Iterator[object]:
    with browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that mines when transactions wait."""
    with served_shell(tmp_path_factory.mktemp("node")) as shell:
        yield shell


@pytest.fixture(scope="module")
def explorer(driver: object, shell: Shell) -> Explorer:
    """The explorer of the node."""
    url = f"http://127.0.0.1:{shell.json('rpc', 'node_info')['rpc_port']}"
    return Explorer(driver, url)


@pytest.fixture(autouse=True)
def no_complaint(explorer: Explorer) -> Iterator[None]:
    """No page may cause an error, or ask for what the policy forbids."""
    explorer.complaints()
    yield
    found = explorer.complaints()
    explorer.leave()
    assert found == []
