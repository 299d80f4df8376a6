"""What came of a submit, through the engine: the row, the money, and what is sent again."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from outcomes import (
    ACCEPTED,
    HTML,
    LOST,
    OPEN_STATUS,
    REFUSED_STATUS,
    SHAPES,
    STOPPING,
    UNREADABLE,
    ids,
)
from rig import IMPATIENT, IN_TIME, PATIENT
from server import (
    accepted,
    contract,
    lose_answer,
    redirect,
    reply,
)

from qwen_widgets.core.errors import (
    NotSentError,
    RejectedError,
    UnknownOutcomeError,
)

# --- through the engine -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ACCEPTED, ids=ids)
async def test_what_is_accepted_is_stored(case, server, make_rig):
    server.on_submit(case.does)
    rig = make_rig(IN_TIME if case.silent else PATIENT)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1
    assert (await rig.one()).cached
    assert len(server.submits) == 1


@pytest.fixture
def no_history(server):
    """The history can't be asked, so that what is unknown stays so."""
    server.on_history(reply(500, "oops"), times=None)


@pytest.mark.usefixtures("no_history")
@pytest.mark.parametrize("case", [*LOST, *UNREADABLE], ids=ids)
async def test_what_is_unknown_is_not_sent_again(case, server, make_rig):
    server.on_submit(accepted(case.does))
    rig = make_rig(IMPATIENT if case.silent else PATIENT)
    update = await rig.one()
    assert update.state == "unknown"
    assert isinstance(update.error, UnknownOutcomeError)
    assert len(server.submits) == 1
    # Run again, it is still not bought again: only the user may say so.
    await rig.one()
    assert len(server.submits) == 1


@pytest.mark.usefixtures("no_history")
@pytest.mark.parametrize("status", OPEN_STATUS)
@pytest.mark.parametrize("made", [True, False], ids=["made", "not made"])
async def test_a_status_that_proves_nothing_is_not_sent_again(status, made, server, rig):
    does = reply(status, SHAPES["object"])
    server.on_submit(accepted(does) if made else does)
    assert (await rig.one()).state == "unknown"
    assert len(server.submits) == 1


@pytest.mark.usefixtures("no_history")
async def test_the_user_may_buy_again_what_is_unknown(server, rig):
    server.on_submit(lose_answer)
    assert (await rig.one()).state == "unknown"
    assert (await rig.one(retry=True)).state == "stored"
    assert len(server.submits) == 2


@pytest.mark.parametrize("status", REFUSED_STATUS)
async def test_a_refusal_is_final(status, server, rig):
    server.on_submit(reply(status, SHAPES["object"]))
    update = await rig.one()
    assert update.state == "rejected"
    assert isinstance(update.error, RejectedError)
    assert len(server.submits) == 1


@pytest.mark.parametrize(("status", "body", "kind"), STOPPING)
async def test_nothing_more_is_bought_after_a_stopping_refusal(status, body, kind, server, rig):
    rig.engine.at_once = 1
    server.on_submit(contract, reply(status, body))
    updates = await rig.run(seeds="1-5")
    assert sorted(update.state for update in updates) == [
        "rejected",
        "stopped",
        "stopped",
        "stopped",
        "stored",
    ]
    [refused] = [update for update in updates if update.state == "rejected"]
    assert type(refused.error) is kind
    assert len(server.submits) == 2


@pytest.mark.parametrize("status", [302, 308])
async def test_a_redirected_submit_stops_the_run(status, server, foreign, rig):
    rig.engine.at_once = 1
    server.on_submit(redirect(foreign.base_url, status), times=None)
    updates = await rig.run(seeds="1-3")
    assert {update.state for update in updates} == {"rejected", "stopped"}
    assert len(server.submits) == 1
    assert foreign.seen == []


@pytest.mark.parametrize("headers", [{}, {"retry_after": "0"}, {"retry_after_ms": "20"}])
async def test_a_429_is_sent_again_and_bought_once(headers, server, rig):
    server.on_submit(reply(429, {"message": "too many requests"}, **headers), times=3)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 4
    assert len(server.predictions) == 1


async def test_after_a_429_a_single_probe_goes(server, rig):
    """Two at once are refused; then one at a time is asked until one is taken."""
    at_once: list[int] = []
    under_way = 0
    both_here = asyncio.Event()

    async def limited(x):
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        if len(at_once) == 2:
            both_here.set()
        await both_here.wait()
        under_way -= 1
        await x.answer(429, b"", {"Retry-After": "0"})

    async def taken(x):
        at_once.append(under_way + 1)
        await contract(x)

    server.on_submit(limited, times=5)
    server.on_submit(taken, times=None)
    updates = await rig.run(seeds="1-8")
    assert {update.state for update in updates} == {"stored"}
    assert at_once[:6] == [1, 2, 1, 1, 1, 1]
    assert len(server.predictions) == 8


async def test_what_is_not_sent_is_tried_again_and_then_told(server, make_rig, closed_port):
    rig = make_rig(base_url=f"http://127.0.0.1:{closed_port}")
    update = await rig.one()
    assert update.state == "rejected"
    assert isinstance(update.error, NotSentError)
    assert server.seen == []


async def test_a_server_that_comes_back_gets_the_order(server, make_rig, monkeypatch):
    real, calls = socket.getaddrinfo, []

    def flaky(host, *args, **options):
        calls.append(host)
        if len(calls) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1", *args, **options)

    rig = make_rig(base_url=server.base_url.replace("127.0.0.1", "localhost"))
    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


@pytest.mark.usefixtures("no_history")
async def test_many_at_once_are_each_bought_once(server, rig):
    server.on_submit(contract, lose_answer, reply(429, retry_after="0"), contract, accepted(reply(502, HTML)))
    updates = await rig.run("a fox\n\na hare", seeds="1-6")
    states = sorted(update.state for update in updates)
    assert states == ["stored"] * 10 + ["unknown"] * 2
    assert len(server.predictions) == 12
    assert threading.active_count() < 60
