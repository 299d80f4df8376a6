"""Weather: what the service and the network do to one round of the kill test, drawn by the round's number.

What becomes of a request depends on the number, the route, the request and how often it came, and on nothing else,
so that a round is the same again however its requests are interleaved. The truth stays: what was accepted exists
and is paid for, whatever was answered, and each picture has its one true content.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path

from outcomes import HTML
from PIL import Image
from server import (
    API,
    OPTIMIZER,
    Behaviour,
    Exchange,
    FaultServer,
    Made,
    accepted,
    contract,
    edited,
    fin,
    hang,
    lose_answer,
    raw,
    redirect,
    reply,
    reset,
    served,
    truncated,
)

#: Seconds for which the history may lag, a fresh prediction be unknown and its picture be missing: longer than the
#: next kernel needs to look, and within the client's own patience as the kill test scales it (120 s are 1.2 s).
LONGEST_LAG = 0.7
LONGEST_UNKNOWN = 0.08
LONGEST_MISSING = 0.25
_KINDS = ("PNG", "PNG", "JPEG", "WEBP")
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


class Weather:
    """The faults of one round, and the log of what was done to which request.

    Parameters
    ----------
    number : int
        The round; all is drawn from it.
    home : Path
        Where the ledger is, so that every order is held to "written down before it is sent".

    Attributes
    ----------
    fair : bool
        Whether the service keeps the contract from now on.
    log : list of str
        What was done to which request, in the order of their arrival.
    broken : list of str
        What an order broke when it arrived: bought before, or not written down.
    on_arrival : callable
        Called with the route of each request.
    """

    def __init__(self, number: int, server: FaultServer, home: Path) -> None:
        self.number = number
        self.server = server
        self.home = home
        self.fair = False
        self.log: list[str] = []
        self.broken: list[str] = []
        #: How many predictions of a key the user has agreed to, where it isn't one.
        self.agreed: Counter[str] = Counter()
        self.on_arrival: Callable[[str], None] = lambda route: None
        self._began = time.monotonic()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        rnd = random.Random(f"{number} weather")
        #: Of each kind of request so much is spoilt.
        self.share = {
            route: rnd.choice((0.1, 0.3, 0.6)) for route in ("submit", "result", "history", "picture")
        }
        server.history_lag = rnd.choice(
            (0.0, rnd.uniform(0, 0.1), rnd.uniform(0.3, LONGEST_LAG), rnd.uniform(0.3, LONGEST_LAG))
        )
        server.page_cap = rnd.choice((2, 5, 100))
        server.tells_total = rnd.random() < 0.8
        for created in (-7200.0, -3600.0, -5.0, -4.0, -3.0):
            self._stranger(created)
        server.on("submit", self._submit, times=None)
        server.on("result", self._result, times=None)
        server.on("history", self._history, times=None)
        server.on("picture", self._picture, times=None)
        for route in ("price", "balance", "models"):
            server.on(route, self._other, times=None)

    def _stranger(self, created: float) -> None:
        inputs = {"prompt": f"of somebody else, {created}", "size": "256*256", "seed": 1}
        self.server.add("wavespeed-ai/qwen-image-2.0/text-to-image", inputs, created=time.time() + created)

    # --- what is true -------------------------------------------------------------------------------------

    def content(self, made: Made) -> bytes:
        """Return the bytes of a prediction's picture."""
        return _picture(made.size, int(made.inputs["seed"]), self._kind(made))

    def _kind(self, made: Made) -> str:
        return _KINDS[int(made.inputs["seed"]) % len(_KINDS)]

    def true_colours(self, key: str) -> list[list[int]]:
        """Return the colours of a request's picture."""
        return colours(self.content(self.server.predictions[self.server.paid[key][0]]))

    def true_hashes(self, key: str) -> set[str]:
        """Return the sha256 of the contents that a request's cell may show."""
        made = [self.server.predictions[id_] for id_ in self.server.paid[key]]
        return {hashlib.sha256(self.content(one)).hexdigest() for one in made}

    # --- the lottery --------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Add a line to the log."""
        self.log.append(f"{time.monotonic() - self._began:7.3f}  {text}")

    async def _blow(
        self, x: Exchange, what: str, draw: Callable[[random.Random], tuple[str, Behaviour]]
    ) -> None:
        """Do to a request what is drawn for it, and log it."""
        route = x.seen.route
        with self._lock:
            self._seen[route, what] += 1
            nth = self._seen[route, what]
        self.on_arrival(route)
        rnd = random.Random(f"{self.number} {route} {what} {nth}")
        name, behave = "by the contract", contract
        if not self.fair and rnd.random() < self.share.get(route, 0.1):
            name, behave = draw(rnd)
        if route == "picture" and behave is contract:
            behave = self._whole
        self.note(f"{route} {what}, number {nth}: {name}")
        await behave(x)

    def _label(self, made: Made) -> str:
        """Name an order, or a prediction, by its content and by which one of its content it is."""
        said = made.inputs.get("text") or f"{made.inputs.get('prompt')} seed {made.inputs.get('seed')}"
        ids = self.server.paid.get(made.key, [])
        again = f", bought as number {ids.index(made.id) + 1}" if made.id in ids[1:] else ""
        return f"{said}{again}"

    # --- submit -------------------------------------------------------------------------------------------

    async def _submit(self, x: Exchange) -> None:
        order = Made("", x.seen.target.removeprefix(API + "/"), x.seen.json)
        what = self._label(order)
        self._hold_to_the_ledger(order, what)
        before = len(self.server.paid[order.key])

        def draw(rnd: random.Random) -> tuple[str, Behaviour]:
            return rnd.choice(
                (
                    ("accepted, the answer lost by a reset", lose_answer),
                    ("accepted, the answer lost by a FIN", accepted(fin)),
                    ("accepted, answered 500", accepted(reply(500, {"error": "oops"}))),
                    ("accepted, answered 502 by a gateway", accepted(reply(502, HTML))),
                    ("accepted, broken off in the answer", truncated(rnd.randint(0, 60), fin)),
                    ("accepted, answered by a page with 200", accepted(reply(200, HTML))),
                    ("accepted, no answer", accepted(hang)),
                    ("lost on the way", reset),
                    ("answered 500, not accepted", reply(500, {"error": "oops"})),
                    ("answered 503 by a gateway, not accepted", reply(503, HTML)),
                    ("429, a named wait", reply(429, "slow down", retry_after_ms=str(rnd.randint(10, 60)))),
                    ("429, no wait named", reply(429, {"error": "too many requests"})),
                    ("302 of a gateway", redirect(self.server.origin + "/login")),
                    ("404 of a gateway", reply(404, HTML, content_type="text/html")),
                    ("405 of a gateway", reply(405, HTML, content_type="text/html")),
                    ("413 of a gateway", reply(413, HTML, content_type="text/html")),
                )
            )

        try:
            await self._blow(x, what, draw)
        finally:
            bought = len(self.server.paid[order.key])
            if bought > before and bought > 1 + self.agreed[order.key]:
                self.broken.append(f"I1: {what} was bought {bought} times")
                self.note(f"!! {what} is bought for the {bought}. time")

    def _hold_to_the_ledger(self, order: Made, what: str) -> None:
        """Look whether the order is written down; a ledger that is being written this very moment is passed over."""
        where = f"file:{self.home / 'ledger.sqlite3'}?mode=ro"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(where, uri=True, timeout=0.2)) as db:
            found = db.execute(
                "SELECT 1 FROM purchase WHERE key = ? AND state = 'sending'", (order.key,)
            ).fetchone()
            if found is None:
                self.broken.append(f"I3: {what} arrived before its row said `sending`")
                self.note(f"!! {what} is not written down")

    # --- result -------------------------------------------------------------------------------------------

    async def _result(self, x: Exchange) -> None:
        made = self.server.predictions.get(x.seen.target.split("/")[4])
        if made is None:
            await self._blow(x, x.seen.target, lambda rnd: ("by the contract", contract))
            return
        fate = random.Random(f"{self.number} {self._label(made)} result")
        unknown = fate.choice((0.0, 0.0, fate.uniform(0, LONGEST_UNKNOWN)))
        if not self.fair and time.time() < made.created + unknown:
            self.on_arrival("result")
            self.note(f"result {self._label(made)}: 404, it is fresh")
            await reply(404, {"error": "task not found"})(x)
            return

        def draw(rnd: random.Random) -> tuple[str, Behaviour]:
            return rnd.choice(
                (
                    ("500", reply(500, {"error": "oops"})),
                    ("502 of a gateway", reply(502, HTML)),
                    ("a page with 200", reply(200, HTML)),
                    ("404 once", reply(404, {"error": "task not found"})),
                    ("404 of a gateway", reply(404, HTML)),
                    ("broken off", truncated(rnd.randint(0, 200), fin)),
                    ("broken JSON with 200", edited(lambda answer: json.dumps(answer)[:-20].encode())),
                    ("reset", reset),
                    ("no outputs yet", edited(lambda answer: answer["data"].update(outputs=[]))),
                )
            )

        if made.model == OPTIMIZER and fate.random() < 0.5 and self._is_done(made):
            address = self.server.text_url(made.id)
            # Whatever is drawn, the text is behind an address.
            inner = x.contract

            def with_address() -> tuple[int, bytes, dict[str, str]]:
                status, body, headers = inner()
                answer = json.loads(body)
                answer["data"]["outputs"] = [address]
                return status, json.dumps(answer).encode(), headers

            x.contract = with_address  # type: ignore[method-assign]
        await self._blow(x, self._label(made), draw)

    def _is_done(self, made: Made) -> bool:
        return time.time() >= made.created + self.server.seconds

    # --- history ------------------------------------------------------------------------------------------

    async def _history(self, x: Exchange) -> None:
        page = x.seen.json["page"]

        def draw(rnd: random.Random) -> tuple[str, Behaviour]:
            fewer = rnd.randint(1, 3)
            return rnd.choice(
                (
                    ("500", reply(500, {"error": "oops"})),
                    ("reset", reset),
                    ("broken off", truncated(rnd.randint(0, 200), fin)),
                    ("a page with 200", reply(200, HTML)),
                    ("total is 0", edited(lambda a: a["data"].update(total=0))),
                    ("total is 1", edited(lambda a: a["data"].update(total=1))),
                    ("total is too small", edited(lambda a: a["data"].update(total=len(a["data"]["items"])))),
                    ("total is a text", edited(lambda a: a["data"].update(total="some"))),
                    (f"{fewer} of the page before once more", self._paged(overlap=fewer)),
                    ("the first page whatever was asked", self._paged(always_first=True)),
                    ("the page size ignored, 3 come", self._paged(size=3)),
                )
            )

        await self._blow(x, f"page {page}", draw)

    def _paged(self, *, overlap: int = 0, size: int = 0, always_first: bool = False) -> Behaviour:
        async def behave(x: Exchange) -> None:
            asked = x.seen.json
            cap, self.server.page_cap = self.server.page_cap, 10_000
            whole = self.server._history({**asked, "page": 1, "page_size": 10_000})
            self.server.page_cap = cap
            most = size or min(asked["page_size"], cap)
            start = 0 if always_first else max(0, (asked["page"] - 1) * most - overlap * (asked["page"] > 1))
            told = {**whole, "page": asked["page"], "items": whole["items"][start : start + most]}
            await x.answer(*self.server._told(told))

        return behave

    # --- pictures and texts -------------------------------------------------------------------------------

    async def _picture(self, x: Exchange) -> None:
        name, _, suffix = x.seen.target.removeprefix("/out/").partition(".")
        made = self.server.predictions[name]
        fate = random.Random(f"{self.number} {self._label(made)} picture")
        missing, status = fate.choice((0.0, fate.uniform(0, LONGEST_MISSING))), fate.choice((403, 404, 410))
        if not self.fair and time.time() < made.created + self.server.seconds + missing:
            self.on_arrival("picture")
            self.note(f"picture {self._label(made)}: {status}, it is fresh")
            await reply(status, HTML, content_type="text/html")(x)
            return
        spoil = self._spoilt_text if suffix == "txt" else self._spoilt_picture
        await self._blow(x, self._label(made), lambda rnd: spoil(rnd, made))

    async def _whole(self, x: Exchange) -> None:
        name, _, suffix = x.seen.target.removeprefix("/out/").partition(".")
        made = self.server.predictions[name]
        if suffix == "txt":
            await contract(x)
        else:
            await served(self.content(made), content_type=_TYPES[self._kind(made)])(x)

    def _spoilt_text(self, rnd: random.Random, made: Made) -> tuple[str, Behaviour]:
        text = made.text.encode()
        return rnd.choice(
            (
                ("a page with 200", reply(200, HTML, content_type="text/html")),
                ("empty", reply(200, b"", content_type="text/plain")),
                ("in a wrong encoding", reply(200, b"\xff\xfe\x81" + text, content_type="text/plain")),
                ("500", reply(500, "oops")),
                ("reset", reset),
                ("broken off", truncated(5, fin)),
            )
        )

    def _spoilt_picture(self, rnd: random.Random, made: Made) -> tuple[str, Behaviour]:
        data, kind = self.content(made), self._kind(made)
        content_type = _TYPES[kind]
        tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        cut = rnd.randint(20, len(data) - 20)

        async def torn(x: Exchange) -> None:
            """Break off in the middle of a whole one, by a reset or a FIN."""
            x.contract = lambda: (200, data, {"Content-Type": content_type, "ETag": tag})  # type: ignore[method-assign]
            await truncated(cut, rnd.choice((reset, fin)))(x)

        found: list[tuple[str, Behaviour]] = [
            (f"cut at {cut} with 200", served(data[:cut], content_type=content_type)),
            (
                f"cut at {cut} with 200, the tag of the whole",
                served(data[:cut], content_type=content_type, etag=tag),
            ),
            ("a page with 200", reply(200, HTML, content_type="text/html")),
            ("a page with 200, as a picture", reply(200, HTML, content_type=content_type)),
            ("empty with 200", reply(200, b"", content_type=content_type)),
            (f"torn at {cut}", torn),
            ("404 once", reply(404, HTML)),
            ("403 once", reply(403, "denied")),
            ("410 once", reply(410, "gone")),
            ("500", reply(500, "oops")),
            ("garbage for a status line", raw(b"\x00\xff garbage\r\n\r\n")),
        ]
        # JPEG and WebP have no check sums: there nobody can tell.
        if kind == "PNG":
            start = data.index(b"IDAT") + 4
            at = rnd.randrange(start, len(data) - 20)
            flipped = data[:at] + bytes([data[at] ^ (1 << rnd.randrange(8))]) + data[at + 1 :]
            found += [
                (f"a bit flipped at {at}", served(flipped, content_type=content_type)),
                (
                    f"a bit flipped at {at}, the tag of the whole",
                    served(flipped, content_type=content_type, etag=tag),
                ),
            ]
        return rnd.choice(found)

    # --- the rest -----------------------------------------------------------------------------------------

    async def _other(self, x: Exchange) -> None:
        await self._blow(x, x.seen.target, lambda rnd: ("500", reply(500, "oops")))


@lru_cache(maxsize=64)
def _picture(size: tuple[int, int], seed: int, kind: str) -> bytes:
    """Return a picture's bytes, the same in every process: 16 fields of its own colours, and noise on top."""
    rnd = random.Random(seed)
    fields = Image.frombytes("RGB", (4, 4), rnd.randbytes(48)).resize(size, Image.Resampling.NEAREST)
    noise = Image.frombytes("RGB", (48, 48), rnd.randbytes(3 * 48 * 48)).resize(size)
    out = io.BytesIO()
    Image.blend(fields, noise, 0.3).save(out, kind)
    return out.getvalue()


def colours(data: bytes) -> list[list[int]]:
    """Return the colours of a picture's 16 fields, by which one is told from another also after it was scaled."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB").resize((4, 4), Image.Resampling.BOX)
    return [list(small.getpixel((x, y))) for y in range(4) for x in range(4)]
