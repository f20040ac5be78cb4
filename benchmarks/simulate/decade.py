"""A chain after ten years: its headers, blocks and states, and how long a new node takes to have them."""

from __future__ import annotations

from typing import Final

from benchmarks.simulate.rounds import round_use
from benchmarks.simulate.speeds import Speeds
from benchmarks.simulate.tables import Cells, Table
from engram.consensus import chainspec

YEARS: Final = 10
SECONDS: Final = YEARS * 365.25 * 86_400
VERSION_BYTES: Final = 360
"""Bytes of a version's record, whatever the length of its line (`make simulate`)."""
LINE_BYTES_S: Final = 50e6 / 8
"""A new node's line: 50 Mbit/s."""


def decade(speeds: Speeds) -> Table:
    """Chains with few and many transfers and rounds."""
    cells: Cells = []
    for name, spec in (("main", chainspec.main()), ("consortium", chainspec.consortium((), 1))):
        blocks = SECONDS / (spec.block_time_ms / 1_000)
        use = round_use(spec.rules, 256)
        for transfers, rounds_a_day in ((0, 0), (1, 1), (10, 10), (10, 100)):
            rounds = rounds_a_day * 365.25 * YEARS
            sent = blocks * transfers * speeds.transfer_bytes + rounds * use.sent_bytes
            if use.sent_bytes * rounds_a_day > spec.rules.max_body_bytes * 86_400_000 / spec.block_time_ms:
                raise RuntimeError("so many rounds a day do not fit into the blocks of a day")
            disk = blocks * speeds.empty_block_disk_bytes + sent
            judging = blocks * (speeds.digest_s + speeds.empty_block_s)
            judging += blocks * transfers * speeds.transfer_s + rounds * use.macs / speeds.macs_s
            loading = (blocks * speeds.header_bytes + sent) / LINE_BYTES_S
            headers = blocks * speeds.digest_s
            cells.append(
                (
                    *(name, f"{transfers}", f"{rounds_a_day}", f"{blocks / 1e6:.1f}"),
                    *(f"{blocks * speeds.header_bytes / 1e9:.1f}", f"{disk / 1e9:.0f}"),
                    *(f"{rounds * VERSION_BYTES / 1e6:.1f}", f"{max(judging, loading) / 86_400:.1f}"),
                    f"{headers / 3_600:.1f}",
                )
            )
    heads = (
        *("chain", "transfers a block", "rounds a day", "million blocks", "headers GB", "disk GB"),
        *("versions MB", "days to sync", "hours with a snapshot"),
    )
    return f"After {YEARS} years", heads, cells
