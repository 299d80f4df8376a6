"""A lost answer: the account's history says what became of the order, and nothing is bought on a guess."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import sqlite3
import time
from decimal import Decimal
from email.utils import formatdate

import pytest
from histories import at_the_service_it_is_later
from rig import CANARY, a_request
from server import accepted, contract, envelope, fin, lose_answer, reply, reset

from qwen_widgets.core import reconcile
from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.errors import ExpiredError, NotSentError, StoppedError, UnknownOutcomeError
from qwen_widgets.core.lost_answers import LostAnswers
from qwen_widgets.core.models import DEFAULT_MODEL, MODELS
from qwen_widgets.core.pacing import Clock, Stop
from qwen_widgets.core.reconcile import find, likeness
from qwen_widgets.core.states import KEPT

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


async def test_a_history_that_fails_proves_no_absence(server, rig):
    server.on_submit(reset)
    server.on_history(reply(500), times=None)
    update = await rig.one()
    assert update.state == "unknown"
    assert len(server.submits) == 1


async def test_a_history_that_failed_once_is_asked_again(server, rig):
    server.on_submit(reset)
    server.on_history(reply(500))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


async def test_a_history_that_failed_once_still_finds(server, rig, monkeypatch):
    # Two looks, however busy the machine is: those whose time has passed are one.
    monkeypatch.setattr(reconcile, "SETTLE", (2.0, 200.0))
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


# --- which of the history's predictions it is, judged without a network ------------------------------------


def lost_row(ledger, request=None):
    """A row whose answer was lost."""

    def work(db):
        record, _ = db.claim("here", request or a_request(), "run", Decimal("0.03"))
        db.send(record.id, midnight=0.0)
        db.move(record.id, "unknown", error=UnknownOutcomeError("lost"))
        return db.get(record.id)

    return ledger.wait(work)


def told(name: str, echoed: dict | None) -> Prediction:
    return Prediction(id=name, status="completed", input=echoed)


BODY = a_request().body()


@pytest.mark.parametrize(
    ("echoed", "expected"),
    [
        (BODY, "same"),
        ({**BODY, "seed": "7"}, "same"),
        ({**BODY, "seed": 7.0}, "same"),
        ({**BODY, "size": "256x256"}, "same"),
        ({**BODY, "size": "256 × 256"}, "same"),
        ({**BODY, "prompt": " a red  fox\n"}, "same"),
        ({**BODY, "extra": 1}, "same"),
        ({**BODY, "prompt": "a blue fox"}, "other"),
        ({**BODY, "prompt": "a red foxes"}, "other"),
        ({**BODY, "seed": 8}, "other"),
        ({**BODY, "seed": -1}, "other"),
        ({**BODY, "size": "256*512"}, "other"),
        ({"prompt": "a red fox"}, "perhaps"),
        ({"seed": 7, "size": "256*256"}, "perhaps"),
        ({**BODY, "size": {"w": 1}}, "perhaps"),
        ({**BODY, "prompt": None}, "perhaps"),
        ({}, "perhaps"),
        (None, "perhaps"),
    ],
)
def test_what_an_echoed_input_proves(echoed, expected, ledger):
    assert likeness(echoed, lost_row(ledger)) == expected


def test_the_only_silent_one_for_the_only_lost_one(ledger):
    row = lost_row(ledger)
    other = told("other", {**BODY, "seed": 8})
    assert find(row, [told("a", None), other], set(), []).prediction.id == "a"
    assert find(row, [told("a", None), other], {"a"}, []).verdict == "absent"
    assert find(row, [other], set(), []).verdict == "absent"


def test_an_echo_decides_among_silent_ones(ledger):
    row = lost_row(ledger)
    assert find(row, [told("a", None), told("b", BODY), told("c", {})], set(), [row]).prediction.id == "b"


def test_two_rows_that_could_have_it_are_not_guessed(ledger):
    row, rival = lost_row(ledger), lost_row(ledger, a_request(seed=8))
    finding = find(row, [told("a", {"prompt": "a red fox"})], set(), [rival])
    assert (finding.verdict, [stray.id for stray in finding.strays]) == ("ambiguous", ["a"])
    # One with other words has no claim to it.
    stranger = lost_row(ledger, a_request("a blue whale"))
    assert find(row, [told("a", {"prompt": "a red fox"})], set(), [stranger]).prediction.id == "a"


def test_two_silent_ones_for_one_row_are_not_guessed(ledger):
    finding = find(lost_row(ledger), [told("a", None), told("b", None)], set(), [])
    assert (finding.verdict, len(finding.strays)) == ("ambiguous", 2)


# --- what can't be told is kept, and fetched --------------------------------------------------------------


def rows(rig):
    return rig.engine.ledger.wait(lambda db: db.history())


async def test_what_cannot_be_assigned_is_all_fetched_and_none_is_bought_again(server, rig, make_rig):
    server.echo = False
    server.on_submit(lose_answer, lose_answer, lose_answer)
    updates = await rig.run(seeds="1-3")
    assert {update.state for update in updates} == {"unknown"}
    assert all("could be it" in update.error.message for update in updates)
    assert all("grid.retry()" in update.error.next_step for update in updates)
    strays = [row for row in rows(rig) if row.unassigned]
    assert {row.prediction_id for row in strays} == set(server.predictions)
    # Looked for again and again, in other kernels, too: adopted by one is not absent for the other.
    for _ in range(2):
        assert {update.state for update in await make_rig().run(seeds="1-3")} == {"unknown"}
    assert len(server.submits) == 3
    stop = Stop()
    stop.set()
    await rig.engine.fetch_strays(stop)
    strays = [row for row in rows(rig) if row.unassigned]
    assert [row.state for row in strays] == ["stored"] * 3
    assert sorted(row.prediction_id for row in strays) == sorted(server.served)
    assert len(server.submits) == 3


async def test_a_stray_that_turns_out_to_be_a_cells_is_that_cells(server, rig):
    server.echo = False
    server.on_submit(lose_answer, lose_answer)
    await rig.run(seeds="1-2")
    server.echo = True
    updates = await rig.run(seeds="1-2")
    assert {update.state for update in updates} == {"stored"}
    assert all(server.predictions[u.record.prediction_id].key == u.key for u in updates)
    assert [row.state for row in rows(rig) if row.unassigned] == ["expired"] * 2
    assert len(server.submits) == 2


async def test_a_stray_that_is_here_already_is_its_cells_picture_and_is_not_fetched_twice(server, rig):
    server.echo = False
    server.on_submit(lose_answer, lose_answer)
    await rig.run(seeds="1-2")
    stop = Stop()
    stop.set()
    await rig.engine.fetch_strays(stop)
    server.echo = True
    updates = await rig.run(seeds="1-2")
    assert [(update.state, bool(update.thumbnail)) for update in updates] == [("stored", True)] * 2
    assert all(server.predictions[u.record.prediction_id].key == u.key for u in updates)
    assert [row.state for row in rows(rig) if row.unassigned] == ["expired"] * 2
    assert len(server.served) == 2
    assert len(server.submits) == 2


async def test_a_lost_one_that_was_given_up_is_still_a_rival(server, rig):
    """Of two lost answers one was made. The user buys the first anew; what was made is not the second's for that."""
    server.echo = False
    server.on_submit(lose_answer, reset)
    await rig.run(seeds="1-2")
    first, second = sorted((row for row in rows(rig) if not row.unassigned), key=lambda row: row.id)
    rig.engine.ledger.wait(lambda db: db.move(first.id, "expired", note="the user gave it up"))
    await rig.run(seeds="1-2")
    assert [row.state for row in rows(rig) if row.id == second.id] == ["unknown"]
    assert len(server.submits) == 2


