"""An event loop in a thread of its own, for callers without one, or whose own is busy, as in a notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")


class Running(Generic[T]):
    """A coroutine that runs in a portal while its caller does something else."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._future: Final[concurrent.futures.Future[T]] = concurrent.futures.Future()
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._start, work)

    def result(self) -> T:
        """Waits until it has ended; what it returned or raised, `CancelledError` if it was cancelled."""
        return self._future.result()

    def cancel(self) -> None:
        """Cancels it and waits until it has ended: it may still have something to put in order."""
        self._loop.call_soon_threadsafe(self._stop)
        concurrent.futures.wait([self._future])

    @property
    def has_ended(self) -> bool:
        """Whether `result` returns or raises at once."""
        return self._future.done()

    def _start(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._end)

    def _stop(self) -> None:
        assert self._task is not None, "callbacks of a loop run in the order in which they were handed in"
        self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._future.set_exception(concurrent.futures.CancelledError())
        elif (error := task.exception()) is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(task.result())


class Portal:
    """Runs coroutines for threads that wait for them. Thread-safe."""

    def __init__(self) -> None:
        """Starts the thread. It keeps no program from ending."""
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(
            target=self._loop.run_forever, name="engram-library", daemon=True
        )
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, T]) -> Running[T]:
        """Begins the coroutine and returns at once."""
        return Running(self._loop, work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises. Who is interrupted (Ctrl-C) meanwhile cancels it."""
        running = self.begin(work)
        try:
            return running.result()
        except KeyboardInterrupt:
            running.cancel()
            raise

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """The items of an asynchronous iterator, each waited for when it is asked for."""
        with suppress(StopAsyncIteration):
            while True:
                yield self.run(_next(source))

    @property
    def is_closed(self) -> bool:
        """Whether it has been closed."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Cancels what still runs, waits until it has ended, and ends the thread."""
        if self._loop.is_closed():
            return
        with suppress(concurrent.futures.CancelledError):
            self.run(_end_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)


async def _end_others() -> None:
    """Cancels every other task of this loop and waits until all have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
