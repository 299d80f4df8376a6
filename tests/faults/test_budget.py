"""Money: the API's own price, a limit a run, a budget a day; what isn't known counts as spent."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from rig import IMPATIENT
from server import accepted, contract, envelope, hang, lose_answer, reply, reset, with_data

from qwen_widgets.core.errors import BudgetError, StoppedError
from qwen_widgets.core.pacing import Clock
from qwen_widgets.core.sweep import plan_sweep


def price(amount):
    return envelope({"price": amount})


async def planned(rig, seeds="1-3", *, accepted=False):
    sweep = plan_sweep("a red fox", seeds=seeds, sizes=(256, 256))
    return await rig.engine.ask_prices(await rig.engine.plan(sweep), accepted=accepted)


async def test_the_price_is_the_apis_and_is_asked_for_once_a_plan(server, rig):
    server.on("price", price(0.028))
    assert (await planned(rig)).cost == Decimal("0.084")
    assert len(server.requests("price")) == 1


async def test_a_service_with_the_older_call_alone_is_asked_by_that(server, rig):
    server.on("price", reply(404), times=None)
    server.on("older price", envelope({"unit_price": 0.031, "currency": "USD"}))
    assert (await planned(rig)).cost == Decimal("0.093")
    # Where there is none at all, the built-in price stays.
    assert (await planned(rig)).cost == Decimal("0.09")


async def test_a_price_that_goes_up_between_two_plans_is_noticed(server, rig):
    server.on("price", price(0.03))
    assert (await planned(rig)).cost == Decimal("0.09")
    server.on("price", price(0.09), times=2)
    with pytest.raises(BudgetError, match=r"asks \$0\.09 for a picture of qwen-image-2\.0, and \$0\.03 was"):
        await planned(rig)
    assert (await planned(rig, accepted=True)).cost == Decimal("0.27")


@pytest.mark.parametrize("discounted", [0, None, -1, "none", 1e-9])
async def test_a_discount_of_nothing_leaves_the_price(discounted, server, rig):
    server.on("price", envelope({"price": 0.031, "discounted_price": discounted}))
    assert (await planned(rig, accepted=True)).cost == Decimal("0.093")


@pytest.mark.parametrize("amount", [0.034, 0.026, 3, "0.5"])
async def test_another_price_than_expected_stops_and_nothing_is_bought(amount, server, rig):
    server.on("price", price(amount))
    with pytest.raises(BudgetError, match=r"asks \$.* was expected; nothing was bought\.$") as caught:
        await planned(rig)
    assert "\n" not in caught.value.message
    # What it names is enough, and no more than that.
    asked = re.search(r"max_cost=([\d.]+)", caught.value.next_step)
    assert asked is not None
    assert 0 <= Decimal(asked[1]) - 3 * Decimal(str(amount)) < Decimal("0.01")
    assert server.submits == []


async def test_the_user_may_accept_another_price(server, rig):
    server.on("price", price(0.05))
    assert (await planned(rig, accepted=True)).cost == Decimal("0.15")


@pytest.mark.parametrize("amount", [0.033, 0.027])
async def test_a_tenth_is_within_the_margin(amount, server, rig):
    server.on("price", price(amount))
    assert (await planned(rig)).prices


NO_PRICE = {
    "500": reply(500),
    "404": reply(404),
    "401": reply(401, "no"),
    "reset": reset,
    "not JSON": reply(200, "<html>"),
    "no amount": envelope({"price": "free"}),
    "negative": price(-1),
    "nothing": price(0),
    "not a number": price("NaN"),
    "deep": reply(200, "[" * 100_000),
}


@pytest.mark.parametrize("name", NO_PRICE)
async def test_without_an_answer_the_built_in_table_holds(name, server, rig):
    server.on("price", NO_PRICE[name], times=None)
    assert (await planned(rig)).cost == Decimal("0.09")
    assert (await planned(rig, accepted=True)).cost == Decimal("0.09")


async def test_a_silent_price_call_does_not_hold_the_run_up(server, make_rig):
    server.on("price", hang)
    assert (await planned(make_rig(IMPATIENT))).cost == Decimal("0.09")


async def test_the_prices_of_several_models_are_asked_for_together(server, rig):
    reached = asyncio.Event()

    async def wait_for_the_other(x):
        await server.reached("price", 2)
        reached.set()
        await contract(x)

    server.on("price", wait_for_the_other, times=2)
    sweep = plan_sweep("a red fox", seeds="1-3", models="qwen-image-2.0,qwen-image-2.0-pro")
    await rig.engine.ask_prices(await rig.engine.plan(sweep), accepted=True)
    assert reached.is_set()
    assert len(server.requests("price")) == 2


async def test_only_what_is_bought_is_paid_for(server, rig):
    await rig.run(seeds="1-2")
    assert (await planned(rig)).cost == Decimal("0.027")


async def spent(rig) -> Decimal:
    return await rig.engine.ledger.run(lambda db: db.spent_since(0.0))


@pytest.mark.parametrize(
    ("does", "state", "cost"),
    [
        (contract, "stored", "0.03"),
        (lose_answer, "unknown", "0.03"),
        (accepted(reply(500)), "unknown", "0.03"),
        (reply(400, "bad size"), "rejected", "0"),
        (reply(401, "bad key"), "rejected", "0"),
    ],
)
async def test_what_counts_as_spent(does, state, cost, server, rig):
    server.on_history(reply(500), times=None)
    server.on_submit(does)
    assert (await rig.one()).state == state
    assert await spent(rig) == Decimal(cost)


@pytest.mark.parametrize(
    ("data", "state", "cost"),
    [
        ({"status": "failed", "error": "oops"}, "failed", "0"),
        ({"status": "completed", "outputs": []}, "submitted", "0.03"),
    ],
    ids=["refunded", "it may be charged"],
)
async def test_a_failed_prediction_counts_where_it_may_be_charged(data, state, cost, server, rig):
    server.on_result(with_data(**data), times=None)
    assert (await rig.one()).state == state
    assert await spent(rig) == Decimal(cost)


async def test_what_was_never_sent_costs_nothing(server, rig):
    rig.stop.set()
    assert (await rig.one()).state == "stopped"
    assert await spent(rig) == 0


async def test_the_days_budget_stops_a_run_in_its_middle(server, rig, make_rig):
    rig.engine.at_once = 1
    await rig.engine.ledger.run(lambda db: db.write_setting("budget", "0.10"))
    updates = await rig.run(seeds="1-6")
    states = [update.state for update in updates]
    assert sorted(states) == ["stopped"] * 3 + ["stored"] * 3
    stopped = [update for update in updates if update.state == "stopped"]
    assert all(isinstance(update.error, StoppedError) for update in stopped)
    assert all("budget of $0.10" in update.error.message for update in stopped)
    assert len(server.submits) == 3
    # Raised, the same cell goes on where it was.
    await rig.engine.ledger.run(lambda db: db.write_setting("budget", None))
    assert {update.state for update in await make_rig().run(seeds="1-6")} == {"stored"}
    assert len(server.submits) == 6


async def test_an_unknown_outcome_uses_the_budget_up(server, rig):
    rig.engine.at_once = 1
    await rig.engine.ledger.run(lambda db: db.write_setting("budget", "0.05"))
    server.on_history(reply(500), times=None)
    server.on_submit(lose_answer)
    updates = await rig.run(seeds="1-2")
    assert sorted(update.state for update in updates) == ["stopped", "unknown"]
    assert len(server.submits) == 1


async def test_yesterdays_money_is_not_todays(server, rig, monkeypatch):
    await rig.run(seeds="1-3")
    await rig.engine.ledger.run(lambda db: db.write_setting("budget", "0.03"))
    # The rows were made before a midnight that lies ahead.
    midnight = time.time() + 10
    with monkeypatch.context() as tomorrow:
        tomorrow.setattr(Clock, "midnight", lambda _self, _now=None: midnight)
        assert {update.state for update in await rig.run(seeds="4")} == {"stored"}
    assert {update.state for update in await rig.run(seeds="5")} == {"stopped"}


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_set_by_a_day_gives_no_new_budget(days, server, rig):
    """The day is the service's, as its answers tell it."""
    await rig.engine.ledger.run(lambda db: db.write_setting("budget", "0.06"))
    assert {update.state for update in await rig.run(seeds="1-2")} == {"stored"}
    clock = Clock(wall=lambda: time.time() + days * 86400)
    rig.engine.clock, rig.engine.ledger._store._clock = clock, clock.wall
    await rig.engine.notice_sleep()
    await rig.engine.client.balance()
    assert {update.state for update in await rig.run(seeds="3")} == {"stopped"}
    assert len(server.submits) == 2


async def test_the_price_of_the_plan_is_the_rows_price(server, rig):
    plan = await planned(rig, "1")
    [key] = plan.requests
    rig.requests += plan.requests.values()
    plan = replace(plan, prices={key: Decimal("0.045")})
    async for update in rig.engine.run(plan, rig.stop):
        last = update
    assert last.record.price == Decimal("0.045")
    assert await spent(rig) == Decimal("0.045")
