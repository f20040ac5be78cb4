"""A network of real node processes on this machine, for tests, demonstrations and playing by hand.

`localnet` starts, stops, kills, pauses and partitions nodes, and waits for predicates. `nodeprocess` runs one
`engram run` in a process of its own. `links` are forwarders between nodes, whose connections a test can cut.
`background` keeps nodes running after the command that started them has ended (`engram localnet up`).
"""

from __future__ import annotations

from engram.node.localnet.localnet import Localnet

__all__ = ["Localnet"]
