"""When to submit and when to poll: pure arithmetic, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections.abc import Callable

import pytest
from server import contract, reply

from qwen_widgets.core import pacing
from qwen_widgets.core.pacing import (
    PollBudget,
    PollDelays,
    Rhythm,
    Stop,
    SubmitGate,
    backoff,
    deadline,
    estimate,
)


class Timer:
    """A call at some later time, that can be taken back."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class World:
    """A gate, the time, and how many predictions are under way."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.open = 0
        #: What the gate has asked to be called back for: seconds, and the call.
        self.timers: list[tuple[float, Timer]] = []
        self.gate = self.new_gate()

    def new_gate(self) -> SubmitGate:
        return SubmitGate(lambda: self.now, open_predictions=lambda: self.open, timer=self._timer)

    def _timer(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        self.timers.append((self.now + seconds, timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and ring what is due."""
        self.now += seconds
        due = [timer for at, timer in self.timers if at <= self.now and not timer.cancelled]
        self.timers = [(at, timer) for at, timer in self.timers if at > self.now and not timer.cancelled]
        for timer in due:
            timer.call()

    def accept(self, count: int, apart: float = 0.0) -> None:
        for _ in range(count):
            assert self.gate.delay() == 0
            self.gate.accepted()
            self.now += apart


@pytest.fixture
def world() -> World:
    return World()


# --- the gate ---------------------------------------------------------------------------------------------


def test_without_a_limit_there_is_no_waiting(world):
    world.accept(500)
    assert world.gate.window is None


def test_a_429_teaches_the_window(world):
    world.accept(10, apart=1.0)
    wait = world.gate.limited(None)
    assert world.gate.window == 10
    # Room comes when the oldest of the ten is a minute old.
    assert wait == pytest.approx(50.0)
    assert world.gate.delay() == pytest.approx(50.0)
    world.now += 49.9
    assert world.gate.delay() > 0
    world.now += 0.2
    assert world.gate.delay() == 0


def test_only_the_last_minute_counts(world):
    world.accept(10)
    world.now += 61
    world.accept(4)
    world.gate.limited(None)
    assert world.gate.window == 4


def test_a_window_that_is_full_is_waited_for(world):
    world.gate.window = 3
    world.accept(3, apart=10.0)
    assert world.gate.delay() == pytest.approx(30.0)
    world.now += 30.0
    assert world.gate.delay() == 0


@pytest.mark.parametrize("asked", [0.0, 3.0, 120.0])
def test_the_service_is_given_the_wait_that_it_asks_for(asked, world):
    assert world.gate.limited(asked) == asked
    assert world.gate.delay() == asked


def test_with_nothing_known_it_waits_a_minute(world):
    assert world.gate.limited(None) == pacing.DEFAULT_RETRY == 60.0
    assert world.gate.window is None


def test_a_longer_cooldown_is_never_shortened(world):
    world.gate.limited(100.0)
    world.gate.limited(1.0)
    assert world.gate.delay() == 100.0


def test_the_window_is_raised_by_one_after_a_clean_full_minute(world):
    world.accept(5)
    world.gate.limited(10.0)
    assert world.gate.window == 5
    raised = []
    for _ in range(4):
        world.now += 61
        while world.gate.delay() == 0 and len(raised) < 40:
            raised.append(world.gate.accepted())
    assert world.gate.window == 9
    assert raised.count(True) == 4


def test_a_window_that_is_not_used_up_is_not_raised(world):
    """A minute with one picture says nothing of what a minute may hold."""
    world.accept(5)
    world.gate.limited(10.0)
    for _ in range(50):
        world.now += 61
        world.accept(1)
    assert world.gate.window == 5


def test_a_window_read_from_the_ledger_stays_what_it_is(world):
    world.gate.window = 7
    assert world.gate.delay() == 0
    world.now += 3600
    assert world.gate.delay() == 0
    assert world.gate.window == 7


def test_too_many_at_once_shrinks_the_slots_and_not_the_window(world):
    world.accept(8)
    world.open = 8
    assert world.gate.limited(None, concurrency=True) == 2.0
    assert world.gate.window is None
    assert world.gate.slots == 8
    world.now += 2.0
    assert world.gate.delay() > 0
    world.open = 7
    assert world.gate.delay() == 0


