"""Rows that are no pictures, typed and pasted into the fields of the prediction page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import engram
from engram.library.sync import SyncModel
from tests.support.browser import Explorer

INPUTS = 5
LOGITS = '[aria-label="Whose neurons made the answer"]'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, SyncModel]]:
    """The address of a node, and a model of five numbers that its chain holds."""
    folder: Path = tmp_path_factory.mktemp("node")
    with engram.dev_node(("alice",), folder=folder) as alice:
        rows = np.random.default_rng(1).integers(0, 256, (400, INPUTS), np.uint8)
        alice.open_round(rows, np.arange(400) % 2, sure=True)
        yield alice.url, alice.model()


@pytest.fixture(scope="module")
def explorer(driver: object, model: tuple[str, SyncModel]) -> Explorer:
    return Explorer(driver, model[0])


def test_numbers_are_typed_one_after_the_other_and_pasted(
    explorer: Explorer, model: tuple[str, SyncModel]
) -> None:
    """The fields are the same after each answer: whoever leaves one by Tab goes on typing in the next."""
    from selenium.webdriver.common.keys import Keys

    explorer.open(f"draw/{model[1].id}", ".fields input")
    explorer.until_text(".said", "All numbers are 0.")
    explorer.find(".fields label:nth-child(1) input").send_keys(Keys.CONTROL, "a", Keys.NULL, "11", Keys.TAB)
    explorer.driver.switch_to.active_element.send_keys("12", Keys.TAB)
    explorer.driver.switch_to.active_element.send_keys("13", Keys.TAB)
    assert numbers(explorer) == ["11", "12", "13", "0", "0"]
    until_answered(explorer, model[1], [11, 12, 13, 0, 0])
    fourth = "document.querySelector('.fields label:nth-child(4) input')"
    assert explorer.driver.execute_script(f"return document.activeElement === {fourth}")

    paste(explorer, 2, "7, 8 300;9 10")
    assert numbers(explorer) == ["11", "7", "8", "255", "9"]
    until_answered(explorer, model[1], [11, 7, 8, 255, 9])
    assert "4 numbers were pasted, from number 2 on; 1 more found no field." in explorer.text()
    paste(explorer, 1, "1, x")
    assert numbers(explorer) == ["11", "7", "8", "255", "9"]
    assert 'Nothing was pasted: "x" is no number.' in explorer.text()


def numbers(explorer: Explorer) -> list[str]:
    """What stands in the fields of a row."""
    script = "return [...document.querySelectorAll('.fields input')].map((each) => each.value)"
    return list(explorer.driver.execute_script(script))


def paste(explorer: Explorer, field: int, text: str) -> None:
    """Pastes a text into a field, which count from 1."""
    script = """
      const data = new DataTransfer();
      data.setData("text", arguments[1]);
      const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      document.querySelectorAll(".fields input")[arguments[0] - 1].dispatchEvent(event);"""
    explorer.driver.execute_script(script, field, text)


def until_answered(explorer: Explorer, model: SyncModel, row: list[int]) -> None:
    """Waits until the page shows what the model answers to this row."""
    logits = [int(each) for each in model.pull().logits(np.array([row], np.uint8))[0]]
    explorer.until_text(LOGITS, f"{max(logits):+,}".replace(",", "\u202f"))