async def test_an_echo_of_half_the_input_gives_no_picture_to_two_cells(server, rig):
    """The prompt alone is told: both rows' candidates, at the same time."""
    real = server._describe
    server._describe = lambda made: {**real(made), "input": {"prompt": made.inputs["prompt"]}}
    server.on_submit(lose_answer, lose_answer)
    assert {update.state for update in await rig.run(seeds="1-2")} == {"unknown"}
    ids = [row.prediction_id for row in rows(rig) if row.prediction_id]
    assert len(ids) == len(set(ids)) == 2
    assert len(server.submits) == 2


# --- clocks -----------------------------------------------------------------------------------------------


@pytest.fixture
def skewed(server, monkeypatch):
    """Let the server's clock be off by some seconds, in its dates and in its history."""
    import server as server_module

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(
            server_module, "formatdate", lambda **options: formatdate(time.time() + seconds, **options)
        )
        make = server._make

        def made_then(seen):
            made = dataclasses.replace(make(seen), created=time.time() + seconds)
            server.predictions[made.id] = made
            return made

        monkeypatch.setattr(server, "_make", made_then)
        server.seconds = server.history_lag = -abs(seconds)

    return set_clock


@pytest.mark.parametrize("seconds", [-6 * 3600, -90, 90, 6 * 3600])
async def test_a_server_whose_clock_is_off_by_hours(seconds, skewed, server, rig):
    skewed(seconds)
    server.on_submit(lose_answer)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


