"""Answers to a submit, and what each of them means."""

from __future__ import annotations

import json
from dataclasses import dataclass

from server import (
    Behaviour,
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
    raw,
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
)


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