def test_slots_are_raised_after_a_clean_minute_in_which_they_were_used_up(world):
    world.open = 4
    world.gate.limited(0.0, concurrency=True)
    world.open = 3
    world.now += 61
    world.accept(1)
    assert world.gate.slots == 5


async def turn(gate: SubmitGate, stop: Stop | None = None):
    return await gate.turn(stop or Stop()).__aenter__()


async def test_what_is_being_sent_has_its_place_in_the_window(world):
    """Eight cells that look at once must not all see the same free place."""
    world.gate.window = 2
    first, second = world.gate.turn(Stop()), world.gate.turn(Stop())
    assert await first.__aenter__()
    assert await second.__aenter__()
    assert world.gate.delay() > 0
    # One of them was refused: its place is free.
    await first.__aexit__(None, None, None)
    assert world.gate.delay() == 0
    await second.__aexit__(None, None, None)


async def test_after_a_429_one_probe_and_then_all(world):
    world.gate.limited(0.0)
    stop = Stop()
    probe = world.gate.turn(stop)
    assert await probe.__aenter__()
    others = [asyncio.create_task(turn(world.gate, stop)) for _ in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(task.done() for task in others)
    world.gate.accepted()
    await probe.__aexit__(None, None, None)
    assert await asyncio.gather(*others) == [True] * 5


async def test_a_probe_that_is_refused_is_followed_by_one_probe():
    world = World()
    world.gate.limited(0.0)
    stop = Stop()
    probe = world.gate.turn(stop)
    await probe.__aenter__()
    world.gate.limited(0.0)
    await probe.__aexit__(None, None, None)
    second = world.gate.turn(stop)
    assert await second.__aenter__()
    third = asyncio.create_task(turn(world.gate, stop))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not third.done()
    stop.set()
    await second.__aexit__(None, None, None)
    assert await third is False


async def test_a_stop_ends_the_waiting_at_once(world):
    world.gate.limited(100.0)
    stop = Stop()
    waiting = asyncio.create_task(turn(world.gate, stop))
    await asyncio.sleep(0)
    await asyncio.to_thread(stop.set)
    assert await asyncio.wait_for(waiting, 60) is False


async def test_the_window_is_remembered_for_the_account(server, rig, make_rig):
    rig.engine.at_once = 1
    # The minute in which they are counted: long enough for three, however busy the machine is.
    rig.engine.gate.span = 4.0
    # A wait that is long beside the pauses between them: it is three that fill the window.
    server.on_submit(contract, contract, contract, reply(429, "too many", retry_after_ms="1000"))
    await rig.run(seeds="1-4")
    assert rig.engine.gate.window in (3, 4)
    learned = rig.engine.gate.window
    again = make_rig()
    assert again.engine.gate.window is None
    await again.run(seeds="1-4")
    assert again.engine.gate.window == learned


# --- a named wait -----------------------------------------------------------------------------------------


class Window:
    """A service that takes so many submits in any span, and names the wait for the next one or not."""

    def __init__(self, world: World, size: int, span: float, name: Callable[[float], float | None]) -> None:
        self.world, self.size, self.span, self.name = world, size, span, name
        self.taken: list[float] = []
        self.refused = 0

    def submit(self) -> bool:
        """One submit, and the gate is told what came of it; whether it was taken."""
        world = self.world
        within = [at for at in self.taken if at > world.now - self.span]
        if len(within) < self.size:
            self.taken.append(world.now)
            world.gate.accepted()
            return True
        self.refused += 1
        world.gate.limited(self.name(within[-self.size] + self.span - world.now))
        return False

    def run(self, count: int, apart: float = 0.01, most: float = 1000.0) -> float:
        """Submit as soon as the gate allows it; the seconds that it took until the last was taken."""
        began, taken = self.world.now, 0
        while taken < count:
            wait = self.world.gate.delay()
            assert wait < math.inf, "nothing is on its way, so that time alone has to make room"
            self.world.now += wait + 1e-6
            assert self.world.now - began < most, "the gate waits for too long"
            taken += self.submit()
            self.world.now += apart
        return self.world.now - began


NAMES = {
    "what is left": lambda left: left,
    "what is left, in whole seconds": math.ceil,
    "the whole span": lambda _left: 6.0,
}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("apart", [0.01, 0.3])
def test_a_named_wait_teaches_how_long_the_window_is_and_how_much_it_holds(names, apart, world):
    service = Window(world, 10, 6.0, NAMES[names])
    took = service.run(30, apart=apart)
    # 12 s is the least that 30 can take; a gate that takes every window for a minute needs 120.
    assert took <= 1.3 * (12.0 + 9 * apart)
    assert world.gate.window in (10, 11)
    assert 5.7 <= world.gate.span <= 7.2
    assert service.refused <= 3


def test_a_date_that_is_over_too_early_is_not_asked_for_without_end(world):
    """A date has whole seconds: the room that it names may come up to a second later."""
    service = Window(world, 10, 6.0, lambda left: float(math.floor(left)))
    assert service.run(30) <= 1.3 * 12.0
    assert service.refused <= 12


def test_windows_that_begin_at_fixed_times_are_used_up(world):
    """Ten in each six seconds, by the service's clock, wherever in them the first one comes."""
    world.now = 1003.5
    service = Window(world, 10, 6.0, lambda left: left)

    def submit() -> bool:
        begin = world.now // 6 * 6
        if sum(at >= begin for at in service.taken) < 10:
            service.taken.append(world.now)
            world.gate.accepted()
            return True
        service.refused += 1
        world.gate.limited(begin + 6 - world.now)
        return False

    service.submit = submit
    # 1003.5: ten; 1008: ten; 1014: ten; 1020: ten.
    assert service.run(40) <= 1.3 * (1020 - 1003.5)


def test_what_was_sent_before_does_not_count_for_the_window(world):
    service = Window(world, 10, 6.0, lambda left: left)
    service.run(5)
    world.now += 20
    service.run(25)
    assert world.gate.window in (10, 11)
    assert 5.7 <= world.gate.span <= 6.5


def test_without_a_named_wait_a_window_is_a_minute(world):
    service = Window(world, 10, 60.0, lambda _left: None)
    took = service.run(30)
    assert 120 <= took <= 126
    assert world.gate.span == 60.0


def test_what_was_learned_is_taken_up_by_the_next_process(world):
    Window(world, 10, 6.0, lambda left: left).run(30)
    text = world.gate.remembered()
    world.gate = world.new_gate()
    world.gate.recall(text)
    assert world.gate.window in (10, 11)
    assert world.gate.span == pytest.approx(6.0, abs=0.2)


@pytest.mark.parametrize(
    ("text", "window", "span"), [("10", 10, 60.0), ("10 6.000", 10, 6.0), ("3 x", 3, 60.0)]
)
def test_what_an_older_version_has_kept_is_still_read(text, window, span, world):
    world.gate.recall(text)
    assert (world.gate.window, world.gate.span) == (window, span)


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "1e9"])
def test_what_is_no_window_is_not_taken_up(text, world):
    world.gate.recall(text)
    assert world.gate.window is None


