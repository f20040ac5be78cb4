"""What an operator may set, and where each value came from. No files are written, nothing is opened but the
TOML.

Order, strongest first: command line, `ENGRAM_*` environment, `engram.toml` in the data directory, default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from engram.node.errors import ConfigInvalid

CONFIG_NAME = "engram.toml"
SPEC_NAME = "chain.json"


def default_data_dir() -> Path:
    """The platform's place for application data."""
    return Path(platformdirs.user_data_dir("engram", appauthor=False))


@dataclass(frozen=True)
class Config:
    """Settings of one node. Ports: 0 takes a free one."""

    data_dir: Path = field(default_factory=default_data_dir)
    rpc_host: str = "127.0.0.1"
    rpc_port: int = 8645
    rpc_names: tuple[str, ...] = ()
    """Host names, besides the local ones, that clients may use: a guard against DNS rebinding."""
    p2p_host: str = "127.0.0.1"
    p2p_port: int = 8646
    peers: tuple[str, ...] = ()
    """host:port of peers to keep a session with."""
    max_inbound: int = 32
    mine: bool = False
    miner_address: str = ""
    """Address text that block rewards go to; needed to mine. The node never needs its private key."""
    miner_threads: int = 1
    max_hashes_per_s: int = 0
    """Hashes per second of all miner threads together; 0 is no limit."""
    mempool_bytes: int = 64 * 1024 * 1024
    cache_bytes: int = 32 * 1024 * 1024
    """Verification cache: scores and frozen activations."""
    log_level: str = "info"
    log_format: str = "console"
    """`console` for people, `json` for machines."""

    @property
    def file(self) -> Path:
        return self.data_dir / CONFIG_NAME

    @property
    def spec_file(self) -> Path:
        return self.data_dir / SPEC_NAME


_CHOICES = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("console", "json")}
_LIMITS = {
    "rpc_port": (0, 65_535),
    "p2p_port": (0, 65_535),
    "max_inbound": (0, 10_000),
    "miner_threads": (1, 256),
    "max_hashes_per_s": (0, 10**12),
    "mempool_bytes": (2**20, 2**40),
    "cache_bytes": (0, 2**40),
}
_TYPES: dict[str, type] = {f.name: type(getattr(Config(data_dir=Path()), f.name)) for f in fields(Config)}


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
    if name in _LIMITS and not _LIMITS[name][0] <= value <= _LIMITS[name][1]:
        raise ConfigInvalid(f"{name} is out of range", expected=_LIMITS[name], got=value)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ConfigInvalid(f"unknown {name}", expected=_CHOICES[name], got=value)
