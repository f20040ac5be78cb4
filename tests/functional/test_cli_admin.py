"""Commands of an operator against a real node: any RPC method, the node's log, its end."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import structlog

from engram.consensus.chainspec import load_spec
from engram.node import logs
from engram.node.config import Config
from engram.node.datadir import write_spec
from engram.node.threaded import running_node
from engram.participant.coins import format_coins
from tests.support.cli import Shell
from tests.support.dev_node import PASSPHRASE, address_of, dev_spec, served_shell, write_keys
from tests.support.source_tree import ROOT

pytestmark = pytest.mark.xdist_group("cli_admin")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A user of a running node; every test leaves the miner on."""
    with served_shell(tmp_path_factory.mktemp("node")) as made:
        yield made


def test_any_method_is_called_by_its_name(shell: Shell) -> None:
    shell.text("miner", "mine", "2")
    header = shell.json("chain", "header", "1")
    assert header.pop("miner_name") == "miner"
    assert shell.json("rpc", "chain_header", "height=1") == header
    assert shell.json("rpc", "chain_header", "1") == header
    assert shell.json("rpc", "chain_header", f"id={header['id']}") == header
    assert shell.json("rpc", "chain_header", "null", header["id"]) == header
    assert shell.json("rpc", "chain_headers", "1", "1") == [header]
    assert shell.json("rpc", "chain_headers", "first=1", "count=1") == [header]
    assert shell.json("rpc", "account_get", address_of("bob"))["nonce"] >= 0
    piped = shell.run("rpc", "chain_headers", "-", typed='{"first": 1, "count": 1}')
    assert json.loads(piped.stdout) == [header]
    piped = shell.run("rpc", "chain_headers", "-", typed="[1, 1]")
    assert json.loads(piped.stdout) == [header]


def test_the_token_goes_along_where_a_method_needs_it(shell: Shell, tmp_path: Path) -> None:
    (mined,) = shell.json("rpc", "miner_mine", "blocks=1")
    assert shell.json("rpc", "chain_head")["id"] == mined["id"]
    info = json.loads((shell.data_dir / "run.json").read_text())
    stranger = Shell(tmp_path, {"ENGRAM_RPC": info["rpc_url"]})
    assert stranger.error("rpc", "miner_mine", "blocks=1") == (77, "unauthorized")
    assert stranger.json("rpc", "chain_head")["id"] == mined["id"]


def test_without_its_index_there_is_no_history(shell: Shell) -> None:
    assert shell.error("account", "history", "bob") == (75, "account_index_off")
    assert "--account-index" in shell.run("account", "history", "bob").stderr
    assert "account index" not in shell.text("status")


def test_what_cannot_be_called_is_refused(shell: Shell) -> None:
    assert shell.error("rpc", "no_such_method") == (70, "method_not_found")
    assert shell.error("rpc", "chain_headers", "first=1") == (65, "invalid_params")
    assert shell.error("rpc", "chain_headers", "one", "two") == (65, "invalid_params")
    assert shell.error("rpc", "chain_headers", "first=1", "2")[0] == 64
    assert shell.error("rpc", "chain_headers", "-", typed="{") == (64, "usage")
    assert shell.error("rpc", "chain_headers", "-", typed="7") == (64, "usage")
    assert shell.error("rpc", "chain_header", f"id={'00' * 32}") == (65, "block_not_found")


@pytest.fixture
def configured() -> Iterator[None]:
    """The log's settings belong to the process; they are put back."""
    before, root = structlog.get_config(), logging.getLogger()
    level = root.level
    yield
    structlog.configure(**before)
    root.setLevel(level)


@pytest.mark.usefixtures("configured")
def test_the_log_level_is_changed_while_the_node_runs(shell: Shell) -> None:
    assert shell.json("node", "log-level", "debug") == {"level": "debug"}
    assert shell.json("node", "log-level", "warning") == {"level": "warning"}
    assert shell.json("node", "log-level") == {"level": "warning"} == {"level": logs.get_level()}
    assert shell.error("node", "log-level", "loud") == (65, "log_level_unknown")
    assert shell.json("node", "log-level") == {"level": "warning"}, "a wrong level changes nothing"


