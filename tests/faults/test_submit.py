"""What came of a submit, by the client: accepted, refused, unknown; sent once, whatever happens."""

from __future__ import annotations

import asyncio
import json

import pytest
from outcomes import (
    ACCEPTED,
    LARGE,
    LOST,
    OPEN_STATUS,
    REFUSED_STATUS,
    SHAPES,
    STOPPING,
    UNREADABLE,
    ids,
)
from rig import CANARY, IN_TIME, PATIENT, a_request, full_traceback
from server import (
    accepted,
    announced,
    contract_then,
    envelope,
    fin,
    hang,
    redirect,
    reply,
    reset,
    truncated,
)

from qwen_widgets.core.errors import (
    KeyRefusedError,
    NoCreditError,
    RateLimitedError,
    RejectedError,
    SettingsError,
    UnknownOutcomeError,
)
from qwen_widgets.core.models import DEFAULT_MODEL

# --- the client -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ACCEPTED, ids=ids)
async def test_an_id_that_can_be_read_is_accepted(case, server, make_client):
    server.on_submit(case.does)
    prediction = await make_client(IN_TIME if case.silent else PATIENT).submit(a_request())
    assert [prediction.id] == list(server.predictions)
    assert len(server.submits) == 1


@pytest.mark.parametrize("case", LOST, ids=ids)
async def test_a_lost_answer_is_unknown(case, server, client, impatient):
    server.on_submit(accepted(case.does))
    with pytest.raises(UnknownOutcomeError) as caught:
        await (impatient if case.silent else client).submit(a_request())
    assert caught.value.paid == "unknown"
    assert len(server.submits) == 1
    assert CANARY not in full_traceback(caught.value)


@pytest.mark.parametrize("case", UNREADABLE, ids=ids)
async def test_an_answer_that_cannot_be_read_is_unknown(case, server, client):
    server.on_submit(accepted(case.does))
    with pytest.raises(UnknownOutcomeError):
        await client.submit(a_request())
    assert len(server.submits) == 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", OPEN_STATUS)
async def test_a_status_that_proves_nothing_is_unknown(status, shape, server, client):
    server.on_submit(reply(status, SHAPES[shape]))
    with pytest.raises(UnknownOutcomeError) as caught:
        await client.submit(a_request())
    assert str(status) in caught.value.message
    assert len(server.submits) == 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", REFUSED_STATUS)
async def test_a_refusal_proves_that_nothing_was_made(status, shape, server, client):
    server.on_submit(reply(status, SHAPES[shape]))
    with pytest.raises(RejectedError) as caught:
        await client.submit(a_request())
    assert caught.value.paid == "no"
    assert not caught.value.stops_run
    assert len(server.submits) == 1
    if shape in ("object", "error", "text"):
        assert "went wrong" in caught.value.message
    assert "<" not in caught.value.message


@pytest.mark.parametrize("spoil", [truncated(5), truncated(5, reset), announced(100)])
async def test_a_refusal_counts_by_its_status_when_its_body_breaks_off(spoil, server, client, monkeypatch):
    body = json.dumps({"code": 400, "message": "size: too large"}).encode()
    monkeypatch.setattr(server, "_contract", lambda x: (400, body, {}))
    server.on_submit(spoil)
    with pytest.raises(RejectedError):
        await client.submit(a_request())


async def test_a_refusal_of_50_mb_is_still_a_refusal(server, client):
    server.on_submit(reply(400, LARGE))
    with pytest.raises(RejectedError):
        await client.submit(a_request())


@pytest.mark.parametrize(("status", "body", "kind"), STOPPING)
async def test_a_refused_key_and_an_empty_account_stop_the_run(status, body, kind, server, client):
    server.on_submit(reply(status, body))
    with pytest.raises(kind) as caught:
        await client.submit(a_request())
    assert type(caught.value) is kind
    assert caught.value.stops_run


@pytest.mark.parametrize("data", [None, {}, [], "", {"status": "failed"}])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, RejectedError),
        (401, KeyRefusedError),
        (429, RateLimitedError),
        (500, RejectedError),
        (1400, RejectedError),
        (-1, RejectedError),
        ("400", RejectedError),
    ],
)
async def test_an_envelope_that_refuses_is_a_refusal(code, kind, data, server, client):
    server.on_submit(envelope(data, code=code, message="no such size"))
    with pytest.raises(kind, match="no such size"):
        await client.submit(a_request())


async def test_no_credit_is_found_in_the_envelope(server, client):
    server.on_submit(envelope(None, code=400, message="Insufficient credits. Please top up."))
    with pytest.raises(NoCreditError):
        await client.submit(a_request())


FAR = "Wed, 01 Jan 2031 00:00:10 GMT"