def test_a_window_that_has_become_shorter_is_learned(world):
    """Ten a minute was remembered; by now it is ten in six seconds."""
    world.gate.recall("10")
    service = Window(world, 10, 6.0, lambda left: left)
    assert service.run(30) <= 1.3 * 12
    assert service.refused <= 3


def test_a_limit_that_was_raised_is_noticed_at_once(world):
    """Two a minute was remembered; after a top-up the account may start five hundred."""
    world.gate.recall("2 60.000")
    service = Window(world, 500, 60.0, lambda left: left)
    assert service.run(100) <= 5.0
    assert service.refused == 0


def test_a_remembered_window_is_tried_once_and_then_kept_to(world):
    world.gate.recall("10 60.000")
    service = Window(world, 10, 60.0, lambda left: left)
    assert service.run(30) <= 1.1 * 120
    assert service.refused == 1


# --- waiting ----------------------------------------------------------------------------------------------


class Queue:
    """Some who wait at a gate, and who was let in, in order."""

    def __init__(self, gate: SubmitGate, count: int, stop: Stop | None = None) -> None:
        self.gate, self.stop = gate, stop or Stop()
        self.in_: list[int] = []
        self.answers = [asyncio.Event() for _ in range(count)]
        self.tasks = [asyncio.create_task(self._wait(number)) for number in range(count)]

    async def _wait(self, number: int) -> bool:
        async with self.gate.turn(self.stop) as go:
            if go:
                self.in_.append(number)
                await self.answers[number].wait()
                self.gate.accepted()
            return go

    async def end(self) -> None:
        self.stop.set()
        for answer in self.answers:
            answer.set()
        await asyncio.gather(*self.tasks)


