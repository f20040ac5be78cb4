"""RPC methods on how the node fares, and on how much it says about it in its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engram.node import logs
from engram.node.rpc.jsonrpc import rpc_method


@dataclass(frozen=True)
class StatusMethods:
    """How the node fares."""

    @rpc_method(admin=True)
    async def node_log_level(self, level: str | None = None) -> dict[str, Any]:
        """Write log lines of this level and above from now on; without a level, only say which it is."""
        if level is not None:
            logs.set_level(level)
            logs.get_logger("node").info("log level changed", level=level)
        return {"level": logs.get_level()}
