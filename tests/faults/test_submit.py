"""What came of a submit, on real sockets: at the client, and through the engine with the server's truth."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rig import CANARY, IMPATIENT, IN_TIME, PATIENT, a_request, full_traceback
from server import (
    Behaviour,
    accepted,
    announced,
    chunked,
    contract,
    contract_then,
    edited,
    envelope,
    fin,
    gzipped,
    hang,
    head_only,
    lose_answer,
    raw,
    redirect,
    reply,
    reset,
    trickled,
    truncated,
    until_close,
    with_data,
)

from qwen_widgets.core.errors import (
    KeyRefusedError,
    NoCreditError,
    NotSentError,
    QwenError,
    RateLimitedError,
    RejectedError,
    SettingsError,
    UnknownOutcomeError,
)
from qwen_widgets.core.models import DEFAULT_MODEL


@dataclass(frozen=True)
class Case:
    """One thing that a server does with a submit, and what it comes to."""

    name: str
    does: Behaviour
    #: Only for one that keeps silent: the client shall not be patient.
    silent: bool = False


def ids(case: Case) -> str:
    return case.name


HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
SHAPES = {
    "object": {"code": 599, "message": "went wrong"},
    "error": {"error": "went wrong"},
    "text": "went wrong",
    "html": HTML,
    "nothing": b"",
    "prediction": {"code": 200, "data": {"id": "abc", "status": "created"}},
}
DEEP = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
LARGE = b'{"data": {"id": "' + b"a" * 50_000_000 + b'"}}'


def deep_outputs(answer):
    """Deep enough to be read by the JSON parser and to upset a reader that follows it by recursion."""
    text = json.dumps(answer)
    return text.replace('"outputs": []', '"outputs": ' + "[" * 400 + "]" * 400)


ACCEPTED = [
    Case("by the contract", contract),
    Case("201", edited(lambda a: None, status=201)),
    Case("already processing", with_data(status="processing")),
    Case("unknown status", with_data(status="dreaming")),
    Case("no status", with_data(status=None)),
    Case("odd fields", with_data(outputs=None, timings=[], error={"message": 5}, has_nsfw_contents=None)),
    Case("half a surrogate", with_data(error="\ud800", model="\udfff")),
    Case("nested outputs", edited(deep_outputs)),
    Case("no envelope", edited(lambda a: a["data"])),
    Case("no envelope, a business code", edited(lambda a: {**a["data"], "code": 1200})),
    Case("code 0", edited(lambda a: a.update(code=0))),
    Case("code as text", edited(lambda a: a.update(code="200"))),
    Case("code that is none", edited(lambda a: a.update(code={}))),
    Case("an id beside a wrong code", edited(lambda a: a.update(code=500, message="oops"))),
    Case("chunked", chunked()),
    Case("chunked with extensions", chunked(extension=b";a=b")),
    Case("chunked, the end missing", chunked(end=b"")),
    Case("until the connection closes", until_close()),
    Case("gzip though identity was asked", gzipped()),
    Case("length too long, then FIN", announced(+50)),
    Case("length too long, then silence", announced(+50, hang), silent=True),
    Case("FIN after the answer", contract_then(fin)),
]

LOST = [
    Case("reset", reset),
    Case("FIN before the headers", fin),
    Case("silence", hang, silent=True),
    Case("FIN within the headers", raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
    Case("FIN after the headers", head_only(fin)),
    Case("RST after the headers", head_only(reset)),
    Case("silence after the headers", head_only(hang), silent=True),
    Case("broken off", truncated(40)),
    Case("one byte short", truncated(-1)),
    Case("length too short", announced(-3)),
    Case("in drops", trickled(0.02), silent=True),
    Case("garbage for a status line", raw(b"\x00\xff\xfe garbage\r\n\r\n")),
    Case("another protocol", raw(b"SSH-2.0-OpenSSH_9.6\r\n")),
    Case("a status that is none", raw(b"HTTP/1.1 2OO OK\r\n\r\n")),
    Case("headers without end", raw(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: aaaaaaaaaaaaaaaa\r\n" * 9000)),
    Case("length that is none", reply(200, b"{}", content_length="many")),
    Case("length of 5,000 digits", reply(200, b"{}", content_length="9" * 5000)),
    Case("chunk size that is none", chunked(spoil=True)),
    Case("gzip that is none", gzipped(spoil=True)),
    Case("encoding that nobody knows", reply(200, b"\x01\x02", content_encoding="br")),
    Case(
        "switching protocols",
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ),
]

UNREADABLE = [
    Case("nothing", reply(200)),
    Case("204", reply(204)),
    Case("not JSON", reply(200, "OK")),
    Case("HTML", reply(200, HTML)),
    Case("a list", reply(200, [1])),
    Case("null", reply(200, "null")),
    Case("null data", envelope(None)),
    Case("data as a text", envelope("abc")),
    Case("an empty object", reply(200, {})),
    Case("no id", envelope({"status": "created"})),
    Case("an empty id", envelope({"id": "", "status": "created"})),
    Case("an id that is a path", envelope({"id": "../../x", "status": "created"})),
    Case("an id that is an address", envelope({"id": "https://evil.example/x", "status": "created"})),
    Case("an id with a line end", envelope({"id": "abc\n", "status": "created"})),
    Case("an id of 129 letters", envelope({"id": "a" * 129, "status": "created"})),
    Case("an id that is a number", envelope({"id": 12, "status": "created"})),
    Case("an id outside ASCII", envelope({"id": "ä", "status": "created"})),
    Case("a path beside a wrong code", envelope({"id": "../x"}, code=500)),
    Case("50 MB", reply(200, LARGE)),
    Case("depth 100,000", reply(200, DEEP)),
    Case("a number of 5,000 digits", reply(200, b'{"data":' + b"9" * 5000 + b"}")),
    Case("UTF-16 without end", reply(200, b'\xff\xfe{\x00"')),
]

OPEN_STATUS = [500, 502, 503, 504, 408, 409, 425, 520, 522, 524, 599, 410, 418, 451]
REFUSED_STATUS = [400, 404, 405, 413, 415, 422]


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


STOPPING = [
    (401, {"error": "unauthorized"}, KeyRefusedError),
    (401, b"", KeyRefusedError),
    (403, {"code": 403, "message": "insufficient role"}, KeyRefusedError),
    (402, "pay", NoCreditError),
    (400, {"code": 400, "message": "Insufficient credits. Please top up."}, NoCreditError),
    (400, {"error": "insufficient balance"}, NoCreditError),
    (403, "You have not enough credit", NoCreditError),
    (400, {"message": "Invalid API key"}, KeyRefusedError),
]


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


# --- nothing left this machine ----------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full: a connection to it never stands."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


async def test_a_refused_connection_is_not_sent(make_client, closed_port):
    with pytest.raises(NotSentError):
        await make_client(base_url=f"http://127.0.0.1:{closed_port}").submit(a_request())


async def test_a_connection_that_never_stands_is_not_sent(make_client, full_port):
    with pytest.raises(NotSentError, match="in time"):
        await make_client(IMPATIENT, base_url=f"http://127.0.0.1:{full_port}").submit(a_request())


async def test_a_name_that_nobody_knows_is_not_sent(make_client, monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    client = make_client(base_url="https://api.example")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotSentError):
        await client.submit(a_request())


@pytest.mark.parametrize(
    ("does", "timeouts"),
    [
        (raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), PATIENT),
        (reset, PATIENT),
        (fin, PATIENT),
        (hang, IMPATIENT),
    ],
    ids=["plain HTTP", "reset", "FIN", "silence"],
)
async def test_a_failed_tls_handshake_is_not_sent(does, timeouts, server, make_client):
    server.on("tls", does)
    client = make_client(timeouts, base_url=f"https://127.0.0.1:{server.port}")
    with pytest.raises(NotSentError) as caught:
        await client.submit(a_request())
    assert [seen.route for seen in server.seen] == ["tls"]
    assert CANARY not in full_traceback(caught.value)


@pytest.fixture
def proxy(server, monkeypatch):
    """The server as the proxy of the environment."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, server.origin)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert urllib.request.getproxies()["https"] == server.origin
    return server


