"""The settings that a node runs with, and from which source each of them came.

There are four sources. If several set the same value, the first of this list wins: the command line, the
`ENGRAM_*` environment variables, `engram.toml` in the data directory, the default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from engram.node import settingrules as rules
from engram.node.config import CONFIG_NAME, SETTINGS, Config, default_data_dir
from engram.node.errors import ConfigInvalid, FileDamaged
from engram.node.files import read_plain
from engram.p2p.errors import BadPeerAddress

_MAX_FILE_BYTES: Final = 2**20
_MAX_ITEMS: Final = 1_000
"""Most values of a setting that is a list."""
_LINE: Final = re.compile(r"\(at line ([0-9]+), column [0-9]+\)")
_VARIABLE: Final = "ENGRAM_"
_DATA_DIR: Final = "ENGRAM_DATA_DIR"
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
_TOLD: Final = {tuple: "a list of strings", str: "a text", int: "a whole number", bool: "true or false"}
_TYPES: Final[dict[str, type]] = {"data_dir": Path} | {item.name: type(item.default) for item in SETTINGS}


@dataclass(frozen=True)
class LoadedConfig:
    """A config and the origin of each setting.

    An origin is `command line`, `environment`, the path of the file, or `default`.
    """

    config: Config
    origins: Mapping[str, str]
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that set nothing, and what their writer probably meant."""


