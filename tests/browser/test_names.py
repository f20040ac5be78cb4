"""The reader's address book and what is said of a chain without work, in a real browser with a real node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import engram
from engram.library.sync import SyncChain
from tests.support.browser import Explorer
from tests.support.cli import Shell
from tests.support.dev_node import address_of

BOB = address_of("bob")
MARKUP = "<img src=x onerror=document.title='pwned'>"
STORED = "return localStorage.getItem('engram.names')"


@pytest.fixture(autouse=True)
def empty_book(explorer: Explorer) -> Iterator[None]:
    """Every test begins and ends without names."""
    explorer.open("names")
    explorer.driver.execute_script("localStorage.clear()")
    explorer.open("names")
    yield
    explorer.driver.execute_script("localStorage.clear()")


def name(explorer: Explorer, text: str) -> None:
    """Types a name of the account whose page is open."""
    field = explorer.find(".naming input")
    field.clear()
    field.send_keys(text + "\n")


def test_a_name_stands_wherever_the_address_does(explorer: Explorer, shell: Shell) -> None:
    sent = shell.json("tx", "send", BOB, "3", "--key", "alice")
    explorer.open(f"account/{BOB}", ".naming input")
    assert explorer.text("h1") == "Account"
    name(explorer, "  Bob   of the lab ")
    explorer.until_text("h1", "Account Bob of the lab")
    explorer.picture("account-named")
    explorer.open(f"tx/{sent['txid']}", ".facts")
    assert "pays 3 coins to Bob of the lab." in explorer.text()
    link = explorer.find("main a.named")
    assert link.get_attribute("title") == BOB, "the address is one hover away"
    assert f"Bob of the lab ({BOB})" in explorer.text(), "where addresses stand in full, both do"
    explorer.open(f"block/{sent['height']}", ".table a")
    explorer.until_text(".table td", "pays 3 coins to Bob of the lab")
    explorer.open("names", ".table a")
    assert explorer.text(".table a") == "Bob of the lab"
    explorer.picture("names")
    explorer.resize("phone")
    assert explorer.overflow_px() <= 0
    explorer.resize("desktop")
    explorer.find("#asked").send_keys("bob of THE lab\n")
    explorer.until_text("h1", "Account Bob of the lab")
    explorer.find(".naming button[type=button]").click()
    explorer.until(lambda: explorer.text("h1") == "Account")
    explorer.open("names")
    assert "No address has a name yet." in explorer.text()
    assert json.loads(explorer.driver.execute_script(STORED)) == {}


def test_a_name_is_text_and_names_one_address(explorer: Explorer) -> None:
    """Markup stays text; what would let one address look like another is refused or removed."""
    explorer.open(f"account/{BOB}", ".naming input")
    name(explorer, MARKUP[:40])
    explorer.until_text("h1", MARKUP[:40])
    assert explorer.all("main img") == []
    name(explorer, "")
    explorer.until_text(".naming .bad", "Type a name")
    name(explorer, BOB)
    explorer.until_text(".naming .bad", "must not look like an address")
    explorer.driver.execute_script("arguments[0].value = 'b\\u202eob\\u200b'", explorer.find(".naming input"))
    explorer.find(".naming button[type=submit]").click()
    explorer.until(lambda: explorer.text("h1") == "Account bob")
    explorer.open(f"account/{address_of('alice')}", ".naming input")
    name(explorer, "BOB")
    explorer.until_text(".naming .bad", "Another address has this name")
    assert explorer.text("h1") == "Account"
    explorer.open("names", "#address")
    explorer.find("#address").send_keys("nobody")
    explorer.find("#name").send_keys("somebody\n")
    explorer.until_text("[role=alert]", "This is no address")
    assert "pwned" not in explorer.driver.title


@pytest.mark.parametrize(
    "stored",
    ["{", "null", "[]", "7", '{"nobody": "x"}', f'{{"{BOB}": 7}}', f'{{"{BOB}": {{"toString": 1}}}}'],
)
def test_a_damaged_book_is_an_empty_one(explorer: Explorer, stored: str) -> None:
    explorer.driver.execute_script("localStorage.setItem('engram.names', arguments[0])", stored)
    explorer.open("names", ".naming")
    assert "No address has a name yet." in explorer.text()
    explorer.open(f"account/{BOB}", ".naming input")
    name(explorer, "bob")
    explorer.until_text("h1", "Account bob")


def test_a_name_given_on_another_tab_comes_to_this_one(explorer: Explorer, shell: Shell) -> None:
    shell.text("tx", "send", BOB, "1", "--key", "alice")
    explorer.open(f"account/{BOB}", ".naming input")
    driver: Any = explorer.driver
    here = driver.current_window_handle
    driver.switch_to.new_window("tab")
    try:
        explorer.open(f"account/{BOB}", ".naming input")
        name(explorer, "twin")
        explorer.until_text("h1", "Account twin")
    finally:
        driver.close()
        driver.switch_to.window(here)
    explorer.until_text("h1", "Account twin")


def test_a_chain_with_work_has_no_warning(explorer: Explorer, shell: Shell) -> None:
    shell.text("miner", "mine", "1")
    explorer.open(shows=".figure")
    assert "Work on the chain\n" in explorer.text()
    assert "Work on the chain\nnone" not in explorer.text()
    explorer.open("block/1", ".facts")
    assert "Work up to it" in explorer.text()
    assert explorer.find("#work").text == ""


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[SyncChain]:
    with engram.dev_node(("alice", "bob")) as chain:
        yield chain


def test_accounts_that_a_program_has_named_have_their_names(explorer: Explorer, rehearsal: SyncChain) -> None:
    """Their keys are in no file: the node knows their names from the program that runs it."""
    pages = Explorer(explorer.driver, rehearsal.url)
    pages.open("names", ".table a")
    pages.until_text(".table", "bob")
    assert {each.text for each in pages.all(".table a")} >= {"alice", "bob", "miner"}
    pages.find("#asked").send_keys("bob\n")
    pages.until_text("h1", "Account bob")


def test_keys_of_a_chain_for_development_have_their_names(explorer: Explorer, rehearsal: SyncChain) -> None:
    """Seen: who had just named keys read addresses on the page of `engram run --dev`."""
    user = Shell(rehearsal.call("node_info")["data_dir"], {"ENGRAM_PASSPHRASE": "a phrase"})
    carol = user.json("key", "new", "carol")["address"]
    pages = Explorer(explorer.driver, rehearsal.url)
    pages.open(f"account/{carol}", ".naming input")
    pages.until_text("h1", "Account carol")
    assert "what the node's operator calls the key" in pages.text(".naming")
    assert not pages.find(".naming button[type=button]").is_displayed(), "there is nothing to forget"
    name(pages, "Carol of the lab")
    pages.until_text("h1", "Account Carol of the lab")
    pages.find(".naming button[type=button]").click()
    pages.until_text("h1", "Account carol")
    dave = user.json("key", "new", "dave")["address"]
    pages.open("names", ".table a")
    pages.until_text(".table", "dave")
    assert "the node's key" in pages.text(".table")
    pages.picture("names-of-dev-keys")
    pages.find("#asked").send_keys("DAVE\n")
    pages.until_text("h1", "Account dave")
    assert pages.driver.execute_script(STORED) in (None, "{}"), "such names are not kept"
    pages.open(f"account/{dave}", ".naming input")
    pages.until_text("h1", "Account dave")


@pytest.mark.parametrize("path", ["", "block/0", "rounds", "names"])
def test_a_chain_without_work_says_so_on_every_page(
    explorer: Explorer, rehearsal: SyncChain, path: str
) -> None:
    pages = Explorer(explorer.driver, rehearsal.url)
    pages.open(path, "#work .notice")
    assert "cost no work" in pages.text("#work")
    assert "can rewrite it" in pages.text("#work")
    shown = pages.text()
    assert "hashes" not in shown
    if not path:
        assert "Work on the chain\nnone" in shown
        pages.picture("no-work")