@pytest.mark.parametrize(
    ("does", "timeouts"),
    [
        (reply(403, "no"), PATIENT),
        (reply(407, "who?"), PATIENT),
        (reply(502, HTML), PATIENT),
        (reset, PATIENT),
        (fin, PATIENT),
        (hang, IMPATIENT),
        (raw(b"HTTP/1.1 200 Connected\r\n\r\n"), PATIENT),
        (raw(b"HTTP/1.1 200 Connected\r\n\r\n", hang), IMPATIENT),
    ],
    ids=["403", "407", "502", "reset", "FIN", "silence", "FIN in the tunnel", "silence in the tunnel"],
)
async def test_a_proxy_that_opens_no_tunnel_is_not_sent(does, timeouts, proxy, make_client):
    proxy.on("connect", does)
    client = make_client(timeouts, base_url="https://api.example")
    with pytest.raises(NotSentError) as caught:
        await client.submit(a_request())
    assert {seen.route for seen in proxy.seen} <= {"connect", "tls"}
    assert all(CANARY not in seen.text for seen in proxy.seen)
    assert CANARY not in full_traceback(caught.value)


@pytest.mark.parametrize("address", ["socks9://127.0.0.1:1", "ftp://user:secret@127.0.0.1", "http://[", "x"])
async def test_a_proxy_setting_that_cannot_be_used_is_named_without_its_password(
    address, make_client, monkeypatch
):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, address)
    client = make_client(base_url="https://api.example")
    with pytest.raises(QwenError) as caught:
        await client.submit(a_request())
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert "secret" not in str(caught.value)


async def test_loopback_is_never_asked_through_a_proxy(server, client, monkeypatch, closed_port):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    assert (await client.submit(a_request())).id in server.predictions


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
