"""Time: the service's own dates and a monotonic clock; what the wall clock says neither buys nor expires anything."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from server import Exchange, contract, lose_answer, reply

from qwen_widgets.core.pacing import Clock


def rows(rig):
    return rig.engine.ledger.wait(lambda db: db.history())


def dated(moment: float | None):
    """The contract's answer with another Date, or with none that can be read."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        date = "some day" if moment is None else formatdate(moment, usegmt=True)
        await x.answer(status, body, {**headers, "Date": date})

    return behave


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
