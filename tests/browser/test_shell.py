"""The explorer's frame in a real browser: overview, navigation, and what happens as blocks come."""

from tests.support.browser import Explorer
from tests.support.cli import Shell


def test_the_overview_follows_the_chain(explorer: Explorer, shell: Shell) -> None:
    explorer.open(shows=".figure")
    assert "Connecting" not in explorer.text("#state")
    height = shell.json("chain", "head")["height"]
    shell.text("miner", "mine", "1")
    explorer.until_text(".figure .value", str(height + 1))
    explorer.picture("overview")


def test_a_page_that_is_not_there_is_said(explorer: Explorer) -> None:
    explorer.open("nothing/here")
    assert "no such page" in explorer.text("h1")
    explorer.find("#nav a").click()
    explorer.find(".figure")
