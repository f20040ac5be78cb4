"""What rounds take of the chain: bytes, multiply-accumulates, blocks and fees, by the real formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.samples import CLASSES, INPUTS, dense
from engram.consensus.chainspec import ChainSpec
from engram.nn.data import part_size
from engram.nn.growth import Growth
from engram.nn.layers import DenseRelu, Output
from engram.nn.network import NetworkSpec
from engram.nn.totals import tensor_bytes_of
from engram.statemachine.fees import price_of_macs, risen
from engram.statemachine.records import RoundClock
from engram.statemachine.roundclock import next_clock
from engram.statemachine.rules import Rules
from engram.statemachine.scoring import growth_macs, network_macs

AUTHORS: Final = 10
EPOCHS: Final = 2
WITNESSES: Final = 1
ENVELOPE: Final = 400
"""Bytes of a transaction around its content: signature, names, proofs, terms by the part."""


@dataclass(frozen=True)
class Network:
    """A network without tensors, as far as charges need it."""

    spec: NetworkSpec
    steps: int = 0
    seeded_macs: int = 0
    drawn_bytes: int = 0


@dataclass(frozen=True)
class RoundUse:
    """What one growth round takes of the chain, with so many authors who all reveal and have all scored."""

    hidden: int
    weights: int
    sent_bytes: int
    macs: int
    heaviest_share: float
    """Of half a block's MACs: what the heaviest step of the round needs. Above 1, no such round can open."""

    def blocks(self, rules: Rules) -> float:
        """Blocks that it fills, by the budget that is the scarcer one."""
        return max(self.sent_bytes / rules.max_body_bytes, self.macs / rules.max_block_macs)

    def coins(self, rules: Rules) -> float:
        """Fees of all its transactions on a chain without congestion."""
        sparks = self.sent_bytes * rules.fees.per_byte + price_of_macs(rules.fees, self.macs)
        return sparks / 10**8


@dataclass(frozen=True)
class Crowd:
    """What comes of many rounds at once."""

    hours: float
    """Until all of it is in blocks."""
    ticking: float
    """The share of blocks that tick: by its inverse, phases take longer than on an empty chain."""
    fee_factor: float
    """By how much fees are higher, at most."""


def round_use(rules: Rules, hidden: int, neurons: int = 32) -> RoundUse:
    """A growth round on a network 784-`hidden`-10 with the fewest rows and parts that the chain allows."""
    spec = dense(hidden)
    network = Network(spec)
    rows = max(-(-rules.min_sealed_rows // rules.min_sealed), -(-rules.min_witness_rows // WITNESSES))
    growth = Growth(
        1,
        (DenseRelu(1, 0, INPUTS, neurons, 9, 8, 8),),
        (Output(1, hidden, hidden + neurons, CLASSES, 1, 0, 8),),
        (),
    )
    unseen = rules.min_sealed + WITNESSES
    base = network_macs(rules, network, rows, CLASSES + 1)
    grown = growth_macs(rules, spec, growth, (), rows)
    update_bytes = sum(tensor_bytes_of(segment) for segment in (*growth.hidden, *growth.outputs))
    candidates = AUTHORS * EPOCHS
    sent = (
        (rules.min_validation + unseen) * (part_size(rows, INPUTS) + ENVELOPE)
        + candidates * (update_bytes + 4 * ENVELOPE)
        + ENVELOPE * (4 + WITNESSES)
    )
    reveal = rules.min_validation * (base + grown)
    macs = (rules.min_validation + unseen) * base + candidates * reveal + candidates * unseen * (base + grown)
    weights = INPUTS * hidden + hidden * CLASSES
    share = max(reveal, base + grown) / (rules.max_block_macs // 2)
    return RoundUse(hidden, weights, sent, macs, share)


def crowded(spec: ChainSpec, use: RoundUse, rounds: int) -> Crowd:
    """So many rounds that want all their room at once, whose people pay until the round clock would stand.

    Blocks are full until the base exponent is at `tick_exponent`; then every one that must be light, so that
    the exponent falls and the clock ticks, takes half.
    """
    clock, left, height, ticks = RoundClock(), use.blocks(spec.rules) * rounds, 0, 0
    while left > 0:
        height += 1
        light = clock.exponent >= spec.rules.tick_exponent
        left -= 0.5 if light else 1.0
        after = next_clock(spec.rules, clock, height, light=light)
        ticks += after.ticks - clock.ticks
        clock = after
    hours = height * spec.block_time_ms / 3_600_000
    return Crowd(hours, ticks / height, risen(10**6, spec.rules.tick_exponent) / 10**6)
