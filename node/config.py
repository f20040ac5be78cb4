"""What an operator may set, and where each value came from. No files are written, nothing is opened but the
TOML.

Order, strongest first: command line, `ENGRAM_*` environment, `engram.toml` in the data directory, default.
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
    """The platform's place for application data."""
    return Path(platformdirs.user_data_dir("engram", appauthor=False))


def _setting(default: Any, text: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"text": text, **bounds})


_PORT: Final = (0, 65_535)
_BYTES: Final = 2**40


@dataclass(frozen=True)
class Config:
    """Settings of one node. What each means is its text, which `engram run --help` and new files show."""

    data_dir: Path = field(default_factory=default_data_dir)
    rpc_host: str = _setting("127.0.0.1", "Address on which RPC listens.")
    rpc_port: int = _setting(8645, "Port of RPC; 0 takes a free one.", limits=_PORT)
    rpc_names: tuple[str, ...] = _setting(
        (), "Host name, besides the local ones, that clients may use: a guard against DNS rebinding."
    )
    p2p_host: str = _setting("127.0.0.1", "Address on which the node listens to peers.")
    p2p_port: int = _setting(8646, "Port for peers; 0 takes a free one.", limits=_PORT)
    peers: tuple[str, ...] = _setting((), "HOST:PORT or NODEKEY@HOST:PORT of a peer to keep a session with.")
    max_inbound: int = _setting(32, "Peers that may connect at once.", limits=(0, 10_000))
    mine: bool = _setting(False, "Mine from the start.")
    miner_address: str = _setting(
        "", "Who gets the rewards: an address, or the name of a key; the node never needs the private key."
    )
    miner_threads: int = _setting(1, "Threads that mine.", limits=(1, 256))
    max_hashes_per_s: int = _setting(
        0, "Digests a second of all miner threads together; 0 is no limit.", limits=(0, 10**12)
    )
    mempool_bytes: int = _setting(
        64 * 1024 * 1024, "Memory for transactions that wait.", limits=(2**20, _BYTES)
    )
    cache_bytes: int = _setting(
        32 * 1024 * 1024,
        "Memory for scores and activations of networks already verified.",
        limits=(0, _BYTES),
    )
    log_level: str = _setting(
        "info", "The least level that is logged.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "console", "Log lines for people or for machines.", choices=("console", "json")
    )

    @property
    def file(self) -> Path:
        return self.data_dir / CONFIG_NAME

    @property
    def spec_file(self) -> Path:
        return self.data_dir / SPEC_NAME


@dataclass(frozen=True)
class Setting:
    """One setting, as options and files show it."""

    name: str
    default: Any
    text: str
    limits: tuple[int, int] | None = None
    """The least and the greatest value."""
    choices: tuple[str, ...] = ()


SETTINGS: Final = tuple(Setting(f.name, f.default, **f.metadata) for f in fields(Config) if f.metadata)
"""Every setting but the data directory."""
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
_TYPES: Final[dict[str, type]] = {"data_dir": Path} | {item.name: type(item.default) for item in SETTINGS}


def default_text() -> str:
    """An `engram.toml` in which every setting stands as a comment, with its meaning and default."""
    blocks = [
        "# Settings of this node. Each shows its default: remove the # before it to change it.\n"
        "# Options of `engram run` and ENGRAM_* variables of the environment win over this file.\n"
    ]
    for item in SETTINGS:
        bounds = f" One of {', '.join(item.choices)}." if item.choices else ""
        # JSON's numbers, texts, lists and truth values are TOML's too.
        blocks.append(f"# {item.text}{bounds}\n#{item.name} = {json.dumps(item.default)}\n")
    return "\n".join(blocks)


@dataclass(frozen=True)
class LoadedConfig:
    """A config and, for each setting, who decided it: `command line`, `environment`, the file, or
    `default`.
    """

    config: Config
    origins: Mapping[str, str]


def load_config(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> LoadedConfig:
    """Merge the sources. `arguments` holds only what the user gave. Raises `ConfigInvalid` naming the
    setting.
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
        raise ConfigInvalid(f"{path}: unknown setting {unknown[0]}", expected=sorted(_TYPES), got=unknown[0])
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
            raise ConfigInvalid(f"{name} must be a list of texts", got=value)
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
        raise ConfigInvalid(f"unknown {name}", expected=setting.choices, got=value)
