"""Pacing: when to submit, when to poll, how long a run will take. No I/O; the clock is a parameter."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace

from qwen_widgets.core.answers import DEFAULT_RETRY, LONGEST_RETRY

#: The account's limits count images a minute; seconds.
WINDOW = 60.0
#: Seconds that a prediction of the hosted model usually takes, until its own durations are known.
USUAL_DURATION = 6.5


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from, seconds; a test puts its own in."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def midnight(self, now: float | None = None) -> float:
        """Return when the local day began, seconds since the epoch.

        Parameters
        ----------
        now : float, optional
            The time by a better clock than this machine's, where one is known.
        """
        day = time.localtime(self.wall() if now is None else now)
        return time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))


SYSTEM_CLOCK = Clock()


class Stop:
    """Tells a run to buy nothing more. Set from any thread, seen at once."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._lock = threading.Lock()
        self._heard: dict[object, tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = {}

    def set(self) -> None:
        """Stop; whoever waits is woken."""
        with self._lock:
            self._flag.set()
            heard, self._heard = list(self._heard.values()), {}
        for loop, wake in heard:
            # A loop that was closed meanwhile has nobody left to wake.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(wake)

    def is_set(self) -> bool:
        """Whether the run was stopped."""
        return self._flag.is_set()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called on the running loop when it is stopped, or at once where it is stopped already."""
        mark = object()
        with self._lock:
            stopped = self._flag.is_set()
            if not stopped:
                self._heard[mark] = asyncio.get_running_loop(), wake
        if stopped:
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._heard.pop(mark, None)

    async def sleep(self, seconds: float) -> bool:
        """Sleep, or wake when stopped; whether it was stopped."""
        woken = asyncio.Event()
        with self.waking(woken.set), suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await woken.wait()
        return self._flag.is_set()


#: Submits on their way at once while no limit of the account is known; one more with each that is taken.
_UNTRIED = 2
_MOST_PATIENCE = 32
#: Seconds before the next probe where the service names none that holds; doubled with each refused in a row.
_REFUSED_AGAIN = 0.1
#: A part of a window's length by which answers may be late.
_LATE = 0.05

Timer = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


def _call_later(seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call)


class SubmitGate:
    """Lets submits through one account's limits: eager, until the service says 429.

    Whoever waits is woken, in the order of coming, by what makes room: an answer to a submit, a prediction that has
    ended, a stop, and one timer for the instant at which time alone does.

    A 429 closes the gate for everybody until the wait that it names is over, or the window has passed; then a single
    probe goes, and only when it is taken does the gate open again. The window is learned and kept to from then on: how
    many submits it holds, and from a named wait also its length (a minute, until one is named). It is raised by one
    after each clean span in which it was used up. Where the service says that too many run at once, it is the slots
    that are learned so, and the window is left alone.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    scale : float
        What the window's 60 s are multiplied with; for tests.
    open_predictions : callable
        How many predictions of the account are under way; `look` has to be called when they get fewer.
    timer : callable
        Calls something after some seconds, and can be cancelled.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        scale: float = 1.0,
        open_predictions: Callable[[], int] = lambda: 0,
        timer: Timer = _call_later,
    ) -> None:
        self._clock = clock
        self._scale = scale
        self._open = open_predictions
        self._timer = timer
        self._alarm: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[bool]] = deque()
        #: Seconds of the account's rate window.
        self.span = WINDOW * scale
        self._accepted: deque[float] = deque()
        #: Submits that are being sent: each may be taken, so each has its place in the window.
        self._sending = 0
        self._untried = _UNTRIED
        self._closed_until = 0.0
        self._probing = False
        #: Refusals since a submit was taken.
        self._refused = 0
        self._clean_since = clock()
        #: Clean spans before the window is raised; doubled each time that a raised one was refused.
        self._patience = 1
        #: Images that may be started in a window, None while no limit was met.
        self.window: int | None = None
        #: Whether the window is another process's knowledge, which this one hasn't tried yet.
        self._recalled = False
        #: Predictions that may be under way together, None while no limit was met.
        self.slots: int | None = None

    # --- what is remembered between processes -----------------------------------------------------------

    def remembered(self) -> str | None:
        """Return what has been learned of the window, as a text for `recall`."""
        return None if self.window is None else f"{self.window} {self.span:.3f}"

    def recall(self, text: str) -> None:
        """Take up what another process has learned; older ones have written the number alone.

        Limits change, so that it is tried once, by one submit more than it holds: a refusal costs nothing.
        """
        number, _, seconds = text.partition(" ")
        if not number.isdecimal() or int(number) < 1:
            return
        self.window, self._recalled = int(number), True
        with suppress(ValueError):
            span = float(seconds) if seconds else self.span
            if 0 < span <= LONGEST_RETRY:
                self.span = span

    # --- waiting ------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return sum(not waiter.done() for waiter in self._waiting)

    def delay(self) -> float:
        """Return the seconds until the next submit may go; infinite where time alone makes no room."""
        now = self._clock()
        self._forget_old(now)
        wait = max(0.0, self._closed_until - now)
        if self._probing and self._sending:
            return math.inf
        if self.window is None:
            # Whoever doesn't know the limit runs into it with as many as are on their way.
            if self._sending >= self._untried:
                return math.inf
        elif (over := len(self._counting(now)) + self._sending - self.window) >= 0 and not (
            self._recalled and self._sending == 0
        ):
            # Room comes when the oldest leaves the window, or when one that is being sent is not taken.
            counting = self._counting(now)
            wait = max(wait, counting[over] + self.span - now) if over < len(counting) else math.inf
        if self.slots is not None and self._open() + self._sending >= self.slots:
            return math.inf
        return wait

    def look(self) -> None:
        """Wake those at the head of the queue for whom there is room, and see to it that the next is woken in time."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif (wait := self.delay()) <= 0:
                self._sending += 1
                self._waiting.popleft().set_result(True)
            else:
                if wait < math.inf:
                    self._alarm = self._timer(wait, self.look)
                return

    @asynccontextmanager
    async def turn(self, stop: Stop) -> AsyncIterator[bool]:
        """Wait for one submit's turn; yields False where the run was stopped meanwhile.

        The submit is done inside of the block, and `accepted` or `limited` is called there.
        """
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)

        def give_up() -> None:
            if not waiter.done():
                waiter.set_result(False)

        let_in = False
        try:
            with stop.waking(give_up):
                self.look()
                let_in = await waiter
            yield let_in and not stop.is_set()
        finally:
            # Cancelled in the very moment of being let in, it has its place all the same.
            if let_in or (waiter.done() and not waiter.cancelled() and waiter.result()):
                self._sending -= 1
            self.look()

    # --- learning -----------------------------------------------------------------------------------------

    def accepted(self) -> bool:
        """Note a submit that was taken; returns whether what is remembered of the window has changed."""
        now = self._clock()
        self._probing = False
        self._refused = 0
        self._untried += 1
        counting = len(self._counting(now))
        self._accepted.append(now)
        self._forget_old(now)
        try:
            if self._recalled and self.window is not None and counting >= self.window:
                # There is room beyond what was remembered: how much is found out anew.
                self._recalled, self.window, self.span = False, None, WINDOW * self._scale
                return True
            if now - self._clean_since < self.span * self._patience:
                return False
            if self.slots is not None and self._open() + 1 >= self.slots:
                self._clean_since = now
                self.slots += 1
            if self.window is None or counting + 1 < self.window:
                return False
            self._clean_since = now
            self.window += 1
            return True
        finally:
            self.look()

    def limited(self, retry_after: float | None, *, concurrency: bool = False) -> float:
        """Note a 429; returns the seconds for which the gate is closed.

        Parameters
        ----------
        retry_after : float or None
            The wait that the service names, seconds.
        concurrency : bool
            Whether it is about too many at once and not about too many a minute.
        """
        now = self._clock()
        self._untried = _UNTRIED
        self._refused += 1
        if concurrency:
            # The next finished one makes room.
            self.slots = max(1, self._open())
            wait = retry_after if retry_after is not None else 2.0 * self._scale
        else:
            if self.window is not None:
                self._patience = min(_MOST_PATIENCE, 2 * self._patience)
            if retry_after is not None:
                wait = retry_after
                self._learn(now, retry_after)
            else:
                counting = self._counting(now)
                wait = self._until_room(now)
                if counting:
                    self.window = len(counting)
            self._recalled = False
        if self._refused > 2:
            # A wait that was over too early (a date has no fractions of a second) is not asked for without end.
            least = _REFUSED_AGAIN * 2 ** min(self._refused - 3, 6) * self._scale
            wait = max(wait, least)
        # While it is closed, it is no wonder that nothing is refused.
        self._clean_since = self._closed_until = max(self._closed_until, now + wait)
        self._probing = True
        self.look()
        return wait

    def _learn(self, now: float, wait: float) -> None:
        """Take up what a named wait says of the window.

        A window that is full now and has room after `wait` holds as many as were accepted from some moment on, and
        that moment leaves it then. Of all such windows that would have taken what was accepted so far, it is the
        shortest with (nearly) the best rate: one that is too generous is corrected by the next refusal, which names a
        wait again, and one that is too strict never is.
        """
        times = list(self._accepted)
        if not times:
            return
        first = self.window is None or self._recalled
        longest = (1 + _LATE) * max(WINDOW * self._scale, wait)
        fitting = [
            (size, span)
            for size in range(1, len(times) + 1)
            if 0 < (span := now + wait - times[-size]) <= longest and not _overfull(times, size, span)
        ]
        if not fitting:
            # Another one uses the account too, or its windows begin at fixed times.
            self.span = max(wait, 1e-3 * self._scale if first else min(longest, self.span))
            self.window = max(1, len(self._counting(now)))
            return
        best = max(size / span for size, span in fitting)
        self.window, span = next(pair for pair in fitting if pair[0] / pair[1] >= (1 - 2 * _LATE) * best)
        # Many services name the whole length, however much of it has passed.
        whole = sum(at > now - wait for at in times) >= self.window and wait < (1 - _LATE) * span
        self.span = wait if first and whole else span

    def _forget_old(self, now: float) -> None:
        """Drop what no window can hold any more."""
        oldest = now - 2 * max(self.span, WINDOW * self._scale)
        while self._accepted and self._accepted[0] <= oldest:
            self._accepted.popleft()

    def _counting(self, now: float) -> list[float]:
        """Return when those were accepted that are in the window now."""
        return [at for at in self._accepted if at > now - self.span]

    def _until_room(self, now: float) -> float:
        counting = self._counting(now)
        if not counting:
            return DEFAULT_RETRY * self._scale
        return max(1.0 * self._scale, counting[0] + self.span - now)


def _overfull(times: Sequence[float], size: int, span: float) -> bool:
    """Return whether more than `size` of some ascending times lie within one span."""
    within = span * (1 - _LATE)
    return any(later - earlier < within for earlier, later in zip(times, times[size:], strict=False))


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
            # What takes far longer than is usual here needn't be looked at every few milliseconds.
            longest=max(self.longest * factor, min(self.longest, _LONGEST_AT_LEAST)),
            first=self.first * factor,
            step=self.step * factor,
            poll_cost=self.poll_cost * factor,
            most_polls=self.most_polls / factor,
        )


_LONGEST_AT_LEAST = 0.1
DEFAULT_RHYTHM = Rhythm()


class PollBudget:
    """Lets at most `Rhythm.most_polls` a second through, however they are spread over the second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._most = int(DEFAULT_RHYTHM.most_polls)
        self._last: deque[float] = deque(maxlen=self._most)

    def wait(self, rhythm: Rhythm) -> float:
        """Return the seconds until the next poll may go."""
        if len(self._last) < self._most:
            return 0.0
        # As many polls as in one second of the hosted service, in the time that is such a second here.
        return max(0.0, self._last[0] + self._most / rhythm.most_polls - self._clock())

    def spend(self) -> None:
        """Note a poll that goes now."""
        self._last.append(self._clock())


