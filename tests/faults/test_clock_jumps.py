"""Time: the service's own dates and a monotonic clock; what the wall clock says neither buys nor expires anything."""

from __future__ import annotations

import asyncio
import time

import pytest
from histories import HOUR, dated, fill
from ledger_rows import PRICE
from rig import a_request
from server import Exchange, accepted, contract, lose_answer, reply, reset

from qwen_widgets.core import reconcile
from qwen_widgets.core.ledger import LEASE, Ledger
from qwen_widgets.core.pacing import Clock


def rows(rig):
    return rig.engine.ledger.wait(lambda db: db.history())


# --- the service's time -----------------------------------------------------------------------------------


async def test_no_answer_no_time(client):
    assert client.now() is None


async def test_an_answer_without_a_date_tells_no_time(server, client):
    server.on("balance", dated(None))
    await client.balance()
    assert client.now() is None


async def test_the_services_time_goes_on_with_a_clock_that_nobody_sets(server, make_client):
    client = make_client()
    ticks = [1000.0]
    client._monotonic = lambda: ticks[0]
    server.on("balance", dated(5_000_000.0))
    await client.balance()
    assert client.now() == 5_000_000.0
    ticks[0] += 61.5
    assert client.now() == 5_000_061.5
    # Within the second that a Date is cut to, the time doesn't go back.
    server.on("balance", dated(5_000_061.0))
    await client.balance()
    assert client.now() == 5_000_061.5
    # Another time is taken up, in either direction.
    for moment in (5_003_600.0, 4_000_000.0):
        server.on("balance", dated(moment))
        await client.balance()
        assert client.now() == moment


# --- when an order was sent -------------------------------------------------------------------------------


async def test_a_row_says_when_it_was_sent_by_the_services_clock(server, rig):
    rig.engine.clock = Clock(wall=lambda: 1.0)
    update = await rig.one()
    assert update.state == "stored", update.error
    [row] = rows(rig)
    assert row.server_at == pytest.approx(time.time(), abs=20)


async def test_an_order_lost_before_any_date_is_dated_by_the_next_answer(server, rig):
    server.on_submit(lose_answer)
    server.on_history(dated(5_000_000.0), contract)
    began = time.monotonic()
    assert (await rig.one()).state == "stored"
    [row] = rows(rig)
    assert 0 <= 5_000_000.0 - row.server_at <= time.monotonic() - began


async def test_an_order_that_slept_on_its_way_is_not_dated_by_a_later_answer(server, rig):
    """The monotonic clock stood still meanwhile, so nobody knows how long ago it was sent."""

    async def asleep(x: Exchange) -> None:
        x.accept()
        rig.engine.client.forget_time()
        rig.engine.sendings.slept()
        await x.reset()

    server.on_submit(asleep)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    [row] = rows(rig)
    assert row.server_at is None


async def test_dates_that_go_back_and_forth_are_noticed(server, client):
    moment = time.time()
    for date in (moment, moment + 5, moment - 5, moment + HOUR, moment):
        server.on("balance", dated(date))
        await client.balance()
    assert client.contradictions == 2


# --- the wall clock is set --------------------------------------------------------------------------------


def set_clocks(rig, seconds: float) -> None:
    """Set the wall clock of this machine, for the engine and its ledger."""
    rig.engine.clock = Clock(wall=lambda: time.time() + seconds)
    rig.engine.ledger._store._clock = rig.engine.clock.wall


def told_by_the_old_clock(rig, seconds: float) -> None:
    """Date what was noted by the clock that was set as if it had not been: I3 compares it with the server's."""
    now = time.time()
    rig.engine.ledger.wait(
        lambda db: db._db.execute("UPDATE event SET at = at - ? WHERE at > ?", (seconds, now))
    )


def lost_by_another_kernel(rig, *, ago: float | None = 0.0):
    """An order that a kernel had sent when it died, so many seconds ago by the service's clock; None: not known."""
    request = a_request()

    def die(db):
        record, _ = db.claim(rig.engine.provider, request, "run", PRICE)
        server_at = None if ago is None else time.time() - ago
        db.send(record.id, midnight=0.0, server_at=server_at, account=rig.engine.client.account)
        db.release(record.id)

    rig.engine.ledger.wait(die)
    return request


@pytest.mark.parametrize("seconds", [180.0, -180.0, 30 * 24 * HOUR, -30 * 24 * HOUR])
@pytest.mark.parametrize("known", [True, False], ids=["dated", "not dated"])
async def test_the_settle_times_are_not_over_because_the_clock_was_set(
    known, seconds, server, rig, monkeypatch
):
    """Between the lost order and the restart. The history shows it only after a while."""
    monkeypatch.setattr(reconcile, "SETTLE", (2.0, 8.0, 30.0, 500.0))
    fill(server, 3, ago=HOUR)
    request = lost_by_another_kernel(rig, ago=0.0 if known else None)
    server.paid[request.key].append(server.add(request.model.id, request.body()).id)
    server.history_lag = 2.0
    set_clocks(rig, seconds)
    update = await rig.one()
    assert (update.state, update.record.prediction_id) == ("stored", server.paid[request.key][0])
    assert server.submits == []


