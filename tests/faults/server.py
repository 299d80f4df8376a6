"""The fault server: the API on a real loopback socket, which keeps the truth and misbehaves when it is told to.

It speaks HTTP by hand on asyncio streams, in a thread of its own, so that it can do what a framework prevents:
reset, break off, hang, lie about lengths, answer nonsense, lose an answer after the order was taken.

    server.on_submit(lose_answer)                     # once, then the contract again
    server.on_submit(reply(429, "slow down"), times=3)
    server.on_result(edited(lambda a: a["data"].update(status="dreaming")), times=None)    # for ever
    server.on_picture(truncated(1000, then=fin))

A behaviour is a coroutine function that takes the `Exchange`. Without one, the server keeps the contract of
wavespeed-api.md, with predictions that take `seconds`.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from PIL import Image

API = "/api/v3"
ROUTES = (
    "submit", "result", "history", "balance", "older balance", "price", "older price", "models", "picture", "connect",
    "tls", "other",
)  # fmt: skip
OPTIMIZER = "wavespeed-ai/prompt-optimizer"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    route: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    #: When its first byte was read, seconds since the epoch.
    at: float
    connection: int

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The whole of it, to look for a key in."""
        lines = [f"{self.method} {self.target}", *(f"{name}: {value}" for name, value in self.headers)]
        return "\n".join(lines) + "\n\n" + self.body.decode("latin-1")


