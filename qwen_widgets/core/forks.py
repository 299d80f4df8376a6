"""What a forked process makes anew: locks, threads, loops and connections belong to the process that made them.

Of the threads only the one that forks goes on in the child. A lock that another thread held is held there for ever, and
what another thread would do is never done: whatever has locks or threads renews itself before anything else runs.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from types import MethodType

#: Functions, each with the object whose method it is, held weakly: a fork keeps nothing alive. Not as WeakMethod, whose
#: own callback fails aloud where an interpreter that ends takes it away before its object.
_renewing: list[tuple[Callable[..., None], weakref.ref[object] | None]] = []
_pausing: weakref.WeakSet[Pause] = weakref.WeakSet()
_held: list[Pause] = []
#: What the parent goes on with. In the child its end would close, or write to, what both have open.
_left_behind: list[object] = []
#: Seconds that a fork waits for what it may not cut in two.
_LONGEST = 15.0


class Pause:
    """Work that no fork cuts in two: entered around each piece of it, on whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _pausing.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def hold(self) -> bool:
        """Wait for a piece of work to end, and let no other begin; False where it takes too long."""
        return self._lock.acquire(timeout=_LONGEST)

    def release(self) -> None:
        """Let work go on."""
        self._lock.release()

    def renew(self) -> None:
        """Begin anew in a child."""
        self._lock = threading.Lock()


def in_child(work: Callable[[], None]) -> None:
    """Have a function called in each process that is forked from here; a method, as long as its object lives."""
    _renewing[:] = [(made, owner) for made, owner in _renewing if owner is None or owner() is not None]
    if isinstance(work, MethodType):
        _renewing.append((work.__func__, weakref.ref(work.__self__)))
    else:
        _renewing.append((work, None))


def leave_behind(*things: object) -> None:
    """Keep what is the parent's from being ended in the child."""
    _left_behind.extend(things)


def _works() -> Iterator[Callable[[], None]]:
    for work, owner in tuple(_renewing):
        if owner is None:
            yield work
        elif (alive := owner()) is not None:
            yield partial(work, alive)


def _before() -> None:
    _held.extend(pause for pause in tuple(_pausing) if pause.hold())


def _in_parent() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    _held.clear()
    for pause in tuple(_pausing):
        pause.renew()
    for work in _works():
        with contextlib.suppress(Exception):  # one that can't be renewed leaves the others
            work()


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
