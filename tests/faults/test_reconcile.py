"""A lost answer: the account's history says what became of the order, and nothing is bought on a guess."""

from __future__ import annotations

import time

import pytest
from conftest import a_request
from server import accepted, contract, envelope, fin, lose_answer, reply, reset

from qwen_widgets.core.errors import UnknownOutcomeError
from qwen_widgets.core.models import DEFAULT_MODEL, MODELS

LOST = {
    "reset": reset,
    "FIN": fin,
    "502": reply(502, "bad gateway"),
    "no id": envelope({}),
    "not JSON": reply(200, "OK"),
}


@pytest.mark.parametrize("echo", [True, False], ids=["echoed", "not echoed"])
@pytest.mark.parametrize("name", LOST)
async def test_what_was_made_is_found_and_not_bought_again(name, echo, server, rig):
    server.echo = echo
    server.on_submit(accepted(LOST[name]))
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1
    assert update.record.prediction_id in server.predictions


@pytest.mark.parametrize("name", LOST)
async def test_what_is_proven_absent_is_sent_once_more(name, server, rig):
    server.on_submit(LOST[name])
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.predictions) == 1
    routes = [seen.route for seen in server.seen]
    again = routes.index("submit", 1)
    assert set(routes[1:again]) == {"history"}  # looked for before it was sent once more
    assert len(server.submits) == 2


async def test_it_is_sent_once_more_and_no_more_than_once(server, rig):
    server.on_submit(reset, times=None)
    update = await rig.one()
    assert update.state in ("unknown", "rejected")
    assert len(server.submits) == 2


async def test_lost_twice_it_is_found_the_second_time(server, rig):
    server.on_submit(reset, lose_answer)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2
    assert len(server.predictions) == 1


async def test_a_history_that_failed_once_proves_no_absence(server, rig):
    server.on_submit(reset)
    server.on_history(reply(500))
    update = await rig.one()
    assert update.state == "unknown"
    assert len(server.submits) == 1


async def test_a_history_that_failed_once_still_finds(server, rig):
    server.on_submit(lose_answer)
    server.on_history(reply(500))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_a_history_that_lags_behind_is_asked_again(server, rig):
    server.on_submit(lose_answer)
    server.history_lag = 0.06
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_a_later_run_looks_again(server, rig):
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    update = await rig.one()
    assert update.state == "unknown"
    assert isinstance(update.error, UnknownOutcomeError)
    server.forget("history")
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


@pytest.mark.parametrize(
    "other",
    [
        {**a_request().body(), "prompt": "a blue whale"},
        {**a_request().body(), "seed": 8},
        {**a_request().body(), "size": "512*512"},
    ],
)
async def test_a_prediction_of_another_request_is_never_taken(other, server, rig):
    foreign = server.add(DEFAULT_MODEL.id, other)
    server.on_submit(lose_answer)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert update.record.prediction_id != foreign.id
    assert foreign.id not in server.served


@pytest.mark.parametrize(
    ("model", "ago"), [(MODELS[1].id, 0), (DEFAULT_MODEL.id, 3600)], ids=["another model", "another hour"]
)
async def test_what_cannot_be_it_is_not_taken_for_it(model, ago, server, rig):
    server.echo = False
    stray = server.add(model, a_request().body(), created=time.time() - ago)
    server.on_submit(reset)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert update.record.prediction_id != stray.id
    assert len(server.submits) == 2


async def test_several_that_could_be_it_are_not_guessed(server, rig):
    """Two answers lost, two predictions without their input: which is which can't be told."""
    server.echo = False
    server.on_submit(lose_answer, lose_answer)
    updates = await rig.run(seeds="1-2")
    assert {update.state for update in updates} == {"unknown"}
    assert len(server.submits) == 2


async def test_many_lost_answers_each_find_their_own(server, rig):
    server.on_submit(*[lose_answer] * 6, contract, contract)
    updates = await rig.run(seeds="1-8")
    assert {update.state for update in updates} == {"stored"}
    assert len(server.submits) == 8
    for update in updates:
        assert server.predictions[update.record.prediction_id].key == update.key