def test_the_node_is_shown_as_the_chain_shows_it(shell: Shell) -> None:
    shown, info = shell.json("node", "info"), shell.json("chain", "info")
    volatile = {"rss_bytes", "uptime_s"}
    assert {name: shown[name] for name in shown.keys() - volatile} == {
        name: info[name] for name in info.keys() - volatile
    }


def test_a_node_is_stopped_and_its_directory_is_free_at_once(tmp_path: Path) -> None:
    write_keys(tmp_path)
    config = Config(data_dir=tmp_path, rpc_port=0, p2p_port=0, miner_address=address_of("miner"))
    owner, spec = Shell(tmp_path, {}), dev_spec()
    with running_node(config, spec):
        height = owner.json("miner", "mine")[0]["height"]
        stranger = Shell(tmp_path / "other", {"ENGRAM_RPC": owner_url(owner)})
        assert stranger.error("node", "stop") == (77, "unauthorized")
        assert owner.json("node", "stop")["height"] == height
        assert not (tmp_path / "run.json").exists()
    assert owner.json("db", "check")["blocks"] == height
    assert owner.error("node", "stop", "--rpc", "http://127.0.0.1:1") == (69, "node_unreachable")


def test_a_transaction_is_signed_without_a_node_and_submitted_by_another_machine(
    shell: Shell, tmp_path: Path
) -> None:
    vault = Shell(tmp_path / "vault", {"ENGRAM_PASSPHRASE": PASSPHRASE, "ENGRAM_RPC": "http://127.0.0.1:1"})
    write_keys(vault.data_dir)
    write_spec(vault.data_dir, load_spec((shell.data_dir / "chain.json").read_text()))
    payload = json.dumps({"target": "bob", "amount": 500})
    account = shell.json("account", "show", "alice")
    price = shell.json("tx", "estimate", "transfer", payload, "--key", "alice")
    offer = format_coins(price["max_fee"]), format_coins(price["tip"])
    file = tmp_path / "signed.tx"
    words = [*["tx", "sign", "transfer", "-", "--key", "alice", "--nonce"], str(account["next_nonce"])]
    words += ["--max-fee", offer[0], "--tip", offer[1], "-o", str(file)]
    signed = vault.json(*words, typed=payload)
    assert bytes.fromhex(file.read_text()).hex() == signed["raw"]
    assert (signed["signature"], signed["of_this_chain"]) == ("valid", True)
    assert signed["payload"] == {"target": address_of("bob"), "amount": 500}
    assert signed["size_bytes"] <= price["size_bytes"]
    assert vault.error(*words, typed=payload) == (65, "file_exists_already")
    decoded = vault.json("tx", "decode", "-", typed=file.read_text())
    assert decoded == {name: value for name, value in signed.items() if name != "raw"}
    assert "signature      valid" in vault.text("tx", "decode", signed["raw"])
    sent = json.loads(shell.run("tx", "submit", "-", "--json", typed=file.read_text()).stdout)
    shell.text("miner", "mine")
    status = shell.json("tx", "status", sent["txid"])
    assert (status["status"], sent["txid"]) == ("included", signed["txid"])
    assert status["receipt"]["fee"] == price["minimum"] + price["tip"]
    assert shell.json("account", "show", "alice")["next_nonce"] == account["next_nonce"] + 1


