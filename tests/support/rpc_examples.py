"""Records an example of every RPC method and topic on real nodes: `python -m tests.support.rpc_examples`.

It writes docs/rpc/examples.json and events.json, which `rpc_reference` prints. Every answer and message is
what a node has sent, unchanged, but for the folder of its data, in whose place another one stands, and for
`rpc.discover` and `rpc_methods`, of which a few methods stand for all.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from engram.consensus.chainspec import load_spec
from engram.library.nodes import dev_node
from engram.node.config import Config
from engram.node.datadir import find_run_info
from engram.node.node import Node
from engram.node.rpc.events import TOPICS
from engram.node.threaded import running_node
from engram.participant.datasets import load
from engram.primitives.codec import encode
from engram.primitives.keys import PrivateKey
from engram.statemachine.records import Model
from engram.statemachine.transaction import sign
from engram.statemachine.transactions import TX_TYPES
from engram.statemachine.transactions.transfer import Transfer
from tests.support.cli import Shell
from tests.support.dev_node import SEEDS, address_of
from tests.support.played_scene import HIGH, LOW, Scene, actor, played_scene
from tests.support.refuted_claim import LIAR, PlayedLie, refuted_claim
from tests.support.round_matter import ALICE
from tests.support.rpc_shapes import result_types, validator
from tests.support.source_tree import ROOT

FILE: Final = ROOT / "docs/rpc/examples.json"
EVENTS: Final = ROOT / "docs/rpc/events.json"
"""A message of each topic."""
FOLDER: Final = "/home/me/engram"
"""What stands in the examples for the folder of the node's data."""
SHOWN_METHODS: Final = 2

Json = dict[str, Any]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Asker:
    """Sends requests to the node of a data directory, with its token, and keeps what it has answered."""

    folder: Path
    found: dict[str, Json]

    def __call__(self, method: str, params: Params | None = None) -> Any:
        """The answer, as the node has sent it. Raises `AssertionError` if it is an error."""
        return asyncio.run(self._ask(method, dict(params or {})))

    async def _ask(self, method: str, params: Json) -> Any:
        running = find_run_info(self.folder)
        assert running is not None, "the node runs"
        token = (self.folder / "rpc.token").read_text().strip()
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(running.rpc_url, json=request) as response,
        ):
            reply = json.loads(await response.text())
        assert "result" in reply, f"{method} is refused: {reply}"
        self.keep(method, params, reply["result"])
        return reply["result"]

    def keep(self, method: str, params: Json, result: Any) -> None:
        """Keeps an answer; the first one to a method stays."""
        text = json.dumps({"params": params, "result": result}).replace(str(self.folder), FOLDER)
        self.found.setdefault(method, json.loads(text))


def record() -> dict[str, Json]:
    """An example of every method, by its name: the `params` of a request, and its `result`."""
    found: dict[str, Json] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with played_scene(_made(place / "scene")) as scene, _neighbour(place, scene):
            ask = Asker(scene.shell.data_dir, found)
            _rounds_and_models(ask, scene)
            _blocks_and_transactions(ask)
            _peers(ask, place / "other")
            _node(ask)
            asyncio.run(_subscriptions(ask))
            ask("node_stop")
        with refuted_claim(_made(place / "claims")) as refuted:
            _claims(Asker(place / "claims", found), refuted)
        with dev_node(("alice",), folder=_made(place / "dev")):
            _development(Asker(place / "dev", found))
    for name, of in (("rpc.discover", "methods"), ("rpc_methods", None)):
        result = found[name]["result"]
        if of is None:
            found[name]["result"] = result[:SHOWN_METHODS]
        else:
            kept = {each: result[each] for each in ("openrpc", "info")}
            found[name]["result"] = {**kept, of: result[of][:SHOWN_METHODS]}
    return dict(sorted(found.items()))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _neighbour(place: Path, scene: Scene) -> AbstractContextManager[Node]:
    """Another node of the scene's chain, which keeps an index of accounts."""
    spec = load_spec(json.dumps(scene.shell.json("chain", "spec")))
    config = Config(data_dir=_made(place / "other"), rpc_port=0, p2p_port=0, account_index=True)
    return running_node(config, spec)


def _rounds_and_models(ask: Asker, scene: Scene) -> None:
    model, trained, growing = (
        each.hex() for each in (scene.rounds.model, scene.rounds.trained, scene.rounds.growing)
    )
    ask("round_list", {"model": model})
    ask("round_get", {"id": trained})
    ask("round_candidates", {"id": growing})
    ask("round_verdicts", {"id": trained})
    for method in ("round_commits", "round_outcomes"):
        ask(method, {"id": trained})
    ask("model_list")
    for method in ("model_get", "model_versions", "model_scores", "model_badges", "model_reputation"):
        ask(method, {"id": model})
    ask("model_version", {"id": model, "version": 1})
    ask("model_line", {"id": model, "version": 1})
    ask("model_predict", {"id": model, "rows": [HIGH, LOW], "explain": True})
    ask("model_prove", {"id": model, "version": 1, "confirmations": 1})
    opened = ask("round_get", {"id": trained})["validation_opened"][0]["commitment"]
    part = ask("part_get", {"id": opened})
    ask("part_bytes", {"contents": [part["blob"], "00" * 32]})
    ask("record_get", {"kind": Model.KIND, "key": model})
    author = {"address": actor(ALICE)}
    for method in ("account_get", "account_updates", "account_standing"):
        ask(method, author)


def _claims(ask: Asker, refuted: PlayedLie) -> None:
    for method in ("round_claims", "round_failures"):
        ask(method, {"id": refuted.round})
    ask("round_claimed_rows", {"id": refuted.round, "epoch": 0, "author": LIAR})


