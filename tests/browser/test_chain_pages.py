"""Blocks, transactions, accounts, mempool, peers and the search box, in a real browser with a real node."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engram.node.config import Config
from engram.node.threaded import running_node
from tests.support.browser import Explorer
from tests.support.cli import Shell
from tests.support.dev_node import address_of, dev_spec

COINS = "12.5"


@pytest.fixture(scope="module")
def paid(shell: Shell) -> str:
    """The id of a transaction by which alice has paid bob, in a block."""
    sent = shell.json("tx", "send", address_of("bob"), COINS, "--key", "alice")
    return str(sent["txid"])


def test_from_the_blocks_to_who_was_paid(explorer: Explorer, shell: Shell, paid: str) -> None:
    """Blocks, a block, its transaction, the account: by links alone."""
    height = shell.json("tx", "status", paid)["height"]
    explorer.open("blocks", shows=".table a")
    explorer.picture("blocks")
    explorer.find(f'a[href="#/block/{height}"]').click()
    explorer.until_text("h1", f"Block {height}")
    explorer.until_text("main", f"pays {COINS} coins to")
    explorer.picture("block")
    explorer.find(f'a[href="#/tx/{paid}"]').click()
    explorer.until_text("h1", "Transfer")
    assert "included" in explorer.text()
    explorer.picture("transaction")
    explorer.find(f'main a[href="#/account/{address_of("bob")}"]').click()
    explorer.until_text("h1", "Account")
    assert "1\u202f012.5 coins" in explorer.text()
    explorer.picture("account")


def test_without_its_index_the_history_says_how_to_have_it(explorer: Explorer) -> None:
    explorer.open(f"account/{address_of('alice')}", shows=".notice code")
    assert "account_index = true" in explorer.text()


def test_a_waiting_transaction_comes_and_goes(explorer: Explorer, shell: Shell, paid: str) -> None:
    """One whose predecessor is missing waits, and says for what; the page follows the node by itself."""
    nonce = shell.json("account", "show", "alice")["next_nonce"]
    explorer.open("mempool", shows=".card")
    later = submit(shell, nonce + 1)
    explorer.until_text("main", "an earlier transaction of its sender")
    explorer.picture("mempool")
    explorer.open(f"tx/{later}", shows=".tag")
    explorer.until_text(".tag", "pending")
    explorer.until_text("main", "an earlier transaction of its sender")
    submit(shell, nonce)
    explorer.until_text(".tag", "included")


def submit(shell: Shell, nonce: int) -> str:
    payload = json.dumps({"target": "miner", "amount": 5})
    wanted = ("--key", "alice", "--nonce", str(nonce), "--max-fee", "0.01", "--tip", "0.0001")
    signed = shell.json("tx", "sign", "transfer", payload, *wanted)
    return str(shell.json("tx", "submit", signed["raw"])["txid"])


def test_what_is_no_transaction_is_said(explorer: Explorer) -> None:
    explorer.open(f"tx/{'0' * 63}1", shows=".tag")
    explorer.until_text(".tag", "unknown")


@pytest.mark.parametrize(
    "path", ["block/999999", f"block/{'ab' * 32}", "block/zz", "tx/zz", "account/nobody", "account/%00"]
)
def test_an_address_that_names_nothing_is_an_error_in_words(explorer: Explorer, path: str) -> None:
    explorer.open(path, shows="[role=alert]")
    assert explorer.text("h1") == "This page could not be shown."
    assert len(explorer.text("[role=alert]")) > 10
    explorer.find("main button")


def test_peers_are_shown(explorer: Explorer) -> None:
    explorer.open("peers", shows=".card")
    assert "No peer is connected." in explorer.text()
    explorer.picture("peers")


def search(explorer: Explorer, text: str) -> None:
    explorer.open(shows=".figure")
    explorer.find("#asked").send_keys(text + "\n")


def test_the_search_box_finds_what_is_meant(explorer: Explorer, shell: Shell, paid: str) -> None:
    header = shell.json("chain", "header", "1")
    for asked, shown in (
        ("1", "Block 1"),
        (header["id"], "Block 1"),
        (header["id"][:12], "Block 1"),
        (paid.upper(), "Transfer"),
        (paid[:16], "Transfer"),
        (address_of("bob"), "Account"),
        ("zebra", "Nothing is called zebra"),
        ("<img src=x onerror=alert(1)>", "Nothing is called <img src=x onerror=alert(1)>"),
    ):
        search(explorer, asked)
        explorer.until_text("h1", shown)


def test_no_page_is_wider_than_a_phone(explorer: Explorer, paid: str) -> None:
    for path in ("", "blocks", "block/1", f"tx/{paid}", "mempool", f"account/{address_of('bob')}", "peers"):
        explorer.resize("phone")
        explorer.open(path, shows="main h1")
        assert explorer.overflow_px() <= 0, path
    explorer.resize("desktop")


def test_by_keyboard(explorer: Explorer) -> None:
    """The first stop of Tab leads past the navigation; a page that has changed is read from its heading."""
    explorer.open(shows=".figure")
    focused = "return document.activeElement.{}"
    explorer.press("TAB")
    assert explorer.driver.execute_script(focused.format("className")) == "skip"
    explorer.press("ENTER")
    assert explorer.driver.execute_script(focused.format("id")) == "main"
    explorer.find('#nav a[href="#/peers"]').send_keys("\n")
    explorer.until_text("h1", "Peers")
    assert explorer.driver.execute_script(focused.format("tagName")) == "H1"
    assert explorer.find("#nav a[aria-current]").text == "Peers"


def test_a_history_is_read_page_by_page(explorer: Explorer, tmp_path: Path) -> None:
    """The miner's, on a node with the index; what happens meanwhile is shown when one asks for it."""
    config = Config(
        data_dir=tmp_path,
        rpc_port=0,
        p2p_port=0,
        account_index=True,
        mine=True,
        miner_address=address_of("miner"),
    )
    with running_node(config, dev_spec()) as node:
        assert node.info is not None
        shell, pages = Shell(tmp_path, {}), Explorer(explorer.driver, node.info.rpc_url)
        more = "main .card > button:not([hidden]), main .card > div > button"
        shell.text("miner", "mine", "26")
        rows = ".card .table tbody tr"
        pages.open(f"account/{address_of('miner')}", shows=more)
        assert len(pages.all(rows)) == 25
        pages.find(more).click()
        pages.until(lambda: len(pages.all(rows)) == 26)
        shell.text("miner", "mine", "1")
        pages.find(more).click()
        pages.until_text(rows, "27")
        pages.picture("history")
        pages.leave()


def test_peers_come_and_go(explorer: Explorer, tmp_path: Path) -> None:
    spec = dev_spec()
    first = Config(data_dir=tmp_path / "first", rpc_port=0, p2p_port=0)
    with running_node(first, spec) as node:
        assert node.info is not None
        pages = Explorer(explorer.driver, node.info.rpc_url)
        pages.open("peers", shows=".card")
        second = replace(first, data_dir=tmp_path / "second", peers=(f"127.0.0.1:{node.info.p2p_port}",))
        with running_node(second, spec) as other:
            assert other.info is not None
            pages.until_text(".table td", other.info.node_id[:10])
            pages.until_text(".table td", "the peer")
        pages.until_text("main", "No peer is connected.")
        pages.leave()
