"""Simulates a thousand nodes, ten years and a thousand rounds at once, and prints what comes of it.

What is random is drawn from --seed, but speeds are those of this machine: each machine gets its own tables.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.simulate.decade import decade
from benchmarks.simulate.internet import internet
from benchmarks.simulate.relay import Load, percentiles, spread
from benchmarks.simulate.rounds import crowded, round_use
from benchmarks.simulate.speeds import CARD_MACS_S, Speeds, measured
from benchmarks.simulate.tables import Cells, Table, printed
from engram.consensus import chainspec

PARTS = ("relay", "rounds", "decade")
BLOCK_TIMES_S = (5, 30, 60, 600)
EXAMPLES = """examples:
  make scale
  make scale ARGS='--only relay --nodes 200 --blocks 60'
  make scale ARGS='--json' | jq '.tables[0]'
"""


def loads(speeds: Speeds) -> list[Load]:
    """Blocks of several kinds, from an empty one to those that fill a budget."""
    main, cluster = chainspec.main().rules, chainspec.cluster((), 1).rules
    judged = speeds.digest_s + speeds.empty_block_s
    macs_s = main.max_block_macs / speeds.macs_s
    full, on_card = main.max_body_bytes, judged + cluster.max_block_macs / CARD_MACS_S
    return [
        Load("empty", speeds.compact_bytes(0), False, judged),
        Load("200 transfers", speeds.compact_bytes(200), False, judged + 200 * speeds.transfer_s),
        Load("4 MiB, waited", speeds.compact_bytes(8), False, judged + 8 * speeds.transfer_s),
        Load("4 MiB, unseen", full, True, judged + 8 * speeds.transfer_s),
        Load("12 G MACs, waited", speeds.compact_bytes(20), False, judged + macs_s),
        Load("4 MiB + 12 G MACs, unseen", full, True, judged + macs_s),
        Load("32 MiB + 10 T MACs on a card, unseen", cluster.max_body_bytes, True, on_card),
    ]


def relay_table(speeds: Speeds, nodes: int, blocks: int, seed: int) -> Table:
    """How far blocks travel, and how many are mined for nothing."""
    net = internet(nodes, seed)
    cells: Cells = []
    for load in loads(speeds):
        for block_time_s in BLOCK_TIMES_S:
            found = spread(net, load, block_time_s, blocks, seed)
            half, most, last = percentiles(found)
            times = f"{half:.2f}", f"{most:.2f}", f"{last:.2f}"
            cells.append((load.name, f"{block_time_s}", *times, f"{100 * found.stale_share:.1f}"))
            print(" ".join(cells[-1]), file=sys.stderr, flush=True)
    heads = ("block", "block time s", "half of nodes s", "90 % s", "99 % s", "stale %")
    return f"Relay among {nodes:,} nodes", heads, cells


def rounds_table() -> Table:
    """What a growth round takes, by the size of the model, and a thousand of them at once."""
    cells: Cells = []
    for name, spec in (("main", chainspec.main()), ("consortium", chainspec.consortium((), 1))):
        for hidden in (32, 256, 1_024, 4_096, 12_000):
            use = round_use(spec.rules, hidden)
            if use.heaviest_share > 1:
                refused = f"{use.heaviest_share:.1f}", "no such round can open"
                cells.append(
                    (name, f"{use.weights:,}", f"{use.sent_bytes / 2**20:.1f}", *refused, "", "", "")
                )
                continue
            crowd = crowded(spec, use, 1_000)
            blocks = use.blocks(spec.rules)
            cells.append(
                (
                    *(name, f"{use.weights:,}", f"{use.sent_bytes / 2**20:.1f}", f"{use.heaviest_share:.2f}"),
                    *(f"{blocks:.1f}", f"{use.coins(spec.rules):.2f}", f"{crowd.hours:.0f}"),
                    f"{100 * crowd.ticking:.0f}",
                )
            )
    heads = (
        *("chain", "weights", "MiB a round", "heaviest step, of half a block", "blocks a round"),
        *("coins", "hours for 1,000 at once", "blocks that tick %"),
    )
    return "Growth rounds of ten authors and two epochs", heads, cells


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part; may be repeated")
    parser.add_argument("--nodes", type=int, default=1_000, help="default: 1000")
    parser.add_argument("--blocks", type=int, default=200, help="blocks of each run; default: 200")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--quick", action="store_true", help="measure speeds badly, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    options = parser.parse_args(arguments)
    if options.nodes < 3 or options.blocks < 25:
        parser.error("a simulation needs three nodes and 25 blocks, of which the last twenty do not count")
    speeds = measured(options.quick)
    tables: list[Table] = []
    for part in options.only or PARTS:
        if part == "relay":
            tables.append(relay_table(speeds, options.nodes, options.blocks, options.seed))
        elif part == "rounds":
            tables.append(rounds_table())
        else:
            tables.append(decade(speeds))
    if options.json:
        found: dict[str, Any] = {"speeds": asdict(speeds)}
        found["tables"] = [
            {"title": title, "columns": heads, "rows": cells} for title, heads, cells in tables
        ]
        print(json.dumps(found, indent=2))
    else:
        for each in tables:
            print("\n".join(printed(*each)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
