"""The engines, by name: ways to make a growth from new rows and from what was handed over about old ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engram.nn.growth import Policy
from engram.participant.memory.analytic import analytic
from engram.participant.memory.errors import EnginePolicyMismatch, EngineUnknown
from engram.participant.memory.experts import experts
from engram.participant.memory.gate import gate
from engram.participant.memory.lesson import Lecture, Lesson
from engram.participant.memory.trained import naive, replay


@dataclass(frozen=True)
class MemoryEngine:
    """A way to make growths."""

    make: Callable[[Lesson], Lecture]
    policies: tuple[Policy, ...]
    """The policies of models that it can grow."""
    needs: str
    """What it must be given about old classes."""


ENGINES: Final[Mapping[str, MemoryEngine]] = {
    "naive": MemoryEngine(naive, (Policy.GATED, Policy.RELATIVE, Policy.STRICT), "nothing"),
    "replay": MemoryEngine(replay, (Policy.GATED, Policy.RELATIVE, Policy.STRICT), "mixtures"),
    "analytic": MemoryEngine(analytic, (Policy.GATED,), "statistics"),
    "gate": MemoryEngine(gate, (Policy.RELATIVE,), "statistics"),
    "experts": MemoryEngine(experts, (Policy.STRICT, Policy.GATED), "nothing"),
}


def teach(name: str, lesson: Lesson) -> Lecture:
    """The growth that an engine makes.

    Raises `EngineUnknown`, `EnginePolicyMismatch`, what `Lesson.checked` raises, and what the engine raises.
    """
    if name not in ENGINES:
        raise EngineUnknown(expected=tuple(ENGINES), got=name)
    engine = ENGINES[name]
    if lesson.policy not in engine.policies:
        expected = tuple(policy.name.lower() for policy in engine.policies)
        raise EnginePolicyMismatch(expected=expected, got=lesson.policy.name.lower())
    return engine.make(lesson.checked())
