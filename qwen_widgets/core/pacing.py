"""Pacing: when to submit, when to poll, how long a run will take. No I/O; the clock is a parameter."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from qwen_widgets.core.answers import DEFAULT_RETRY

#: Seconds that a prediction of the hosted model usually takes, until its own durations are known.
USUAL_DURATION = 6.5
#: Polls a second, of all open predictions together.
MOST_POLLS = 20.0
_FIRST_POLL = 1.0
_STEP = 0.5
_GROWTH = 1.25
_LONGEST_POLL = 4.0


class Stop:
    """Tells a run to buy nothing more. Set from any thread, seen at once."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Event | None = None

    def set(self) -> None:
        """Stop; whoever sleeps on it is woken."""
        self._flag.set()
        if self._loop is not None and self._woken is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    def is_set(self) -> bool:
        """Whether the run was stopped."""
        return self._flag.is_set()

    async def sleep(self, seconds: float) -> bool:
        """Sleep, or wake when stopped; whether it was stopped."""
        if self._woken is None:
            self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        if self._flag.is_set():
            return True
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            pass
        return self._flag.is_set()


class SubmitGate:
    """Lets submits through one account's rate limit: eager, until the service says 429.

    A 429 closes the gate for everybody until the window has passed; then a single probe goes, and only when it
    is taken does the gate open again. The window (accepted submits in the 60 s before the 429) is learned and
    kept to from then on, raised by one after each clean window.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    WINDOW = 60.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accepted: deque[float] = deque()
        self._closed_until = 0.0
        self._probing = False
        self._probe: asyncio.Lock | None = None
        self._raised_at = 0.0
        #: Images that may be started in a window, None while no limit was met.
        self.window: int | None = None

    def delay(self) -> float:
        """Return the seconds until the next submit may go."""
        now = self._clock()
        while self._accepted and self._accepted[0] <= now - self.WINDOW:
            self._accepted.popleft()
        wait = max(0.0, self._closed_until - now)
        if self.window is not None and now - self._raised_at >= self.WINDOW and not self._probing:
            self.window += 1
            self._raised_at = now
        if self.window is not None and len(self._accepted) >= self.window:
            oldest = self._accepted[len(self._accepted) - self.window]
            wait = max(wait, oldest + self.WINDOW - now)
        return wait

    @asynccontextmanager
    async def turn(self, stop: Stop) -> AsyncIterator[bool]:
        """Wait for one submit's turn; yields False where the run was stopped meanwhile.

        The submit is done inside of the block, and `accepted` or `limited` is called there.
        """
        if self._probe is None:
            self._probe = asyncio.Lock()
        while not stop.is_set():
            if (wait := self.delay()) > 0:
                await stop.sleep(wait)
                continue
            if not self._probing:
                yield True
                return
            async with self._probe:
                if self._probing and self.delay() <= 0 and not stop.is_set():
                    yield True
                    return
        yield False

    def accepted(self) -> None:
        """Note a submit that was taken."""
        self._probing = False
        self._accepted.append(self._clock())

    def limited(self, retry_after: float | None, *, concurrency: bool = False) -> float:
        """Note a 429; returns the seconds for which the gate is closed."""
        now = self._clock()
        self.delay()
        if concurrency and self._accepted:
            # Too many at once, not too many a minute: the next finished one makes room.
            wait = retry_after if retry_after is not None else 2.0
        else:
            if self._accepted:
                self.window = max(1, len(self._accepted))
                self._raised_at = now
            wait = retry_after if retry_after is not None else self._until_room(now)
        self._closed_until = max(self._closed_until, now + wait)
        self._probing = True
        return wait

    def _until_room(self, now: float) -> float:
        if not self._accepted:
            return DEFAULT_RETRY
        return max(1.0, self._accepted[0] + self.WINDOW - now)


def backoff(attempt: int, *, base: float = 0.5, longest: float = 8.0) -> float:
    """Return the seconds before try `attempt` (from 1), with full jitter."""
    return random.uniform(0, min(longest, base * 2**attempt))  # noqa: S311  (jitter, no secret)


class PollDelays:
    """The delays between polls of one prediction, seconds, without end.

    The first poll is where a prediction of this model is first likely to be done; then the steps grow.
    """

    def __init__(
        self,
        known: Sequence[float],
        open_predictions: Callable[[], int],
        *,
        age: float = 0.0,
        usual: float = USUAL_DURATION,
    ) -> None:
        cold = min(1.0, usual / USUAL_DURATION)
        first = _FIRST_POLL * cold if len(known) < 3 else max(0.1, min(known) * 0.95)
        self._next = max(0.0, first - age)
        self._step = max(0.1, _STEP * cold if len(known) < 3 else statistics.median(known) / 12)
        self._open = open_predictions

    def __iter__(self) -> PollDelays:
        return self

    def __next__(self) -> float:
        delay = max(self._next, (self._open() - 1) / MOST_POLLS)
        self._next = self._step
        self._step = min(_LONGEST_POLL, self._step * _GROWTH)
        return delay


def deadline(known: Sequence[float]) -> float:
    """Return the seconds after which a prediction counts as still running: max(120, 8 × its 95th percentile)."""
    if not known:
        return 120.0
    ordered = sorted(known)
    return max(120.0, 8 * ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)])


def estimate(
    new: int,
    *,
    at_once: int,
    known: Sequence[float],
    window: int | None = None,
    usual: float = USUAL_DURATION,
) -> float:
    """Return the seconds that buying `new` pictures will take.

    Parameters
    ----------
    at_once : int
        Predictions under way together.
    known : sequence of float
        Durations of the model, seconds.
    window : int, optional
        Images that the account may start a minute.
    usual : float
        Seconds that count while no duration is known.
    """
    if new <= 0:
        return 0.0
    usual = statistics.median(known) if known else usual
    waves = math.ceil(new / max(1, at_once)) * usual
    if window:
        waves = max(waves, (math.ceil(new / window) - 1) * SubmitGate.WINDOW + usual)
    return waves + 0.5
