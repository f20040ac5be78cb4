"""`engram account history` against a real node with an index of accounts."""

from collections.abc import Iterator
from typing import Any

import pytest

from engram.node.config import Config
from engram.node.threaded import running_node
from engram.participant.coins import SPARKS_PER_COIN
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, dev_spec, write_keys

pytestmark = pytest.mark.xdist_group("cli_history")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a node that has mined three blocks, each with a payment of Alice to Bob."""
    directory = tmp_path_factory.mktemp("node")
    write_keys(directory)
    config = Config(
        data_dir=directory,
        rpc_port=0,
        p2p_port=0,
        mine=True,
        miner_address=address_of("miner"),
        account_index=True,
    )
    with running_node(config, dev_spec()):
        shell = Shell(directory, {"ENGRAM_PASSPHRASE": PASSPHRASE})
        for amount in ("1", "2", "3"):
            shell.text("tx", "send", "bob", amount, "--key", "alice")
        yield shell


def amounts(page: dict[str, Any], name: str) -> list[int]:
    return [entry[name] // SPARKS_PER_COIN for entry in page["entries"]]


def test_each_side_of_a_payment_is_told(served: Shell) -> None:
    bob = served.json("account", "history", "bob")
    assert amounts(bob, "received") == [3, 2, 1, 1_000]
    began = bob["entries"][-1]
    assert (began["kind"], began["roles"], began["height"], began["txid"]) == (
        "genesis",
        ["genesis"],
        0,
        None,
    )
    assert (bob["next"], bob["from_height"], bob["to_height"]) == (None, 1, 3)
    assert bob["address"] == address_of("bob")
    latest = bob["entries"][0]
    assert latest["roles"] == ["recipient"]
    assert (latest["kind"], latest["status"], latest["fee"]) == ("transfer", "ok", 0)
    assert latest["other"] == address_of("alice")
    alice = served.json("account", "history", "alice")
    assert amounts(alice, "sent") == [3, 2, 1, 0]
    assert [entry["nonce"] for entry in alice["entries"]] == [2, 1, 0, None]
    flow = sum(entry["received"] - entry["sent"] - entry["fee"] for entry in alice["entries"])
    assert flow == served.json("account", "show", "alice")["balance"]
    receipt = served.json("tx", "show", latest["txid"])["receipt"]
    assert alice["entries"][0]["fee"] == receipt["fee"]
    assert alice["entries"][0]["txid"] == latest["txid"]
    block = served.json("chain", "block", "3")
    assert (latest["block"], latest["timestamp_ms"]) == (block["id"], block["timestamp_ms"])
    mined = served.json("account", "history", "miner", "--limit", "1")
    assert mined["entries"][0]["kind"] == "mining"
    assert mined["entries"][0]["reward"] == served.json("account", "show", "miner")["maturing"][-1]["amount"]
    assert mined["next"] == "3.mined"


def test_pages_follow_each_other(served: Shell) -> None:
    first = served.json("account", "history", "bob", "--limit", "2")
    assert first["next"] == "2.0"
    second = served.json("account", "history", "bob", "--before", first["next"])
    assert amounts(second, "received") == [1, 1_000]
    assert amounts(served.json("account", "history", "bob", "--before", "3"), "received") == [2, 1, 1_000]
    assert served.error("account", "history", "bob", "--before", "3.x") == (65, "history_page_invalid")
    assert served.error("rpc", "account_history", f"address={address_of('bob')}", "limit=1001") == (
        65,
        "history_page_invalid",
    )


def test_people_read_a_table(served: Shell) -> None:
    shown = served.run("account", "history", "bob", "--limit", "2")
    lines = shown.stdout.splitlines()
    assert lines[0].split() == [
        "place",
        "time",
        "(UTC)",
        "kind",
        "as",
        "in",
        "out",
        "reward",
        "fee",
        "status",
        "with",
        "id",
    ]
    assert lines[1].split()[0] == "3.0"
    assert " alice " in lines[1]
    assert "--before 2.0" in shown.stderr
    assert served.text("account", "history", "bob", "--before", "0") == (
        "no block that is indexed names this account\n"
    )
    assert served.json("status")["account_index"] == {"from_height": 1, "to_height": 3}
    assert "account index  blocks 1 to 3" in served.text("status")
