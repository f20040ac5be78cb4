"""The files of a data directory beside the chain itself: the ChainSpec, keys, the RPC token, who runs here.

chain.json    the ChainSpec            engram.toml   settings, see `config`
node.key      the node's identity      rpc.token     opens admin methods, 0600
run.json      the running node         keys/         account keys, see `keystore`
leveldb/ and blocks/                   the chain, see `store`
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
from engram.node.keystore import load_node_key, write_private

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec

NODE_KEY_NAME: Final = "node.key"
RUN_NAME: Final = "run.json"
KEYS_DIRECTORY: Final = "keys"
_TOKEN_BYTES: Final = 32
_START_TOLERANCE_S: Final = 2.0


@dataclass(frozen=True)
class RunInfo:
    """How to reach the node that runs on a data directory."""

    pid: int
    rpc_url: str
    rpc_port: int
    p2p_port: int
    node_id: str
    chain: str
    spec_id: str
    started_s: float
    """When the process was started, seconds since 1970: another process may get its number later."""


def make_data_dir(data_dir: Path, spec: ChainSpec) -> bool:
    """Makes every file that a node needs; False if the directory was one of this chain already.

    Files that stand are kept. Raises `ChainExists` for a directory of another chain, `BadSpec`.
    """
    new = write_spec(data_dir, spec)
    if not (data_dir / CONFIG_NAME).exists():
        write_private(data_dir / CONFIG_NAME, default_text().encode())
    load_node_key(data_dir / NODE_KEY_NAME)
    load_token(data_dir)
    (data_dir / KEYS_DIRECTORY).mkdir(mode=0o700, exist_ok=True)
    return new


def read_spec(data_dir: Path) -> ChainSpec:
    """The chain of a data directory. Raises `ChainNotFound` where there is none, `BadSpec`."""
    from engram.consensus.chainspec import load_spec

    try:
        return load_spec((data_dir / SPEC_NAME).read_text("utf-8"))
    except FileNotFoundError as error:
        raise ChainNotFound(f"{data_dir} holds no chain: run `engram init`") from error


def write_spec(data_dir: Path, spec: ChainSpec) -> bool:
    """Makes the directory one of this chain; False if it was one already. Raises `ChainExists`, `BadSpec`."""
    # Not at the top: it brings numpy, which a command that only looks for the running node does not need.
    from engram.consensus.chainspec import dump_spec, load_spec, spec_id

    path = data_dir / SPEC_NAME
    if path.is_file():
        found = load_spec(path.read_text("utf-8"))
        if spec_id(found) != spec_id(spec):
            raise ChainExists(
                f"{data_dir} holds the chain {found.name} of spec {spec_id(found).hex()[:12]} already;"
                " nothing was changed: name another directory",
                expected=spec_id(spec),
                got=spec_id(found),
            )
        return False
    write_private(path, dump_spec(spec).encode())
    return True


def find_hrp(data_dir: Path) -> str | None:
    """The first letters of the chain's addresses, without reading its rules; None if there is no chain.

    Raises `BadSpec` where the file names none.
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
    """The token that opens admin methods; made on first use."""
    path = data_dir / TOKEN_NAME
    token = path.read_text("utf-8").strip() if path.is_file() else ""
    if not token:
        token = secrets.token_hex(_TOKEN_BYTES)
        write_private(path, token.encode() + b"\n")
    return token


def write_run_info(data_dir: Path, info: RunInfo) -> None:
    """Says that a node runs here, for commands that look for it."""
    write_private(data_dir / RUN_NAME, (json.dumps(asdict(info)) + "\n").encode())


def remove_run_info(data_dir: Path) -> None:
    """The node has ended."""
    (data_dir / RUN_NAME).unlink(missing_ok=True)


def find_run_info(data_dir: Path) -> RunInfo | None:
    """What the node that runs here says of itself; None if none runs, also where one was killed."""
    try:
        document = json.loads((data_dir / RUN_NAME).read_text("utf-8"))
        info = RunInfo(**document)
    except (OSError, ValueError, TypeError):
        return None
    return info if _runs(info) else None


def _runs(info: RunInfo) -> bool:
    """Whether the process lives and is the one that wrote the file."""
    import psutil

    try:
        process = psutil.Process(info.pid)
        started_s = process.create_time()
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
    except (psutil.Error, ValueError):
        return False
    # The system computes it from its uptime: the clock being set moves it a little.
    return abs(started_s - info.started_s) < _START_TOLERANCE_S
