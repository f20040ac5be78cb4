"""RPC methods on how the node fares, and on how much it says about it in its log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from engram.consensus.chainspec import ChainSpec, has_work
from engram.node import logs
from engram.node.errors import ProfileTooLong
from engram.node.metrics import Gauges
from engram.node.profiling import EVERY_S, MOST_S, Profiler
from engram.node.rpc.jsonrpc import rpc_method
from engram.node.rpc.readings import Readings
from engram.node.rpc.render import Renderer
from engram.node.rpc.results.node import LevelResult, NodeStatusResult, ProfileResult
from engram.primitives.version import VERSION
from engram.statemachine.rounds.records import Round

_OF_A_ROUND: Final = ("id", "model", "phase", "epoch", "ticks_left")


@dataclass(frozen=True)
class StatusMethods:
    """How the node fares."""

    readings: Readings
    render: Renderer
    profiler: Profiler = field(default_factory=Profiler)

    @rpc_method(NodeStatusResult)
    async def node_status(self) -> dict[str, Any]:
        """How the node fares: head, pace, peers, sync, mempool, fees, miner, open rounds, disk, warnings.

        `has_work` says whether blocks of the chain cost work. Where it is false, `work` only counts blocks.
        """
        gauges = await self.readings.gauges()
        rounds = await self.readings.views.threads.run(self._rounds)
        spec, setup = self.readings.views.chain.spec, self.readings.mining.setup
        warnings = self.readings.warnings(gauges)
        return {
            "version": VERSION,
            "name": spec.name,
            "has_work": has_work(spec),
            "node_id": self.readings.status.node_id.hex(),
            "uptime_s": round(gauges.uptime_s, 3),
            "head": {**_head(gauges), "id": gauges.head.hex()},
            "pace": _pace(gauges, spec),
            "peers": {
                "inbound": gauges.inbound_peers,
                "outbound": gauges.outbound_peers,
                "dialled": gauges.dialled,
            },
            "clock": {
                "ahead_s": None if gauges.clock_ahead_s is None else round(gauges.clock_ahead_s, 3),
                "voices": gauges.clock_voices,
            },
            "syncing_to": gauges.sync_target or None,
            "backfill": {"base": gauges.backfill_base, "left": gauges.backfill_left},
            "account_index": self._account_index(),
            "mempool": {
                "count": gauges.mempool_transactions,
                "parked": gauges.mempool_parked,
                "bytes": gauges.mempool_bytes,
                "max_bytes": self.readings.status.config.mempool_bytes,
            },
            "fees": {"least": gauges.base_fee, "exponent": gauges.exponent},
            "miner": {
                "mining": gauges.mining,
                "paused": gauges.mining_paused,
                "waits": gauges.mining_waits or None,
                "address": None if setup.address is None else self.render.address(setup.address),
                "hashes_per_s": round(self.readings.counts.hash_rate.per_s),
                "blocks": gauges.blocks_found,
            },
            "rounds": rounds,
            "disk": {
                "database_bytes": gauges.database_bytes,
                "block_files_bytes": gauges.block_files_bytes,
                "free_bytes": gauges.free_bytes,
            },
            "memory": {"resident_bytes": gauges.resident_bytes, "anonymous_bytes": gauges.anonymous_bytes},
            "reorgs": {
                "count": self.readings.counts.reorg_depth.count,
                "deepest": self.readings.counts.deepest_reorg,
            },
            "engine": self._engine(gauges),
            "warnings": [warning.to_json() for warning in warnings],
        }

    @rpc_method(LevelResult, admin=True)
    async def node_log_level(self, level: str | None = None) -> dict[str, Any]:
        """Write log lines of this level and above from now on; without a level, only say which it is."""
        if level is not None:
            logs.set_level(level)
            logs.get_logger("node").info("log level changed", level=level)
        return {"level": logs.get_level()}

    @rpc_method(ProfileResult, admin=True)
    async def node_profile(self, seconds: int) -> dict[str, Any]:
        """Where the node's threads spend the next seconds, at most 30: how often each stack was seen."""
        if not 1 <= seconds <= MOST_S:
            raise ProfileTooLong(expected=MOST_S, got=seconds)
        counts = await self.profiler.profile(seconds)
        return {"seconds": seconds, "every_s": EVERY_S, "stacks": dict(counts.most_common())}

    def _engine(self, gauges: Gauges) -> dict[str, Any]:
        setting = self.readings.status.config.engine
        return {"name": gauges.engine, "setting": setting, "wrong": list(gauges.wrong_engines)}

    def _account_index(self) -> dict[str, Any] | None:
        heights = self.readings.history.heights
        return None if heights is None else {"from_height": heights[0], "to_height": heights[1]}

    def _rounds(self) -> list[dict[str, Any]]:
        view = self.readings.views.now()
        found = [view.state.find(Round, name) for name in sorted(self.readings.feed.open_rounds())]
        height, tick = view.head.height, view.clock.ticks
        shown = [self.render.round(each, height, tick) for each in found if each is not None]
        return [
            {**{name: each[name] for name in _OF_A_ROUND}, "epochs": each["terms"]["epochs"]}
            for each in shown
        ]


def _head(gauges: Gauges) -> dict[str, Any]:
    return {
        "height": gauges.chain_height,
        "age_s": round(gauges.head_age_s, 3),
        "work": gauges.chain_work,
        "ticks": gauges.ticks,
    }


def _pace(gauges: Gauges, spec: ChainSpec) -> dict[str, Any]:
    """What the last blocks took; null where there is no block yet, and for hashes where blocks cost none."""
    blocks, seconds = gauges.pace_blocks, gauges.pace_s
    return {
        "due_s": spec.block_time_ms / 1000,
        "on_demand": gauges.on_demand,
        "mean_s": round(seconds / blocks, 3) if blocks else None,
        "blocks": blocks,
        "network_hashes_per_s": round(gauges.pace_work / seconds) if seconds > 0 and has_work(spec) else None,
    }