@pytest.mark.parametrize("seconds", [-7200, 7200])
async def test_a_clock_that_is_set_between_submit_and_look_proves_nothing(seconds, server, rig, make_rig):
    """In the same kernel, and in the next one, which knows only what the row says."""
    jump = [0.0]
    clock = Clock(wall=lambda: time.time() + jump[0])
    rig.engine.clock = clock
    # An answer before tells the service's time.
    await rig.engine.client.balance()

    async def lost_and_set(x):
        x.accept()
        jump[0] = seconds
        await reset(x)

    server.on_submit(lost_and_set)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    server.forget("history")
    later = make_rig()
    later.engine.clock = clock
    assert (await later.one()).state == "stored"
    assert len(server.submits) == 1


async def test_dates_that_contradict_each_other_end_and_prove_nothing(server, rig):
    """I7: answers of machines whose clocks are hours apart; the look does not go on for ever."""
    # The first look contradicts itself already: on a busy machine there may be only that one.
    offsets = itertools.cycle([7200, 0])

    async def elsewhere(x):
        status, body, headers = x.contract()
        date = formatdate(time.time() + next(offsets), usegmt=True)
        await x.answer(status, body, {**headers, "Date": date})

    server.on_submit(reset)
    server.on_history(elsewhere, times=None)
    update = await asyncio.wait_for(rig.one(), 60)
    assert update.state == "unknown"
    assert "contradict" in update.error.message
    assert len(server.submits) == 1


async def test_the_settle_times_are_kept(server, rig, monkeypatch):
    """2, 8, 30 and 200 s, by the scale: the history lags behind, so an early look alone proves nothing."""
    monkeypatch.setattr(reconcile, "SETTLE", (2.0, 8.0, 30.0, 200.0))
    server.on_submit(reset)
    assert (await rig.one()).state == "stored"
    _, again = server.submits
    with sqlite3.connect(rig.home / "ledger.sqlite3") as db:
        # They are counted from here; on a busy machine the order itself arrives some time after.
        [sent] = db.execute("SELECT min(at) FROM event WHERE state = 'sending'").fetchone()
    looks = [seen.at - sent for seen in server.requests("history")]
    # On a busy machine looks whose time has passed are one.
    assert 2 <= len(looks) <= 4
    assert looks[0] >= 0.02 - 0.005
    assert looks[-1] >= 2.0 - 0.005
    assert again.at > server.requests("history")[-1].at


