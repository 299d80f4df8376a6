"""Stop, limits, and a machine that slept: what is no longer bought, and what still arrives."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest
from server import (
    accepted,
    contract,
    hang,
    reply,
)

from qwen_widgets.core import engine as engine_module
from qwen_widgets.core import pacing
from qwen_widgets.core.errors import (
    NotSentError,
    RateLimitedError,
    StoppedError,
)
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.pacing import Clock

# --- stop -------------------------------------------------------------------------------------------------


async def test_after_a_stop_nothing_is_sent_and_what_is_paid_for_arrives(server, rig):
    rig.engine.at_once = 2
    server.seconds = 0.3
    running = asyncio.create_task(rig.run(seeds="1-12"))
    await server.reached("result", 1)
    rig.stop.set()
    sent = len(server.submits)
    updates = await running
    states = sorted(update.state for update in updates)
    assert len(server.submits) == sent <= 2
    assert states == ["stopped"] * (12 - sent) + ["stored"] * sent
    assert all(isinstance(u.error, StoppedError) for u in updates if u.state == "stopped")
    assert all(u.error.paid == "no" for u in updates if u.state == "stopped")


async def test_a_stop_that_comes_while_the_row_is_written_still_counts(server, rig, monkeypatch):
    send = Store.send

    def stopped_meanwhile(self, *args, **options):
        send(self, *args, **options)
        rig.stop.set()

    monkeypatch.setattr(Store, "send", stopped_meanwhile)
    assert (await rig.one()).state == "stopped"
    assert server.submits == []


async def test_a_stop_ends_the_cooldown_at_once(server, rig):
    server.on_submit(reply(429, "slow down", retry_after="200"))
    running = asyncio.create_task(rig.run(seeds="1-3"))
    await server.reached("submit", 1)
    while not rig.engine.gate.delay():
        await asyncio.sleep(0)
    rig.stop.set()
    updates = await asyncio.wait_for(running, 60)
    assert "stopped" in {update.state for update in updates}
    assert (
        rig.engine.ledger.wait(
            lambda db: [r.state for r in db.history() if r.state in ("planned", "sending")]
        )
        == []
    )


async def test_a_stopped_run_is_taken_up_by_the_next(server, rig, make_rig):
    rig.stop.set()
    assert {update.state for update in await rig.run(seeds="1-3")} == {"stopped"}
    assert {update.state for update in await make_rig().run(seeds="1-3")} == {"stored"}
    assert len(server.submits) == 3


async def test_a_consumer_that_goes_away_buys_nothing_more(server, rig):
    rig.engine.at_once = 1
    server.seconds = 0.05
    from qwen_widgets.core.sweep import plan_sweep

    sweep = plan_sweep("a red fox", seeds="1-6", sizes=(256, 256))
    rig.requests += sweep.unique
    updates = rig.engine.run(await rig.engine.plan(sweep), rig.stop)
    async for update in updates:
        if update.state == "submitted":
            break
    await updates.aclose()
    assert rig.stop.is_set()
    # What is under way is finished by the run's own task, which nothing but the engine holds.
    [work] = rig.engine.running
    await work
    assert len(server.submits) == 1
    assert [r.state for r in rig.engine.ledger.wait(lambda db: db.history())] == ["stored"]


async def test_an_order_that_is_cut_off_is_unknown(server, rig):
    """The loop ends while the answer is awaited: the money may be spent."""
    server.on_submit(accepted(hang))
    running = asyncio.create_task(rig.run())
    await server.reached("submit", 1)
    [work] = rig.engine.running
    work.cancel()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    with suppress(asyncio.CancelledError):
        await work
    [record] = rig.engine.ledger.wait(lambda db: db.history())
    assert record.state == "unknown"
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


# --- limits -----------------------------------------------------------------------------------------------


async def test_a_429_for_a_quarter_of_an_hour_is_told(server, rig, monkeypatch):
    from qwen_widgets.core import purchase

    monkeypatch.setattr(purchase, "_LONGEST_LIMITED", 0.05)
    server.on_submit(reply(429, "slow down", retry_after_ms="30"), times=None)
    update = await rig.one()
    assert (update.state, type(update.error), update.error.paid) == ("rejected", RateLimitedError, "no")
    assert server.predictions == {}


async def test_not_sent_is_tried_five_times(server, make_rig, monkeypatch):
    rig = make_rig()
    tries = []

    async def refused(*_args):
        tries.append(1)
        raise NotSentError("no route")

    monkeypatch.setattr(rig.engine.client, "submit", refused)
    update = await rig.one()
    assert (update.state, len(tries)) == ("rejected", 5)
    monkeypatch.undo()


async def test_concurrency_shrinks_the_slots(server, rig):
    """The service says that too many run at once: all arrive, each bought once, and the rate window is left alone."""
    server.seconds = 0.2
    server.on_submit(*[contract] * 3, reply(429, "concurrency limit reached", retry_after_ms="20"))
    updates = await rig.run(seeds="1-12")
    assert {update.state for update in updates} == {"stored"}
    assert rig.engine.gate.window is None
    assert rig.engine.gate.slots is not None
    assert len(server.predictions) == 12


# --- sleep of the machine ---------------------------------------------------------------------------------


async def test_a_machine_that_has_slept_polls_at_once_on_new_connections(server, rig, monkeypatch):
    """The wall clock has gone on without the monotonic one."""
    jump = [0.0]
    rig.engine.clock = Clock(wall=lambda: time.time() + jump[0])
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 60.0)
    rig.engine.rhythm = pacing.Rhythm(first=50.0, shortest=50.0, longest=50.0)
    running = asyncio.create_task(rig.run())
    while rig.engine.polling == 0:
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    began = time.monotonic()
    jump[0] = 3600.0
    [update] = await asyncio.wait_for(running, 40)
    assert update.state == "stored"
    # The next look would have come after 50.
    assert time.monotonic() - began < 30
    [submit], [result] = server.submits, server.requests("result")
    assert submit.connection != result.connection


@pytest.mark.parametrize(("gap", "wakes"), [(4.0, 0), (6.0, 1), (-3600.0, 0)])
async def test_only_a_gap_of_more_than_five_seconds_is_a_sleep(gap, wakes, rig, monkeypatch):
    jump = [0.0]
    rig.engine.clock = Clock(wall=lambda: time.time() + jump[0])
    woken = []

    async def wake():
        woken.append(1)

    monkeypatch.setattr(rig.engine, "wake", wake)
    await rig.engine.notice_sleep()
    jump[0] = gap
    # Two runs look; one of them wakes, since waking closes the connections of both.
    await rig.engine.notice_sleep()
    await rig.engine.notice_sleep()
    assert len(woken) == wakes
    assert engine_module._SLEPT == 5.0
