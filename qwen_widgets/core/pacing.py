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
from dataclasses import dataclass, replace

from qwen_widgets.core.answers import DEFAULT_RETRY

#: The account's limits count images a minute; seconds.
WINDOW = 60.0
#: Seconds that a prediction of the hosted model usually takes, until its own durations are known.
USUAL_DURATION = 6.5


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from, seconds; a test puts its own in."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def midnight(self) -> float:
        """Return when the local day began, seconds since the epoch."""
        now = time.localtime(self.wall())
        return time.mktime((now.tm_year, now.tm_mon, now.tm_mday, 0, 0, 0, 0, 0, -1))


SYSTEM_CLOCK = Clock()


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


#: Submits on their way at once while no limit of the account is known.
_UNTRIED = 2
_MOST_PATIENCE = 32


class SubmitGate:
    """Lets submits through one account's limits: eager, until the service says 429.

    A 429 closes the gate for everybody until the window has passed; then a single probe goes, and only when it
    is taken does the gate open again. The window (accepted submits in the 60 s before the 429) is learned and
    kept to from then on, and raised by one after each clean span in which it was used up. Where the service says that
    too many run at once, it is the slots that are learned so, and the window is left alone.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    scale : float
        What the window's 60 s are multiplied with; for tests.
    open_predictions : callable
        How many predictions of the account are under way.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        scale: float = 1.0,
        open_predictions: Callable[[], int] = lambda: 0,
    ) -> None:
        self._clock = clock
        self._scale = scale
        self._open = open_predictions
        #: Seconds of the account's rate window.
        self.span = WINDOW * scale
        self._accepted: deque[float] = deque()
        #: Submits that are being sent: each may be taken, so each has its place in the window.
        self._sending = 0
        self._closed_until = 0.0
        self._probing = False
        self._probe: asyncio.Lock | None = None
        self._clean_since = clock()
        #: Clean spans before the window is raised; doubled each time that a raised one was refused.
        self._patience = 1
        #: Images that may be started in a window, None while no limit was met.
        self.window: int | None = None
        #: Predictions that may be under way together, None while no limit was met.
        self.slots: int | None = None

    def delay(self) -> float:
        """Return the seconds until the next submit may go; none may where it isn't 0."""
        now = self._clock()
        while self._accepted and self._accepted[0] <= now - self.span:
            self._accepted.popleft()
        wait = max(0.0, self._closed_until - now)
        taken = len(self._accepted) + self._sending
        if self.window is not None and taken >= self.window:
            # Room comes when the oldest leaves the window, or when one that is being sent is not taken.
            over = taken - self.window
            leaves = self._accepted[over] + self.span - now if over < len(self._accepted) else 0.0
            wait = max(wait, leaves, 0.05 * self._scale)
        if self.window is None and self._sending >= _UNTRIED:
            # Whoever doesn't know the limit runs into it with as many as are on their way.
            wait = max(wait, 0.02 * self._scale)
        if self.slots is not None and self._open() + self._sending >= self.slots:
            wait = max(wait, 0.25 * self._scale)
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
                self._sending += 1
                try:
                    yield True
                finally:
                    self._sending -= 1
                return
            async with self._probe:
                if self._probing and self.delay() <= 0 and not stop.is_set():
                    yield True
                    return
        yield False

    def accepted(self) -> bool:
        """Note a submit that was taken; returns whether the window was raised by it."""
        now = self._clock()
        self._probing = False
        self._accepted.append(now)
        if now - self._clean_since < self.span * self._patience:
            return False
        while self._accepted[0] <= now - self.span:
            self._accepted.popleft()
        if self.slots is not None and self._open() + 1 >= self.slots:
            self._clean_since = now
            self.slots += 1
        if self.window is None or len(self._accepted) < self.window:
            return False
        self._clean_since = now
        self.window += 1
        return True

    def limited(self, retry_after: float | None, *, concurrency: bool = False) -> float:
        """Note a 429; returns the seconds for which the gate is closed."""
        now = self._clock()
        self.delay()
        self._clean_since = now
        if concurrency:
            # Too many at once, not too many a minute: the next finished one makes room.
            self.slots = max(1, self._open())
            wait = retry_after if retry_after is not None else 2.0 * self._scale
        else:
            if self.window is not None:
                self._patience = min(_MOST_PATIENCE, 2 * self._patience)
            if self._accepted:
                self.window = len(self._accepted)
            wait = retry_after if retry_after is not None else self._until_room(now)
        self._closed_until = max(self._closed_until, now + wait)
        self._probing = True
        return wait

    def _until_room(self, now: float) -> float:
        if not self._accepted:
            return DEFAULT_RETRY * self._scale
        return max(1.0 * self._scale, self._accepted[0] + self.span - now)