@dataclass(frozen=True)
class Made:
    """A prediction that exists and is paid for."""

    id: str
    model: str
    inputs: dict[str, Any]
    created: float = field(default_factory=time.time)

    @property
    def key(self) -> str:
        """The content key, as `ImageRequest.key`."""
        text = json.dumps({"model": self.model, **self.inputs}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """What the enhancer makes of it."""
        return f"{self.inputs['text']}, {self.inputs['style']}, in fine detail"

    @property
    def size(self) -> tuple[int, int]:
        width, _, height = self.inputs.get("size", "256*256").partition("*")
        return int(width), int(height)


@lru_cache(maxsize=256)
def picture(size: tuple[int, int] = (256, 256), seed: int = 0, kind: str = "PNG") -> bytes:
    """The bytes of a picture with some detail, so that half of its file is not the whole of it."""
    image = Image.effect_noise((64, 64), 60).resize(size).convert("RGB")
    image.putpixel((0, 0), (seed % 256, 1, 2))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


class Exchange:
    """One request and what is done about it."""

    def __init__(self, server: FaultServer, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.seen = seen
        self.writer = writer
        self.closed = False
        self._made: Made | None = None

    def accept(self) -> Made:
        """Make the prediction that was ordered; once."""
        if self._made is None:
            self._made = self.server._make(self.seen)
        return self._made

    def contract(self) -> tuple[int, bytes, dict[str, str]]:
        """The answer by the contract: status, body, headers. For a submit the prediction is made."""
        return self.server._contract(self)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        await self.send(head(status, {"Content-Length": str(len(body)), **headers}) + body)

    async def fin(self) -> None:
        self.closed = True
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def reset(self) -> None:
        self.closed = True
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        # Until then the socket is still open: whoever is told of the end could send something into it.
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def hang(self) -> None:
        """Say nothing until the test is over."""
        await self.server._released.wait()
        self.closed = True


Behaviour = Callable[[Exchange], Awaitable[None]]


def head(status: int, headers: dict[str, str], *, reason: str = "Because") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", f"Date: {formatdate(usegmt=True)}"]
    given = {name.lower() for name in headers}
    lines = [line for line in lines if line.partition(":")[0].lower() not in given]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def as_bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


# --- behaviours: what becomes of the connection ------------------------------------------------------------


async def contract(x: Exchange) -> None:
    """What the contract says."""
    await x.answer(*x.contract())


async def reset(x: Exchange) -> None:
    """RST in place of an answer."""
    await x.reset()


async def fin(x: Exchange) -> None:
    """FIN in place of an answer."""
    await x.fin()


async def hang(x: Exchange) -> None:
    """No answer, and the connection stays."""
    await x.hang()


def accepted(then: Behaviour) -> Behaviour:
    """The order is taken, the prediction exists; and then this."""

    async def behave(x: Exchange) -> None:
        x.accept()
        await then(x)

    return behave


lose_answer = accepted(reset)


def contract_then(then: Behaviour) -> Behaviour:
    """A whole answer with no word of closing, and then this on the kept connection."""

    async def behave(x: Exchange) -> None:
        await x.answer(*x.contract())
        await then(x)

    return behave


# --- behaviours: other answers ------------------------------------------------------------------------------


def reply(status: int = 200, body: Any = b"", **headers: str) -> Behaviour:
    """This answer; nothing is made. Headers as keywords, ``retry_after="3"``."""

    async def behave(x: Exchange) -> None:
        await x.answer(
            status, as_bytes(body), {key.replace("_", "-"): value for key, value in headers.items()}
        )

    return behave


def redirect(to: str, status: int = 302) -> Behaviour:
    return reply(status, b"", location=to)


def envelope(data: Any, *, code: Any = 200, message: str = "success") -> Behaviour:
    return reply(200, {"code": code, "message": message, "data": data})


def edited(edit: Callable[[dict[str, Any]], Any], *, status: int = 200) -> Behaviour:
    """The contract's answer, changed in place or replaced by what `edit` returns (an object, or the bytes)."""

    async def behave(x: Exchange) -> None:
        _, body, headers = x.contract()
        answer = json.loads(body)
        changed = edit(answer)
        await x.answer(status, as_bytes(answer if changed is None else changed), headers)

    return behave


def with_data(**fields: Any) -> Behaviour:
    """The contract's answer with other fields in its data."""
    return edited(lambda answer: answer["data"].update(fields))


def raw(data: bytes, then: Behaviour = fin) -> Behaviour:
    """These very bytes, and then this."""

    async def behave(x: Exchange) -> None:
        await x.send(data)
        await then(x)

    return behave


# --- behaviours: the contract's answer, spoilt on its way ---------------------------------------------------


def truncated(length: int, then: Behaviour = fin) -> Behaviour:
    """The whole length announced, so many bytes of the body sent (negative: from its end), and then this."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        await x.send(head(status, {"Content-Length": str(len(body)), **headers}) + body[:length])
        await then(x)

    return behave


def announced(more: int, then: Behaviour = fin) -> Behaviour:
    """The whole body, and a Content-Length that is wrong by so many bytes."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        await x.send(head(status, {**headers, "Content-Length": str(len(body) + more)}) + body)
        await then(x)

    return behave


def head_only(then: Behaviour) -> Behaviour:
    return truncated(0, then)


def until_close(then: Behaviour = fin) -> Behaviour:
    """The whole body without a length: its end is the end of the connection."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        await x.send(head(status, {**headers, "Connection": "close"}) + body)
        await then(x)

    return behave


def chunked(*, end: bytes = b"0\r\n\r\n", extension: bytes = b"", spoil: bool = False) -> Behaviour:
    """The body in chunks of 7 bytes; without an end, with extensions, or with a size that is none."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        chunks = [body[i : i + 7] for i in range(0, len(body), 7)]
        parts = [b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
        if spoil:
            parts[1] = b"zz\r\n"
        await x.send(head(status, {**headers, "Transfer-Encoding": "chunked"}) + b"".join(parts) + end)
        if spoil or not end:
            await x.fin()

    return behave


def gzipped(*, spoil: bool = False) -> Behaviour:
    """Compressed, although identity was asked for."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        packed = gzip.compress(body)
        await x.answer(
            status, packed[:-12] + b"\0" * 12 if spoil else packed, {**headers, "Content-Encoding": "gzip"}
        )

    return behave


def trickled(pause: float, *, at_once: int = 1) -> Behaviour:
    """The answer in drops, a pause (seconds) before each, until the client has gone."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        await x.send(head(status, {"Content-Length": str(len(body)), **headers}))
        for i in range(0, len(body), at_once):
            with suppress(TimeoutError):
                await asyncio.wait_for(x.server._released.wait(), pause)
                break
            if x.writer.is_closing():
                break
            await x.send(body[i : i + at_once])

    return behave


def served(data: bytes, *, content_type: str = "image/png", etag: str | None = None) -> Behaviour:
    """These bytes as the picture, with Range; `etag` empty: none is told."""

    async def behave(x: Exchange) -> None:
        await x.answer(*_ranged(x.seen, data, content_type, etag))

    return behave


def _ranged(
    seen: Seen, data: bytes, content_type: str = "image/png", etag: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"' if etag is None else etag
    headers = {"Content-Type": content_type, "Accept-Ranges": "bytes"}
    if tag:
        headers["ETag"] = tag
    match = re.fullmatch(r"bytes=(\d+)-", seen.header("Range") or "")
    same = seen.header("If-Range") in (None, tag)
    if match is None or not same:
        return 200, data, headers
    start = int(match[1])
    if start >= len(data):
        return 416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"}
    return 206, data[start:], {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}


# --- the server ---------------------------------------------------------------------------------------------


class FaultServer:
    """The API, its CDN, and the truth about both.

    Attributes
    ----------
    predictions : dict of id to Made
        What exists.
    paid : dict of content key to list of ids
        What was bought.
    seen : list of Seen
        Every request.
    seconds : float
        What a prediction takes.
    echo : bool
        Whether submit, result and history tell the input.
    page_cap : int
        Items that a page of the history has at most.
    history_lag : float
        Seconds until a prediction is in the history.
    models : list
        The catalogue.
    """

    def __init__(self, *, seconds: float = 0.03) -> None:
        self.seconds = seconds
        self.echo = True
        self.page_cap = 100
        self.history_lag = 0.0
        self.tells_total = True
        #: What GET /models lists.
        self.models: list[Any] = []
        self.predictions: dict[str, Made] = {}
        self.paid: defaultdict[str, list[str]] = defaultdict(list)
        self.seen: list[Seen] = []
        self.served: list[str] = []
        self._scripts: dict[str, deque[list[Any]]] = {route: deque() for route in ROUTES}
        self._changed = threading.Condition()
        self._connections = 0
        self._ended = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    # the script

    def on(self, route: str, *behaviours: Behaviour, times: int | None = 1) -> None:
        """Do these next, each so many times (None: for ever)."""
        self._scripts[route].extend([behaviour, times] for behaviour in behaviours)

    def forget(self, route: str) -> None:
        """Keep the contract from now on."""
        self._scripts[route].clear()

    def on_submit(self, *behaviours: Behaviour, times: int | None = 1) -> None:
        self.on("submit", *behaviours, times=times)

    def on_result(self, *behaviours: Behaviour, times: int | None = 1) -> None:
        self.on("result", *behaviours, times=times)

    def on_history(self, *behaviours: Behaviour, times: int | None = 1) -> None:
        self.on("history", *behaviours, times=times)

    def on_picture(self, *behaviours: Behaviour, times: int | None = 1) -> None:
        self.on("picture", *behaviours, times=times)

    # the truth

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return self.origin + API

    def picture_url(self, prediction_id: str) -> str:
        return f"{self.origin}/out/{prediction_id}.png"

    def text_url(self, prediction_id: str) -> str:
        return f"{self.origin}/out/{prediction_id}.txt"

    def requests(self, route: str) -> list[Seen]:
        with self._changed:
            return [seen for seen in self.seen if seen.route == route]

    @property
    def submits(self) -> list[Seen]:
        return self.requests("submit")

    async def reached(self, route: str, count: int = 1) -> None:
        """Return when so many requests of a route have arrived."""

        await self._until(lambda: sum(seen.route == route for seen in self.seen) >= count)

    async def hung_up(self, count: int = 1) -> None:
        """Return when so many connections have ended."""
        await self._until(lambda: self._ended >= count)

    async def _until(self, true: Callable[[], bool]) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(true, timeout=30)

        assert await asyncio.to_thread(wait), "what was waited for did not happen"

    def add(self, model: str, inputs: dict[str, Any], *, created: float | None = None) -> Made:
        """Let a prediction exist that somebody else has ordered."""
        made = Made(uuid.uuid4().hex, model, inputs, created or time.time())
        self.predictions[made.id] = made
        return made

    def stop(self) -> None:
        async def end() -> None:
            self._released.set()
            self._listener.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # within

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def begin() -> None:
            self._released = asyncio.Event()
            self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20)
            self.port: int = self._listener.sockets[0].getsockname()[1]

        self._loop.run_until_complete(begin())
        self._ready.set()
        self._loop.run_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        connection = self._connections
        try:
            while (x := await self._read(reader, writer, connection)) is not None:
                await self._behaviour(x.seen.route)(x)
                if x.closed:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with self._changed:
                self._ended += 1
                self._changed.notify_all()

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> Exchange | None:
        first = await reader.read(1)
        if not first:
            return None
        at = time.time()
        if first == b"\x16":
            seen = Seen("tls", "TLS", "", (), b"", at, connection)
        else:
            top = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *lines = top.rstrip("\r\n").split("\r\n")
            method, target, _ = line.split(" ", 2)
            headers = tuple(
                (name, value.strip()) for name, _, value in (text.partition(":") for text in lines)
            )
            length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
            body = await reader.readexactly(length)
            seen = Seen(_route(method, target), method, target, headers, body, at, connection)
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()
        return Exchange(self, seen, writer)

    def _behaviour(self, route: str) -> Behaviour:
        script = self._scripts[route]
        if not script:
            return contract
        behaviour, times = script[0]
        if times is not None:
            script[0][1] -= 1
            if script[0][1] == 0:
                script.popleft()
        return behaviour

    def _make(self, seen: Seen) -> Made:
        made = Made(uuid.uuid4().hex, seen.target.removeprefix(API + "/"), seen.json)
        self.predictions[made.id] = made
        self.paid[made.key].append(made.id)
        return made

    def _contract(self, x: Exchange) -> tuple[int, bytes, dict[str, str]]:
        seen = x.seen
        if seen.route == "submit":
            return self._told({**self._describe(x.accept()), "status": "created", "outputs": []})
        if seen.route == "result":
            made = self.predictions.get(seen.target.split("/")[4])
            if made is None:
                return 404, as_bytes({"error": "task not found"}), {"Content-Type": "application/json"}
            return self._told(self._describe(made))
        if seen.route == "history":
            return self._told(self._history(seen.json))
        if seen.route == "balance":
            return self._told({"balance": 12.5})
        if seen.route == "price":
            price = 0.001 if seen.json["model_id"] == OPTIMIZER else 0.03
            cheaper = round(price * 0.9, 4)
            return self._told(
                {"model_id": seen.json["model_id"], "price": price, "discounted_price": cheaper}
            )
        if seen.route == "models":
            return self._told(self.models)
        if seen.route == "picture" and seen.target.endswith(".txt"):
            text = self.predictions[seen.target.removeprefix("/out/").partition(".")[0]].text
            return 200, text.encode(), {"Content-Type": "text/plain"}
        if seen.route == "picture":
            name = seen.target.removeprefix("/out/").partition(".")[0]
            made = self.predictions.get(name)
            if made is None:
                return 404, b"", {}
            self.served.append(name)
            return _ranged(seen, picture(made.size, made.inputs.get("seed", 0)))
        return 404, b"no such page", {"Content-Type": "text/plain"}

    def _told(self, data: Any) -> tuple[int, bytes, dict[str, str]]:
        body = as_bytes({"code": 200, "message": "success", "data": data})
        return 200, body, {"Content-Type": "application/json"}

    def _describe(self, made: Made) -> dict[str, Any]:
        done = time.time() >= made.created + self.seconds
        output = made.text if made.model == OPTIMIZER else self.picture_url(made.id)
        told = {
            "id": made.id,
            "model": made.model,
            "status": "completed" if done else "processing",
            "outputs": [output] if done else [],
            "has_nsfw_contents": [False] if done else [],
            "error": "",
            "urls": {"get": f"{self.base_url}/predictions/{made.id}/result"},
            "timings": {"inference": int(self.seconds * 1000)},
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(made.created)),
        }
        return {**told, "input": made.inputs} if self.echo else told

    def _history(self, asked: dict[str, Any]) -> dict[str, Any]:
        def moment(name: str, default: float) -> float:
            text = asked.get(name)
            return calendar_seconds(text) if text else default

        found = [
            made
            for made in reversed(self.predictions.values())
            if asked.get("model") in (None, made.model)
            and made.created + self.history_lag <= time.time()
            and moment("created_after", 0.0) <= made.created <= moment("created_before", 1e12)
        ]
        size = min(asked["page_size"], self.page_cap)
        start = (asked["page"] - 1) * size
        page = {
            "page": asked["page"],
            "items": [self._describe(made) for made in found[start : start + size]],
        }
        return {**page, "total": len(found)} if self.tells_total else page


def calendar_seconds(text: str) -> float:
    import calendar

    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def _route(method: str, target: str) -> str:
    if method == "CONNECT":
        return "connect"
    path = target.removeprefix(API)
    if method == "GET" and path.startswith("/predictions/"):
        return "result"
    if method == "GET" and target.startswith("/out/"):
        return "picture"
    named = {
        ("POST", "/predictions"): "history",
        ("GET", "/balance"): "balance",
        ("GET", "/models"): "models",
        ("POST", "/model/price"): "price",
        ("GET", "/account/balance"): "older balance",
        ("POST", "/model/pricing"): "older price",
    }
    if (method, path) in named:
        return named[method, path]
    return "submit" if method == "POST" and target.startswith(API + "/") else "other"