async def settled() -> None:
    """Let every task run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_who_waits_is_let_in_in_the_order_of_coming(world):
    world.gate.window = 3
    queue = Queue(world.gate, 9)
    await settled()
    assert queue.in_ == [0, 1, 2]
    for number in range(3):
        queue.answers[number].set()
    await settled()
    assert queue.in_ == [0, 1, 2]
    # One timer for all six, at the instant at which the window has room again.
    [at] = [at for at, timer in world.timers if not timer.cancelled]
    assert at == pytest.approx(world.now + 60)
    world.pass_time(60.0)
    await settled()
    assert queue.in_ == [0, 1, 2, 3, 4, 5]
    await queue.end()


async def test_an_answer_wakes_the_next(world):
    """Two are on their way while no limit is known, and one more with each that was taken."""
    queue = Queue(world.gate, 8)
    await settled()
    assert queue.in_ == [0, 1]
    assert world.timers == []
    queue.answers[0].set()
    await settled()
    assert queue.in_ == [0, 1, 2, 3]
    await queue.end()


async def test_a_prediction_that_ends_wakes_one(world):
    world.open = 4
    world.gate.limited(0.0, concurrency=True)
    queue = Queue(world.gate, 3)
    await settled()
    assert queue.in_ == []
    assert world.timers == []
    world.open = 3
    world.gate.look()
    await settled()
    assert queue.in_ == [0]
    await queue.end()


async def test_one_event_does_not_wake_four_hundred(world, monkeypatch):
    world.gate.window = 1
    queue = Queue(world.gate, 400)
    await settled()
    looked = []
    delay = SubmitGate.delay
    monkeypatch.setattr(SubmitGate, "delay", lambda self: looked.append(1) or delay(self))
    queue.answers[0].set()
    await settled()
    world.pass_time(60.0)
    await settled()
    assert queue.in_ == [0, 1]
    assert len(looked) < 20
    await queue.end()


async def test_who_gives_up_while_waiting_leaves_no_hole(world):
    world.gate.window = 1
    queue = Queue(world.gate, 3)
    await settled()
    queue.tasks[1].cancel()
    queue.answers[0].set()
    await settled()
    world.pass_time(60.0)
    await settled()
    assert queue.in_ == [0, 2]
    queue.tasks.pop(1)
    await queue.end()


async def test_a_stop_lets_out_only_its_own(world):
    world.gate.limited(100.0)
    mine, other = Queue(world.gate, 3), Queue(world.gate, 2)
    await settled()
    mine.stop.set()
    await settled()
    assert [task.result() for task in mine.tasks] == [False] * 3
    assert not any(task.done() for task in other.tasks)
    await other.end()


def test_backoff_is_jittered_and_bounded():
    random.seed(3)
    for attempt in range(1, 12):
        drawn = [backoff(attempt) for _ in range(300)]
        assert 0 <= min(drawn) < 0.1 * max(drawn)
        assert max(drawn) <= min(8.0, 0.5 * 2**attempt)


# --- polls ------------------------------------------------------------------------------------------------


def simulate(spread: float, *, pictures: int = 3000) -> tuple[float, float, float, float]:
    """Mean delay and polls a picture: by hazard, and at every full second."""
    rnd = random.Random(20)

    def draw() -> float:
        return rnd.lognormvariate(math.log(6.5), spread)

    known = [draw() for _ in range(48)]
    ours, theirs = [], []
    for _ in range(pictures):
        ends = draw()
        at = polls = 0
        delays = PollDelays(known, lambda: 1)
        while at < ends:
            at += next(delays)
            polls += 1
        ours.append((at - ends, polls))
        theirs.append((math.ceil(ends) - ends, math.ceil(ends)))
    return tuple(statistics.mean(column) for pairs in (ours, theirs) for column in zip(*pairs, strict=True))


@pytest.mark.parametrize("spread", [0.1, 0.15, 0.2])
def test_half_the_delay_of_fixed_polling_with_no_more_polls(spread):
    delay, polls, fixed_delay, fixed_polls = simulate(spread)
    assert delay <= fixed_delay / 2
    assert polls <= fixed_polls


def test_where_durations_are_wide_the_delay_stays_small_for_few_polls_more():
    delay, polls, fixed_delay, fixed_polls = simulate(0.4)
    assert delay <= 0.6 * fixed_delay
    assert polls <= 1.2 * fixed_polls


@pytest.mark.parametrize("open_predictions", [1, 8, 64, 500])
@pytest.mark.parametrize("known", [[], [6.5] * 48])
def test_at_most_twenty_polls_a_second_in_all(open_predictions, known):
    polls = []
    for _ in range(min(open_predictions, 64)):
        delays, at = PollDelays(known, lambda: open_predictions), 0.0
        while (at := at + next(delays)) <= 60:
            polls.append(at)
    assert len(polls) * open_predictions / min(open_predictions, 64) / 60 <= 20.0


def test_the_first_durations_of_a_run_count_for_the_next_poll():
    known: list[float] = []
    delays = PollDelays(known, lambda: 1)
    at = next(delays) + next(delays)
    known += [6.5, 6.6]
    # At growing steps it would come after 2.1 s.
    assert 4.0 < at + next(delays) < 6.6


def test_polls_are_denser_while_pictures_wait_for_the_slot():
    def polls(worth: float) -> int:
        delays, at, count = PollDelays([6.5] * 48, lambda: 1, worth=lambda: worth), 0.0, 0
        while (at := at + next(delays)) < 7.0:
            count += 1
        return count

    assert polls(6.0) >= 1.5 * polls(1.0)


def test_a_budget_of_polls_holds_in_every_second():
    now = [0.0]
    budget, went = PollBudget(lambda: now[0]), []
    rnd = random.Random(3)
    for _ in range(500):
        now[0] += rnd.choice([0.0, 0.0, 0.01, 0.2])
        now[0] += budget.wait(Rhythm())
        budget.spend()
        went.append(now[0])
    assert max(sum(at <= other < at + 1 - 1e-9 for other in went) for at in went) == 20


def test_a_budget_that_was_not_used_is_there_at_once():
    budget = PollBudget(lambda: 5.0)
    for _ in range(20):
        assert budget.wait(Rhythm()) == 0
        budget.spend()
    assert budget.wait(Rhythm()) == pytest.approx(1.0)


def test_a_cold_start_is_one_second_and_then_growing_steps():
    delays = PollDelays([], lambda: 1)
    first = [next(delays) for _ in range(4)]
    assert first == pytest.approx([1.0, 0.5, 0.625, 0.78125])
    assert max(next(delays) for _ in range(30)) == 4.0


@pytest.mark.parametrize("known", [[], [6.5], [0.0] * 3, [6.5] * 48, [1e-9, 1e9, 5, 5, 5]])
@pytest.mark.parametrize("age", [0.0, 3.0, 1e4])
def test_every_delay_lies_within_its_bounds(known, age):
    rhythm = Rhythm()
    delays = PollDelays(known, lambda: 1, age=age)
    # The first poll may wait for the usual duration.
    assert 0 <= next(delays) <= rhythm.longest + 6.5
    for _ in range(50):
        assert rhythm.shortest <= next(delays) <= rhythm.longest + 1e-9


@pytest.mark.parametrize(
    ("known", "expected"),
    [([], 120.0), ([6.5] * 48, 120.0), ([30.0] * 48, 240.0), ([1.0] * 47 + [99.0], 120.0)],
)
def test_the_deadline_follows_the_slow_ones(known, expected):
    assert deadline(known) == expected


@pytest.mark.parametrize(
    ("new", "options", "expected"),
    [
        (0, {}, 0.0),
        (1, {}, 7.0),
        (8, {}, 7.0),
        (9, {}, 13.5),
        (16, {"known": [2.0]}, 4.5),
        (30, {"window": 10}, 127.0),
        (10, {"window": 10}, 13.5),
    ],
)
def test_the_estimate(new, options, expected):
    assert estimate(new, **({"at_once": 8, "known": []} | options)) == pytest.approx(expected)
