"""A run in its cells: what came of each submit, the next run, polls, and runs beside each other."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest
from rig import IMPATIENT, a_request
from server import (
    accepted,
    contract,
    envelope,
    fin,
    hang,
    lose_answer,
    reply,
    reset,
    with_data,
)

from qwen_widgets.core import ledger as ledger_module
from qwen_widgets.core import pacing, purchase
from qwen_widgets.core.engine import Engine
from qwen_widgets.core.errors import (
    ExpiredError,
    KeyRefusedError,
    ModeratedError,
    NoCreditError,
    PredictionFailedError,
    QwenError,
    RejectedError,
    StillRunningError,
    UnavailableError,
    UnknownOutcomeError,
)
from qwen_widgets.core.ledger import LEASE, Ledger
from qwen_widgets.core.pacing import Clock, Stop
from qwen_widgets.core.pictures import PictureStore

# --- what came of a submit, in its cell -------------------------------------------------------------------

REFUSED = [
    (400, "bad size", RejectedError, False),
    (401, "bad key", KeyRefusedError, True),
    (403, "no role", KeyRefusedError, True),
    (400, "Insufficient credits. Please top up.", NoCreditError, True),
    (402, "", NoCreditError, True),
    (404, "no such model", RejectedError, False),
    (405, "", RejectedError, False),
    (413, "", RejectedError, False),
    (415, "", RejectedError, False),
    (422, "prompt too long", RejectedError, False),
]


@pytest.mark.parametrize(("status", "said", "kind", "stops"), REFUSED)
async def test_a_refusal_costs_nothing_and_says_what_to_do(status, said, kind, stops, server, rig):
    rig.engine.at_once = 1
    server.on_submit(reply(status, {"code": status, "message": said}))
    updates = await rig.run(seeds="1-4")
    [refused] = [update for update in updates if update.state == "rejected"]
    assert type(refused.error) is kind
    assert refused.error.paid == "no"
    assert refused.error.next_step
    rest = [update.state for update in updates if update is not refused]
    assert rest == (["stopped"] if stops else ["stored"]) * 3
    assert len(server.submits) == (1 if stops else 4)
    for update in updates:
        if update.state == "stopped":
            # Each cell says why, and the same way out.
            assert refused.error.message in update.error.message
            assert update.error.next_step == refused.error.next_step


async def test_eight_at_once_all_under_way_when_the_key_is_refused(server, rig):
    """What is under way can't be taken back; nothing is begun after the first refusal was heard."""
    server.on_submit(reply(401, "bad key"), times=None)
    updates = await rig.run(seeds="1-40")
    assert len(server.submits) <= 8
    assert {update.state for update in updates} == {"rejected", "stopped"}


@pytest.mark.parametrize(
    ("does", "state", "paid"),
    [
        (contract, "stored", None),
        (lose_answer, "unknown", "unknown"),
        (accepted(fin), "unknown", "unknown"),
        (accepted(reply(503)), "unknown", "unknown"),
        (envelope({}), "unknown", "unknown"),
        (envelope(None, code=400, message="no"), "rejected", "no"),
        (reply(422, "no"), "rejected", "no"),
    ],
)
async def test_the_cell_says_whether_it_was_paid_for(does, state, paid, server, rig):
    server.on_history(reply(500), times=None)
    server.on_submit(does)
    update = await rig.one()
    assert update.state == state
    assert (update.error.paid if update.error else None) == paid
    assert len(server.submits) == 1


# --- the next run -----------------------------------------------------------------------------------------


async def test_what_may_be_retried_is_bought_by_the_next_run(server, rig, make_rig):
    server.on_submit(reply(401, "bad key"))
    assert (await rig.one()).state == "rejected"
    assert (await make_rig().one()).state == "stored"
    assert len(server.submits) == 2


@pytest.mark.parametrize(
    "does", [reply(400, {"code": 400, "message": "bad size"}), reply(422, {"error": "no"})]
)
async def test_what_asking_again_cannot_mend_is_kept(does, server, rig):
    server.on_submit(does)
    first = await rig.one()
    second = await rig.one()
    assert (second.state, second.error.message) == ("rejected", first.error.message)
    assert len(server.submits) == 1
    assert (await rig.one(retry=True)).state == "stored"


