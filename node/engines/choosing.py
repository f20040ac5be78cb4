"""Finds the engine that a process verifies with: one that is exact on this machine, and of these the fastest.

An engine is asked the checks of `nn.selfcheck` before anything is computed with it. One wrong bit, and it is
not used: `auto` goes on to the next, and an operator who has named the engine is told what is wrong. The
engines that are right race on a fixed network.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np

from engram.nn.engine import REFERENCE, Engine
from engram.nn.evaluate import unstarted
from engram.nn.layers import DenseRelu, Output
from engram.nn.loss import LossKind, Measure
from engram.nn.network import NetworkSpec, Parameters, SegmentParameters
from engram.nn.parameters import prove_bounds
from engram.nn.selfcheck import first_wrong
from engram.node import logs
from engram.node.engines.registry import AUTO, ENGINES, NUMPY, worth_trying
from engram.node.errors import EngineInexact, EngineMissing

_LOGGER: Final = logging.getLogger("engram.engine")
"""Without a node, what it is told goes to standard error."""

RACE: Final = NetworkSpec(
    784, 10, (), (DenseRelu(1, 0, 784, 512, 9, 8, 8),), (Output(1, 0, 512, 0, 10, 0, 8),)
)
"""The network of the race."""
WORTH_MACS: Final = 3 * 10**10
"""About a second of numpy: PyTorch takes longer than that to import."""
RACE_ROWS: Final = 2_048
RACE_RUNS: Final = 3
"""Each engine runs so often, and its fastest run counts: the first one also prepares the parameters."""


@dataclass(frozen=True)
class Chosen:
    """An engine, and what spoke against others."""

    engine: Engine
    wrong: Mapping[str, str] = field(default_factory=dict)
    """By name the engines that have computed a wrong bit here, and in which check."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """By name the engines that were not tried, and why."""
    race_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds of the engines that have raced."""


def choose(name: str = AUTO) -> Chosen:
    """The engine of this name, or the fastest exact one for `auto`.

    With `auto` there is always one: if even numpy is inexact, networks are computed with plain integers,
    which is far slower. Raises `EngineMissing` and `EngineInexact` if an engine that is named cannot be used.
    """
    if name == AUTO:
        return _fastest()
    engine = ENGINES[name]()
    check = wrong_check(engine)
    if check is not None:
        raise EngineInexact(
            f"the engine {name} computes wrongly on this machine, as its self-check of {check} shows: "
            "look for an update of its libraries or for faulty hardware, or choose the engine auto",
            got=name,
        )
    return Chosen(engine)


def tell(chosen: Chosen, log: logs.Logger) -> None:
    """Writes to the log which engine was chosen, and loudly which ones have computed a wrong bit."""
    for name, check in chosen.wrong.items():
        log.error(
            "an engine computes wrongly on this machine and is not used",
            code=EngineInexact.code,
            engine=name,
            check=check,
        )
    log.info("engine chosen", engine=chosen.engine.name, **_facts(chosen))


def wrong_check(engine: Engine) -> str | None:
    """The self-check that an engine fails, by a wrong bit or an error of its library; None if it is exact."""
    try:
        return first_wrong(engine)
    except Exception as error:
        # Any library may fail in any way on a machine that it does not fit; then the engine is not exact.
        return f"what this ended with: {type(error).__name__}: {error}"


def engine_for(name: str, macs: int | None = None) -> Engine:
    """The engine that `choose` finds, once for each process: for programs that score without a node.

    `macs` is the work that there is to do, where that is known: for less than `WORTH_MACS`, `auto` is numpy,
    because to import PyTorch would take longer. Which engines have computed a wrong bit goes to standard
    error. Raises what `choose` raises.
    """
    return _found(name, macs is not None and macs < WORTH_MACS)


@cache
def _found(name: str, little: bool) -> Engine:
    chosen = _fastest((NUMPY,)) if little and name == AUTO else choose(name)
    for wrong, check in chosen.wrong.items():
        _LOGGER.error(
            "the engine %s computes wrongly on this machine, as its self-check of %s shows, and is not used "
            "[%s]",
            wrong,
            check,
            EngineInexact.code,
        )
    return chosen.engine


def forget() -> None:
    """Makes `engine_for` look at the machine again."""
    _found.cache_clear()


def _fastest(names: Sequence[str] | None = None) -> Chosen:
    able: list[Engine] = []
    wrong: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in ENGINES if names is None else names:
        reason = worth_trying(name)
        if reason is not None:
            absent[name] = reason
            continue
        try:
            engine = ENGINES[name]()
        except EngineMissing as error:
            absent[name] = error.message
            continue
        check = wrong_check(engine)
        if check is None:
            able.append(engine)
        else:
            wrong[name] = check
    if not able:
        return Chosen(REFERENCE, wrong, absent)
    if len(able) == 1:
        return Chosen(able[0], wrong, absent)
    times = {engine.name: race_ms(engine) for engine in able}
    return Chosen(min(able, key=lambda engine: times[engine.name]), wrong, absent, times)


def race_ms(engine: Engine) -> float:
    """Milliseconds that the engine's fastest run on the network of the race takes."""
    features = (np.arange(RACE_ROWS * RACE.inputs, dtype=np.int64) * 7_919 % 256).astype(np.uint8)
    start = unstarted(RACE, features.reshape(RACE_ROWS, RACE.inputs))
    labels = (np.arange(RACE_ROWS) % RACE.classes).astype(np.uint16)
    measure = Measure(LossKind.SOFTMAX_CROSS_ENTROPY, labels, RACE.classes)
    parameters = _race_parameters()
    bounds = prove_bounds(RACE, parameters)
    peaks = (*bounds.hidden, *bounds.outputs)
    took = []
    for _ in range(RACE_RUNS):
        began_s = time.perf_counter()
        engine.scores(RACE, parameters, peaks, start, measure)
        took.append(time.perf_counter() - began_s)
    return round(min(took) * 1e3, 3)


def _race_parameters() -> Parameters:
    made = []
    for segment in (*RACE.hidden, *RACE.outputs):
        weights, bias = segment.parameter_shapes()
        numbers = np.arange(int(np.prod(weights)), dtype=np.int64) * 104_729 % 61 - 30
        made.append(SegmentParameters(numbers.astype(np.int8).reshape(weights), np.zeros(bias, np.int32)))
    return tuple(made)


def _facts(chosen: Chosen) -> dict[str, object]:
    facts: dict[str, object] = {}
    if chosen.race_ms:
        facts["race_ms"] = dict(chosen.race_ms)
    if chosen.engine is REFERENCE:
        facts["remedy"] = "this is far slower: look for an update of numpy, or for faulty hardware"
    return facts