RETRY_AFTER = [
    ({}, None),
    ({"retry_after": "3"}, 3),
    ({"retry_after": "0"}, 0),
    ({"retry_after": "1.5"}, 1.5),
    ({"retry_after": "300"}, 300),
    ({"retry_after": "301"}, 60),
    ({"retry_after": "-5"}, 60),
    ({"retry_after": "nan"}, 60),
    ({"retry_after": "inf"}, 60),
    ({"retry_after": "soon"}, 60),
    ({"retry_after": ""}, 60),
    ({"retry_after": FAR, "date": "Wed, 01 Jan 2031 00:00:00 GMT"}, 10),
    ({"retry_after": FAR, "date": "Wed, 01 Jan 2031 00:00:20 GMT"}, 60),
    ({"retry_after": FAR}, 60),
    ({"retry_after_ms": "1500"}, 1.5),
    ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
    ({"retry_after_ms": "x", "retry_after": "9"}, 9),
    ({"retry_after_ms": "x"}, 60),
]


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER)
async def test_429_says_how_long_to_wait(headers, seconds, server, client):
    server.on_submit(reply(429, {"message": "You have reached your concurrency limit"}, **headers))
    with pytest.raises(RateLimitedError, match="concurrency") as caught:
        await client.submit(a_request())
    assert caught.value.retry_after == seconds
    assert ("waiting 60 s" in caught.value.message) == (seconds == 60)
    assert len(server.submits) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
async def test_a_redirect_is_a_setting_to_mend_and_is_never_followed(status, server, foreign, client):
    server.on_submit(redirect(foreign.base_url + "/x", status))
    with pytest.raises(SettingsError) as caught:
        await client.submit(a_request())
    assert caught.value.stops_run
    assert foreign.seen == []
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "location", ["http://[", "//", "http://a:b:c/", "\\\\x", "http://x y/", "javascript:x", ""]
)
async def test_a_redirect_to_nonsense_is_a_redirect(location, server, client):
    server.on_submit(redirect(location))
    with pytest.raises(SettingsError):
        await client.submit(a_request())


async def test_the_submit_is_exactly_this(server, client):
    request = a_request("ein Fuchs, 狐狸, \"quoted\" \\ 'x'", seed=0)
    await client.submit(request)
    [seen] = server.submits
    assert seen.target == "/api/v3/" + DEFAULT_MODEL.id
    assert seen.json == {"prompt": "ein Fuchs, 狐狸, \"quoted\" \\ 'x'", "size": "256*256", "seed": 0}
    assert seen.header("Authorization") == f"Bearer {CANARY}"
    assert seen.header("Content-Type") == "application/json"
    assert seen.header("Accept-Encoding") == "identity"
    assert seen.header("Cookie") is None
    assert [made.key for made in server.predictions.values()] == [request.key]


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -0100", "yesterday", "", "0"])
async def test_a_strange_date_loses_no_answer(date, server, client):
    async def dated(x):
        status, body, headers = x.contract()
        await x.answer(status, body, {**headers, "Date": date})

    server.on_submit(dated)
    assert (await client.submit(a_request())).id in server.predictions


@pytest.mark.parametrize("end", [fin, reset])
async def test_a_kept_connection_that_died_while_idle_costs_nothing(end, server, client):
    server.on("balance", contract_then(end))
    await client.balance()
    await server.hung_up()
    assert (await client.submit(a_request())).id in server.predictions
    assert len(server.submits) == 1


async def test_a_kept_connection_that_dies_under_the_submit_is_unknown(server, client):
    await client.balance()
    server.on_submit(reset)
    with pytest.raises(UnknownOutcomeError):
        await client.submit(a_request())
    assert len(server.submits) == 1
    assert {seen.connection for seen in server.seen} == {1}


async def test_cancelled_under_way_it_ends_at_once_and_shows_no_key(server, client):
    server.on_submit(accepted(hang))
    task = asyncio.create_task(client.submit(a_request()))
    await server.reached("submit")
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert CANARY not in full_traceback(caught.value)
    assert len(server.submits) == 1
    assert (await client.submit(a_request(seed=8))).id in server.predictions  # the client still works


@pytest.fixture
def blocked_write(monkeypatch):
    """The next write of a connection never ends; an event says when it has begun."""
    from httpcore._backends.anyio import AnyIOStream

    begun = asyncio.Event()

    async def write(_stream, _data, timeout=None):
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(AnyIOStream, "write", write)
    return begun


async def test_cancelled_while_it_is_written_it_shows_no_key(blocked_write, client):
    """The frames of the writing hold the headers; a verbose traceback would show them."""
    task = asyncio.create_task(client.submit(a_request()))
    await blocked_write.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert CANARY not in full_traceback(caught.value)


@pytest.mark.usefixtures("blocked_write")
async def test_a_submit_that_cannot_be_written_in_time_is_unknown(impatient):
    with pytest.raises(UnknownOutcomeError, match="in time") as caught:
        await impatient.submit(a_request())
    assert CANARY not in full_traceback(caught.value)


async def test_a_broken_write_is_unknown(impatient, monkeypatch):
    import httpcore
    from httpcore._backends.anyio import AnyIOStream

    async def write(_stream, _data, timeout=None):
        raise httpcore.WriteError

    monkeypatch.setattr(AnyIOStream, "write", write)
    with pytest.raises(UnknownOutcomeError) as caught:
        await impatient.submit(a_request())
    assert CANARY not in full_traceback(caught.value)
