"""The faults and attacks that a node must withstand, and how many inputs each test of one plays.

A test plays a fault if it carries the mark `fault(id=N)`. It asks here how many inputs to play. The suite
plays a sample, so that every change is tried against every fault; `make faults` plays the numbers of the
table, scaled by one factor, and writes what came of it to build/faults.json.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T", bound=Callable[..., Any])

SCALE_VARIABLE: Final = "ENGRAM_FAULTS_SCALE"
"""Set by `make faults`: the factor by which the numbers of the table are multiplied."""
ROWS_VARIABLE: Final = "ENGRAM_FAULTS_ROWS"
"""Set by `make faults`: the file to which each test that plays a fault appends a line of JSON."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    inputs: int
    """How many inputs `make faults` plays at scale 1."""


FAULTS: Final[Mapping[int, Fault]] = MappingProxyType(
    {
        1: Fault("malformed messages", 100_000),
        2: Fault("encodings that are not canonical", 20_000),
        3: Fault("frames that are too large", 100),
        4: Fault("decompression bombs", 20),
        5: Fault("headers without proof of work", 10_000),
        6: Fault("floods of headers with little work", 400_000),
        7: Fault("false signatures", 10_000),
        8: Fault("nonces out of order", 5_000),
        9: Fault("false roots and headers", 2_000),
        10: Fault("false claims of a loss", 3_000),
        11: Fault("timestamps that bend the difficulty", 1_000),
        12: Fault("deep reorganisations", 6),
        13: Fault("branches in every order", 500),
        14: Fault("blocks that are withheld", 200),
        15: Fault("partitions that heal", 30),
        16: Fault("SIGKILL in the middle of an import", 300),
        17: Fault("a full disk", 20),
        18: Fault("damaged files", 400),
        19: Fault("peers and clients that are slow or silent", 1_100),
        20: Fault("a flood of connections", 3_000),
        21: Fault("a flood of messages of each type", 18),
        22: Fault("a flood of transactions", 200_000),
        23: Fault("the same transaction and block again and again", 11_000),
        24: Fault("orphans", 55_000),
        25: Fault("eclipse by addresses of few networks", 200),
        26: Fault("clocks that are wrong", 5),
        27: Fault("networks that would cost too much", 5_000),
        28: Fault("integers that overflow", 10_000),
        29: Fault("floats, NaN and other byte orders", 66_536),
        30: Fault("RPC requests without the right to make them", 1_060),
        31: Fault("damaged key files", 2_050),
        32: Fault("a storm of restarts, and old data directories", 103),
        33: Fault("nodes that compute differently", 12),
        34: Fault("eclipse by a thousand addresses over 200 restarts", 200),
        35: Fault("a Byzantine third of eight nodes", 200),
        36: Fault("RPC under a thousand clients, huge and deep requests", 1_000),
        37: Fault("idle connections that use up the descriptors (K1)", 1_400),
        38: Fault("siblings of old blocks at the easiest target (K2)", 20),
        39: Fault("strangers that hold the sync with little work (K3)", 8),
        40: Fault("announcers that stay mute (K4)", 16),
        41: Fault("strangers in every inbound slot (K5)", 32),
        42: Fault("a flipped bit in an old body (K6)", 40),
        43: Fault("bans flushed by fresh keys (K7)", 4_096),
        44: Fault("transactions acknowledged before a restart (K8)", 20),
        45: Fault("equal payments handed in at once (K9)", 20),
        46: Fault("a disk that grows without end (K10)", 2_000),
        47: Fault("storage that ends, clocks that are behind (K11)", 10),
        48: Fault("a start after full blocks (K12)", 15),
        49: Fault("odd settings, foreign files, closed streams (K13)", 500),
        50: Fault("JSON-RPC at its edges, by HTTP and WebSocket (K14)", 100),
        51: Fault("peers that change and are remembered (K15)", 5),
        52: Fault("compact blocks that are withheld, wrong, late or half", 100),
        53: Fault("a snapshot with one bent record", 100),
        54: Fault("TLS: other certificates, relayed handshakes, downgrades", 20),
    }
)
"""Ids 37 to 51 are the fifteen findings K1 to K15 of the first attack on whole nodes."""


def inputs(fault: int, *, sample: int, share: float = 1.0) -> int:
    """How many inputs a test of this fault plays: `sample` in the suite, the table's number else.

    `share` is the part of the table's number that falls to the test that asks, if several play one fault.
    """
    scale = os.environ.get(SCALE_VARIABLE)
    if scale is None:
        return sample
    return max(sample, math.ceil(FAULTS[fault].inputs * share * float(scale)))


def plays(fault: int, *, sample: int | None = None, share: float = 1.0) -> Callable[[T], T]:
    """Marks a test of hypothesis: it plays the fault with as many examples as `inputs` says.

    `sample` is the number in the suite, by default that of the profile.
    """
    examples = inputs(fault, sample=sample or settings().max_examples, share=share)

    def decorate(test: T) -> T:
        marked: T = pytest.mark.fault(id=fault, inputs=examples)(test)
        return settings(max_examples=examples, deadline=None)(marked)

    return decorate


class Played:
    """What a test tells of its fault; one that tells nothing has the inputs of its mark, or one."""

    def __init__(self, record: Callable[[str, Any], None]) -> None:
        self._record = record

    def tell(self, inputs: int, *, code: str = "", ratio: float | None = None) -> None:
        """So many inputs were survived; they meet the error of this code, and cost this ratio."""
        self._record("fault", {"inputs": inputs, "code": code, "ratio": ratio})


def row(report: pytest.TestReport, mark: pytest.Mark) -> dict[str, Any]:
    """The line for one test that has ended and has this mark."""
    told = dict(report.user_properties).get("fault", {"inputs": mark.kwargs.get("inputs", 1)})
    assert isinstance(told, dict), "`Played.tell` records a dictionary"
    return {
        "id": mark.kwargs["id"],
        "test": report.nodeid,
        "code": "",
        "ratio": None,
        **told,
        "survived": told["inputs"] if report.passed else 0,
        "outcome": report.outcome,
    }
