"""Measures the program in real processes: the time for its help, a node's start, and its memory at rest."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import psutil

from benchmarks.measure import Pairs, Row, interleaved, interleaved_seconds
from benchmarks.processes import ENGRAM, LIBRARIES, ask, dev_node, output, python

CLICK: Final = "import click"
IDLE_S: Final = 3.0


def rows(quick: bool) -> Iterable[Row]:
    pairs = 3 if quick else 9
    yield _seconds_row("engram_help_s", _help(pairs), 0.25)
    yield _seconds_row("run_dev_to_first_answer_s", _start(pairs), 0.8)
    yield _idle_memory(0.5 if quick else IDLE_S)


def _seconds_row(name: str, timed: Pairs, limit_s: float) -> Row:
    value = timed.median_candidate_s
    return Row(name, value, timed.median_baseline_s, 1 / timed.speed, f"<= {limit_s} s", value <= limit_s)


def _help(pairs: int) -> Pairs:
    """`engram --help` against a Python that imports click."""
    return interleaved(lambda: output([str(ENGRAM), "--help"]), lambda: python(CLICK), pairs)


def _start(pairs: int) -> Pairs:
    """The time from starting `engram run --dev` in an empty folder to its first answer.

    It is compared with a Python that imports numpy and aiohttp.
    """

    def start_s() -> float:
        began_s = time.perf_counter()
        with dev_node() as node:
            ask(node.url, "node_info")
            return time.perf_counter() - began_s

    def import_s() -> float:
        began_s = time.perf_counter()
        python(LIBRARIES)
        return time.perf_counter() - began_s

    return interleaved_seconds(start_s, import_s, pairs)


def _idle_memory(idle_s: float) -> Row:
    """Resident memory of a node at rest, against a Python that has imported numpy and aiohttp."""
    with dev_node() as node:
        ask(node.url, "node_info")
        time.sleep(idle_s)
        value = psutil.Process(node.process.pid).memory_info().rss / 1e6
    own_rss = f"{LIBRARIES}, psutil; print(psutil.Process().memory_info().rss)"
    baseline = int(python(own_rss)) / 1e6
    return Row("idle_node_memory_mb", value, baseline, value / baseline, "<= 120 MB", value <= 120)
