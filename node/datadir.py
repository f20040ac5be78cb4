"""The small files of a data directory: the ChainSpec, keys, the RPC token, and which node runs here.

chain.json    the ChainSpec            engram.toml   settings, see `config`
node.key      the node's identity      rpc.token     opens admin methods, file mode 0600
run.json      the running node         keys/         account keys, see `keystore`
leveldb/ and blocks/                   the chain itself, see `store`
mempool.journal                        the transactions that wait, see `mempool.journal`

Commands read run.json to find the running node. The file alone proves nothing: a node that was killed leaves
it behind, and the operating system may give its process number to another process. It therefore also holds
the time at which the process started, and it is believed only while a process with that number and that
starting time lives.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engram.node.client import TOKEN_NAME
from engram.node.config import CONFIG_NAME, SPEC_NAME, default_text
from engram.node.errors import ChainExists, ChainNotFound
from engram.node.files import write_private
from engram.node.keystore import load_node_key

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec

NODE_KEY_NAME: Final = "node.key"
RUN_NAME: Final = "run.json"
KEYS_DIRECTORY: Final = "keys"
_TOKEN_BYTES: Final = 32
_START_TOLERANCE_S: Final = 2.0


@dataclass(frozen=True)
class RunInfo:
    """How to reach the node that runs on a data directory; the content of run.json."""

    pid: int
    rpc_url: str
    rpc_port: int
    p2p_port: int
    node_id: str
    chain: str
    spec_id: str
    started_s: float
    """When the process started, in seconds since 1970. A later process with the same number started later."""


def make_data_dir(data_dir: Path, spec: ChainSpec) -> bool:
    """Makes every file that a node needs and keeps those that exist; False if the chain was there already.

    Raises `ChainExists` if the directory belongs to another chain, `BadSpec` if its chain.json is not valid.
    """
    new = write_spec(data_dir, spec)
    if not (data_dir / CONFIG_NAME).exists():
        write_private(data_dir / CONFIG_NAME, default_text().encode())
    load_node_key(data_dir / NODE_KEY_NAME)
    load_token(data_dir)
    (data_dir / KEYS_DIRECTORY).mkdir(mode=0o700, exist_ok=True)
    return new


def read_spec(data_dir: Path) -> ChainSpec:
    """The ChainSpec of a data directory. Raises `ChainNotFound` if there is none, `BadSpec` if it is bad."""
    from engram.consensus.chainspec import load_spec

    try:
        return load_spec((data_dir / SPEC_NAME).read_text("utf-8"))
    except FileNotFoundError as error:
        raise ChainNotFound(f"there is no chain in {data_dir}: run `engram init` to make one") from error


def write_spec(data_dir: Path, spec: ChainSpec) -> bool:
    """Writes chain.json; False if it already holds this chain.

    Raises `ChainExists` if the directory belongs to another chain, `BadSpec` if its chain.json is not valid.
    """
    # Imported here, not at the top: it imports numpy, which a command that only looks for the running node
    # does not need.
    from engram.consensus.chainspec import dump_spec, load_spec, spec_id

    path = data_dir / SPEC_NAME
    if path.is_file():
        found = load_spec(path.read_text("utf-8"))
        if spec_id(found) != spec_id(spec):
            raise ChainExists(
                f"{data_dir} already holds the chain {found.name} of spec {spec_id(found).hex()[:12]};"
                " nothing was changed: choose another directory",
                expected=spec_id(spec),
                got=spec_id(found),
            )
        return False
    write_private(path, dump_spec(spec).encode())
    return True


def find_hrp(data_dir: Path) -> str | None:
    """The prefix of the chain's addresses; None if there is no chain.

    The rest of the spec is not checked. Raises `BadSpec` if chain.json names no prefix.
    """
    path = data_dir / SPEC_NAME
    if not path.is_file():
        return None
    text = path.read_text("utf-8")
    try:
        hrp = json.loads(text)["hrp"]
    except (ValueError, TypeError, KeyError):
        hrp = None
    if not isinstance(hrp, str):
        from engram.consensus.chainspec import load_spec

        return load_spec(text).hrp
    return hrp


def load_token(data_dir: Path) -> str:
    """The token that a client must send to call admin methods; made on first use."""
    path = data_dir / TOKEN_NAME
    token = path.read_text("utf-8").strip() if path.is_file() else ""
    if not token:
        token = secrets.token_hex(_TOKEN_BYTES)
        write_private(path, token.encode() + b"\n")
    return token


def write_run_info(data_dir: Path, info: RunInfo) -> None:
    """Writes run.json, by which commands find the node that runs here."""
    write_private(data_dir / RUN_NAME, (json.dumps(asdict(info)) + "\n").encode())


def remove_run_info(data_dir: Path) -> None:
    """Removes run.json, because the node has ended."""
    (data_dir / RUN_NAME).unlink(missing_ok=True)


def find_run_info(data_dir: Path) -> RunInfo | None:
    """The content of run.json if that node is alive; None if no node runs here, for instance after a kill."""
    try:
        document = json.loads((data_dir / RUN_NAME).read_text("utf-8"))
        info = RunInfo(**document)
    except (OSError, ValueError, TypeError):
        return None
    return info if _runs(info) else None


def _runs(info: RunInfo) -> bool:
    """Whether a process with this number lives and started when the writer of the file did."""
    import psutil

    try:
        process = psutil.Process(info.pid)
        started_s = process.create_time()
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
    except (psutil.Error, ValueError):
        return False
    # The system computes the starting time from its uptime, so setting the clock moves it a little.
    return abs(started_s - info.started_s) < _START_TOLERANCE_S
