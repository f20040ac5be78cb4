"""Decides, before a node starts, how long the phases of the demonstration's rounds are on this machine.

A phase is a number of blocks and does not wait for anybody. On a slow machine, honest authors would miss
phases that are too short; so a short trial measures how fast this machine trains.
"""

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
"""The least length of a phase. Blocks come at random: with half a second between them on average, eight come
within one second only about once in a thousand times.
"""
GAP_BLOCKS: Final = 2
TRAINERS: Final = 5
"""How many actors train at the same time: three authors and two cheats."""
_MARGIN: Final = 2
"""Factor on the measured time, because the nodes work at the same time and blocks may come faster."""
_SAMPLE: Final = 10
"""The trial runs a whole training's steps divided by this."""


def windows_for(data: DemoData, block_time_ms: int) -> RoundWindows:
    """Phase lengths, in blocks, that let all actors train at the same time on this machine.

    `block_time_ms` is the chain's wanted time between blocks. Runs a trial training.
    """
    everyone_s = TRAINERS * _training_s(data)
    trained = math.ceil(_MARGIN * everyone_s * 1000 / block_time_ms)
    commit = max(data.size.commit_window, trained)
    other = max(PHASE_BLOCKS, commit // 4)
    return RoundWindows(other, other, commit, other, other, other, GAP_BLOCKS)


def _training_s(data: DemoData) -> float:
    """Seconds that the longer of the two trainings would take if nothing else ran, measured by a trial."""
    rng = np.random.default_rng(data.test.rows)
    rows, size = data.own[0], data.size
    spec, parameters = dense_network(rows, (size.hidden + size.neurons,), int(rows.labels.max()) + 1, rng)
    steps = max(size.training.steps, size.growing.steps) // _SAMPLE
    begun_s = time.perf_counter()
    trainer.train(spec, parameters, rows, replace(size.growing, steps=steps), rng)
    return _SAMPLE * (time.perf_counter() - begun_s)
