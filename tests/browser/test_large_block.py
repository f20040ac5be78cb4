"""A block with more than anybody wants to see at once, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Explorer
from tests.support.large_blocks import LARGE, mixed_block, serving
from tests.support.memory_chain import MemoryChain

TRANSFERS = 150
PAGE = 100


@pytest.fixture(scope="module")
def explorer(driver: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    chain = MemoryChain(LARGE)
    mixed_block(chain, TRANSFERS)
    with serving(tmp_path_factory.mktemp("node"), chain) as url:
        yield Explorer(driver, url)


def test_a_block_is_shown_page_by_page(explorer: Explorer) -> None:
    rows = ".table tbody tr"
    explorer.open("block/1", shows=rows)
    assert f"{TRANSFERS + 1} transactions" in explorer.text()
    assert len(explorer.all(rows)) == PAGE
    explorer.picture("block-large")
    explorer.find('nav[aria-label="More transactions"] a').click()
    explorer.until(lambda: len(explorer.all(rows)) == TRANSFERS + 1 - PAGE)
    assert f"{PAGE + 1} to {TRANSFERS + 1} of {TRANSFERS + 1}" in explorer.text()
    explorer.find('nav[aria-label="More transactions"] a').click()
    explorer.until(lambda: len(explorer.all(rows)) == PAGE)


def test_of_a_large_value_the_beginning_is_shown(explorer: Explorer) -> None:
    explorer.open("block/1", shows=".table tbody tr")
    explorer.find(".table tbody tr:first-child a").click()
    explorer.until_text("h1", "Publish chunk")
    assert "… (this is its beginning)" in explorer.text()
    assert "256.2 KiB" in explorer.text(), "its whole size is told"
