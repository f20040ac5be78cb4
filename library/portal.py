"""An event loop in a thread of its own, for callers without one, or whose own is busy, as in a notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, Generic, TypeVar

from engram.library.errors import ChainClosed, ReportMustNotWait

T = TypeVar("T")


class Running(Generic[T]):
    """A coroutine that runs in a portal while its caller does something else."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._future: Final[concurrent.futures.Future[T]] = concurrent.futures.Future()
        self._task: asyncio.Task[T] | None = None
        self.notes: Final[list[str]] = []
        """What the work has noted on the error with which it ended, such as what was sent already."""
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

    @property
    def failure(self) -> BaseException | None:
        """What it has raised before anybody cancelled it; None if it has not."""
        error = self._future.exception() if self.has_ended else None
        return None if isinstance(error, concurrent.futures.CancelledError) else error

    def _start(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(self._noting(work))
        self._task.add_done_callback(self._end)

    async def _noting(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except BaseException as error:
            self.notes.extend(getattr(error, "__notes__", ()))
            raise

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


class _Held:
    """What a portal has to put in order before its loop ends. Only the loop's thread changes `streams`."""

    def __init__(self) -> None:
        self.entered: Final[list[AbstractAsyncContextManager[Any]]] = []
        self.streams: Final[weakref.WeakSet[AsyncGenerator[Any, None]]] = weakref.WeakSet()


class Portal:
    """Runs coroutines for threads that wait for them. Thread-safe."""

    def __init__(self) -> None:
        """Starts the thread. It keeps no program from ending."""
        self._loop: Final = asyncio.new_event_loop()
        self._process: Final = os.getpid()
        self._lock: Final = threading.Lock()
        self._held: Final = _Held()
        self._closed = False
        self._thread: Final = threading.Thread(
            target=_serve, args=(self._loop, self._held), name="engram-library", daemon=True
        )
        self._thread.start()

    def __del__(self) -> None:
        """What nobody has closed ends with its last user, and Python warns, as of a file."""
        if not getattr(self, "_thread", None) or self._closed or self._is_elsewhere or sys.is_finalizing():
            return
        self._loop.call_soon_threadsafe(_end_soon, self._loop, self._held)
        warnings.warn(
            "a chain was not closed: use it in a `with` block", ResourceWarning, stacklevel=2, source=self
        )

    def __reduce__(self) -> str:
        raise TypeError("what is connected to a node cannot be copied or pickled: connect again instead")

    def begin(self, work: Coroutine[Any, Any, T]) -> Running[T]:
        """Begins the coroutine and returns at once. Raises `ChainClosed`, also in a forked process."""
        with self._lock:
            if not self._closed and not self._is_elsewhere:
                return Running(self._loop, work)
        work.close()
        if self._is_elsewhere:
            raise ChainClosed("the chain was opened by the process that has forked: connect again here")
        raise ChainClosed

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises. Who is interrupted (Ctrl-C) meanwhile cancels it.

        Raises `ChainClosed`, and `ReportMustNotWait` in the thread that would do the work.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise ReportMustNotWait
        running = self.begin(work)
        try:
            return running.result()
        except BaseException as error:
            if not running.has_ended:
                running.cancel()  # its own error, a cancellation, is lost with what it has noted
                for note in running.notes:
                    error.add_note(note)
            raise

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """The items of an asynchronous iterator, each waited for when it is asked for.

        It may be held longer than the portal lives, which closes `source` before it leaves what was entered.
        """
        with suppress(StopAsyncIteration):
            while True:
                yield self.run(_next(source, self._held))

    def enter(self, resource: AbstractAsyncContextManager[Any]) -> None:
        """Enters a context, which is left with the portal at the latest. Raises as `run` and as it does."""
        self.run(resource.__aenter__())
        self._held.entered.append(resource)

    def leave(self, resource: AbstractAsyncContextManager[Any]) -> None:
        """Leaves a context, unless it has been left already."""
        if resource in self._held.entered and not self._closed:
            self._held.entered.remove(resource)
            self.run(resource.__aexit__(None, None, None))

    def close(self) -> None:
        """Cancels what still runs, waits until it has ended, and ends the thread."""
        if threading.current_thread() is self._thread:
            raise ReportMustNotWait
        with self._lock:
            if self._closed or self._is_elsewhere:
                return
            self._closed = True
            ending = Running(self._loop, _end(self._held))
        try:
            ending.result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    @property
    def _is_elsewhere(self) -> bool:
        """Whether this is a process that was forked: it has no such thread."""
        return os.getpid() != self._process


def _serve(loop: asyncio.AbstractEventLoop, held: _Held) -> None:
    """Runs the loop. What was entered is held here, too, so that it is no garbage before the portal is."""
    loop.run_forever()
    loop.close()


async def _next(source: AsyncIterator[T], held: _Held) -> T:
    if isinstance(source, AsyncGenerator):
        held.streams.add(source)
    return await anext(source)


def _end_soon(loop: asyncio.AbstractEventLoop, held: _Held) -> None:
    ending = loop.create_task(_end(held))
    ending.add_done_callback(lambda task: loop.stop())


async def _end(held: _Held) -> None:
    """Cancels every other task of this loop, waits until all have ended, closes the streams that somebody
    still holds, and leaves what was entered, in this order: a stream is closed while its connection stands.
    """
    await _cancel_others()
    await asyncio.gather(*(stream.aclose() for stream in list(held.streams)), return_exceptions=True)
    while held.entered:
        await held.entered.pop().__aexit__(None, None, None)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await _cancel_others()  # aiohttp may have begun a ping of a stream meanwhile


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
