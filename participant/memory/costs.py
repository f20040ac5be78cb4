"""What a row costs in a model now and after later growths, and how many growths are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engram.nn.growth import Growth, grown_spec
from engram.nn.layers import HiddenSegment, Output
from engram.nn.logits import GATE
from engram.nn.spec import NetworkLimits, NetworkSpec, component_count, macs_per_row, neurons
from engram.participant.memory.banks import BankRule
from engram.participant.memory.engines import ENGINES, Handover
from engram.participant.memory.head import empty_head, lifted, whole_network
from engram.participant.memory.playing import Memory
from engram.participant.memory.trunk import Trunk

_SHIFT: Final = 16
_BITS: Final = 16
"""Of an output; what a row costs does not depend on them."""


@dataclass(frozen=True)
class Costs:
    """Multiply-accumulates a row, as the chain charges them."""

    now: int
    limit: int
    """The most that the chain allows."""
    growths_left: int | None
    """How many banks are declared and not there yet; None for engines that bring none."""
    after: tuple[int, ...]
    """The cost after each growth that is left."""

    @property
    def fitting(self) -> int:
        """How many of the growths that are left stay within the limit."""
        return sum(cost <= self.limit for cost in self.after)


def uses_banks(engine: str) -> bool:
    """Whether each growth of the engine brings a bank."""
    return ENGINES[engine].needs is Handover.STATISTICS


def costs_of(memory: Memory, spec: NetworkSpec, limits: NetworkLimits, new_classes: int = 2) -> Costs:
    """The costs of a whole network of this memory, and of growths by so many classes each."""
    now = macs_per_row(spec)
    if not uses_banks(memory.engine):
        return Costs(now, limits.max_macs_per_row, None, ())
    trunk = spec.hidden[: memory.trunk_segments]
    depth = trunk[-1].layer if trunk else 0
    there = sum(each == _bank(memory.rule, depth) for each in spec.hidden)
    left = max(0, memory.rule.count - there)
    after = _after(spec, memory.engine, memory.rule, depth, there, left, new_classes)
    return Costs(now, limits.max_macs_per_row, left, after)


def fitting_growths(
    engine: str,
    trunk: Trunk,
    rule: BankRule,
    classes: tuple[int, int],
    limits: NetworkLimits,
    most: int,
) -> int:
    """How many growths, `most` at most, a network has room for. `classes`: of the founding, of each growth.

    -1 if there is no room for the founding itself.
    """
    output = Output(1, 0, rule.width, 0, classes[0], _SHIFT, _BITS)
    head = grown_spec(empty_head(trunk.values), Growth(classes[0], (rule.segment(),), (output,), ()))
    spec, _ = whole_network(trunk, head, ())
    costs = (macs_per_row(spec), *_after(spec, engine, rule, trunk.depth, 1, most, classes[1]))
    fitting = sum(cost <= limits.max_macs_per_row for cost in costs) - 1
    room = (limits.max_neurons - neurons(spec)) // rule.width
    return min(fitting, room)


def growth_neurons(memory: Memory, new_classes: int) -> int:
    """The most neurons that a growth by so many classes brings."""
    settings = memory.settings
    if memory.engine == "experts":
        return settings.rank * settings.components * max(1, new_classes)
    return memory.rule.width if uses_banks(memory.engine) else settings.neurons


def _bank(rule: BankRule, depth: int) -> HiddenSegment:
    return lifted(Growth(0, (rule.segment(),), (), ()), depth).hidden[0]


def _after(
    spec: NetworkSpec, engine: str, rule: BankRule, depth: int, there: int, growths: int, new_classes: int
) -> tuple[int, ...]:
    """The costs after each of so many growths, whose outputs are as those of `gate` or `analytic`."""
    costs = []
    for number in range(there, there + growths):
        columns, hi = component_count(spec), rule.width * (number + 1)
        if engine == "gate":
            fed: tuple[Output, ...] = (Output(1, 0, hi, columns, new_classes + 1, _SHIFT, _BITS),)
            components: tuple[int, ...] = (GATE, *range(spec.classes, spec.classes + new_classes))
        else:
            fed = (
                Output(1, 0, hi, columns, new_classes, _SHIFT, _BITS),
                Output(1, rule.width * number, hi, 0, columns, _SHIFT, _BITS),
            )
            components = ()
        growth = Growth(new_classes, (rule.segment(),), fed, components)
        spec = grown_spec(spec, lifted(growth, depth))
        costs.append(macs_per_row(spec))
    return tuple(costs)
