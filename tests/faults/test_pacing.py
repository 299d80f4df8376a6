"""When to submit and when to poll: pure arithmetic, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import math
import random
import statistics

import pytest
from server import contract, reply

from qwen_widgets.core import pacing
from qwen_widgets.core.pacing import PollDelays, Rhythm, Stop, SubmitGate, backoff, deadline, estimate


class World:
    """A gate, the time, and how many predictions are under way."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.open = 0
        self.gate = SubmitGate(lambda: self.now, open_predictions=lambda: self.open)

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