def load_config(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> LoadedConfig:
    """The settings of all sources, the stronger source winning.

    `arguments` are the values of the command line; those that are None were not given. Raises
    `ConfigInvalid` and `BadPeerAddress`, which name the wrong setting and where it was set, `NotAFile` and
    `OSError` if engram.toml cannot be read.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    variables = {
        name: _from_text(name, environ[_variable(name)]) for name in _TYPES if _variable(name) in environ
    }
    data_dir = _data_dir(given, variables)
    settings: dict[str, Any] = {}
    origins = dict.fromkeys(_TYPES, "default")
    path = data_dir / CONFIG_NAME
    for origin, source, place in (
        (str(path), _from_file(path), lambda name: str(path)),
        ("environment", variables, _variable),
        ("command line", given, lambda name: f"--{name.replace('_', '-')}"),
    ):
        for name, value in source.items():
            settings[name] = _checked(name, value, place(name))
            origins[name] = origin
    settings["data_dir"] = data_dir
    config = replace(Config(data_dir=data_dir), **settings)
    _check_together(config, origins["rpc_host"])
    return LoadedConfig(config, origins, rules.misspelt(environ, _VARIABLE, sorted(_TYPES)))


def find_data_dir(given: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The data directory, and whether the user has named it. Neither it nor its engram.toml is read.

    `given` is the one of the command line. Raises `ConfigInvalid` for one that cannot be meant.
    """
    arguments = {} if given is None else {"data_dir": given}
    variables = {"data_dir": environ[_DATA_DIR]} if _DATA_DIR in environ else {}
    return _data_dir(arguments, variables), bool(arguments or variables)


def from_text(name: str, text: str) -> Any:
    """The value that a text of the command line means for a setting. Raises `ValueError`."""
    kind = _TYPES[name]
    if kind is bool:
        return rules.truth_value(text)
    if kind is tuple:
        return tuple(item.strip() for item in text.split(",")) if text.strip() else ()
    if kind is int:
        return rules.whole_number(text)
    return text


def _variable(name: str) -> str:
    return f"{_VARIABLE}{name.upper()}"


def _data_dir(given: Mapping[str, Any], variables: Mapping[str, Any]) -> Path:
    if "data_dir" in given:
        return Path(given["data_dir"])
    if "data_dir" not in variables:
        return default_data_dir()
    text = variables["data_dir"]
    if not text:
        raise _wrong("data_dir is empty: name a folder, or unset it", _variable("data_dir"), text)
    if text == "~" or text.startswith("~/"):
        message = "data_dir begins with ~, which only a shell understands: write the whole path"
        raise _wrong(message, _variable("data_dir"), text)
    return Path(text)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        # Some editors begin a file with a byte order mark, which TOML does not know.
        document = tomllib.loads(read_plain(path, _MAX_FILE_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        message = f"{path} cannot be read as TOML: {error}; save it as UTF-8"
        raise ConfigInvalid(message) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(_no_toml(path, str(error))) from error
    except (RecursionError, FileDamaged) as error:
        raise ConfigInvalid(f"{path} cannot be read as TOML: {error}") from error
    for name, value in document.items():
        if name not in _BY_NAME:
            raise ConfigInvalid(_no_such(path, name, value), got=name)
    return document


def _no_toml(path: Path, reason: str) -> str:
    """Names the line that cannot be read, and what to write instead."""
    lines = read_plain(path, _MAX_FILE_BYTES).decode("utf-8-sig").splitlines()
    place = _LINE.search(reason)
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=1)
    number = last if place is None else min(int(place[1]), len(lines))
    line = lines[number - 1]
    if "overwrite" in reason:
        same = [n for n, each in enumerate(lines, 1) if _name_in(each) == _name_in(line)]
        places = " and ".join(map(str, same))
        return f"{path}: {_name_in(line)} is set twice, in the lines {places}: remove one of them"
    advice = 'write NAME = VALUE, a text in "quotes", a list in [brackets], true and false in small letters'
    setting = _BY_NAME.get(_name_in(line))
    if setting is not None and setting.example:
        advice = f"{setting.name} is a list: write it as in {setting.line}"
    return f"{path}, line {number}, cannot be read as TOML: {rules.shown(line)}: {advice} ({reason})"


def _name_in(line: str) -> str:
    """The setting that a line sets, as a message repeats it."""
    return rules.shown(line.partition("=")[0].partition(".")[0].strip().strip("\"'"))[1:-1]


def _no_such(path: Path, name: str, value: object) -> str:
    if name == "data_dir":
        return f"{path}: data_dir cannot stand in the file that lies in it; use --data-dir or ENGRAM_DATA_DIR"
    if isinstance(value, dict):
        return f"{path}: there is no table [{rules.shown(name)[1:-1]}]; settings stand in no table"
    return f"{path}: {rules.no_setting(name, sorted(_BY_NAME))}"


def _from_text(name: str, text: str) -> Any:
    try:
        return from_text(name, text)
    except ValueError as error:
        raise _wrong(f"{name} {error}", _variable(name), text) from error


def _checked(name: str, value: Any, place: str) -> Any:
    kind = _TYPES[name]
    if kind is tuple and isinstance(value, list | tuple):
        if not all(isinstance(item, str) for item in value):
            raise _wrong(f"{name} must be a list of strings{_as_in(name, place)}", place, value)
        if len(value) > _MAX_ITEMS:
            raise _wrong(f"{name} has more than {_MAX_ITEMS} members", place, len(value))
        for item in value:
            _check_value(name, item, place)
        return tuple(value)
    if issubclass(kind, Path):
        return Path(value)
    if kind not in (bool, int, str) or type(value) is not kind:
        raise _wrong(f"{name} must be {_TOLD[kind]}{_as_in(name, place)}", place, value)
    _check_value(name, value, place)
    return value


def _check_value(name: str, value: Any, place: str) -> None:
    setting = _BY_NAME[name]
    if setting.limits is not None and not setting.limits[0] <= value <= setting.limits[1]:
        least, most = setting.limits
        raise _wrong(f"{name} is out of range: it is {least} to {most}", place, value)
    if setting.choices and value not in setting.choices:
        raise _wrong(f"unknown value for {name}: it is one of {', '.join(setting.choices)}", place, value)
    if setting.check is not None:
        try:
            setting.check(value)
        except ValueError as error:
            raise _wrong(f"{name} {error}{_as_in(name, place)}", place, value) from error
        except BadPeerAddress as error:
            message = f"{error.message}{_as_in(name, place)} (set by {place})"
            raise BadPeerAddress(message, got=error.got) from error


def _as_in(name: str, place: str) -> str:
    """The end of a sentence that shows how the place where a list was set wrongly sets it rightly."""
    setting = _BY_NAME[name]
    if not setting.example:
        return ""
    if place == _variable(name):
        return f"; for example {place}={','.join(setting.example)}"
    if place.startswith("--"):
        option = place.removesuffix("s")  # it takes one member, and can be repeated
        return "; for example " + " ".join(f"{option} {each}" for each in setting.example)
    return f"; for example {setting.line}"


def _check_together(config: Config, origin: str) -> None:
    if not config.rpc_public and not rules.is_loopback_host(config.rpc_host):
        raise ConfigInvalid(
            f"rpc_host = {config.rpc_host} ({origin}) lets other machines use RPC, which is plain HTTP: "
            "leave it out to serve this machine only; or put a firewall or a TLS proxy before the port, and "
            "set rpc_public (--rpc-public, ENGRAM_RPC_PUBLIC=true)",
            got=config.rpc_host,
        )


def _wrong(message: str, place: str, value: object) -> ConfigInvalid:
    return ConfigInvalid(f"{message} (set by {place})", got=rules.shown(value))
