"""A made-up Internet: nodes with a bandwidth, links with a delay, drawn from distributions.

Gencer and others (Decentralization in Bitcoin and Ethereum Networks, 2018) found for Bitcoin's nodes that
46 % of the delays there and back are below 100 ms and that many nodes have 100 Mbit/s. Here, delays are
lognormal with these 46 %, and bandwidths lognormal with a median of 50 Mbit/s, of which a tenth is below
5 Mbit/s: a cautious choice, below what is usual today.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

OUTBOUND: Final = 8
"""Peers that a node dials, as the real one does by default."""
MEDIAN_DELAY_S: Final = 0.053
"""Of one way: half of 106 ms, so that 46 % of the delays there and back are below 100 ms."""
DELAY_SPREAD: Final = 0.6
MEDIAN_BYTES_S: Final = 50e6 / 8
BANDWIDTH_SPREAD: Final = 1.8
"""A tenth of the nodes has less than a tenth of the median."""
LEAST_BYTES_S: Final = 1e6 / 8
MOST_BYTES_S: Final = 1e9 / 8


@dataclass(frozen=True)
class Internet:
    """Who is linked to whom."""

    peers: tuple[tuple[int, ...], ...]
    """By node: its peers, those that it dialled and those that dialled it."""
    delays_s: dict[tuple[int, int], float]
    """One way, by the pair of nodes; the same in both directions."""
    bytes_s: tuple[float, ...]
    """By node: what it can send, and receive, in a second."""

    def delay_s(self, one: int, other: int) -> float:
        """How long a short message takes from one node to the other."""
        return self.delays_s[min(one, other), max(one, other)]


def internet(nodes: int, seed: int) -> Internet:
    """A connected network of so many nodes, each of which dials `OUTBOUND` others at random."""
    rng = random.Random(seed)
    links: set[tuple[int, int]] = {(node, (node + 1) % nodes) for node in range(nodes)}
    for node in range(nodes):
        for other in rng.sample(range(nodes), min(OUTBOUND, nodes) - 1):
            if other != node:
                links.add((node, other))
    pairs = sorted({(min(link), max(link)) for link in links if link[0] != link[1]})
    peers: list[list[int]] = [[] for _ in range(nodes)]
    for one, other in pairs:
        peers[one].append(other)
        peers[other].append(one)
    delays = {pair: MEDIAN_DELAY_S * rng.lognormvariate(0, DELAY_SPREAD) for pair in pairs}
    drawn = (MEDIAN_BYTES_S * rng.lognormvariate(0, BANDWIDTH_SPREAD) for _ in range(nodes))
    return Internet(
        tuple(map(tuple, peers)),
        delays,
        tuple(min(MOST_BYTES_S, max(LEAST_BYTES_S, speed)) for speed in drawn),
    )