async def test_a_failed_prediction_is_bought_by_the_next_run(server, rig):
    rig.resends = 1  # running the cell again is how the user asks for it
    server.on_result(with_data(status="failed", outputs=[], error="worker died"))
    update = await rig.one()
    assert (update.state, type(update.error), update.error.paid) == ("failed", PredictionFailedError, "no")
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 2


async def test_what_was_moderated_is_kept(server, rig):
    server.on_result(with_data(status="failed", outputs=[], code=1200, error="flagged"))
    update = await rig.one()
    assert (update.state, type(update.error)) == ("failed", ModeratedError)
    assert (await rig.one()).state == "failed"
    assert len(server.submits) == 1


async def test_what_is_here_costs_nothing_and_asks_nothing(server, rig):
    await rig.run(seeds="1-3")
    asked = len(server.seen)
    updates = await rig.run(seeds="1-3")
    assert all(update.cached and update.thumbnail for update in updates)
    assert len(server.seen) == asked


async def test_fresh_buys_anew(server, rig):
    first = await rig.one()
    second = await rig.one(fresh=True)
    assert first.record.prediction_id != second.record.prediction_id
    assert len(server.submits) == 2


async def test_a_picture_whose_file_is_gone_is_fetched_and_not_bought(server, rig, qwen_home):
    update = await rig.one()
    PictureStore(qwen_home).path(update.record.sha256, ".png").unlink()
    update = await rig.one()
    assert (update.state, update.cached) == ("stored", False)
    assert len(server.submits) == 1


# --- polls ------------------------------------------------------------------------------------------------


async def test_still_running_is_left_open_and_the_same_id_is_asked_for_later(server, rig, monkeypatch):
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 0.05)
    server.seconds = 3600
    update = await rig.one()
    assert update.state == "submitted"
    assert isinstance(update.error, StillRunningError)
    assert (update.error.paid, update.error.prediction_id) == ("yes", update.record.prediction_id)
    server.seconds = 0
    again = await rig.one()
    assert again.state == "stored"
    assert again.record.prediction_id == update.record.prediction_id
    assert len(server.submits) == 1


async def test_how_long_one_took_that_was_taken_up_later_is_not_learned(server, rig, monkeypatch):
    """A day between two runs is no duration: it would put the deadline at a week."""
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 0.05)
    server.seconds = 3600
    await rig.one()
    server.seconds = 0
    rig.engine.clock = Clock(wall=lambda: time.time() + 86400)
    assert (await rig.one()).state == "stored"
    assert await rig.engine.durations(a_request().model.id) == []


POLL_ERRORS = {
    "500": reply(500),
    "garbage": reply(200, b"\xff\x00garbage"),
    "429": reply(429, "slow down", retry_after="200"),
    "not known yet": reply(404),
    "reset": reset,
    "another's": with_data(id="another"),
    "rejected": reply(400, "no"),
}


@pytest.mark.parametrize("name", POLL_ERRORS)
async def test_a_poll_that_fails_never_fails_a_prediction(name, server, rig, monkeypatch):
    # Four polls must fit into the time in which an id may be unknown, on a busy machine as well.
    monkeypatch.setattr(purchase, "_FRESH", 6000.0)
    server.on_result(POLL_ERRORS[name], times=4)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_polls_that_never_answer_leave_it_open(server, rig, monkeypatch):
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 0.1)
    server.on_result(reply(500), times=None)
    update = await rig.one()
    assert update.state == "submitted"
    assert "500" in update.error.message
    server.forget("result")
    assert (await rig.one()).state == "stored"


def hours_later(hours: float):
    """The service has no such prediction, and it is so many hours later there."""
    return reply(404, date=formatdate(time.time() + 3600 * hours, usegmt=True))


