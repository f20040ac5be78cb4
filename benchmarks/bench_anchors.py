"""Measures Engram against programs that people know: py-evm, ganache and anvil, in the same run.

Each is installed under build/anchors when it is first needed, which takes minutes and the network. Where that
fails, its rows are skipped with the reason.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from benchmarks.anchors import Anchor, AnchorMissing, anvil, ganache, py_evm
from benchmarks.chain import COIN, FilledChain, easy_spec, key
from benchmarks.measure import Row, interleaved_seconds, skipped
from benchmarks.processes import ANSWER_S, ask, dev_node, rpc_server
from engram.consensus.genesis import genesis
from engram.node.chain.signatures import SignatureVerifier
from engram.node.keystore import Keystore
from engram.primitives.codec import encode
from engram.statemachine.transaction import sign
from engram.statemachine.transactions.transfer import Transfer

IMPORTED: Final = "import_300_transfers_vs_py_evm_ms"
STARTED: Final = "start_to_first_answer_vs_{}_s"
CONFIRMED: Final = "submit_to_receipt_vs_{}_ms"
BLOCKS: Final = 4
TRANSFERS: Final = 300
ALICE: Final = key(3)
POLL_S: Final = 0.0005
"""Seconds between two looks for a receipt."""


def rows(quick: bool) -> Iterable[Row]:
    yield _row(IMPORTED, py_evm, quick, lambda program: _imports(program, 2 if quick else 7))
    for anchor, target in ((ganache, 1.0), (anvil, None)):
        pairs = 2 if quick else 7
        yield _row(STARTED.format(anchor.name), anchor, quick, _starts(anchor, pairs, target))
        yield _row(CONFIRMED.format(anchor.name), anchor, quick, _confirms(anchor, 5 * pairs, target))


def _row(name: str, anchor: Anchor, quick: bool, measured: Callable[[Path], Row]) -> Row:
    try:
        return measured(anchor.path(install=not quick))
    except AnchorMissing as missing:
        return skipped(name, str(missing))


def _imports(python: Path, pairs: int) -> Row:
    """Importing blocks of transfers to new accounts; here into LevelDB on disk, there into memory."""
    program = Path(__file__).with_name("py_evm_import.py")
    command = [str(python), str(program), str(BLOCKS), str(TRANSFERS)]
    with (
        _filled() as import_s,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        asked, told = process.stdin, process.stdout
        assert asked is not None, "a pipe was asked for"
        assert told is not None, "a pipe was asked for"

        def theirs_s() -> float:
            asked.write("\n")
            asked.flush()
            return float(told.readline())

        timed = interleaved_seconds(import_s, theirs_s, pairs)
        asked.close()
    milliseconds = 1e3 / BLOCKS
    return Row(
        IMPORTED,
        timed.median_candidate_s * milliseconds,
        timed.median_baseline_s * milliseconds,
        timed.speed,
        "ratio >= 8",
        timed.speed >= 8,
    )


@contextmanager
def _filled() -> Iterator[Callable[[], float]]:
    """Gives a function that imports the blocks into a new store, as a node whose caches are empty does, and
    returns the seconds of that.
    """
    spec = easy_spec(ALICE)
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder:
        blocks = []
        with closing(FilledChain(Path(folder) / "source", spec, genesis(spec))) as source:
            for block in range(BLOCKS):
                first = 1_000 + block * TRANSFERS
                targets = [(first + each).to_bytes(20, "big") for each in range(TRANSFERS)]
                payments = [Transfer(target, COIN // 100) for target in targets]
                txs = [source.pay(ALICE, payment, after) for after, payment in enumerate(payments)]
                blocks.append(source.block(txs))
                source.take(blocks[-1])
        runs = iter(range(1 << 30))

        def import_s() -> float:
            target = FilledChain(Path(folder) / f"target{next(runs)}", spec, genesis(spec))
            with closing(target), closing(SignatureVerifier()) as verifier:
                importer = target.importer(verifier=verifier)
                began_s = time.perf_counter()
                for block in blocks:
                    target.take(block, importer)
                return time.perf_counter() - began_s

        yield import_s


def _starts(anchor: Anchor, pairs: int, target: float | None) -> Callable[[Path], Row]:
    """The time from starting a node on a chain of its own to its first answer."""

    def engram_s() -> float:
        began_s = time.perf_counter()
        with dev_node() as node:
            ask(node.url, "node_info")
            return time.perf_counter() - began_s

    def measured(program: Path) -> Row:
        def theirs_s() -> float:
            began_s = time.perf_counter()
            with _ethereum(program):
                return time.perf_counter() - began_s

        timed = interleaved_seconds(engram_s, theirs_s, pairs)
        name = STARTED.format(anchor.name)
        return _faster(name, timed.median_candidate_s, timed.median_baseline_s, 1 / timed.speed, target)

    return measured


def _confirms(anchor: Anchor, count: int, target: float | None) -> Callable[[Path], Row]:
    """The time from handing a transfer in to its receipt, where a block comes as soon as one waits."""

    def measured(program: Path) -> Row:
        with _ethereum(program) as theirs, _own_receipts() as ours:
            other = _ethereum_receipts(theirs)
            timed = interleaved_seconds(ours, other, count)
        value, baseline = timed.median_candidate_s * 1e3, timed.median_baseline_s * 1e3
        return _faster(CONFIRMED.format(anchor.name), value, baseline, 1 / timed.speed, target)

    return measured


def _faster(name: str, value: float, baseline: float, ratio: float, target: float | None) -> Row:
    if target is None:
        return Row(name, value, baseline, ratio, "no target, for comparison", None)
    return Row(name, value, baseline, ratio, f"ratio <= {target:g}", ratio <= target)


def _ethereum(program: Path) -> AbstractContextManager[str]:
    return rpc_server([str(program)], "--port", "eth_blockNumber")


class _Client:
    """One connection that is kept, as programs keep theirs."""

    def __init__(self, url: str) -> None:
        address = urllib.parse.urlsplit(url)
        assert address.hostname is not None, "the URL is a server's"
        self._path = address.path or "/"
        self._connection = HTTPConnection(address.hostname, address.port, timeout=ANSWER_S)

    def call(self, method: str, params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        reply = json.load(self._connection.getresponse())
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]


def _ethereum_receipts(url: str) -> Callable[[], float]:
    client = _Client(url)
    sender, target = client.call("eth_accounts", [])[:2]

    def receipt_s() -> float:
        began_s = time.perf_counter()
        payment = {"from": sender, "to": target, "value": "0x5", "gas": "0x5208"}
        name = client.call("eth_sendTransaction", [payment])
        while client.call("eth_getTransactionReceipt", [name]) is None:
            time.sleep(POLL_S)
        return time.perf_counter() - began_s

    return receipt_s


@contextmanager
def _own_receipts() -> Iterator[Callable[[], float]]:
    with dev_node() as node:
        client = _Client(node.url)
        info = client.call("node_info", {})
        dev = Keystore(node.folder / "keys", info["hrp"]).load("dev", "dev")
        nonces = iter(range(1 << 30))

        def receipt_s() -> float:
            payment = Transfer((1_000 + (nonce := next(nonces))).to_bytes(20, "big"), 5)
            raw = encode(sign(dev, int(info["chain_id"]), nonce, COIN, 10, payment)).hex()
            began_s = time.perf_counter()
            name = client.call("tx_submit", {"raw": raw})["txid"]
            while client.call("tx_status", {"txid": name})["status"] != "included":
                time.sleep(POLL_S)
            return time.perf_counter() - began_s

        yield receipt_s
