"""The probes of service managers: is the process alive, and should clients ask it.

`/health` answers 200 as long as the event loop runs, and names the codes of all warnings. `/ready` answers
200 if the node follows the chain, else 503 with the reasons; the query can ask for more: `max_head_age_s` for
a head that is not older, `min_peers` for so many peers. A node that has no peer and knows none to dial
follows nothing, so it is not ready, unless it mines: then the chain may be its own. Neither probe touches the
disk or waits for a thread, so a busy node is not taken for a dead one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engram.node.metrics import Gauges
from engram.node.rpc.readings import Readings
from engram.node.rpc.warnings import NodeWarning
from engram.primitives.version import VERSION

CONDITIONS: Final = ("max_head_age_s", "min_peers")
_DIGITS: Final = 10
_OK, _BAD_REQUEST, _UNAVAILABLE = 200, 400, 503

Answer = tuple[int, Mapping[str, object]]


@dataclass(frozen=True)
class Probes:
    """Answers the probes of one node."""

    readings: Readings

    async def answer(self, name: str, query: Mapping[str, str]) -> Answer:
        """The HTTP status and the JSON answer of the probe `health` or `ready`."""
        gauges = self.readings.now()
        facts = {"height": gauges.chain_height, "head_age_s": round(gauges.head_age_s, 3)}
        known = CONDITIONS if name == "ready" else ()
        wrong = [key for key, text in query.items() if key not in known or not _is_number(text)]
        if wrong:
            expected = [f"{condition}=NUMBER" for condition in known]
            return _BAD_REQUEST, {"error": f"{wrong[0]} is not a condition", "expected": expected}
        standing = self.readings.warnings(gauges)
        if name == "health":
            return _OK, {
                "status": "ok",
                "version": VERSION,
                "uptime_s": round(gauges.uptime_s, 3),
                **facts,
                "peers": gauges.inbound_peers + gauges.outbound_peers,
                "warnings": [warning.code for warning in standing],
            }
        reasons = [warning for warning in standing if warning.unready]
        reasons += _unmet({key: int(text) for key, text in query.items()}, gauges)
        document = {"ready": not reasons, "not_ready": [reason.to_json() for reason in reasons], **facts}
        return _UNAVAILABLE if reasons else _OK, document


def _unmet(asked: Mapping[str, int], gauges: Gauges) -> list[NodeWarning]:
    unmet = []
    oldest, fewest = asked.get("max_head_age_s"), asked.get("min_peers", 0)
    peers = gauges.inbound_peers + gauges.outbound_peers
    if oldest is not None and gauges.head_age_s > oldest:
        unmet.append(
            NodeWarning("head_old", f"the head is {gauges.head_age_s:.0f} s old, not {oldest} s at most")
        )
    if peers < fewest:
        unmet.append(NodeWarning("few_peers", f"{peers} peers are connected, not {fewest} at least"))
    return unmet


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
