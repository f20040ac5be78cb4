"""The settings of a node, and from which source each value came.

There are four sources. If several set the same value, the first of this list wins: the command line, the
`ENGRAM_*` environment variables, `engram.toml` in the data directory, the default.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import platformdirs

from engram.node.errors import ConfigInvalid

CONFIG_NAME = "engram.toml"
SPEC_NAME = "chain.json"


def default_data_dir() -> Path:
    """The folder `engram` where this platform keeps the data of applications."""
    return Path(platformdirs.user_data_dir("engram", appauthor=False))


def _setting(default: Any, text: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"text": text, **bounds})


_PORT: Final = (0, 65_535)
_BYTES: Final = 2**40


@dataclass(frozen=True)
class Config:
    """Settings of one node. `engram run --help` and a new engram.toml show the text of each."""

    data_dir: Path = field(default_factory=default_data_dir)
    rpc_host: str = _setting(
        "127.0.0.1",
        "Address on which the node answers RPC. 127.0.0.1 admits only programs on this machine. RPC is plain "
        "HTTP: before you change this, put a firewall or a TLS proxy before the port.",
    )
    rpc_port: int = _setting(
        8645,
        "TCP port on which the node answers RPC. Change it if another program uses it; with 0 the system "
        "chooses a free port.",
        limits=_PORT,
    )
    rpc_names: tuple[str, ...] = _setting(
        (),
        "Host name by which clients may address RPC, in addition to localhost, 127.0.0.1, [::1] and "
        "rpc_host. Set it if clients reach the node under another name. Requests for any other name are "
        "refused, so that a web page cannot reach the node by DNS rebinding.",
    )
    p2p_host: str = _setting(
        "127.0.0.1",
        "Address on which the node accepts connections from peers. 127.0.0.1 admits only nodes on this "
        "machine; set 0.0.0.0 to admit nodes on other machines.",
    )
    p2p_port: int = _setting(
        8646,
        "TCP port on which the node accepts connections from peers. Change it if another program uses it; "
        "with 0 the system chooses a free port.",
        limits=_PORT,
    )
    peers: tuple[str, ...] = _setting(
        (),
        "Peer that the node connects to, and connects to again whenever the connection ends: HOST:PORT, or "
        "NODEKEY@HOST:PORT to accept only the node with that key.",
    )
    p2p_tls: str = _setting(
        "auto",
        "Which connections to peers are encrypted: auto encrypts all but those within this machine, always "
        "also these, never none that this node makes. With auto and always, plain connections from other "
        "machines are refused; set never for peers too old to encrypt.",
        choices=("auto", "always", "never"),
    )
    max_inbound: int = _setting(
        32,
        "How many peers may be connected to this node at once by their own dialling. Peers that this node "
        "dials are not counted; 0 admits none.",
        limits=(0, 10_000),
    )
    mine: bool = _setting(
        False,
        "Mine as soon as the node runs; miner_address must be set. `engram miner start` and `engram miner "
        "stop` change it while the node runs.",
    )
    miner_address: str = _setting(
        "",
        "Account that is paid for mined blocks: an address, or the name of a key in the data directory. The "
        "node never needs the private key.",
    )
    miner_threads: int = _setting(
        1,
        "Number of threads that search for a proof of work. Each keeps one CPU core busy unless "
        "max_hashes_per_s limits it.",
        limits=(1, 256),
    )
    max_hashes_per_s: int = _setting(
        0,
        "The most proof-of-work hashes per second that all miner threads together compute. Set it to leave "
        "CPU time to other programs; 0 means no limit.",
        limits=(0, 10**12),
    )
    archive: bool = _setting(
        False,
        "Keep every old state and losing branch. Otherwise the states of the last 128 blocks are kept, and "
        "those of the last 2,048 can be made again.",
    )
    miner_waits: bool = _setting(
        False,
        "Mine no block that a program which takes part in a round is not ready for. It is meant for networks "
        "for tests: whoever reaches the node's RPC can keep it from mining. `engram run --dev` and "
        "`engram localnet` set it.",
    )
    miner_waits_at: tuple[str, ...] = _setting(
        (),
        "RPC address (http://HOST:PORT) of another miner of the same test network, for whose programs this "
        "miner waits as for its own.",
    )
    mempool_bytes: int = _setting(
        64 * 1024 * 1024,
        "Bytes of memory for transactions that wait for a block. When they are full, the transactions that "
        "pay least for their weight are dropped.",
        limits=(2**20, _BYTES),
    )
    cache_bytes: int = _setting(
        32 * 1024 * 1024,
        "Bytes of memory for results of networks that the node has verified, which spare it the same "
        "computation when a block arrives. Raise it for large models; 0 keeps no results.",
        limits=(0, _BYTES),
    )
    log_level: str = _setting(
        "info",
        "Least important kind of log line that is written. debug writes the most lines, error the fewest.",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: str = _setting(
        "console",
        "Form of the log lines: console writes text for people, json writes one JSON object per line for "
        "programs.",
        choices=("console", "json"),
    )

    @property
    def file(self) -> Path:
        return self.data_dir / CONFIG_NAME

    @property
    def spec_file(self) -> Path:
        return self.data_dir / SPEC_NAME


@dataclass(frozen=True)
class Setting:
    """One setting, as the options of `engram run` and engram.toml show it."""

    name: str
    default: Any
    text: str
    limits: tuple[int, int] | None = None
    """The least and the greatest value; None if any value of its type is allowed."""
    choices: tuple[str, ...] = ()


SETTINGS: Final = tuple(Setting(f.name, f.default, **f.metadata) for f in fields(Config) if f.metadata)
"""Every setting except the data directory, which engram.toml cannot set because the file lies in it."""
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
_TYPES: Final[dict[str, type]] = {"data_dir": Path} | {item.name: type(item.default) for item in SETTINGS}


def default_text() -> str:
    """The text of a new `engram.toml`: every setting with its meaning and default, all as comments."""
    blocks = [
        "# Settings of this node. Each line shows the default. To change a setting, remove the # before it.\n"
        "# Options of `engram run` and ENGRAM_* environment variables take precedence over this file.\n"
    ]
    for item in SETTINGS:
        bounds = f" One of {', '.join(item.choices)}." if item.choices else ""
        # Numbers, texts, lists and truth values are written in TOML as they are in JSON.
        blocks.append(f"# {item.text}{bounds}\n#{item.name} = {json.dumps(item.default)}\n")
    return "\n".join(blocks)


@dataclass(frozen=True)
class LoadedConfig:
    """A config and the origin of each setting.

    An origin is `command line`, `environment`, the path of the file, or `default`.
    """

    config: Config
    origins: Mapping[str, str]


def load_config(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> LoadedConfig:
    """The settings of all sources, the stronger source winning.

    `arguments` are the values of the command line; those that are None were not given. Raises
    `ConfigInvalid`, which names the wrong setting.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    variables = {
        name: _from_text(name, environ[f"ENGRAM_{name.upper()}"])
        for name in _TYPES
        if f"ENGRAM_{name.upper()}" in environ
    }
    data_dir = Path(given.get("data_dir") or variables.get("data_dir") or default_data_dir())
    settings: dict[str, Any] = {}
    origins = dict.fromkeys(_TYPES, "default")
    path = data_dir / CONFIG_NAME
    for origin, source in (
        (str(path), _from_file(path)),
        ("environment", variables),
        ("command line", given),
    ):
        for name, value in source.items():
            settings[name] = _checked(name, value)
            origins[name] = origin
    settings["data_dir"] = data_dir
    return LoadedConfig(replace(Config(data_dir=data_dir), **settings), origins)


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} cannot be read as TOML: {error}") from error
    unknown = sorted(set(document) - (set(_TYPES) - {"data_dir"}))
    if unknown:
        raise ConfigInvalid(
            f"{path}: there is no setting named {unknown[0]}", expected=sorted(_TYPES), got=unknown[0]
        )
    return document