async def test_by_the_services_dates_they_are_over(server, rig, monkeypatch):
    monkeypatch.setattr(reconcile, "SETTLE", (2.0, 360_000.0))
    fill(server, 3, ago=3 * HOUR)
    lost_by_another_kernel(rig, ago=2 * HOUR)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_what_another_kernel_sent_at_no_known_time_settles_anew(server, rig, monkeypatch):
    """From this kernel's first look, however long ago the wall clock says that it was."""
    monkeypatch.setattr(reconcile, "SETTLE", (2.0, 100.0))
    request = lost_by_another_kernel(rig, ago=None)
    set_clocks(rig, HOUR)
    began = time.monotonic()
    assert (await rig.one()).state == "stored"
    assert time.monotonic() - began >= 1.0
    assert [seen.json["seed"] for seen in server.submits] == [request.seed]


@pytest.mark.parametrize("seconds", [180.0, -180.0, 8 * 24 * HOUR, -8 * 24 * HOUR])
async def test_a_clock_that_is_set_while_an_order_is_looked_for_changes_nothing(seconds, server, rig):
    fill(server, 3, ago=HOUR)
    server.history_lag = 0.08

    async def lost_and_set(x: Exchange) -> None:
        x.accept()
        set_clocks(rig, seconds)
        await x.reset()

    server.on_submit(lost_and_set)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


@pytest.mark.parametrize("seconds", [8 * 24 * HOUR, -8 * 24 * HOUR])
async def test_a_clock_that_is_off_by_a_week_gives_nothing_up(seconds, server, rig, make_rig):
    """Neither what was lost, nor what another key's account doesn't show."""
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    set_clocks(rig, seconds)
    assert (await rig.one()).state == "unknown"
    bought = dict(server.predictions)
    server.predictions.clear()
    server.forget("history")
    later = make_rig(key="another-key-0123456789")
    set_clocks(later, seconds)
    assert (await later.one()).state == "unknown"
    server.predictions.update(bought)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_one_date_that_is_wrong_gives_nothing_up(server, rig):
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    server.forget("history")
    server.on_history(reply(500, date="Fri, 01 Jan 2100 00:00:00 GMT"))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_two_lost_orders_stay_rivals_when_the_clock_is_set_between_them(server, rig):
    """Either could have the one prediction that tells nothing of its input."""
    server.echo = False
    rig.engine.at_once = 1
    server.on_history(reply(500), times=None)

    async def lost_and_set(x: Exchange) -> None:
        await x.reset()
        set_clocks(rig, HOUR)

    server.on_submit(lost_and_set, accepted(reset))
    assert {update.state for update in await rig.run(seeds="1-2")} == {"unknown"}
    server.forget("history")
    assert {update.state for update in await rig.run(seeds="1-2")} == {"unknown"}
    assert len(server.submits) == 2
    told_by_the_old_clock(rig, HOUR)


# --- leases -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [True, False], ids=["made", "not made"])
async def test_a_lease_that_seems_over_buys_nothing_twice(made, server, make_rig, qwen_home):
    """The clock is set forward while one kernel's order is on its way; another takes the row for abandoned."""
    first, second = make_rig(), make_rig()
    ledger = Ledger(qwen_home)
    second.engine.ledger = second.engine.sendings._ledger = ledger
    answered = asyncio.Event()
    fill(server, 3, ago=HOUR)

    async def slow(x: Exchange) -> None:
        if made:
            x.accept()
        await asyncio.wait_for(answered.wait(), 20)
        await x.answer(*x.contract())

    server.on_submit(slow)
    running = asyncio.create_task(first.run())
    await server.reached("submit", 1)
    set_clocks(second, LEASE + 60)
    other = asyncio.create_task(second.run())
    await server.reached("history", 1)
    server._loop.call_soon_threadsafe(answered.set)
    updates = [*await running, *await other]
    assert {update.state for update in updates} <= {"stored", "submitted", "completed"}
    assert (await first.one()).state == "stored"
    assert len(server.predictions) == 4
    assert len(server.submits) == 1
    ledger.close()


async def test_a_plan_whose_lease_seems_over_is_sent_by_one_of_both(server, make_rig, qwen_home):
    first, second = make_rig(), make_rig()
    ledger = Ledger(qwen_home)
    second.engine.ledger = second.engine.sendings._ledger = ledger
    set_clocks(second, LEASE + 60)
    # The first has planned its picture and waits for its turn at the gate.
    first.engine.gate._closed_until = time.monotonic() + 0.5
    running = asyncio.create_task(first.run())
    while not first.engine.ledger.wait(lambda db: db.history()):
        await asyncio.sleep(0)
    updates = [*await second.run(), *await running]
    assert {update.state for update in updates} == {"stored"}
    assert len(server.submits) == 1
    told_by_the_old_clock(first, LEASE + 60)
    ledger.close()


@pytest.mark.parametrize("seconds", [-0.5 * HOUR, -2 * HOUR])
async def test_a_lease_of_a_clock_that_was_set_back_is_over(seconds, server, rig, qwen_home):
    """Its kernel ended with the machine, and nobody can see that: by the right clock the lease would hold for hours."""
    gone = Ledger(qwen_home)
    gone._store.owner = "1:another-boot:cafe"
    request = a_request()
    record, _ = gone.wait(lambda db: db.claim(rig.engine.provider, request, "run", PRICE))
    gone.close()
    set_clocks(rig, seconds)
    update = await asyncio.wait_for(rig.one(), 20)
    assert (update.state, update.record.id) == ("stored", record.id)
    assert len(server.submits) == 1