async def test_an_id_that_stays_unknown_to_the_service_is_left_open(server, rig, monkeypatch):
    monkeypatch.setattr(purchase, "_FRESH", 200.0)
    server.on_result(reply(404), times=None)
    update = await rig.one()
    assert (update.state, type(update.error), update.error.paid) == ("submitted", UnavailableError, "yes")
    # 200 s of grace, by the scale: it was asked for more than once.
    assert len(server.requests("result")) >= 4
    server.forget("result")
    assert (await rig.one(retry=True)).state == "stored"
    assert len(server.submits) == 1


async def test_an_id_that_is_unknown_for_hours_by_the_services_own_dates_has_expired(server, rig):
    server.on_result(hours_later(0), times=None)
    assert (await rig.one()).state == "submitted"
    server.forget("result")
    server.on_result(hours_later(2), times=None)
    assert (await rig.one()).state == "submitted"
    server.forget("result")
    server.on_result(hours_later(4), times=None)
    update = await rig.one()
    assert (update.state, type(update.error), update.error.paid) == ("expired", ExpiredError, "yes")
    assert (await rig.one()).state == "expired"
    assert len(server.submits) == 1


async def test_hours_between_two_404s_prove_nothing_where_it_was_there_between(server, rig, monkeypatch):
    server.on_result(hours_later(0), times=None)
    assert (await rig.one()).state == "submitted"
    server.forget("result")
    server.on_picture(reply(500), times=None)
    assert (await rig.one()).state == "completed"
    server.on_result(hours_later(4), times=None)
    assert (await rig.one()).state == "completed"
    server.forget("result")
    server.forget("picture")
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


# --- others -----------------------------------------------------------------------------------------------


async def test_two_runs_of_one_engine_buy_each_picture_once(server, rig):
    server.seconds = 0.2
    first, second = await asyncio.gather(rig.run(seeds="1-4"), rig.run(seeds="1-4"))
    assert {update.state for update in first + second} == {"stored"}
    assert len(server.submits) == 4


@pytest.fixture
def patient(monkeypatch):
    """What is under way may take its time: no deadline comes before it."""
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 60.0)


@pytest.fixture
def another(server, make_client, qwen_home):
    """Make an engine with a ledger of its own on the same home: another kernel."""
    ledgers: list[Ledger] = []

    def make(*, clock: Clock = pacing.SYSTEM_CLOCK) -> Engine:
        ledgers.append(Ledger(qwen_home, clock=clock.wall))
        client = make_client()
        return Engine(
            client,
            ledgers[-1],
            PictureStore(qwen_home),
            provider=client.origin,
            usual=0.03,
            time_scale=0.01,
            clock=clock,
        )

    yield make
    for ledger in ledgers:
        ledger.close()


async def test_two_engines_on_one_ledger_buy_each_picture_once(server, rig, another):
    server.seconds = 0.2
    mine = rig.engine
    first = asyncio.create_task(rig.run(seeds="1-6"))
    rig.engine = another()
    second = asyncio.create_task(rig.run(seeds="1-6"))
    updates = await first + await second
    rig.engine = mine
    assert [update.state for update in updates] == ["stored"] * 12
    assert len(server.submits) == 6
    assert sum(update.cached for update in updates) == 6


@pytest.mark.usefixtures("patient")
async def test_another_kernels_failure_is_followed_to_its_end(server, rig, another):
    async def slow(x):
        await asyncio.sleep(1.5)
        await reply(422, "no")(x)

    server.on_submit(slow, times=None)
    first = asyncio.create_task(rig.run())
    await server.reached("submit", 1)
    rig.engine = another()
    [second] = await rig.run()
    [one] = await first
    assert (one.state, second.state) == ("rejected", "rejected")
    assert len(server.submits) == 1


@pytest.mark.usefixtures("patient")
async def test_what_another_kernel_finished_between_plan_and_run_is_not_bought_again(server, rig, another):
    """At the time of the plan it was under way there; when the run begins it is stored."""
    from qwen_widgets.core.sweep import plan_sweep

    server.seconds = 1.5
    first = asyncio.create_task(rig.run())
    await server.reached("result", 1)
    late = another()
    plan = await late.plan(plan_sweep("a red fox", seeds="7", sizes=(256, 256)))
    assert plan.count("fetch") == 1
    await first
    updates = [update async for update in late.run(plan, Stop())]
    assert (updates[-1].state, updates[-1].cached) == ("stored", True)
    assert len(server.submits) == 1