def _blocks_and_transactions(ask: Asker) -> None:
    ask("miner_status")
    ask("miner_stop")
    chain_id = int(ask("node_info")["chain_id"])
    nonce = ask("account_get", {"address": address_of("bob")})["next_nonce"]
    payload = Transfer(PrivateKey.from_seed(SEEDS["alice"]).address, 5)
    tx = sign(PrivateKey.from_seed(SEEDS["bob"]), chain_id, int(nonce), 20_000, 0, payload)
    txid = ask("tx_submit", {"raw": encode(tx).hex()})["txid"]
    ask("mempool_info")
    ask("mempool_list")
    ask("miner_mine", {"blocks": 1})
    ask("miner_start")
    ask("tx_status", {"txid": txid})
    ask("tx_get", {"txid": txid})
    kind = next(number for number, cls in TX_TYPES.items() if cls is Transfer)
    ask("tx_estimate", {"kind": kind, "payload": encode(payload).hex(), "sender": address_of("bob")})
    head = ask("chain_head")
    ask("state_nodes", {"ids": [head["state_root"]]})
    ask("chain_block", {"height": head["height"]})
    ask("chain_header", {"height": 0})
    ask("chain_headers", {"first": 0, "count": 2})
    ask("chain_find", {"kind": "block", "beginning": head["id"][:8]})
    ask("chain_reorgs")
    ask("chain_spec")


def _peers(ask: Asker, other: Path) -> None:
    running = find_run_info(other)
    assert running is not None
    address = f"127.0.0.1:{running.p2p_port}"
    ask("peer_add", {"address": address})
    height = ask("chain_head")["height"]
    Shell(other, {}).json("chain", "wait", "--height", str(height))
    Asker(other, ask.found)("account_history", {"address": actor(ALICE), "limit": 2})
    (peer,) = ask("peer_list")
    ask("peer_info", {"peer": peer["id"]})
    ask("peer_targets")
    ask("peer_addresses", {"entries": True})
    ask("peer_ban", {"subject": "192.0.2.7", "seconds": 600, "reason": "floods"})
    ask("peer_bans")
    ask("peer_unban", {"subject": "192.0.2.7"})
    ask("peer_remove", {"address": address})


def _node(ask: Asker) -> None:
    for method in ("node_info", "node_status", "rpc_methods", "rpc.discover", "miner_pace"):
        ask(method)
    ask("node_log_level", {"level": "info"})
    ask("node_profile", {"seconds": 1})


async def _subscriptions(ask: Asker) -> None:
    running = find_run_info(ask.folder)
    assert running is not None
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(running.rpc_url.replace("http", "ws", 1).rstrip("/") + "/ws") as socket,
    ):
        params: Json = {"topics": ["heads", "rounds"]}
        for method in ("subscribe", "unsubscribe"):
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            reply = json.loads((await socket.receive()).data)
            ask.keep(method, params, reply["result"])
            params = {"subscription": reply["result"]}


def _development(ask: Asker) -> None:
    start = ask("dev_snapshot")
    Shell(ask.folder, {"ENGRAM_PASSPHRASE": "a phrase"}).json("key", "new", "carol")
    ask("dev_names")
    ask("dev_advance", {"ticks": 3})
    ask("dev_revert", {"id": start["id"]})
    ask("miner_muster", {"programs": 2})


def record_events() -> dict[str, Json]:
    """A message of every topic, as a client gets it: what comes first when a model is founded, a program asks
    for a muster and a peer connects.
    """
    data = load("digits").of_classes(range(2))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with dev_node(("alice",), folder=_made(place / "dev")) as chain:
            other = Config(data_dir=_made(place / "other"), rpc_port=0, p2p_port=0)
            with running_node(other, chain.spec()) as node:
                assert node.info is not None
                peer = f"127.0.0.1:{node.info.p2p_port}"

                def act() -> None:
                    Asker(place / "dev", {})("peer_add", {"address": peer})
                    chain.open_round(data.features, data.labels, hidden=(8,), wait_for=2)

                return asyncio.run(_messages(chain.url, act))


async def _messages(url: str, act: Callable[[], None]) -> dict[str, Json]:
    """The first message of every topic that comes from a node while somebody acts."""
    found: dict[str, Json] = {}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url.replace("http", "ws", 1).rstrip("/") + "/ws") as socket,
    ):
        params = {"topics": list(TOPICS)}
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params})
        await socket.receive()
        acting = asyncio.create_task(asyncio.to_thread(act))
        while found.keys() != set(TOPICS):
            message: Json = json.loads((await socket.receive()).data)
            found.setdefault(message["params"]["topic"], message)
        await acting
    return {name: found[name] for name in TOPICS}


def main() -> None:
    """Writes the examples. One that was recorded before stays while answers still have its form."""
    _write_events()
    kept: dict[str, Json] = json.loads(FILE.read_text()) if FILE.exists() else {}
    found = {
        name: kept[name] if name in kept and _is_alike(name, kept[name], fresh) else fresh
        for name, fresh in record().items()
    }
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _write_events() -> None:
    kept: dict[str, Json] = json.loads(EVENTS.read_text()) if EVENTS.exists() else {}
    alike = kept.keys() == set(TOPICS) and all(
        validator(f"topic {name}").is_valid(message["params"]["result"]) for name, message in kept.items()
    )
    if not alike:
        EVENTS.write_text(json.dumps(record_events(), indent=1) + "\n")


def _is_alike(name: str, old: Json, fresh: Json) -> bool:
    """Whether an example of before has the parameters of a new one, and an answer of today's form."""
    known: bool = name not in result_types() or validator(name).is_valid(old["result"])
    return known and set(old["params"]) == set(fresh["params"])


if __name__ == "__main__":
    main()
