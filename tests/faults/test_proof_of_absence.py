"""Proof of absence: what isn't proven not to have been made is not bought again, whatever the history says."""

from __future__ import annotations

import asyncio

import pytest
from histories import HOUR, fill, ignoring, items, lost_before, lost_behind, oldest_first, page_only, pages
from rig import a_request
from server import Exchange, accepted, edited, envelope, reset

from qwen_widgets.core import pacing
from qwen_widgets.core.errors import UnknownOutcomeError
from qwen_widgets.core.models import DEFAULT_MODEL, MODELS
from qwen_widgets.core.reconcile import Sent
from qwen_widgets.core.states import KEPT


def rows(rig):
    return rig.engine.ledger.wait(lambda db: db.history())


async def bought_an_hour_ago(server, rig, count: int = 1) -> None:
    """Pictures that this ledger has bought, by all clocks an hour ago."""
    updates = await rig.run(seeds=f"101-{100 + count}")
    assert {update.state for update in updates} == {"stored"}
    for name, made in list(server.predictions.items()):
        object.__setattr__(made, "created", made.created - HOUR)
        server.predictions[name] = made
    rig.engine.ledger.wait(
        lambda db: db._db.execute(
            "UPDATE purchase SET server_at = server_at - ?, sent_at = sent_at - ?, created_at = created_at - ?",
            (HOUR,) * 3,
        )
    )
    with server._changed:
        server.seen.clear()


# --- the history's own count ------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [0, 1, 20, "none", "0", -1, True, None, 1.5], ids=repr)
async def test_whatever_the_total_says_what_stands_on_a_later_page_is_found(total, server, rig):
    server.page_cap = 20
    server.on_submit(lost_behind(50))
    server.on_history(edited(lambda answer: answer["data"].update(total=total)), times=None)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


async def test_a_total_that_is_larger_than_what_came_lets_nothing_be_bought(server, rig):
    server.on_submit(reset)
    server.on_history(edited(lambda answer: answer["data"].update(total=3)), times=None)
    assert (await rig.one()).state == "unknown"
    assert len(server.submits) == 1


async def test_a_total_that_is_larger_matters_no_more_once_a_page_reaches_back(server, rig):
    fill(server, 3, ago=HOUR)
    server.on_submit(reset)
    server.on_history(edited(lambda answer: answer["data"].update(total=999)), times=None)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


# --- what reaches back ------------------------------------------------------------------------------------


async def test_earlier_predictions_of_others_prove_that_it_is_not_there(server, rig):
    fill(server, 50, ago=HOUR)
    server.page_cap = 20
    server.on_submit(reset)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2
    # The first page reaches back, and one more is looked at to be sure.
    assert set(pages(server)) == {1, 2}


async def test_a_history_that_is_sorted_loosely_is_read_a_page_further(server, rig):
    """Those that were made later seem to have been made before."""
    server.page_cap = 40
    server.on_submit(lost_behind(50, step=1.0))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


WORTHLESS = {
    "another model's": lambda entry: entry.update(model=MODELS[1].id),
    "of no model": lambda entry: entry.pop("model"),
    "without their input": lambda entry: entry.pop("input"),
    "with an empty input": lambda entry: entry.update(input={}),
    "without their time": lambda entry: entry.pop("created_at"),
    "with a time that is none": lambda entry: entry.update(created_at="yesterday"),
}


@pytest.mark.parametrize("name", WORTHLESS)
async def test_earlier_entries_that_tell_too_little_prove_nothing(name, server, rig):
    """One and the same page for ever, of predictions that stand before the lost one or don't say so."""

    def spoilt(found):
        for entry in found:
            WORTHLESS[name](entry)
        return found

    fill(server, 3, ago=HOUR)
    server.on_submit(accepted(reset))

    async def without_it(x: Exchange) -> None:
        made = [each for each in x.server.predictions.values() if each.key != a_request().key]
        told = [x.server._describe(each) for each in reversed(made)]
        await envelope({"page": x.seen.json["page"], "items": spoilt(told)})(x)

    server.on_history(without_it, times=None)
    assert (await rig.one()).state == "unknown"
    assert len(server.submits) == 1