def backoff(attempt: int, *, base: float = 0.5, longest: float = 8.0) -> float:
    """Return the seconds before try `attempt` (from 1), with full jitter."""
    return random.uniform(0, min(longest, base * 2**attempt))  # noqa: S311  (jitter, no secret)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The bounds of polling, seconds; a test that scales time down scales these with it."""

    shortest: float = 0.15
    longest: float = 4.0
    #: The first poll and the next step while no durations are known, and how that step grows.
    first: float = 1.0
    step: float = 0.5
    growth: float = 1.25
    #: Seconds of waiting that one poll is worth.
    poll_cost: float = 0.036
    #: Polls a second, of all open predictions together.
    most_polls: float = 20.0

    def scaled(self, factor: float) -> Rhythm:
        """Return the rhythm of a service that takes `factor` times as long."""
        return replace(
            self,
            shortest=self.shortest * factor,
            longest=self.longest * factor,
            first=self.first * factor,
            step=self.step * factor,
            poll_cost=self.poll_cost * factor,
            most_polls=self.most_polls / factor,
        )


DEFAULT_RHYTHM = Rhythm()


class PollDelays:
    """The delays between polls of one prediction, seconds, without end.

    Polls are set where they are worth most. With h the rate at which a prediction that is still running ends,
    and c what a poll costs in seconds of waiting, the density of polls that keeps the mean of delay plus cost
    least is sqrt(h / 2c) (the optimal inspection policy of Barlow, Hunter and Proschan, 1963), so the next poll is
    where the integral of that density reaches 1. h is that of a log-normal, fitted to the median and the
    median absolute deviation of the known durations, with a tail of 5 % that is three times as wide.

    Parameters
    ----------
    known : sequence of float
        Durations of the model, seconds; fewer than 3 are no distribution, and the polls are then at growing steps.
    open_predictions : callable
        How many predictions are polled together.
    age : float
        Seconds since the submit.
    """

    def __init__(
        self,
        known: Sequence[float],
        open_predictions: Callable[[], int],
        *,
        age: float = 0.0,
        rhythm: Rhythm = DEFAULT_RHYTHM,
    ) -> None:
        self._at = age
        self._open = open_predictions
        self._rhythm = rhythm
        self._law = _fit(known) if len(known) >= 3 else None
        self._step = rhythm.step
        self._first = True

    def __iter__(self) -> PollDelays:
        return self

    def __next__(self) -> float:
        rhythm = self._rhythm
        if self._law is None:
            delay = max(0.0, rhythm.first - self._at) if self._first else self._step
            if not self._first:
                self._step = min(rhythm.longest, self._step * rhythm.growth)
        else:
            delay = self._hazard_delay(self._law)
        self._first = False
        delay = max(delay, self._open() / rhythm.most_polls)
        self._at += delay
        return delay

    def _hazard_delay(self, law: tuple[float, float]) -> float:
        rhythm = self._rhythm
        width = rhythm.shortest / 4
        longest = rhythm.longest if self._at > 0 else rhythm.longest + math.exp(law[0])
        total = 0.0
        ahead = 0.0
        while total < 1 and ahead < longest:
            ahead += width
            total += width * math.sqrt(_hazard(self._at + ahead, *law) / (2 * rhythm.poll_cost))
        return max(rhythm.shortest, min(ahead, longest))


def _fit(known: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the deviation of the logarithm of some durations, robustly."""
    logs = [math.log(max(seconds, 1e-3)) for seconds in known]
    middle = statistics.median(logs)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in logs)
    return middle, min(1.5, max(0.08, spread))


def _hazard(seconds: float, middle: float, spread: float) -> float:
    """Return the rate at which a prediction that has run for some seconds ends, per second."""
    density = survival = 0.0
    for share, wide in ((0.95, spread), (0.05, 3 * spread)):
        z = (math.log(seconds) - middle) / wide
        density += share * math.exp(-z * z / 2) / (seconds * wide * math.sqrt(2 * math.pi))
        survival += share * math.erfc(z / math.sqrt(2)) / 2
    return density / survival if survival > 1e-12 else 0.0


def deadline(known: Sequence[float], *, scale: float = 1.0) -> float:
    """Return the seconds after which a prediction counts as still running: max(120, 8 × its 95th percentile)."""
    if not known:
        return 120.0 * scale
    ordered = sorted(known)
    return max(120.0 * scale, 8 * ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)])


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
        waves = max(waves, (math.ceil(new / window) - 1) * WINDOW + usual)
    return waves + 0.5


def time_left(planned: float, took: float, ended: int, of: int) -> float:
    """Estimate the rest of a run, seconds: the plan leads at first, the run's own pace as it goes on.

    Parameters
    ----------
    planned, took : float
        What the whole run was thought to take, and what it has taken so far; seconds.
    ended, of : int
        Pictures.
    """
    rest = max(0.0, planned - took)
    pace = took / ended * (of - ended) if ended else rest
    share = ended / of
    return share * pace + (1 - share) * rest
