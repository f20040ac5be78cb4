"""`engram run` as a process: it starts, answers, ends, comes back, and says what keeps it from that."""

import json
import resource
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engram.consensus.chainspec import Upgrade, dump_spec, load_spec, spec_id
from engram.node.datadir import RUN_NAME, make_data_dir
from engram.node.errors import NodeUnreachable, RemoteError
from engram.node.logs import PEER_LINES
from engram.node.rpc.warnings import ALONE
from engram.node.storage.db import LevelDatabase
from engram.node.storage.schema import IDENTITY, SCHEMA_VERSION, DatabaseIdentity
from engram.node.storage.swap import DATABASE_DIRECTORY
from engram.p2p.blockmessages import MAX_COMPACT
from engram.primitives.codec import decode, encode
from engram.primitives.keys import PrivateKey
from engram.statemachine.rules import MAX_BODY_BYTES
from engram.statemachine.transaction import sign
from engram.statemachine.transactions.transfer import Transfer
from tests.support.dev_node import SEEDS, address_of, dev_spec
from tests.support.node_process import NodeCommand, engram, processes, refusal

MINER = ("--miner-address", address_of("miner"))


@pytest.fixture
def node(tmp_path: Path) -> NodeCommand:
    """A node that mines when it is told to, not started yet."""
    make_data_dir(tmp_path / "node", dev_spec())
    return NodeCommand(tmp_path / "node", *MINER)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_node_answers_ends_and_comes_back(node: NodeCommand, number: signal.Signals) -> None:
    with processes(node):
        first = node.info
        assert json.loads((node.data_dir / RUN_NAME).read_text()) == first
        node.call("miner_mine", blocks=3)
        head = node.call("chain_head")
        assert node.stop(number) == 0
        assert not (node.data_dir / RUN_NAME).exists()
        node.start()
        assert node.call("chain_head") == head
        assert node.info["node_id"] == first["node_id"]
        assert node.stop(number) == 0
    assert "Traceback" not in node.log
    assert "Warning" not in node.log


def test_what_was_acknowledged_is_known_after_any_end(node: NodeCommand) -> None:
    alice = PrivateKey.from_seed(SEEDS["alice"])
    with processes(node):
        chain = node.call("node_info")["chain_id"]
        raws = [encode(sign(alice, chain, nonce, 10**6, 0, Transfer(bytes(20), 5))) for nonce in range(20)]
        txids = [node.call("tx_submit", raw=raw)["txid"] for raw in raws]
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            node.stop(number)
            node.start()
            waiting = [entry["txid"] for entry in node.call("mempool_list")]
            assert waiting == txids, f"in the order of nonces, after {number.name}"
        assert all(node.call("tx_submit", raw=raw)["known"] for raw in raws)
        node.call("miner_mine", blocks=1)
        assert {node.call("tx_status", txid=txid)["status"] for txid in txids} == {"included"}
        node.stop(signal.SIGKILL)
        node.start()
        assert node.call("mempool_list") == []


def test_a_node_with_work_in_hand_ends_cleanly(node: NodeCommand) -> None:
    with processes(node), ThreadPoolExecutor(2) as clients:
        asking = clients.submit(node.call, "miner_mine", blocks=10**6)
        listening = clients.submit(node.wait_height, 10**9)
        node.wait_height(3)
        assert node.stop() == 0
        for client in (asking, listening):
            with pytest.raises((RemoteError, NodeUnreachable)):
                client.result()
    assert "Traceback" not in node.log
    assert "Warning" not in node.log


def test_logs_for_machines(node: NodeCommand) -> None:
    node.options = (*node.options, "--log-format", "json", "--log-level", "info")
    with processes(node):
        told = node.call("node_info")
        assert node.stop() == 0
    lines = [json.loads(line) for line in node.log.splitlines()]
    events = ["starting", "engine chosen", "chain opened", "ready", ALONE, "stopped"]
    assert [line["event"] for line in lines] == events
    starting, chosen, _, ready, *_ = lines
    assert chosen["engine"] == told["engine"]
    assert {
        name: told[name] for name in ("version", "data_dir", "chain_id", "spec_id")
    }.items() <= starting.items()
    assert starting["chain"] == told["name"]
    assert ready["node_id"] == told["node_id"]
    assert (ready["rpc"], ready["p2p"]) == (node.url, node.peer_address)
    assert all({"timestamp", "level", "service"} <= line.keys() for line in lines)


GARBAGE = (
    bytes(100),
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"GET /engram/p2p HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
)


def test_garbage_on_its_ports_does_not_fill_the_log(node: NodeCommand) -> None:
    with processes(node):
        for port in (node.info["p2p_port"], node.info["rpc_port"]):
            for garbage in (*GARBAGE, *GARBAGE[:1] * 50):
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(garbage)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass
        node.call("miner_mine", blocks=1)
        assert node.stop() == 0
    lines = [line for line in node.log.splitlines() if "are not HTTP" in line]
    assert 0 < len(lines) <= PEER_LINES
    assert "Traceback" not in node.log
    assert len(node.log) < 20_000


