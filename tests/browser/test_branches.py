"""A reorganisation while pages are open, in a real browser: two real nodes mine apart and then meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engram.node.config import Config
from engram.node.threaded import running_node
from tests.support.browser import Explorer
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, write_keys
from tests.support.stage import stage_spec

BOB = address_of("bob")


@dataclass(frozen=True)
class Apart:
    """Two nodes of one chain that do not know each other."""

    shell: Shell
    url: str
    other: Shell
    other_port: int


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    folder, spec = tmp_path_factory.mktemp("nodes"), stage_spec()

    def config(name: str) -> Config:
        path: Path = folder / name
        write_keys(path)
        return Config(data_dir=path, rpc_port=0, p2p_port=0, miner_address=address_of("miner"))

    with running_node(config("here"), spec) as here, running_node(config("there"), spec) as there:
        assert here.info is not None
        assert there.info is not None
        assert there.info.p2p_port is not None
        shells = [Shell(folder / name, {"ENGRAM_PASSPHRASE": PASSPHRASE}) for name in ("here", "there")]
        yield Apart(shells[0], here.info.rpc_url, shells[1], there.info.p2p_port)


@pytest.fixture(scope="module")
def explorer(driver: object, apart: Apart) -> Explorer:
    return Explorer(driver, apart.url)


class Tabs:
    """Pages that are open at the same time."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer, self.driver = explorer, explorer.driver
        self.first: str = self.driver.current_window_handle
        self.handles: dict[str, str] = {}

    def open(self, path: str, shows: str) -> None:
        self.driver.switch_to.new_window("tab")
        self.handles[path] = self.driver.current_window_handle
        self.explorer.open(path, shows)

    def look(self, path: str, see: Callable[[], object]) -> None:
        self.driver.switch_to.window(self.handles[path])
        see()

    def close(self) -> None:
        for handle in self.handles.values():
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(self.first)


def pay(shell: Shell) -> str:
    """Hands in a payment of alice to bob; the transaction's id."""
    payload = json.dumps({"target": BOB, "amount": 700_000_000})
    wanted = ("--key", "alice", "--nonce", "0", "--max-fee", "0.01", "--tip", "0.0001")
    signed = shell.json("tx", "sign", "transfer", payload, *wanted)
    return str(shell.json("tx", "submit", signed["raw"])["txid"])


def test_pages_follow_the_chain_to_another_branch(explorer: Explorer, apart: Apart) -> None:
    apart.shell.text("miner", "mine", "1")
    paid = pay(apart.shell)
    left: list[dict[str, Any]] = apart.shell.json("miner", "mine", "1")
    assert apart.shell.json("tx", "status", paid)["status"] == "included"
    apart.other.text("miner", "mine", "4")
    joined = apart.other.json("chain", "header", "2")["id"]
    by_id, payment, account = f"block/{left[0]['id']}", f"tx/{paid}", f"account/{BOB}"
    tabs = Tabs(explorer)
    try:
        tabs.open("", ".figure")
        tabs.open("blocks", ".table a")
        explorer.until_text(".table td", left[0]["id"][:10])
        tabs.open("block/2", ".facts")
        explorer.until_text("main", left[0]["id"])
        tabs.open(by_id, ".facts")
        explorer.until_text(".tag", "the head of the chain")
        tabs.open(payment, ".tag")
        explorer.until_text(".tag", "included")
        tabs.open(account, ".facts")
        explorer.until_text(".facts", "1\u202f007 coins")

        apart.shell.text("peer", "add", f"127.0.0.1:{apart.other_port}")

        tabs.look("", lambda: explorer.until_text(".figure .value", "4"))
        tabs.look("blocks", lambda: explorer.until_text(".table td", joined[:10]))
        assert left[0]["id"][:10] not in explorer.text()
        tabs.look("block/2", lambda: explorer.until_text("main", joined))
        assert "2 blocks on top of it" in explorer.text()
        tabs.look(by_id, lambda: explorer.until_text(".tag", "not on the best chain"))
        explorer.until_text("main", left[0]["id"])
        explorer.picture("block-lost")
        tabs.look(payment, lambda: explorer.until_text(".tag", "pending"))
        assert "Waits for" in explorer.text()
        tabs.look(account, lambda: explorer.until_text(".facts", "1\u202f000 coins"))

        apart.shell.text("miner", "mine", "1")
        tabs.look(payment, lambda: explorer.until_text(".tag", "included"))
        explorer.until_text("main .facts a", "5")
        tabs.look(account, lambda: explorer.until_text(".facts", "1\u202f007 coins"))
    finally:
        tabs.close()