async def test_one_and_the_same_page_for_ever_is_a_proof_where_it_reaches_back(server, rig):
    fill(server, 3, ago=HOUR)
    server.on_submit(lost_before(3))
    server.on_history(ignoring(page=1), times=None)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


async def test_one_and_the_same_page_for_ever_is_none_where_it_does_not(server, rig):
    server.page_cap = 5
    server.on_submit(lost_behind(8))
    server.on_history(ignoring(page=1), times=None)
    assert (await rig.one()).state == "unknown"
    assert len(server.submits) == 1


async def test_a_history_that_begins_with_the_oldest_is_read_to_its_end(server, rig):
    fill(server, 30, ago=HOUR)
    server.page_cap = 10
    server.on_submit(lost_behind(5))
    server.on_history(oldest_first, times=None)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_what_came_in_meanwhile_of_another_model_is_not_taken(server, rig):
    """A history that takes no notice of the model: a prediction of the same input is another model's."""
    other = server.add(MODELS[1].id, a_request().body())
    fill(server, 3, ago=HOUR)
    server.on_submit(reset)
    server.on_history(ignoring(model=None), times=None)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert update.record.prediction_id != other.id
    assert len(server.submits) == 2


# --- where nothing is known to be earlier -----------------------------------------------------------------


async def test_an_account_without_an_earlier_prediction_is_read_to_the_end(server, rig):
    server.page_cap = 3
    server.on_submit(lost_before(7))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2
    assert max(pages(server)) == 5


async def test_an_empty_history_of_an_account_that_has_bought_before_proves_nothing(server, rig):
    await bought_an_hour_ago(server, rig)
    server.on_submit(accepted(reset))
    server.on_history(envelope({"page": 1, "items": [], "total": 0}), times=None)
    update = await rig.one()
    assert (update.state, type(update.error)) == ("unknown", UnknownOutcomeError)
    assert len(server.submits) == 1


async def test_what_this_ledger_has_bought_before_reaches_back_though_it_tells_no_input(server, rig):
    await bought_an_hour_ago(server, rig, 2)
    server.echo = False
    server.on_submit(reset)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


async def test_a_page_that_comes_empty_before_one_that_does_not_is_no_end(server, rig):
    server.page_cap = 10
    server.on_submit(lost_behind(25))
    server.on_history(page_only(2, envelope({"page": 2, "items": [], "total": 0})), times=None)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_an_entry_that_can_not_be_read_could_be_it(server, rig):
    fill(server, 3, ago=HOUR)
    server.on_submit(reset)
    server.on_history(items(lambda found: [{"id": "../../x"}, *found]), times=None)
    assert (await rig.one()).state == "unknown"
    assert len(server.submits) == 1


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "without a time"])
async def test_an_entry_without_its_input_that_nobody_has_is_not_taken_for_absent(dated, server, rig):
    """Two that say nothing: either may be it."""
    fill(server, 3, ago=HOUR)

    def silent(found):
        for entry in found[:2]:
            del entry["input"]
            if not dated:
                del entry["created_at"]
        return found

    async def with_another(x: Exchange) -> None:
        x.accept()
        fill(x.server, 1, first=5000)
        await x.reset()

    server.on_submit(with_another)
    server.on_history(items(silent), times=None)
    assert (await rig.one()).state == "unknown"
    assert len(server.submits) == 1


async def test_the_only_silent_one_is_not_taken_while_a_page_is_missing(server, rig):
    """It could be another's: the one that is looked for may stand on the page that didn't come."""
    server.page_cap = 1
    server.on_history(page_only(2, envelope("no list")), times=None)

    async def with_another(x: Exchange) -> None:
        x.accept()
        fill(x.server, 1, first=5000)
        await x.reset()

    server.on_submit(with_another)
    server.echo = False
    update = await rig.one()
    assert update.state == "unknown"
    assert update.record.prediction_id is None
    assert len(server.submits) == 1


