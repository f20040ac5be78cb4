"""A chain and a node that put markup wherever a text can stand, in a real browser: all of it stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import engram
from engram.library.sync import SyncChain
from engram.node.config import Config
from engram.node.threaded import running_node
from tests.support.browser import Explorer
from tests.support.dev_node import dev_spec

MARKUP = "<img src=x onerror=pwned=1>"
FULL = (
    "\"'></title></script><script>pwned=1</script><img src=x onerror=pwned=1><a href=javascript:pwned=1>x</a>"
)
POISON = """
window.heard = 0;
const kept = new Set(["phase"]);
const poisoned = (value, name) => {
  if (typeof value === "string") {
    heard += 1;
    return kept.has(name) || /^-?[0-9]+$/.test(value) ? value : value + FULL;
  }
  if (Array.isArray(value)) return value.map((each) => poisoned(each, name));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, poisoned(each, key)]));
};
const listen = WebSocket.prototype.addEventListener;
WebSocket.prototype.addEventListener = function (kind, listener, ...more) {
  const changed = (event) => {
    const message = JSON.parse(event.data);
    if (message.result !== undefined) message.result = poisoned(message.result);
    if (message.error) message.error = poisoned(message.error);
    return listener({data: JSON.stringify(message)});
  };
  return listen.call(this, kind, kind === "message" ? changed : listener, ...more);
};
"""
STATE = """
const evil = [...document.querySelectorAll("script, iframe, object, embed, img, a, [style]")];
return {
  pwned: window.pwned ?? null,
  foreign: evil.filter((each) =>
    (each.localName === "script" && !each.src.endsWith("/app.js")) ||
    ["iframe", "object", "embed"].includes(each.localName) ||
    (each.localName === "img" && !each.src.endsWith("/icon.svg")) ||
    (each.localName === "a" && !each.href.startsWith(location.origin))).length,
  handlers: [...document.querySelectorAll("*")].filter((each) =>
    each.getAttributeNames().some((name) => name.startsWith("on"))).length,
  heard: window.heard ?? 0,
};
"""


@dataclass(frozen=True)
class Target:
    """A chain with something on each page, and the ids of it."""

    chain: SyncChain
    model: str
    round: str
    block: int
    tx: str


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    rng = np.random.default_rng(1)
    with engram.dev_node(("alice", "bob")) as alice:
        rows, labels = rng.integers(0, 256, (400, 64), np.uint8), np.arange(400) % 2
        opened = alice.open_round(rows, labels, sure=True, rows=40, epochs=1)
        with opened.running():
            alice.using("bob").round(opened.id).participate(rows, labels, steps=20)
        head = alice.head().height
        blocks = [alice.call("chain_block", height=height) for height in range(1, head + 1)]
        block = next(each for each in blocks if each["transactions"])
        model = opened.info()["model"]
        yield Target(alice, model, opened.id, block["height"], block["transactions"][0]["txid"])


@pytest.fixture(scope="module")
def explorer(driver: object, target: Target) -> Explorer:
    return Explorer(driver, target.chain.url)


@pytest.fixture
def poisoned(explorer: Explorer) -> Iterator[None]:
    """Every text that the node sends has markup behind it, but for what tells the phases apart."""
    source = POISON.replace("FULL", json.dumps(FULL))
    added = explorer.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    yield
    explorer.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def harmless(explorer: Explorer) -> dict[str, Any]:
    """That nothing of the page is a stranger's: what the browser has made of it."""
    state: dict[str, Any] = explorer.driver.execute_script(STATE)
    assert (state["pwned"], state["foreign"], state["handlers"]) == (None, 0, 0), state
    assert "pwned" not in explorer.driver.current_url.partition("#")[0]
    return state


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    "page",
    [
        "",
        "rounds",
        "round",
        "models",
        "model",
        "draw",
        "blocks",
        "block",
        "tx",
        "mempool",
        "account",
        "peers",
    ],
)
def test_whatever_the_node_says_is_text(explorer: Explorer, target: Target, page: str) -> None:
    ids = {
        "round": target.round,
        "model": target.model,
        "draw": target.model,
        "block": target.block,
        "tx": target.tx,
        "account": target.chain.address,
    }
    path = f"{page}/{ids[page]}" if page in ids else page
    explorer.open(path, "main h1")
    assert harmless(explorer)["heard"] > 0
    if page not in ("mempool", "peers", "draw"):  # nothing waits, nobody is connected, a canvas has no text
        assert MARKUP in explorer.driver.execute_script(
            "return document.querySelector('main').innerHTML"
        ).replace("&lt;", "<").replace("&gt;", ">"), "it is there, as text"


@pytest.mark.parametrize("page", ["search", "tx", "account", "block", "round", "model", "draw", "nothing"])
def test_whatever_stands_in_the_address_is_text(explorer: Explorer, page: str) -> None:
    explorer.open(f"{page}/{quote(FULL, safe='')}", "main h1")
    harmless(explorer)
    assert explorer.all("main script, main img, main a[href^=javascript]") == []


def test_a_chain_may_be_called_anything(explorer: Explorer, tmp_path: Path) -> None:
    """The name in a chain's file is the word of whoever gave the file away."""
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0)
    with running_node(config, replace(dev_spec(), name=MARKUP)) as node:
        assert node.info is not None
        pages = Explorer(explorer.driver, node.info.rpc_url)
        pages.open("", ".figure")
        assert pages.text("h1") == f"The chain {MARKUP}"
        harmless(pages)
        pages.leave()
