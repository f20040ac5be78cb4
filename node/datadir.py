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
from engram.node.config import SPEC_NAME
from engram.node.errors import ForeignData
from engram.node.keystore import write_private

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec

NODE_KEY_NAME: Final = "node.key"
RUN_NAME: Final = "run.json"
KEYS_DIRECTORY: Final = "keys"
_TOKEN_BYTES: Final = 32


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


def write_spec(data_dir: Path, spec: ChainSpec) -> bool:
    """Makes the directory one of this chain; False if it was one already. Raises `ForeignData`, `BadSpec`."""
    # Not at the top: it brings numpy, which a command that only looks for the running node does not need.
    from engram.consensus.chainspec import dump_spec, load_spec, spec_id

    path = data_dir / SPEC_NAME
    if path.is_file():
        found = load_spec(path.read_text("utf-8"))
        if spec_id(found) != spec_id(spec):
            raise ForeignData(expected=spec_id(spec), got=spec_id(found))
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
    """What a node that runs here has said of itself; it may have been killed since."""
    try:
        document = json.loads((data_dir / RUN_NAME).read_text("utf-8"))
        return RunInfo(**document)
    except (OSError, ValueError, TypeError):
        return None