async def test_what_is_told_by_another_clock_is_found_by_its_input(server, rig):
    """The history's times are off by hours from the Dates of the answers: the picture is the same."""

    async def long_ago(x: Exchange) -> None:
        object.__setattr__(x.accept(), "created", x.accept().created - 8 * HOUR)
        await x.reset()

    fill(server, 2, ago=9 * HOUR)
    server.on_submit(long_ago)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_what_may_have_been_deleted_is_not_absent(server, rig, ledger):
    """It was sent a week ago, by no clock of the service's: that the history lacks it says nothing."""
    request = a_request()

    def die(db):
        record, _ = db.claim(rig.engine.provider, request, "run", request.model.price)
        db.send(record.id, midnight=0.0)
        db.release(record.id)
        db._db.execute("UPDATE purchase SET sent_at = sent_at - ?", (KEPT,))

    ledger.wait(die)
    assert (await rig.one()).state == "unknown"
    assert server.submits == []


def test_what_is_not_known_is_neither_before_nor_out_of_reach():
    unknown = Sent()
    assert not unknown.before(0.0)
    assert unknown.near(0.0)
    sent = Sent(1000.0, 2000.0)
    assert [sent.before(moment) for moment in (969.0, 971.0)] == [True, False]
    assert [sent.near(moment) for moment in (969.0, 971.0, 2179.0, 2181.0)] == [False, True, True, False]


# --- two orders, one id -----------------------------------------------------------------------------------


def twice_the_id(server, *, made: bool):
    """The first order's answer comes again for the second, which is made or isn't."""
    first: list[str] = []

    async def behave(x: Exchange) -> None:
        status, body, headers = (
            x.contract() if made or not first else x.server._told({"id": first[0], "status": "created"})
        )
        if first:
            status, body, headers = x.server._told({"id": first[0], "status": "created"})
        first.append(x.accept().id if made or not first else first[0])
        await x.answer(status, body, headers)

    return behave


@pytest.mark.parametrize("made", [True, False], ids=["made", "not made"])
async def test_two_orders_that_are_answered_with_one_id_do_not_share_a_picture(made, server, rig):
    fill(server, 2, ago=HOUR)
    server.on_submit(twice_the_id(server, made=made), times=2)
    updates = await rig.run(seeds="1-2")
    assert {update.state for update in updates} == {"stored"}, [u.error for u in updates]
    assert all(server.predictions[u.record.prediction_id].key == u.key for u in updates)
    assert len(server.predictions) == 4
    assert len(server.submits) == (2 if made else 3)


async def test_the_id_of_the_later_order_comes_for_both(server, rig):
    """The first is given the second's picture: it is seen before that is stored as its own."""
    fill(server, 2, ago=HOUR)
    rig.engine.at_once = 2
    made = []
    both = asyncio.Event()

    async def hold(x: Exchange) -> None:
        made.append(x.accept())
        if len(made) == 2:
            both.set()
        await both.wait()
        await x.answer(*x.server._told({"id": made[1].id, "status": "created"}))

    server.on_submit(hold, times=2)
    updates = await rig.run(seeds="1-2")
    assert {update.state for update in updates} == {"stored"}, [u.error for u in updates]
    assert all(server.predictions[u.record.prediction_id].key == u.key for u in updates)
    assert len(server.submits) == 2


async def test_two_that_can_not_be_told_apart_stay_unknown(server, rig, monkeypatch):
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 0.05)
    server.echo = False
    server.on_submit(twice_the_id(server, made=False), times=2)
    server.seconds = 3600
    updates = await rig.run(seeds="1-2")
    assert "unknown" in {update.state for update in updates}
    held = [row.prediction_id for row in rows(rig) if row.prediction_id and not row.unassigned]
    assert len(held) == len(set(held))
    assert len(server.submits) == 2


def test_the_model_of_these_tests_is_the_one_that_is_asked_for():
    assert a_request().model.id == DEFAULT_MODEL.id != MODELS[1].id
