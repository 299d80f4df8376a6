"""The portal: the one background event loop on which everything async runs. The only importer of nest_asyncio.

The kernel's own loop is never touched. With ``nest_asyncio.apply()`` on it, "Run All" drops the cells queued
behind a magic; a private loop on a thread of its own loses nothing, and context variables travel with a task, so
that what it displays still reaches the cell it came from.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from concurrent import futures
from concurrent.futures import Future
from typing import Any, TypeVar

try:
    # The kept continuation; nest_asyncio itself breaks on Python 3.14.
    import nest_asyncio2 as nest
except ImportError:
    import nest_asyncio as nest

from qwen_widgets.core.forks import in_child, leave_behind

T = TypeVar("T")
#: Seconds that an interrupt waits for a cancelled call to clean up.
_GRACE = 0.8
#: Seconds after which a blocked thread looks for a signal that didn't wake it.
_LOOK = 0.25


def outcome(future: Future[T], timeout: float | None = None) -> T:
    """Block for a future's result, and leave the wait at an interrupt even where the signal wakes nobody.

    A signal that comes just before a thread falls asleep in a lock, or that the system gives to another thread, is
    seen only when the main thread runs again (https://docs.python.org/3/library/signal.html, "Signals and threads").

    Raises
    ------
    TimeoutError
        After ``timeout`` seconds. The work goes on.
    KeyboardInterrupt
    """
    end = None if timeout is None else time.monotonic() + timeout
    while not future.done():
        left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
        if left <= 0:
            raise TimeoutError
        futures.wait([future], left)
    return future.result()


class _PortalLoop(asyncio.SelectorEventLoop):
    """A class of its own, so that making it re-entrant patches no loop of anybody else."""


class Portal:
    """A background thread with an event loop, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: _PortalLoop | None = None
        self._thread: threading.Thread | None = None
        in_child(self._renew)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The portal's loop, running."""
        with self._lock:
            if self._loop is None:
                self._start()
            assert self._loop is not None
            return self._loop

    def _start(self) -> None:
        self._loop = _PortalLoop()
        # The private function patches this loop's class alone; the public apply() patches asyncio as a whole.
        nest._patch_loop(self._loop)  # noqa: SLF001
        self._thread = threading.Thread(target=self._loop.run_forever, name="qwen-portal", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        """Begin with a loop of its own in a forked process, where the thread is gone."""
        leave_behind(self._loop)
        self._lock = threading.Lock()
        self._loop = self._thread = None

    @property
    def here(self) -> bool:
        """Whether the caller runs on the portal's own thread."""
        return self._thread is not None and threading.get_ident() == self._thread.ident

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start some work and return at once."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work and block for it; an interrupt cancels it.

        Raises
        ------
        KeyboardInterrupt
            Within a second of the interrupt.
        """
        ended = threading.Event()

        async def watched() -> T:
            try:
                return await work
            finally:
                # future.done() is already true while a cancelled task still cleans up.
                ended.set()

        future: Future[T] | None = None
        try:
            future = self.submit(watched())
            return self.wait(future)
        except KeyboardInterrupt:
            if future is not None:
                future.cancel()
                # A second interrupt leaves the wait.
                with contextlib.suppress(KeyboardInterrupt):
                    ended.wait(_GRACE)
            raise

    def wait(self, future: Future[T]) -> T:
        """Block for work that was submitted; an interrupt leaves the wait and not the work.

        Called on the portal's own thread (a user's callback), the loop goes on inside of the call.

        Raises
        ------
        KeyboardInterrupt
        """
        if self.here:
            return self.loop.run_until_complete(asyncio.wrap_future(future, loop=self.loop))
        return outcome(future)

    def close(self) -> None:
        """Stop the thread; for tests."""
        with self._lock:
            if self._loop is not None and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(5)
                self._loop.close()
            self._loop = self._thread = None


#: The one portal of this process.
portal = Portal()