def test_what_cannot_be_signed_is_refused_by_name(shell: Shell) -> None:
    offer = ("--nonce", "0", "--max-fee", "1", "--key", "alice")
    good = '{"target": "bob", "amount": 1}'
    assert shell.error("tx", "sign", "gift", good, *offer) == (65, "transaction_type_unknown")
    assert shell.error("tx", "sign", "transfer", '{"target": "bob"}', *offer) == (65, "wrong_arity")
    assert shell.error("tx", "sign", "transfer", "[]", *offer) == (65, "wrong_type")
    assert shell.error("tx", "sign", "transfer", "{", *offer) == (64, "usage")
    nobody = '{"target": "nobody", "amount": 1}'
    assert shell.error("tx", "sign", "transfer", nobody, *offer) == (65, "bad_address")
    assert shell.error("tx", "estimate", "transfer", '{"target": "bob", "amount": 0}', *offer[-2:]) == (
        65,
        "amount_zero",
    )
    assert shell.error("tx", "decode", "00ff") == (65, "wrong_type")
    assert shell.error("tx", "decode", "xx") == (64, "usage")
    raw = shell.json("tx", "sign", "transfer", good, *offer)["raw"]
    bent = raw[:-2] + ("00" if raw[-2:] != "00" else "01")
    assert shell.json("tx", "decode", bent)["signature"] == "bad_signature"


def test_a_block_and_a_transaction_are_named_by_the_first_digits_of_their_ids(shell: Shell) -> None:
    sent = shell.json("tx", "send", "bob", "1", "--key", "alice")
    for digits in (63, 13, 8):
        beginning = sent["txid"][:digits]
        assert shell.json("tx", "status", beginning.upper()) == sent
        assert shell.json("tx", "show", beginning)["txid"] == sent["txid"]
    block = shell.json("chain", "header", str(sent["height"]))
    assert shell.json("rpc", "chain_find", "block", block["id"][:8]) == [block["id"]]
    assert shell.json("rpc", "chain_find", "block", block["id"]) == [block["id"]]
    named = next(block["id"][:n] for n in range(8, 64) if not block["id"][:n].isdecimal())
    assert shell.json("chain", "header", named) == block
    assert shell.json("chain", "block", named)["id"] == block["id"]
    assert shell.error("tx", "show", "ffffffff") == (65, "id_not_found")
    assert shell.error("tx", "show", "abc") == (64, "usage")
    assert shell.error("chain", "block", "xyzw") == (64, "usage")
    assert shell.error("rpc", "chain_find", "model", "abcd") == (65, "beginning_invalid")
    assert shell.error("rpc", "chain_find", "block", "ab" * 33) == (65, "beginning_invalid")


def test_a_waiting_transaction_is_found_by_its_first_digits(shell: Shell) -> None:
    shell.text("miner", "stop")
    sent = shell.json("tx", "send", "bob", "1", "--key", "alice", "--no-wait")
    assert shell.json("tx", "status", sent["txid"][:10])["status"] == "pending"
    shell.text("miner", "start")
    shell.text("miner", "mine")


def test_several_ids_of_one_beginning_are_listed(shell: Shell) -> None:
    shell.text("miner", "mine", "2")
    ids = sorted(header["id"] for header in shell.json("chain", "headers", "--last", "1000"))
    digits = ids[0][:4]
    expected = [each for each in ids if each.startswith(digits)]
    assert shell.json("rpc", "chain_find", "block", digits)[: len(expected)] == expected


def test_there_is_no_reorganisation_where_one_node_mines(shell: Shell) -> None:
    assert shell.json("chain", "reorgs") == []
    assert shell.text("chain", "reorgs") == "no reorganisation since the node started\n"


def test_a_profile_shows_what_keeps_the_node_busy(shell: Shell) -> None:
    program = "from engram.cli import main; main(prog_name='engram')"
    words = ("node", "profile", "--seconds", "1", "--json", "--data-dir", str(shell.data_dir))
    stacks: dict[str, int] = {}
    while not any("chain." in stack for stack in stacks):  # a very busy machine may need a second look
        with subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE) as looking:
            while looking.poll() is None:
                shell.text("miner", "mine")
            printed, _ = looking.communicate()
        stacks = json.loads(printed)["stacks"]
    assert all(count > 0 for count in stacks.values())
    assert shell.error("rpc", "node_profile", "seconds=31") == (65, "profile_too_long")
    assert shell.error("rpc", "node_profile", "seconds=0") == (65, "profile_too_long")
    shown = shell.text("node", "profile", "--seconds", "1")
    assert shown.split()[0] in ("self", "no"), "a table, or that no thread had anything to do"