async def test_a_retry_of_what_was_found_since_buys_nothing(server, rig, another):
    """Both choices were offered; another kernel has found it before this one buys it again."""
    from qwen_widgets.core.sweep import plan_sweep

    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    server.forget("history")
    late = another()
    plan = await late.plan(plan_sweep("a red fox", seeds="7", sizes=(256, 256)), retry=True)
    assert (plan.count("buy"), len(plan.closing)) == (1, 1)
    assert (await rig.one()).state == "stored"
    updates = [update async for update in late.run(plan, Stop())]
    assert updates[-1].state == "stored"
    assert len(server.submits) == 1


async def test_who_overslept_its_lease_follows_instead_of_buying_again(server, rig, another, monkeypatch):
    """The row was planned, the machine slept, another kernel bought it: this one's turn comes after that."""
    monkeypatch.setattr(ledger_module, "LEASE", 0.0)
    rig.engine.gate.limited(0.3)
    sleeper = asyncio.create_task(rig.run())
    while not rig.engine.ledger.wait(lambda db: db.history()):
        await asyncio.sleep(0.01)
    monkeypatch.setattr(ledger_module, "LEASE", LEASE)
    server.seconds = 0.5
    rig.engine = another()
    [other] = await rig.run()
    [update] = await asyncio.wait_for(sleeper, 60)
    assert (other.state, update.state) == ("stored", "stored")
    assert len(server.submits) == 1


@pytest.mark.usefixtures("patient")
async def test_what_the_user_gave_up_is_not_brought_back(server, rig):
    """`%qwen forget` while it is polled."""
    server.seconds = 1.5
    running = asyncio.create_task(rig.run())
    await server.reached("result", 1)
    [record] = rig.engine.ledger.wait(lambda db: db.history())
    rig.engine.ledger.wait(lambda db: db.move(record.id, "expired", note="the user gave it up"))
    [update] = await asyncio.wait_for(running, 60)
    assert update.state == "expired"
    assert await rig.state() == "expired"
    assert len(server.submits) == 1


async def test_silence_ends_everywhere(server, make_rig, monkeypatch):
    """I7: nothing answers, at no stage, and the run ends all the same."""
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 0.3)
    for route in ("submit", "result", "history", "picture"):
        server.on(route, accepted(hang) if route == "submit" else hang, times=None)
    update = await asyncio.wait_for(make_rig(IMPATIENT).one(), 60)
    assert (update.state, type(update.error)) == ("unknown", UnknownOutcomeError)


async def test_a_fault_of_this_package_takes_no_other_cell_along(server, rig, monkeypatch):
    result = rig.engine.client.result
    [first, *_] = [a_request(seed=1)]

    async def broken(prediction_id):
        if server.predictions[prediction_id].key == first.key:
            raise ZeroDivisionError("oops")
        return await result(prediction_id)

    monkeypatch.setattr(rig.engine.client, "result", broken)
    updates = await rig.run(seeds="1-3")
    assert sorted(update.state for update in updates) == ["failed", "stored", "stored"]
    [fault] = [update.error for update in updates if update.state == "failed"]
    assert isinstance(fault, QwenError)
    assert fault.paid == "unknown"
    monkeypatch.setattr(rig.engine.client, "result", result)
    # Its row was let go at once: the next run fetches it.
    assert {update.state for update in await rig.run(seeds="1-3")} == {"stored"}
    assert len(server.submits) == 3


async def test_recall_asks_nothing(server, rig):
    from qwen_widgets.core.sweep import plan_sweep

    await rig.run(seeds="1-2")
    asked = len(server.seen)
    plan = await rig.engine.plan(plan_sweep("a red fox", seeds="1-3", sizes=(256, 256)))
    states = [update.state async for update in rig.engine.recall(plan)]
    assert states == ["stored", "stored", "stopped"]
    assert len(server.seen) == asked
