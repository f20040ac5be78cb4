"""The small files of a data directory: the ChainSpec, keys, the RPC token, and which node runs here.

chain.json    the ChainSpec            engram.toml   settings, see `config`
node.key      the node's identity      rpc.token     opens admin methods, file mode 0600
run.json      the running node         keys/         account keys, see `keystore`
bans.json     who is refused, see `bans`  peers.json   peers added by commands, see `knownpeers`
leveldb/ and blocks/                   the chain itself, see `store`
mempool.journal                        the transactions that wait, see `mempool.journal`

Commands read run.json to find the running node. The file alone proves nothing: a node that was killed leaves
it behind, and the operating system may give its process number to another process. It therefore also holds
the time at which the process started, and it is believed only while a process with that number and that
starting time lives.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engram.node.client import TOKEN_NAME, find_token
from engram.node.config import CONFIG_NAME, SPEC_NAME, default_text
from engram.node.errors import ChainExists, ChainNotFound, FileDamaged
from engram.node.files import make_folder, read_plain, write_private
from engram.node.keystore import load_node_key
from engram.primitives.errors import ChainError

if TYPE_CHECKING:
    from engram.consensus.chainspec import ChainSpec

NODE_KEY_NAME: Final = "node.key"
RUN_NAME: Final = "run.json"
KEYS_DIRECTORY: Final = "keys"
_TOKEN_BYTES: Final = 32
_MAX_SPEC_BYTES: Final = 2**26
_MAX_SMALL_BYTES: Final = 2**14
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


_RUN_TYPES: Final = {
    entry.name: {"int": int, "str": str, "float": float}[str(entry.type)] for entry in fields(RunInfo)
}


def make_data_dir(data_dir: Path, spec: ChainSpec) -> bool:
    """Makes every file that a node needs and keeps those that exist; False if the chain was there already.

    Raises `ChainExists` if the directory belongs to another chain, `BadSpec` if its chain.json is not valid,
    `KeyFileInvalid`, `FileDamaged`, `NotAFile` and `NotAFolder` for other files that are not what they should
    be, and `OSError`.
    """
    new = write_spec(data_dir, spec)
    if not os.path.lexists(data_dir / CONFIG_NAME):
        write_private(data_dir / CONFIG_NAME, default_text().encode())
    load_node_key(data_dir / NODE_KEY_NAME)
    load_token(data_dir)
    make_folder(data_dir / KEYS_DIRECTORY)
    return new


def read_spec(data_dir: Path) -> ChainSpec:
    """The ChainSpec of a data directory. Raises `ChainNotFound` if there is none, `BadSpec` if it is bad."""
    try:
        return read_spec_file(data_dir / SPEC_NAME)
    except FileNotFoundError as error:
        raise ChainNotFound(f"there is no chain in {data_dir}: run `engram init` to make one") from error


def read_spec_file(path: Path, *, pipes: bool = False) -> ChainSpec:
    """The ChainSpec in a file, or with `pipes` in whatever the user names.

    Raises `BadSpec`, `NotAFile`, `FileNotFoundError` and other `OSError`s.
    """
    from engram.consensus.chainspec import load_spec
    from engram.consensus.errors import BadSpec

    try:
        return load_spec(read_plain(path, _MAX_SPEC_BYTES, pipes=pipes).decode("utf-8-sig"))
    except (UnicodeDecodeError, FileDamaged) as error:
        raise BadSpec(f"{path} is no chain.json: {error}") from error
    except BadSpec as error:
        raise BadSpec(f"{path}: {error.message}", expected=error.expected, got=error.got) from error


def write_spec(data_dir: Path, spec: ChainSpec) -> bool:
    """Writes chain.json; False if it already holds this chain.

    Raises `ChainExists` if the directory belongs to another chain, `BadSpec` if its chain.json is not valid.
    """
    # Imported here, not at the top: it imports numpy, which a command that only looks for the running node
    # does not need.
    from engram.consensus.chainspec import dump_spec, spec_id

    path = data_dir / SPEC_NAME
    if os.path.lexists(path):
        found = read_spec_file(path)
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
    try:
        hrp = json.loads(read_plain(path, _MAX_SPEC_BYTES))["hrp"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError, FileDamaged):
        hrp = None
    return hrp if isinstance(hrp, str) else read_spec_file(path).hrp


def load_token(data_dir: Path) -> str:
    """The token that a client must send to call admin methods; made on first use.

    Raises `FileDamaged` if the file holds something else, `NotAFile`, and `OSError`.
    """
    token = find_token(data_dir)
    if token is None:
        token = secrets.token_hex(_TOKEN_BYTES)
        write_private(data_dir / TOKEN_NAME, token.encode() + b"\n")
    return token


def write_run_info(data_dir: Path, info: RunInfo) -> None:
    """Writes run.json, by which commands find the node that runs here."""
    write_private(data_dir / RUN_NAME, (json.dumps(asdict(info)) + "\n").encode())


def remove_run_info(data_dir: Path) -> None:
    """Removes run.json, because the node has ended."""
    if (data_dir / RUN_NAME).is_file():
        (data_dir / RUN_NAME).unlink(missing_ok=True)


def find_run_info(data_dir: Path) -> RunInfo | None:
    """The content of run.json if that node is alive; None if no node runs here, for instance after a kill."""
    try:
        document = json.loads(read_plain(data_dir / RUN_NAME, _MAX_SMALL_BYTES))
        info = RunInfo(**document)
    except (OSError, ValueError, TypeError, RecursionError, ChainError):
        return None
    if any(type(value) is not _RUN_TYPES[name] for name, value in asdict(info).items()):
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