def test_one_screen_shows_how_the_node_fares(shell: Shell) -> None:
    shell.text("miner", "mine", "3")
    status, head = shell.json("status"), shell.json("chain", "head")
    assert (status["head"]["height"], status["head"]["id"]) == (head["height"], head["id"])
    assert status["head"]["work"] == head["work"]
    assert status["peers"] == {"inbound": 0, "outbound": 0, "dialled": 0}
    assert (status["syncing_to"], status["rounds"], status["warnings"]) == (None, [], [])
    assert status["clock"] == {"ahead_s": None, "voices": 0}
    assert status["backfill"] == {"base": 0, "left": 0}
    assert status["account_index"] is None
    assert status["miner"]["waits"] is None
    assert status["pace"]["blocks"] == head["height"] - 1, "genesis was not mined"
    assert status["fees"]["least"] == shell.json("chain", "spec")["rules"]["fees"]["floor"]
    assert status["miner"]["mining"] is True
    assert status["miner"]["blocks"] >= 3
    assert status["disk"]["database_bytes"] > 0 < status["disk"]["block_files_bytes"]
    balances = {name: shell.json("account", "show", name)["balance"] for name in ("alice", "bob", "miner")}
    assert {key["name"]: key["balance"] for key in status["keys"]} == balances
    words = shell.text("status")
    assert "too few peers have told the time" in words
    assert f"height {head['height']}, " in words
    assert f"alice {format_coins(balances['alice'])}" in words
    assert "nothing to fetch" in words


def test_a_transaction_that_waits_is_on_the_screen(shell: Shell) -> None:
    shell.text("miner", "stop")
    sent = shell.json("tx", "send", "bob", "1", "--key", "alice", "--no-wait")
    assert shell.json("status")["mempool"]["count"] == 1
    assert "1 transactions wait" in shell.text("status")
    assert "miner     off" in shell.text("status")
    shell.text("miner", "start")
    shell.text("miner", "mine")
    assert shell.json("tx", "status", sent["txid"])["status"] == "included"
    assert shell.json("status")["mempool"]["count"] == 0


def test_a_watched_screen_is_shown_again_and_ends_well(shell: Shell) -> None:
    words = ("status", "--watch", "--every", "0.1", "--json", "--data-dir", str(shell.data_dir))
    program = "from engram.cli import main; main(prog_name='engram')"
    with subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        shell.text("miner", "mine")
        later = first
        while later["head"]["height"] == first["head"]["height"]:
            later = json.loads(watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        watching.communicate()
    assert watching.returncode == 0, "Ctrl-C is how it is meant to end"
    assert later["head"]["height"] == first["head"]["height"] + 1
    assert later["uptime_s"] > first["uptime_s"]


def test_a_watched_node_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    spec = dev_spec()
    write_keys(tmp_path)
    write_spec(tmp_path, spec)
    words = ("status", "--watch", "--every", "0.1", "--json", "--data-dir", str(tmp_path))
    program = "from engram.cli import main; main(prog_name='engram')"
    closed = {**os.environ, "ENGRAM_RPC_PORT": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, *words], stdout=pipe, env=closed) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["error"]["code"] == "node_unreachable"
        with running_node(Config(data_dir=tmp_path, rpc_port=0, p2p_port=0), spec):
            while "error" in (seen := json.loads(watching.stdout.readline())):
                pass
        watching.send_signal(signal.SIGINT)
        watching.communicate()
    assert seen["head"]["height"] == 0
    assert Shell(tmp_path, {"ENGRAM_RPC_PORT": "1"}).error("status") == (69, "node_unreachable")


