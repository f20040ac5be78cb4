"""What an operator should know about a node: each warning has a code, the fact and the remedy.

`node_status` tells them, so `engram status` and dashboards show them. Some also mean that clients should not
ask this node yet; with those the probe `/ready` answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engram.consensus.chainspec import ChainSpec
from engram.node.clock import utc_text
from engram.node.clockwatch import FEWEST_VOICES, most_skew_s, skew_message
from engram.node.config import Config
from engram.node.metrics import Gauges
from engram.node.settingrules import is_loopback_host

OLD_BLOCKS: Final = 12
"""A head is old if so many blocks have been due since. By chance that happens once in 160,000 blocks."""
CODES: Final = (
    "syncing",
    "no_peers",
    "alone",
    "intercepted",
    "not_begun",
    "clock_behind",
    "clock_skewed",
    "head_old",
    "disk_low",
    "engine_inexact",
    "mining_paused",
    "mining_waits",
    "rpc_open",
)
"""The code of every warning."""

ALONE: Final = (
    "this node knows no other node, so it follows nothing but its own blocks: name a peer by "
    "`engram peer add HOST:PORT`, or in `peers` or `seeds` of the settings; a chain of your own needs none"
)


@dataclass(frozen=True)
class NodeWarning:
    """One warning."""

    code: str
    message: str
    unready: bool = False
    """Whether clients should ask another node as long as it stands."""

    def to_json(self) -> dict[str, str]:
        """The code and the message."""
        return {"code": self.code, "message": self.message}


def warnings_of(config: Config, spec: ChainSpec, gauges: Gauges) -> list[NodeWarning]:
    """What stands now, the most serious first. `gauges.free_bytes` is None where the disk was not asked."""
    return [*_of_chain(spec, gauges), *_of_machine(config, gauges)]


def _of_chain(spec: ChainSpec, gauges: Gauges) -> Iterator[NodeWarning]:
    if gauges.sync_target:
        yield NodeWarning(
            "syncing", f"the node fetches blocks up to height {gauges.sync_target}", unready=True
        )
    if not gauges.inbound_peers + gauges.outbound_peers:
        yield from _without_peers(gauges)
    if gauges.intercepted:
        yield NodeWarning(
            "intercepted",
            f"somebody ends the encryption between this node and {gauges.intercepted} of the addresses that "
            "it dials, so it does not speak with them: `engram peer list` shows which; look for what stands "
            "on the way, a proxy that ends TLS for example",
        )
    if gauges.chain_height == 0 and gauges.head_age_s < 0:
        yield NodeWarning(
            "not_begun",
            f"the chain begins at {utc_text(spec.genesis_time_ms)}, in {-gauges.head_age_s:.0f} s: wait, or "
            "set the clock if that time is past",
            unready=True,
        )
    elif -gauges.head_age_s * 2000 > spec.future_limit_ms:
        yield NodeWarning(
            "clock_behind",
            f"the last block is {-gauges.head_age_s:.0f} s ahead of this machine's clock: set the clock",
            unready=True,
        )
    ahead_s = gauges.clock_ahead_s
    if ahead_s is not None and abs(ahead_s) > most_skew_s(spec):
        yield NodeWarning(
            "clock_skewed",
            skew_message(ahead_s, gauges.clock_voices),
            unready=abs(ahead_s) * 1000 > spec.future_limit_ms and gauges.clock_voices >= FEWEST_VOICES,
        )
    if not gauges.on_demand and gauges.head_age_s * 1000 > OLD_BLOCKS * spec.block_time_ms:
        yield NodeWarning(
            "head_old",
            f"no block has come for {gauges.head_age_s:.0f} s, though one is due every "
            f"{spec.block_time_ms / 1000:g} s: check the peers, the clock, and whether anybody mines",
        )


def _without_peers(gauges: Gauges) -> Iterator[NodeWarning]:
    if gauges.dialled:
        yield NodeWarning(
            "no_peers",
            "no peer is connected: `engram peer list` shows why the addresses that are dialled do not answer",
            unready=True,
        )
    elif gauges.known:
        yield NodeWarning(
            "no_peers",
            f"no peer is connected, and none of the addresses that are known ({gauges.known}) answers: look "
            "whether this machine reaches others, or name a peer by `engram peer add HOST:PORT`",
            unready=True,
        )
    elif not gauges.on_demand:
        yield NodeWarning("alone", ALONE, unready=not gauges.mining)


def _of_machine(config: Config, gauges: Gauges) -> Iterator[NodeWarning]:
    if gauges.free_bytes is not None and gauges.free_bytes < config.disk_low_bytes:
        yield NodeWarning(
            "disk_low",
            f"the disk of {config.data_dir} has {gauges.free_bytes} bytes left: free some space, because the "
            "node stops when it is full",
        )
    for name, check in gauges.wrong_engines.items():
        yield NodeWarning(
            "engine_inexact",
            f"the engine {name} computes wrongly on this machine, as its self-check of {check} shows, so "
            f"the engine {gauges.engine} evaluates networks: look for an update of its libraries, or for "
            "faulty hardware",
        )
    if gauges.mining_paused:
        yield NodeWarning("mining_paused", "the miner waits until the blocks of the peers have been fetched")
    if gauges.mining_waits:
        yield NodeWarning("mining_waits", f"the miner {gauges.mining_waits}")
    if not is_loopback_host(config.rpc_host):
        yield NodeWarning(
            "rpc_open",
            f"RPC is plain HTTP and answers other machines at {config.rpc_host}: let a firewall or a TLS "
            "proxy decide who reaches it",
        )
