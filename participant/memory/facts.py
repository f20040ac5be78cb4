"""What a memory folder holds, as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engram.nn.spec import NetworkLimits, NetworkSpec
from engram.participant.memory.costs import costs_of
from engram.participant.memory.engines import ENGINES
from engram.participant.memory.folder import MemoryFolder
from engram.participant.memory.mixtures_file import set_id
from engram.participant.memory.statistics_file import content_id


def folder_facts(
    folder: MemoryFolder, limits: NetworkLimits, spec: NetworkSpec | None = None
) -> dict[str, Any]:
    """The rules, the sums and mixtures, and the costs of a network: `spec`, or else that of the founding.

    Every file is read and checked. Raises what the folder raises.
    """
    memory, sums, mixtures = folder.memory, folder.statistics(), folder.mixture_set()
    engine = ENGINES[memory.engine]
    founded = folder.founding() if folder.has_founding else None
    if spec is None and founded is not None:
        spec = founded.spec
    facts: dict[str, Any] = {
        "folder": str(folder.path),
        "engine": memory.engine,
        "policies": [policy.name.lower() for policy in engine.policies],
        "needs": engine.needs.value,
        "bank": memory.rule.bank_id.hex(),
        "bank_neurons": memory.rule.width,
        "banks": memory.rule.count,
        "trunk_segments": memory.trunk_segments,
        "trunk_values": memory.rule.values,
        "least_rows": memory.least_rows,
        "settings": asdict(memory.settings),
        "calibration": asdict(memory.calibration),
        "founding": founded is not None,
        "sums": None,
        "mixtures": None,
        "costs": None,
    }
    if spec is not None:
        costs = costs_of(memory, spec, limits)
        facts["costs"] = {**asdict(costs), "fitting": costs.fitting}
    if sums is not None:
        rows = dict(zip(map(str, sums.classes), sums.counts.tolist(), strict=True))
        facts["sums"] = {"id": content_id(sums).hex(), "classes": rows}
    if mixtures is not None:
        rows = {str(label): mixtures.count(label) for label in mixtures.classes}
        facts["mixtures"] = {"id": set_id(mixtures).hex(), "classes": rows}
    if folder.has_trials:
        facts["trials"] = asdict(folder.trials())
    return facts