def test_rpc_ends_a_node(node: NodeCommand) -> None:
    with processes(node):
        assert node.call("node_stop") == {"stopping": True}
        assert node.wait() == (0, "")


def test_a_killed_node_loses_nothing_and_is_not_asked(node: NodeCommand) -> None:
    with processes(node):
        node.call("miner_mine", blocks=5)
        head = node.call("chain_head")
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
        assert (node.data_dir / RUN_NAME).exists()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        asked = engram("chain", "head", "--data-dir", str(node.data_dir), ENGRAM_RPC_PORT=str(port))
        assert asked.returncode == 69
        assert f"127.0.0.1:{port}" in asked.stderr, "the dead node's port is not asked"
        assert "engram run" in asked.stderr, "the error says what to do"
        node.start()
        assert node.call("chain_head") == head
        assert node.stop() == 0


@pytest.mark.parametrize("option", ["--rpc-port", "--p2p-port"])
def test_a_taken_port(node: NodeCommand, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        free = "--p2p-port" if option == "--rpc-port" else "--rpc-port"
        words = ("run", "--data-dir", str(node.data_dir), option, port, free, "0")
        assert refusal(*words) == (75, "port_taken")
        assert option in engram(*words).stderr, "the error says what to do"
    with processes(node):
        assert node.stop() == 0


def test_a_port_of_another_machine(node: NodeCommand) -> None:
    words = ("run", "--data-dir", str(node.data_dir), "--rpc-port", "0", "--p2p-port", "0")
    for option in ("--rpc-host", "--p2p-host"):
        assert refusal(*words, "--rpc-public", option, "192.0.2.1") == (75, "address_unusable")


def test_a_data_directory_in_use(node: NodeCommand) -> None:
    with processes(node):
        words = ("run", "--data-dir", str(node.data_dir), "--rpc-port", "0", "--p2p-port", "0")
        assert refusal(*words) == (75, "data_dir_locked")
        assert json.loads((node.data_dir / RUN_NAME).read_text()) == node.info
        node.call("miner_mine", blocks=1)
        assert node.stop() == 0


def test_a_data_directory_of_another_chain(node: NodeCommand, tmp_path: Path) -> None:
    with processes(node):
        node.call("miner_mine", blocks=1)
        head = node.call("chain_head")
        node.stop()
    spec_file = node.data_dir / "chain.json"
    own = spec_file.read_text()
    other = tmp_path / "other.json"
    other.write_text(dump_spec(replace(load_spec(own), block_time_ms=501)))
    place = ("--data-dir", str(node.data_dir))
    assert refusal("init", *place, "--spec", str(other)) == (65, "chain_exists")
    assert spec_file.read_text() == own
    spec_file.write_text(other.read_text())
    assert refusal("run", *place, "--rpc-port", "0", "--p2p-port", "0") == (78, "foreign_data")
    spec_file.write_text(own)
    with processes(node):
        assert node.call("chain_head") == head


def test_a_data_directory_of_another_version(node: NodeCommand) -> None:
    with processes(node):
        head = node.call("chain_head")
        node.stop()
    path, place = node.data_dir / DATABASE_DIRECTORY, ("--data-dir", str(node.data_dir))
    with closing(LevelDatabase(path)) as database:
        own = database.get(IDENTITY)
        assert own is not None
        database.put(
            IDENTITY, encode(replace(decode(DatabaseIdentity, own), schema_version=SCHEMA_VERSION + 1))
        )
    assert refusal("run", *place, "--rpc-port", "0", "--p2p-port", "0") == (78, "schema_mismatch")
    with closing(LevelDatabase(path)) as database:
        database.put(IDENTITY, own)
    with processes(node):
        assert node.call("chain_head") == head


def test_a_spec_that_cannot_be(node: NodeCommand) -> None:
    spec_file = node.data_dir / "chain.json"
    own = spec_file.read_text()
    place = ("--data-dir", str(node.data_dir), "--rpc-port", "0", "--p2p-port", "0")
    for text, code in ((own[:-9], "bad_spec"), (own.replace('"pow": "scrypt"', '"pow": "none"'), "bad_spec")):
        spec_file.write_text(text)
        assert refusal("run", *place) == (65, code)
    spec_file.unlink()
    assert refusal("run", *place) == (65, "chain_not_found")


def test_a_chain_whose_blocks_no_peer_could_carry(tmp_path: Path) -> None:
    spec = dev_spec()
    rules = replace(spec.rules, max_body_bytes=MAX_BODY_BYTES, max_block_transactions=MAX_COMPACT + 1)
    make_data_dir(tmp_path, replace(spec, rules=rules))
    place = ("--data-dir", str(tmp_path), "--rpc-port", "0", "--p2p-port", "0")
    assert refusal("run", *place) == (65, "spec_unsupported")


@pytest.mark.fault(id=17)
@pytest.mark.fault(id=47)
def test_a_full_disk_stops_the_node_and_loses_nothing(node: NodeCommand) -> None:
    node.options = (*MINER, "--log-level", "warning")  # the limit below holds for the log, too
    with processes(node):
        node.call("miner_mine", blocks=3)
        head = node.call("chain_head")
        limit = sum(file.stat().st_size for file in (node.data_dir / "blocks").iterdir()) + 10
        psutil.Process(node.pid).rlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises((RemoteError, NodeUnreachable)):
            node.call("miner_mine", blocks=100)
        status, printed = node.wait()
        assert (status, json.loads(printed)["error"]["code"]) == (74, "disk_full")
        (said,) = [line for line in node.log.splitlines() if "disk_full" in line]
        assert "free some space and start the node again" in said
        assert said == node.log.splitlines()[-1], "the cause is the last that the log says"
        node.start()
        assert node.call("chain_head")["height"] >= head["height"]
        assert node.call("chain_header", height=head["height"]).items() <= head.items()
        node.call("miner_mine", blocks=2)
        assert node.stop() == 0


def test_a_chain_that_outgrew_the_software(node: NodeCommand, tmp_path: Path) -> None:
    spec = load_spec((node.data_dir / "chain.json").read_text())
    ahead = replace(spec, upgrades=(*spec.upgrades, Upgrade(60_000, 3)))
    assert spec_id(ahead) == spec_id(spec)
    make_data_dir(tmp_path / "old", ahead)
    old = NodeCommand(tmp_path / "old", *MINER)
    with processes(node, old):
        node.call("miner_mine", blocks=4)
        old.call("peer_add", address=node.peer_address)
        status, printed = old.wait()
        error = json.loads(printed)["error"]
        assert (status, error["code"]) == (78, "upgrade_required")
        assert "newer" in error["hint"]
        assert node.stop() == 0


def test_settings_that_cannot_be(node: NodeCommand) -> None:
    place = ("--data-dir", str(node.data_dir), "--rpc-port", "0", "--p2p-port", "0")
    assert refusal("run", *place, ENGRAM_MINER_THREADS="0") == (65, "config_invalid")
    assert refusal("run", *place, "--mine") == (65, "miner_address_missing")
    assert refusal("run", *place, "--miner-address", "nobody") == (65, "bad_address")
    assert refusal("run", *place, "--peer", "nowhere") == (65, "bad_peer_address")
    (node.data_dir / "node.key").write_text("no key")
    assert refusal("run", *place) == (65, "key_file_invalid")


def test_development_nodes_take_free_ports(tmp_path: Path) -> None:
    """Whatever else listens at the default ports, two of them run beside each other."""
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
    first, second = (NodeCommand(tmp_path / name, "--dev", ports=()) for name in ("one", "two"))
    first.start()
    second.start()
    assert len({first.info[f"{kind}_port"] for kind in ("rpc", "p2p")} | {second.info["rpc_port"]}) == 3
    info = json.loads(engram("node", "info", "--json", "--data-dir", str(second.data_dir)).stdout)
    assert info["data_dir"] == str(second.data_dir), "commands find it where it is"
    assert first.stop() == second.stop() == 0


def test_a_development_node(tmp_path: Path) -> None:
    node = NodeCommand(tmp_path, "--dev")
    place, bob = ("--data-dir", str(tmp_path)), address_of("bob", "deng")
    with processes(node):
        sent = engram("tx", "send", bob, "5", "--key", "dev", *place, ENGRAM_PASSPHRASE="dev")
        assert sent.returncode == 0, sent.stderr
        assert node.call("chain_head")["height"] == 1
        node.stop()
        node.start()
        assert node.call("account_get", address=bob)["balance"] == 500_000_000
        assert node.call("chain_spec")["pow"] == "none"
        assert node.call("miner_status")["on_demand"] is True
        assert node.stop() == 0


def test_a_development_node_begins_where_another_node_is(tmp_path: Path) -> None:
    """Of a node that runs, and of the same one once it has stopped."""
    for name in ("source", "running", "stopped"):
        (tmp_path / name).mkdir()
    source, bob = NodeCommand(tmp_path / "source", "--dev"), address_of("bob", "deng")
    with processes(source):
        place = ("--data-dir", str(tmp_path / "source"))
        sent = engram("tx", "send", bob, "5", "--key", "dev", *place, ENGRAM_PASSPHRASE="dev")
        assert sent.returncode == 0, sent.stderr
        running = NodeCommand(tmp_path / "running", "--dev", "--fork", source.url)
        with processes(running):
            assert running.call("account_get", address=bob)["balance"] == 500_000_000
            assert running.call("chain_head")["height"] == 0
            again = ("tx", "send", bob, "2", "--key", "dev", "--data-dir", str(tmp_path / "running"))
            assert engram(*again, ENGRAM_PASSPHRASE="dev").returncode == 0
            assert running.call("account_get", address=bob)["balance"] == 700_000_000
        assert source.stop() == 0
    stopped = NodeCommand(tmp_path / "stopped", "--dev", "--fork", str(tmp_path / "source"))
    with processes(stopped):
        assert stopped.call("account_get", address=bob)["balance"] == 500_000_000
        assert stopped.stop() == 0
