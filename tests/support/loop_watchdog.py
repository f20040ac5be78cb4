"""Watches an event loop from a thread and records the stack whenever the loop stands still for too long."""

import asyncio
import selectors
import sys
import threading
import time
import traceback
from types import TracebackType

BOUND_S = 0.5
SLICES = 10


class LoopWatchdog:
    """Records in `stacks` where the running loop was each time one callback held it longer than `bound_s`.

    Standing still is proved by either clock: the watchdog woke on time through the whole bound and its
    beat was not answered, or the loop's own thread burnt that much processor time. A machine that merely
    gave the process no processor fulfils neither, so a loaded machine raises no false alarm; nor does a loop
    that the system has left in its selector, where no callback holds it, or that waits until the system lets
    a new thread begin, as executors start them.
    """

    def __init__(self, bound_s: float = BOUND_S) -> None:
        self.stacks: list[str] = []
        self.alarmed = threading.Event()
        self._bound_s = bound_s
        self._beat = threading.Event()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="loop-watchdog", daemon=True)

    def __enter__(self) -> "LoopWatchdog":
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._watcher.join()

    def _watch(self) -> None:
        slice_s = self._bound_s / SLICES
        processor = time.pthread_getcpuclockid(self._thread_id)
        while not self._stop.is_set():
            self._beat.clear()
            self._loop.call_soon_threadsafe(self._beat.set)
            awake_s, started_s, reported = 0.0, time.clock_gettime(processor), False
            while not self._beat.is_set() and not self._stop.is_set():
                asleep_s = time.monotonic()
                self._stop.wait(slice_s)
                slept_s = time.monotonic() - asleep_s
                awake_s += slept_s if slept_s < 2 * slice_s else 0.0
                burnt_s = time.clock_gettime(processor) - started_s
                if not reported and not self._beat.is_set() and max(awake_s, burnt_s) >= self._bound_s:
                    self._report(max(awake_s, burnt_s))
                    reported = True
            self._stop.wait(slice_s)

    def _report(self, stood_s: float) -> None:
        frame = sys._current_frames().get(self._thread_id)
        if frame is not None and frame.f_code is selectors.DefaultSelector.select.__code__:
            return
        if any(each.f_code is threading.Thread.start.__code__ for each, _ in traceback.walk_stack(frame)):
            return
        stack = "".join(traceback.format_stack(frame))
        self.stacks.append(f"the event loop stood still for {stood_s:.2f} s here:\n{stack}")
        self.alarmed.set()
