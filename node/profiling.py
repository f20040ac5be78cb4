"""Where the threads of a running process spend their time, from samples of their stacks.

A thread of its own takes the samples, so that an event loop which is held up is seen, too.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Final

from engram.node.concurrency import finished

EVERY_S: Final = 0.01
MOST_S: Final = 30
_WAITING: Final = ("wait", "select", "poll", "accept", "_worker", "get")
"""Names of functions in which a thread that has nothing to do stands."""


class Profiler:
    """Takes profiles, one after another."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def profile(self, seconds: int) -> Counter[str]:
        """How often each stack was seen: the thread and its functions, from the outermost to the innermost,
        separated by semicolons. Stacks of threads that wait for work are left out.
        """
        stop = threading.Event()
        async with self._lock:
            with ThreadPoolExecutor(1, thread_name_prefix="engram-profile") as worker:
                running = asyncio.get_running_loop().run_in_executor(worker, _collect, stop, float(seconds))
                try:
                    return await asyncio.shield(running)
                finally:
                    stop.set()
                    await finished(running)


def _collect(stop: threading.Event, seconds: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    own, end_s = threading.get_ident(), time.monotonic() + seconds
    while not stop.wait(EVERY_S) and time.monotonic() < end_s:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for identity, frame in sys._current_frames().items():
            if identity != own and frame.f_code.co_name not in _WAITING:
                counts[";".join([names.get(identity, "thread"), *_functions(frame)])] += 1
    return counts


def _functions(frame: FrameType | None) -> list[str]:
    """The functions of a stack, the outermost first."""
    functions = []
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "?")).removeprefix("engram.")
        functions.append(f"{module}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return functions[::-1]