def _from_text(name: str, text: str) -> Any:
    kind = _TYPES[name]
    if kind is bool:
        if text.lower() not in ("0", "1", "true", "false"):
            raise ConfigInvalid(f"ENGRAM_{name.upper()} must be true or false", got=text)
        return text.lower() in ("1", "true")
    if kind is tuple:
        return tuple(item for item in text.split(",") if item)
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise ConfigInvalid(f"ENGRAM_{name.upper()} must be a whole number", got=text) from error
    return text


def _checked(name: str, value: Any) -> Any:
    kind = _TYPES[name]
    if kind is tuple and isinstance(value, list | tuple):
        if not all(isinstance(item, str) for item in value):
            raise ConfigInvalid(f"{name} must be a list of strings", got=value)
        return tuple(value)
    if issubclass(kind, Path):
        return Path(value)
    if kind not in (bool, int, str) or type(value) is not kind:
        raise ConfigInvalid(f"{name} must be of type {kind.__name__}", expected=kind.__name__, got=value)
    _check_bounds(name, value)
    return value


def _check_bounds(name: str, value: Any) -> None:
    setting = _BY_NAME[name]
    if setting.limits is not None and not setting.limits[0] <= value <= setting.limits[1]:
        raise ConfigInvalid(f"{name} is out of range", expected=setting.limits, got=value)
    if setting.choices and value not in setting.choices:
        raise ConfigInvalid(f"unknown value for {name}", expected=setting.choices, got=value)