class PollDelays:
    """The delays between polls of one prediction, seconds, without end.

    Polls are set where they are worth most. With h the rate at which a prediction that is still running ends,
    c what a poll costs in seconds of waiting and w how many pictures wait while it isn't noticed, the density of polls
    that keeps the mean of delay plus cost least is sqrt(h w / 2c) (the optimal inspection policy of Barlow, Hunter and
    Proschan, 1963), so the next poll is where the integral of that density reaches 1. h is that of a log-normal, fitted
    to the median and the median absolute deviation of the known durations, with a tail of 5 % that is three times as
    wide.

    Parameters
    ----------
    known : sequence of float
        Durations of the model, seconds; while there are none the polls are at growing steps. What is added meanwhile
        counts from the next poll on.
    open_predictions : callable
        How many predictions are polled together.
    age : float or callable
        Seconds since the submit, now or whenever it is asked.
    worth : callable
        How many pictures wait for a poll's news: 1, and more while each waits for the slot of the one before it.
    """

    def __init__(
        self,
        known: Sequence[float],
        open_predictions: Callable[[], int],
        *,
        age: float | Callable[[], float] = 0.0,
        rhythm: Rhythm = DEFAULT_RHYTHM,
        worth: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._age = age if callable(age) else None
        self._at = age() if callable(age) else age
        self._open = open_predictions
        self._rhythm = rhythm
        self._known = known
        self._worth = worth
        self._step = rhythm.step
        self._first = True

    def __iter__(self) -> PollDelays:
        return self

    def __next__(self) -> float:
        rhythm = self._rhythm
        if self._age is not None:
            # What the answers took has passed, too.
            self._at = self._age()
        if self._known:
            delay = self._hazard_delay(_fit(self._known))
        else:
            delay = max(0.0, rhythm.first - self._at) if self._first else self._step
            if not self._first:
                self._step = min(rhythm.longest, self._step * rhythm.growth)
        self._first = False
        delay = max(delay, self._open() / rhythm.most_polls)
        self._at += delay
        return delay

    def _hazard_delay(self, law: tuple[float, float]) -> float:
        rhythm = self._rhythm
        longest = rhythm.longest + max(0.0, math.exp(law[0]) - self._at)
        worth = self._worth() / (2 * rhythm.poll_cost)
        total = 0.0
        ahead = 0.0
        while total < 1 and ahead < longest:
            # Fine beside the spread, and few steps also where a prediction takes far longer than is usual.
            width = max(rhythm.shortest / 4, (self._at + ahead) / 100)
            ahead += width
            total += width * math.sqrt(_hazard(self._at + ahead, *law) * worth)
        return max(rhythm.shortest, min(ahead, longest))


#: The spread of durations that is taken for likely before any is known, and the number of durations that it weighs.
_LIKELY, _WEIGHT = 0.25, 2


def _fit(known: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the deviation of the logarithm of some durations, robustly; of few, with a likely spread."""
    logs = [math.log(max(seconds, 1e-3)) for seconds in known]
    middle = statistics.median(logs)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in logs)
    spread = math.sqrt((len(logs) * spread**2 + _WEIGHT * _LIKELY**2) / (len(logs) + _WEIGHT))
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
    span: float = WINDOW,
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
        Images that the account may start in `span` seconds.
    usual : float
        Seconds that count while no duration is known.
    """
    if new <= 0:
        return 0.0
    usual = statistics.median(known) if known else usual
    waves = math.ceil(new / max(1, at_once)) * usual
    if window:
        waves = max(waves, (math.ceil(new / window) - 1) * span + usual)
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
