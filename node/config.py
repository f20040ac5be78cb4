"""The settings of a node: one table from which options, environment variables and `engram.toml` follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import platformdirs

from engram.node import settingrules as rules
from engram.node.errors import ConfigInvalid

CONFIG_NAME = "engram.toml"
SPEC_NAME = "chain.json"


def default_data_dir() -> Path:
    """The folder `engram` where this platform keeps the data of applications.

    Raises `ConfigInvalid` for a user without a home directory, as services and containers have.
    """
    try:
        path = Path(platformdirs.user_data_dir("engram", appauthor=False))
    except RuntimeError:
        path = Path()
    if not path.is_absolute():
        raise ConfigInvalid("this user has no home directory: set ENGRAM_DATA_DIR or HOME, or use --data-dir")
    return path


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
        "IP address on which the node answers RPC. 127.0.0.1 admits only programs on this machine. Any other "
        "address needs rpc_public.",
        check=rules.listening_host,
    )
    rpc_public: bool = _setting(
        False,
        "Let rpc_host be an address that other machines reach. RPC is plain HTTP: before you set this, put a "
        "firewall or a TLS proxy before the port.",
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
        check=rules.host_name,
        example=("node.example.org", "203.0.113.5"),
    )
    rpc_explorer: bool = _setting(
        True,
        "Serve pages to explore the chain, for browsers, under /explore/ of the RPC address. They only read, "
        "and the same hosts reach them as RPC.",
    )
    p2p_host: str = _setting(
        "127.0.0.1",
        "IP address on which the node accepts connections from peers. 127.0.0.1 admits only nodes on this "
        "machine; set 0.0.0.0 to admit nodes on other machines.",
        check=rules.listening_host,
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
        check=rules.peer_address,
        example=("192.0.2.7:8646", "node.example.org:8646"),
    )
    p2p_tls: str = _setting(
        "auto",
        "Which connections to peers are encrypted: auto encrypts all but those within this machine, always "
        "also these, never none that this node makes. With auto and always, plain connections from other "
        "machines are refused; set never for peers too old to encrypt.",
        choices=("auto", "always", "never"),
    )
    seeds: tuple[str, ...] = _setting(
        (),
        "Node that is asked for addresses of others while nobody else answers: HOST:PORT. HOST may be a name "
        "that stands for many nodes.",
        check=rules.seed_address,
        example=("seed.example.org:8646",),
    )
    max_outbound: int = _setting(
        8,
        "How many peers the node keeps connections to by its own dialling. Peers that are named count; the "
        "others are chosen from the addresses that it has heard of.",
        limits=(1, 128),
    )
    connect_only: bool = _setting(
        False,
        "Dial only peers that are named, by `peers` or `engram peer add`, and ask nobody for addresses.",
    )
    public_address: str = _setting(
        "",
        "IP address and port (HOST:PORT) by which nodes elsewhere reach this one, which it tells them. Set "
        "it behind a router that forwards the port; without it, the node tells what its peers see it as, if "
        "it listens for peers from other machines.",
        check=rules.own_address,
    )
    max_inbound: int = _setting(
        32,
        "How many peers may be connected to this node at once by their own dialling. Peers that this node "
        "dials are not counted; 0 admits none.",
        limits=(0, 10_000),
    )
    max_inbound_per_host: int = _setting(
        4,
        "How many of these may come from one host: an IPv4 address or an IPv6 /64. This machine itself is "
        "exempt. Raise it where a proxy or a router makes many peers look like one host.",
        limits=(1, 10_000),
    )
    max_inbound_per_group: int = _setting(
        16,
        "How many of these may come from one network: a /16 of IPv4 or a /32 of IPv6. This machine itself is "
        "exempt. Raise it where many peers are in your own network.",
        limits=(1, 10_000),
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
        check=rules.account_name,
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
    account_index: bool = _setting(
        False,
        "Keep an index of what every block was to the accounts that it touches, for `engram account "
        "history`. It is made in the background, also of the blocks that are there already, and deleted when "
        "you take the setting back.",
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
        check=rules.http_url,
        example=("http://192.0.2.7:8645",),
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
    engine: str = _setting(
        "auto",
        "What evaluates networks: auto takes the fastest that is exact on this machine, numpy is always "
        "there, torch is PyTorch on a processor with int8 instructions, cuda PyTorch on a graphics card. All "
        "give the same integers. A named engine that is missing or inexact ends the start.",
        choices=("auto", "numpy", "torch", "cuda"),
    )
    disk_low_bytes: int = _setting(
        2**30,
        "Warn (`disk_low`) when fewer bytes are free on the disk of the data directory. Nothing limits what "
        "the chain takes.",
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

    @property
    def rpc_url(self) -> str:
        """The address at which a program on this machine reaches RPC, if the node runs on `rpc_port`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.rpc_host, self.rpc_host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.rpc_port}"


@dataclass(frozen=True)
class Setting:
    """One setting, as the options of `engram run` and engram.toml show it."""

    name: str
    default: Any
    text: str
    limits: tuple[int, int] | None = None
    """The least and the greatest value; None if any value of its type is allowed."""
    choices: tuple[str, ...] = ()
    check: Callable[[str], None] | None = None
    """Raises `ValueError` for a text that it cannot be; of a list, it sees each member."""
    example: tuple[str, ...] = ()
    """Values that a list can have; every setting that is a list has some, and no other setting."""

    @property
    def line(self) -> str:
        """How engram.toml sets a list to the example, such as `peers = ["192.0.2.7:8646"]`."""
        return f"{self.name} = {json.dumps(list(self.example))}"


SETTINGS: Final = tuple(Setting(f.name, f.default, **f.metadata) for f in fields(Config) if f.metadata)
"""Every setting except the data directory, which engram.toml cannot set because the file lies in it."""


def default_text() -> str:
    """The text of a new `engram.toml`: every setting with its meaning and default, all as comments."""
    blocks = [
        "# Settings of this node. Each line shows the default. To change a setting, remove the # before it.\n"
        "# Options of `engram run` and ENGRAM_* environment variables take precedence over this file.\n"
    ]
    for item in SETTINGS:
        bounds = f" One of {', '.join(item.choices)}." if item.choices else ""
        # Numbers, texts, lists and truth values are written in TOML as they are in JSON.
        example = f"\n# For example: {item.line}" if item.example else ""
        blocks.append(f"# {item.text}{bounds}{example}\n#{item.name} = {json.dumps(item.default)}\n")
    return "\n".join(blocks)
