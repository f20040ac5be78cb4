"""Commands against a real node that mines on demand: coins, transactions, blocks, miner, peers."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engram.commands.support.output import short
from engram.consensus.chainspec import ChainSpec, chain_id, load_spec, spec_id
from engram.node.config import Config
from engram.node.datadir import write_spec
from engram.node.node import Node
from engram.node.threaded import running_node
from engram.participant.coins import format_coins
from engram.primitives.codec import encode
from engram.primitives.keys import PrivateKey
from engram.statemachine.transaction import sign
from engram.statemachine.transactions.transfer import Transfer
from tests.support.cli import Shell
from tests.support.dev_node import SEEDS, address_of, dev_spec, served_shell, write_keys
from tests.support.round_matter import COIN, PURSE
from tests.support.until import until

pytestmark = pytest.mark.xdist_group("cli_node")
NOWHERE = "00" * 32


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a running node; every test leaves the miner on."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture
def idle(shell: Shell) -> Iterator[Shell]:
    """A user whose node does not mine unless it is told to."""
    shell.text("miner", "stop")
    yield shell
    shell.text("miner", "start")


def balance(shell: Shell, account: str) -> int:
    return int(shell.json("account", "show", account)["balance"])


def test_coins_are_sent_and_arrive(shell: Shell) -> None:
    before = balance(shell, "alice"), balance(shell, "bob")
    sent = shell.json("tx", "send", "bob", "12.5", "--key", "alice")
    assert sent["status"] == "included"
    fee = sent["receipt"]["fee"]
    assert balance(shell, "alice") == before[0] - 1_250_000_000 - fee
    assert balance(shell, "bob") == before[1] + 1_250_000_000
    assert shell.json("tx", "status", sent["txid"]) == sent
    shown = shell.json("tx", "show", sent["txid"])
    assert shown["payload"] == {"target": address_of("bob"), "amount": 1_250_000_000}
    assert shown["sender"] == address_of("alice")
    block = shell.json("chain", "block", str(sent["height"]))
    assert [tx["txid"] for tx in block["transactions"]] == [sent["txid"]]
    assert shell.json("chain", "block", sent["block"]) == block


def test_what_people_read_of_a_transfer(shell: Shell) -> None:
    address = address_of("bob")
    result = shell.run("tx", "send", address, "0.25", "--key", "alice", "--max-fee", "0.5", "--tip", "0.25")
    assert result.exit_code == 0
    fields = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert fields["status"] == "included"
    assert fields["fee"] == "0.2501024", "the tip and the least that any transaction pays"
    assert fields["txid"] in result.stderr, "people are told what is waited for"
    assert "    amount  0.25\n" in shell.text("chain", "block", fields["height"])
    assert "  amount  0.25\n" in shell.text("tx", "show", fields["txid"])
    account = dict(line.split() for line in shell.text("account", "show", "bob").splitlines())
    assert account["balance"] == format_coins(balance(shell, "bob"))


def test_a_node_of_another_chain_is_not_taken_for_ones_own(shell: Shell, tmp_path: Path) -> None:
    port = str(shell.json("chain", "info")["rpc_port"])
    other = replace(dev_spec(), name="other")
    write_spec(tmp_path, other)
    stranger = Shell(tmp_path, {"ENGRAM_RPC_PORT": port})
    assert stranger.error("chain", "head") == (65, "foreign_node")
    told = stranger.run("chain", "head").output
    first, _, rest = told.partition(". ")
    assert f"the node of {tmp_path} is not running: start it with `engram run --data-dir {tmp_path}`" in first
    assert f"At http://127.0.0.1:{port} answers the node of another chain" in rest
    for spec in (spec_of(shell), other):
        assert f"{spec.name}, chain id {chain_id(spec)}" in rest
        assert spec_id(spec).hex() in told
    assert stranger.error("participate", "--data", "digits")[1] == "key_not_chosen"
    assert stranger.json("chain", "head", "--rpc", f"http://127.0.0.1:{port}")["height"] >= 0


def test_a_transaction_waits_where_nobody_mines(idle: Shell) -> None:
    sent = idle.json("tx", "send", "bob", "1", "--key", "alice", "--no-wait")
    assert sent["status"] == "pending"
    assert [entry["txid"] for entry in idle.json("mempool", "list")] == [sent["txid"]]
    assert idle.json("mempool", "info")["count"] == 1
    listed = idle.text("mempool", "list").splitlines()[1].split()
    assert [listed[0], listed[1], listed[3]] == [sent["txid"][:12], "alice", "transfer"]
    shown = [line.split() for line in idle.text("account", "show", "alice").splitlines()]
    assert ["waiting", "1"] in shown
    assert len(idle.json("miner", "mine")) == 1
    assert idle.json("tx", "status", sent["txid"])["status"] == "included"
    assert idle.text("mempool", "list") == "no transaction waits\n"


def test_refusals_have_the_nodes_codes(shell: Shell) -> None:
    height = shell.json("chain", "head")["height"]
    send = ("tx", "send", "bob")
    assert shell.error(*send, "100000", "--key", "alice") == (65, "insufficient_balance")
    assert shell.error(*send, "0", "--key", "alice") == (65, "amount_zero")
    assert shell.error(*send, "1", "--key", "alice", "--max-fee", "0.00000001") == (65, "fee_too_low")
    assert shell.error("tx", "send", address_of("bob")[:-1], "1", "--key", "alice") == (65, "bad_address")
    assert shell.error("tx", "show", NOWHERE) == (65, "transaction_not_found")
    assert shell.error("tx", "submit", "00ff") == (65, "wrong_type")
    assert shell.error("chain", "block", NOWHERE) == (65, "block_not_found")
    assert shell.error("chain", "header", "999999") == (65, "block_not_found")
    assert shell.json("tx", "status", NOWHERE)["status"] == "unknown"
    assert shell.json("chain", "head")["height"] == height, "nothing of this made a block"


def test_a_transaction_signed_elsewhere(shell: Shell) -> None:
    info = shell.json("chain", "info")
    nonce = shell.json("account", "show", "bob")["next_nonce"]
    target = PrivateKey.from_seed(SEEDS["alice"]).address
    tx = sign(PrivateKey.from_seed(SEEDS["bob"]), info["chain_id"], nonce, 20_000, 0, Transfer(target, 5))
    raw = encode(tx).hex()
    first = shell.json("tx", "submit", raw)
    assert first["known"] is False
    shell.text("miner", "mine")
    assert shell.json("tx", "status", first["txid"])["status"] == "included"
    again = shell.json("tx", "submit", raw)
    assert (again["txid"], again["known"], again["status"]) == (first["txid"], True, "included")


def test_rewards_mature_and_are_claimed(shell: Shell) -> None:
    if balance(shell, "miner") < COIN:
        shell.text("tx", "send", "miner", "1", "--key", "alice")  # a claim pays its fee from the balance
    shell.text("miner", "mine", "5")
    before = shell.json("account", "show", "miner")
    mature = sum(reward["amount"] for reward in before["maturing"] if reward["mature"])
    assert mature > 0
    claimed = shell.json("account", "claim", "--key", "miner")
    assert claimed["claimed"] == mature
    fees = sum(status["receipt"]["fee"] for status in claimed["transactions"])
    assert balance(shell, "miner") == before["balance"] + mature - fees
    assert shell.json("account", "claim", "--key", "alice") == {"claimed": 0, "transactions": []}


def test_the_miner_is_started_for_a_key(idle: Shell) -> None:
    assert idle.json("miner", "status")["mining"] is False
    started = idle.json("miner", "start", "--key", "bob", "--max-hashes-per-s", "100000")
    assert (started["mining"], started["address"]) == (True, address_of("bob"))
    assert started["max_hashes_per_s"] == 100_000
    assert idle.json("miner", "mine")[0]["miner"] == address_of("bob")
    back = idle.json("miner", "start", "--address", address_of("miner"), "--max-hashes-per-s", "0")
    assert back["address"] == address_of("miner")


def test_blocks_are_listed_and_named(shell: Shell) -> None:
    mined = shell.json("miner", "mine", "3")
    heights = [header["height"] for header in mined]
    assert heights == list(range(heights[0], heights[0] + 3))
    listed = shell.json("chain", "headers", "--last", "3")
    assert [header["id"] for header in listed] == [header["id"] for header in mined]
    assert shell.json("chain", "headers", "--first", str(heights[1]), "--last", "1") == [listed[1]]
    assert shell.json("chain", "header", str(heights[0])) == listed[0]
    head = shell.json("chain", "head")
    assert (head.pop("ticks"), head.pop("exponent")) == (head["height"], 0)
    assert shell.json("chain", "header", mined[2]["id"]) == head
    table = shell.text("chain", "headers", "--last", "3").splitlines()
    assert [line.split()[1] for line in table[1:]] == [short(header["id"]) for header in mined]
    assert "time" in shell.text("chain", "head")


def test_a_height_is_waited_for(shell: Shell) -> None:
    height = shell.json("chain", "head")["height"]
    assert shell.json("chain", "wait", "--height", "0")["height"] == height
    words = ("chain", "wait", "--blocks", "2", "--json", "--data-dir", str(shell.data_dir))
    program = "from engram.cli import main; main(prog_name='engram')"
    with subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE) as waiting:
        while waiting.poll() is None:
            shell.text("miner", "mine")
        printed, _ = waiting.communicate()
    assert waiting.returncode == 0
    assert json.loads(printed)["height"] >= height + 2


def test_a_wait_ends_at_its_timeout_with_a_status_and_a_code_of_its_own(idle: Shell) -> None:
    height = idle.json("chain", "head")["height"]
    assert idle.json("chain", "wait", "--height", str(height), "--timeout", "0")["height"] == height
    assert idle.error("chain", "wait", "--blocks", "1", "--timeout", "0.01") == (75, "wait_timed_out")
    said = idle.run("chain", "wait", "--height", str(height + 3), "--timeout", "0").stderr
    assert f"the head has the height {height}, and {height + 3} is waited for" in said
    for wrong in ("-1", "nan", "soon"):
        assert idle.error("chain", "wait", "--blocks", "1", "--timeout", wrong) == (64, "usage"), wrong


def test_ctrl_c_ends_a_wait_with_130_and_no_traceback(shell: Shell) -> None:
    words = ("chain", "wait", "--blocks", "1000", "--data-dir", str(shell.data_dir))
    program = "from engram.cli import main; main(prog_name='engram')"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, *words], stdout=pipe, stderr=pipe) as waiting:
        process = psutil.Process(waiting.pid)
        while not process.net_connections():
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        try:
            printed, said = waiting.communicate(timeout=60)
        finally:
            waiting.kill()
    assert waiting.returncode == 130, said
    assert (printed, b"Traceback" in said) == (b"", False)
    assert b"interrupted" in said


def test_the_spec_can_be_used_again(shell: Shell) -> None:
    assert json.loads(shell.text("chain", "spec")) == json.loads((shell.data_dir / "chain.json").read_text())


def test_the_node_says_who_it_is(shell: Shell) -> None:
    info = shell.json("chain", "info")
    assert info["data_dir"] == str(shell.data_dir)
    assert info["node_id"] == shell.json("key", "node")["node_id"]
    assert info["name"] in shell.text("chain", "info")


@pytest.mark.fault(id=51)
def test_peers(shell: Shell) -> None:
    assert shell.text("peer", "list").startswith("the node is connected to no peer")
    assert shell.json("peer", "list") == []
    assert shell.json("peer", "add", "127.0.0.1:1") == {"address": "127.0.0.1:1", "ban": None}
    (unreached,) = shell.json("peer", "list")
    assert (unreached["id"], unreached["address"]) == (None, "127.0.0.1:1")
    listed = shell.text("peer", "list")
    assert re.search(r"^-  +127.0.0.1:1 .* (dialling|unreached) *$", listed, re.MULTILINE)
    assert re.search(r"^127.0.0.1:1: .*(dialling|next try in)", listed, re.MULTILINE)
    assert shell.json("peer", "remove", "127.0.0.1:1")["address"] == "127.0.0.1:1"
    assert shell.error("peer", "add", "nowhere") == (65, "bad_peer_address")


def test_a_seed_is_known_for_good_once_it_has_answered(shell: Shell, tmp_path: Path) -> None:
    port = shell.json("node", "info")["p2p_port"]
    config, spec = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec_of(shell)
    guest = Shell(tmp_path, {})

    def origin(node: Node) -> str:
        asyncio.run(until(lambda: node.services is not None and node.services.peers.peers()))
        (row,) = guest.json("peer", "list")
        assert (row["address"], row["direction"]) == (f"127.0.0.1:{port}", "outbound")
        return str(row["origin"])

    with running_node(replace(config, seeds=(f"127.0.0.1:{port}",)), spec) as node:
        assert origin(node) == "seed"
    with running_node(config, spec) as node:
        assert origin(node) == "anchor"
        assert "anchor" in guest.text("peer", "list")
        told = guest.json("peer", "addresses")
        assert (told["tried"], told["anchors"]) == (1, [f"127.0.0.1:{port}"]), told
        (entry,) = [each for each in told["entries"] if each["table"] == "tried"]
        assert (entry["address"], entry["failures"]) == (f"127.0.0.1:{port}", 0)
        assert "entries" not in guest.text("peer", "addresses")
    with running_node(replace(config, connect_only=True), spec):
        assert guest.json("peer", "list") == []
    (tmp_path / "addresses.json").write_text("{}")
    with running_node(config, spec):
        assert guest.json("peer", "addresses")["tried"] == 0
    assert "addresses.json cannot be read" in (tmp_path / "node.log").read_text()


@pytest.mark.fault(id=51)
def test_an_added_peer_is_remembered_until_it_is_removed(shell: Shell, tmp_path: Path) -> None:
    config, spec = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec_of(shell)
    guest = Shell(tmp_path, {})

    def dialled() -> list[str]:
        return [row["address"] for row in guest.json("peer", "list")]

    with running_node(config, spec):
        for port in (1, 2):
            guest.json("peer", "add", f"127.0.0.1:{port}")
    with running_node(config, spec):
        assert dialled() == ["127.0.0.1:1", "127.0.0.1:2"]
        assert guest.json("peer", "remove", "127.0.0.1:1")["removed"]
    with running_node(replace(config, peers=("127.0.0.1:2", "127.0.0.1:3")), spec):
        assert dialled() == ["127.0.0.1:2", "127.0.0.1:3"]
    (tmp_path / "peers.json").write_text('["nowhere"]')
    with running_node(config, spec):
        assert dialled() == []
    assert "peers.json cannot be read" in (tmp_path / "node.log").read_text()


@pytest.mark.fault(id=51)
def test_a_connected_peer_is_listed(shell: Shell, tmp_path: Path) -> None:
    spec = spec_of(shell)
    with running_node(Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec) as other:
        assert other.info is not None
        shell.text("peer", "add", f"127.0.0.1:{other.info.p2p_port}")
        guest = Shell(tmp_path, {})
        height = shell.json("miner", "mine")[0]["height"]
        assert guest.json("chain", "wait", "--height", str(height))["height"] == height
        (peer,) = shell.json("peer", "list")
        assert (peer["id"], peer["state"]) == (other.info.node_id, "connected")
        assert peer["height"] == height, "it has fetched the block since the handshake"
        assert 0 <= peer["shown_s"] < peer["connected_s"]
        (mirrored,) = guest.json("peer", "list")
        assert mirrored["height"] == height, "this one has announced it"
        assert other.info.node_id[:12] in shell.text("peer", "list")
        shell.text("peer", "remove", f"127.0.0.1:{other.info.p2p_port}")


def test_only_the_owner_of_the_directory_changes_the_node(shell: Shell, tmp_path: Path) -> None:
    stranger = Shell(tmp_path, {"ENGRAM_RPC": rpc_url(shell)})
    known = shell.json("miner", "status")
    assert known.pop("address_name") == "miner", "the stranger has no key of this name"
    assert stranger.json("miner", "status") == known
    for words in (("miner", "mine"), ("miner", "stop"), ("miner", "start"), ("peer", "add", "127.0.0.1:1")):
        assert stranger.error(*words) == (77, "unauthorized")
    (tmp_path / "rpc.token").write_text("a guess")
    assert stranger.error("miner", "mine") == (77, "unauthorized")
    assert stranger.json("miner", "status")["mining"] is True


def test_accounts_without_keys(shell: Shell, tmp_path: Path) -> None:
    reader = Shell(tmp_path, {"ENGRAM_RPC": rpc_url(shell)})
    assert reader.json("account", "show", address_of("bob"))["balance"] <= 2 * PURSE
    assert reader.error("account", "show") == (65, "key_not_chosen")


def test_a_running_nodes_database_is_left_alone(shell: Shell) -> None:
    assert shell.error("db", "check") == (75, "data_dir_locked")
    assert shell.error("db", "reindex") == (75, "data_dir_locked")
    assert shell.json("chain", "head")["height"] >= 0


def rpc_url(shell: Shell) -> str:
    return str(json.loads((shell.data_dir / "run.json").read_text())["rpc_url"])


def spec_of(shell: Shell) -> ChainSpec:
    return load_spec((shell.data_dir / "chain.json").read_text())


def test_where_blocks_wait_for_nobody_there_is_no_muster(shell: Shell) -> None:
    assert shell.json("miner", "status")["pace"] is None
    assert shell.error("miner", "muster", "2") == (75, "hold_refused")


def test_a_muster_lets_no_empty_block_be_made(tmp_path: Path) -> None:
    write_keys(tmp_path)
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, miner_waits=True)
    with running_node(config, dev_spec()):
        owner = Shell(tmp_path, {})
        work = owner.json("chain", "head")["work"]
        nobody = {"limit": None, "programs": 0, "finished": 0, "met": False, "left": None}
        assert owner.json("miner", "muster", "2") == {**nobody, "muster": 2, "work": work}
        assert owner.json("miner", "status")["pace"]["muster"] == 2
        assert owner.error("rpc", "miner_muster", "programs=-1") == (65, "muster_invalid")
        assert owner.json("miner", "muster", "0")["muster"] == 0