def probe(shell: Shell, path: str) -> tuple[int, dict[str, Any]]:
    """Status and answer of a probe, as a service manager asks for it."""
    try:
        with urlopen(f"{owner_url(shell)}{path}") as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_probes_of_a_node_that_fares_well(shell: Shell) -> None:
    (mined,) = shell.json("miner", "mine")
    status, answer = probe(shell, "/health")
    assert (status, answer["status"], answer["height"]) == (200, "ok", mined["height"])
    status, answer = probe(shell, "/ready")
    assert (status, answer["ready"], answer["not_ready"]) == (200, True, [])
    assert probe(shell, "/ready?max_head_age_s=9000&min_peers=0")[0] == 200


def test_the_images_health_check_finds_the_node(shell: Shell) -> None:
    line = re.search(r'CMD \["python", "-c", "(.*)"\]', (ROOT / "deploy/Dockerfile").read_text())
    assert line is not None
    for url, status in ((owner_url(shell), 0), ("http://127.0.0.1:1", 1)):
        program = line[1].replace("http://127.0.0.1:8645", url)
        assert subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE).returncode == status


def test_probes_say_what_is_missing(shell: Shell) -> None:
    def reasons(path: str) -> tuple[int, list[str]]:
        status, answer = probe(shell, path)
        return status, [reason["code"] for reason in answer["not_ready"]]

    assert reasons("/ready?min_peers=1") == (503, ["few_peers"])
    shell.text("miner", "mine")
    assert reasons("/ready?max_head_age_s=0&min_peers=2") == (503, ["head_old", "few_peers"])
    shell.text("peer", "add", "127.0.0.1:1")
    assert reasons("/ready") == (503, ["no_peers"])
    assert [warning["code"] for warning in shell.json("status")["warnings"]] == ["no_peers"]
    assert "[no_peers]" in shell.text("status")
    assert metric(shell, 'engram_warnings{code="no_peers"}') == 1
    status, answer = probe(shell, "/health")
    assert (status, answer["peers"], answer["warnings"]) == (200, 0, ["no_peers"]), "it is alive"
    shell.text("peer", "remove", "127.0.0.1:1")
    assert reasons("/ready") == (200, [])
    for wrong in ("/ready?min_peers=few", "/ready?peers=1", "/ready?min_peers=-1", "/health?min_peers=1"):
        assert probe(shell, wrong)[0] == 400


def test_the_metrics_page_says_the_same(shell: Shell) -> None:
    with urlopen(f"{owner_url(shell)}/metrics") as response:
        page = response.read().decode()
    status = shell.json("status")
    assert f"engram_chain_height {float(status['head']['height'])}\n" in page
    assert 'engram_peers{direction="outbound"} 0.0\n' in page
    assert f'chain="{status["name"]}"' in page
    assert f"engram_base_fee_sparks {float(status['fees']['least'])}\n" in page
    assert metric(shell, "engram_target_block_seconds") == status["pace"]["due_s"]
    assert metric(shell, 'engram_warnings{code="no_peers"}') == 0
    assert metric(shell, 'engram_bans{by="operator"}') == 0
    assert metric(shell, 'engram_rounds{phase="commit"}') == 0, "a phase without rounds is 0, not missing"
    shell.text("peer", "ban", "192.0.2.0/24")
    assert metric(shell, 'engram_bans{by="operator"}') == 1
    shell.text("peer", "unban", "192.0.2.0/24")


def metric(owner: Shell, name: str) -> float:
    """The value of one metric of the page."""
    with urlopen(f"{owner_url(owner)}/metrics") as response:
        page = response.read().decode()
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", page, flags=re.MULTILINE)
    return float(value)


def owner_url(owner: Shell) -> str:
    return str(json.loads((owner.data_dir / "run.json").read_text())["rpc_url"])
