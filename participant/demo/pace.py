"""How long the phases of the demonstration's rounds are on this machine. Decided before a node starts."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Final

import numpy as np

from engram.participant.demo.data import DemoData
from engram.participant.round_plan import RoundWindows
from engram.participant.training import trainer
from engram.participant.training.architect import dense_network

PHASE_BLOCKS: Final = 8
"""Blocks come at random: eight of half a second are over within one second once in a thousand times."""
GAP_BLOCKS: Final = 2
TRAINERS: Final = 5
"""Who train at the same time: three authors and two cheats."""
_MARGIN: Final = 2
"""For the nodes, which work meanwhile, and for blocks that come quickly."""
_SAMPLE: Final = 10
"""The trial is one part in so many of a whole training."""


def windows_for(data: DemoData, block_time_ms: int) -> RoundWindows:
    """Windows in which everyone can train at once, as fast as a trial shows that this machine trains."""
    everyone_s = TRAINERS * _training_s(data)
    trained = math.ceil(_MARGIN * everyone_s * 1000 / block_time_ms)
    commit = max(data.size.commit_window, trained)
    other = max(PHASE_BLOCKS, commit // 4)
    return RoundWindows(other, other, commit, other, other, other, GAP_BLOCKS)


def _training_s(data: DemoData) -> float:
    """Seconds that the longer of the two trainings takes alone."""
    rng = np.random.default_rng(data.test.rows)
    rows, size = data.own[0], data.size
    spec, parameters = dense_network(rows, (size.hidden + size.neurons,), int(rows.labels.max()) + 1, rng)
    steps = max(size.training.steps, size.growing.steps) // _SAMPLE
    begun_s = time.perf_counter()
    trainer.train(spec, parameters, rows, replace(size.growing, steps=steps), rng)
    return _SAMPLE * (time.perf_counter() - begun_s)