async def test_a_history_that_lags_is_waited_for(server, rig):
    server.history_lag = 0.1
    server.on_submit(lose_answer)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


# --- what comes later -------------------------------------------------------------------------------------


async def test_what_a_dead_kernel_was_sending_is_found(server, rig, ledger):
    request = a_request()
    server.paid[request.key].append(server.add(DEFAULT_MODEL.id, request.body()).id)

    def die(db):
        record, _ = db.claim(rig.engine.provider, request, "run", Decimal("0.03"))
        db.send(record.id, midnight=0.0)
        db.release(record.id)

    ledger.wait(die)
    update = await rig.one()
    assert (update.state, update.record.prediction_id) == ("stored", server.paid[request.key][0])
    assert server.submits == []


async def test_older_than_a_week_it_has_expired(server, rig, monkeypatch):
    """By the service's own dates, told twice."""
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    await rig.one()
    server.predictions.clear()
    server.forget("history")
    at_the_service_it_is_later(monkeypatch, KEPT + 60)
    update = await rig.one()
    assert (update.state, type(update.error), update.error.paid) == ("expired", ExpiredError, "unknown")
    assert len(server.submits) == 1


async def test_a_stop_while_it_is_looked_for_sends_nothing(server, rig, make_rig):
    server.on_submit(reset)
    running = asyncio.create_task(rig.run())
    await server.reached("history", 1)
    rig.stop.set()
    [update] = await running
    assert (update.state, type(update.error)) in (("rejected", NotSentError), ("stopped", StoppedError))
    assert update.error.paid == "no"
    assert len(server.submits) == 1
    # It was proven absent, so the next run may buy it.
    assert (await make_rig().one()).state == "stored"
    assert len(server.submits) == 2


async def test_a_key_that_is_refused_meanwhile_ends_the_looking(server, rig):
    server.on_submit(reset)
    server.on_history(reply(401, "no"), times=None)
    update = await rig.one()
    assert update.state == "unknown"
    assert len(server.requests("history")) == 1
    assert len(server.submits) == 1


async def test_another_keys_history_proves_nothing(server, rig, make_rig):
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    bought = dict(server.predictions)
    # The account of another key has none of it.
    server.predictions.clear()
    server.forget("history")
    update = await make_rig(key=f"{CANARY}-2").one()
    assert (update.state, type(update.error), update.error.paid) == (
        "unknown",
        UnknownOutcomeError,
        "unknown",
    )
    assert "another API key" in update.error.message
    assert "the key it was sent with" in update.error.next_step
    assert len(server.submits) == 1
    # With the first key it is looked for where it was bought.
    server.predictions.update(bought)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_two_kernels_look_for_the_same_row_and_one_works_on_it(server, rig, make_rig):
    server.on_submit(reset)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    server.forget("history")
    await asyncio.gather(rig.one(), make_rig().one())
    assert (await rig.one()).state == "stored"
    assert len(server.predictions) == 1
    assert len(server.submits) == 2


async def test_an_unknown_that_another_has_settled_is_not_sent(server, rig, monkeypatch):
    """Its lease ended while it looked, and another kernel has found it: the proof of absence comes too late."""
    server.on_submit(reset)
    proven = LostAnswers._absent

    async def too_late(self, record):
        rig.engine.ledger.wait(lambda db: db.move(record.id, "expired", note="another kernel"))
        return await proven(self, record)

    monkeypatch.setattr(LostAnswers, "_absent", too_late)
    assert (await rig.one()).state == "expired"
    assert len(server.submits) == 1


async def test_a_free_service_that_loses_every_answer_ends(server, rig):
    """I7: at the embedded service what is lost is asked for anew, and not for ever."""
    rig.engine.free = True
    server.on_submit(reset, times=None)
    assert (await asyncio.wait_for(rig.one(), 60)).state == "rejected"
    assert len(server.submits) == 2
