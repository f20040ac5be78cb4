"""The engines, by name: ways to make a growth from new rows and from what was handed over about old ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from engram.nn.growth import Policy
from engram.participant.memory.analytic import analytic
from engram.participant.memory.consolidation import Consolidated, Consolidation
from engram.participant.memory.errors import EnginePolicyMismatch, EngineUnknown
from engram.participant.memory.experts import experts
from engram.participant.memory.gate import gate
from engram.participant.memory.trained import naive, replay


class Handover(Enum):
    """What is handed over about old classes, instead of their rows."""

    NOTHING = "nothing"
    STATISTICS = "statistics"
    MIXTURES = "mixtures"


@dataclass(frozen=True)
class MemoryEngine:
    """A way to make growths."""

    make: Callable[[Consolidation], Consolidated]
    policies: tuple[Policy, ...]
    """The policies of models that it can grow."""
    needs: Handover
    """What it must be given about old classes."""
    solves: bool = True
    """Whether its foundings are solved from sums."""


ENGINES: Final[Mapping[str, MemoryEngine]] = {
    "naive": MemoryEngine(naive, (Policy.GATED, Policy.RELATIVE, Policy.STRICT), Handover.NOTHING),
    "replay": MemoryEngine(replay, (Policy.GATED, Policy.RELATIVE, Policy.STRICT), Handover.MIXTURES),
    "analytic": MemoryEngine(analytic, (Policy.GATED,), Handover.STATISTICS),
    "gate": MemoryEngine(gate, (Policy.RELATIVE,), Handover.STATISTICS),
    "experts": MemoryEngine(experts, (Policy.STRICT, Policy.GATED), Handover.NOTHING, solves=False),
}


def consolidate(name: str, given: Consolidation) -> Consolidated:
    """The growth that an engine makes.

    Raises `EngineUnknown`, `EnginePolicyMismatch`, and what `Consolidation.checked` and the engine raise.
    """
    if name not in ENGINES:
        raise EngineUnknown(expected=tuple(ENGINES), got=name)
    engine = ENGINES[name]
    if given.policy not in engine.policies:
        expected = tuple(policy.name.lower() for policy in engine.policies)
        raise EnginePolicyMismatch(expected=expected, got=given.policy.name.lower())
    return engine.make(given.checked())
