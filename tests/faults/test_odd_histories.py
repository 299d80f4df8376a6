"""Odd answers of the history: a second look soon proves what the first couldn't, and nobody waits for the last one."""

from __future__ import annotations

import sqlite3

import pytest
from histories import (
    HOUR,
    fill,
    ignoring,
    lost_before,
    lost_behind,
    pages,
    with_newcomers,
)
from server import contract, envelope, lose_answer, reply, reset, truncated

from qwen_widgets.core import reconcile

#: By the scale of these tests 20 ms and an hour: whatever is found is found by looks that aren't waited for.
NEVER = (2.0, 360_000.0)


@pytest.fixture
def no_later_look(rig, monkeypatch):
    """The looks that are due come at once, and then none for an hour."""
    monkeypatch.setattr(reconcile, "SETTLE", NEVER)
    return rig


ODD_ONCE = {
    "it fails": reply(500),
    "it is cut": truncated(40),
    "it is no list": envelope({"items": None}),
    "it is empty": envelope({"page": 1, "items": [], "total": 5}),
    "it says that it is too much": reply(429, "slow down"),
    "an entry can't be read": envelope({"page": 1, "items": [None], "total": 1}),
}


@pytest.mark.parametrize("name", ODD_ONCE)
async def test_after_an_odd_answer_a_second_look_comes_soon(name, server, no_later_look):
    fill(server, 2, ago=HOUR)
    server.on_submit(lose_answer)
    server.on_history(ODD_ONCE[name])
    update = await no_later_look.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


LOST_PAGES = {
    "fails": reply(502, "bad gateway"),
    "is cut": truncated(40),
    "is reset": reset,
    "is empty": envelope({"page": 2, "items": []}),
    "is no list": envelope({"page": 2}),
    "is the first again": ignoring(page=1),
}


@pytest.mark.parametrize("name", LOST_PAGES)
async def test_one_page_that_is_lost_is_had_in_the_same_look_or_the_next(name, server, no_later_look):
    """What is looked for stands on that very page."""
    server.page_cap = 20
    server.on_submit(lost_behind(30))
    server.on_history(contract, LOST_PAGES[name])
    update = await no_later_look.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


async def test_a_page_that_failed_is_asked_for_alone(server, no_later_look):
    server.page_cap = 20
    server.on_submit(lost_behind(45))
    server.on_history(contract, contract, reply(502), reply(502))
    assert (await no_later_look.one()).state == "stored"
    assert pages(server)[:5] == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("newcomers", [1, 7, 20, 25])
async def test_pages_overlap_while_new_predictions_come_in(newcomers, server, no_later_look):
    server.page_cap = 20
    server.on_submit(lost_behind(70))
    server.on_history(with_newcomers(newcomers), times=12)
    update = await no_later_look.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


async def test_pages_that_overlap_prove_what_is_not_there(server, rig):
    server.page_cap = 20
    fill(server, 5, ago=HOUR)
    server.on_submit(lost_before(50))
    server.on_history(with_newcomers(3), times=None)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


@pytest.mark.parametrize("cap", [7, 20, 100, 1000])
@pytest.mark.parametrize("total", [True, False], ids=["with total", "without total"])
async def test_more_than_250_entries_at_whatever_size_of_a_page(cap, total, server, no_later_look):
    server.page_cap, server.tells_total = cap, total
    server.on_submit(lost_behind(260))
    server.on_history(ignoring(page_size=1000), times=None)
    update = await no_later_look.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


async def test_more_than_250_entries_prove_what_is_not_there(server, rig):
    server.page_cap = 50
    fill(server, 60, ago=HOUR)
    server.on_submit(lost_before(260))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


async def test_a_service_that_takes_no_notice_of_pages_tells_all_at_once(server, rig):
    """Every page is the whole history."""
    server.page_cap = 1000
    fill(server, 3, ago=HOUR)
    server.on_submit(lost_behind(260), lost_before(5))
    server.on_history(ignoring(page=1, page_size=1000), times=None)
    assert {update.state for update in await rig.run(seeds="1-2")} == {"stored"}
    assert len(server.submits) == 3


async def test_odd_looks_before_the_last_are_no_matter(server, rig):
    """The history was down until it had its time to settle: then it proves what it proves."""
    fill(server, 3, ago=HOUR)
    server.on_submit(reset)
    server.on_history(reply(500), times=3)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


async def test_what_is_absent_is_absent_in_two_looks(server, rig, monkeypatch):
    """In one of them alone it may have been pushed from page to page, unseen."""
    monkeypatch.setattr(reconcile, "SETTLE", (2.0,))
    fill(server, 3, ago=HOUR)
    server.on_submit(lose_answer)
    server.on_history(lacking_the_newest)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def lacking_the_newest(x):
    status, body, headers = x.server._told(
        {**(told := x.server._history(x.seen.json)), "items": told["items"][1:]}
    )
    await x.answer(status, body, headers)


async def test_looking_ends(server, rig):
    """I7: a history that stays odd is left after a few looks, and the order stays unknown."""
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    assert 2 <= len(server.requests("history")) <= 14
    with sqlite3.connect(rig.home / "ledger.sqlite3") as db:
        assert db.execute("SELECT owner FROM purchase").fetchone() == (None,)
