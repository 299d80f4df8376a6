"""An engine on the fault server, and the invariants I1–I8 as one executable check."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from server import OPTIMIZER, FaultServer

from qwen_widgets.core.engine import CellUpdate, Engine
from qwen_widgets.core.enhancer import TextRequest
from qwen_widgets.core.models import DEFAULT_MODEL, Size
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.request import ImageRequest, Order
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.core.transport import Timeouts

#: The one key of these tests; it must be found nowhere but in the headers of requests to the API's own origin.
CANARY = "canary-5f0e9b7c1d-key"
#: Patient enough for a busy machine; tests of a silent server take IMPATIENT.
PATIENT = Timeouts(connect=5, read=5, whole_call=10, whole_download=20)
IMPATIENT = Timeouts(connect=0.25, read=0.25, whole_call=0.6, whole_download=0.8, grace=0.1)
#: For a silence beside which something has to arrive, however busy the machine is.
IN_TIME = Timeouts(connect=5, read=2, whole_call=3, whole_download=5, grace=0.1)

FINAL = {"stored", "rejected", "failed", "expired"}
RESUMABLE = {"submitted", "completed", "unknown"}


def a_request(
    prompt: str = "a red fox", *, seed: int = 7, size: tuple[int, int] = (256, 256)
) -> ImageRequest:
    return ImageRequest(prompt, seed, Size(*size), DEFAULT_MODEL)


def full_traceback(error: BaseException) -> str:
    """All that any mode of a traceback can show: causes, contexts, and what the names of every frame stand for."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format(chain=True)) + repr(error) + str(vars(error))


def check_invariants(
    server: FaultServer,
    home: Path,
    requests: Iterable[Order],
    *,
    resends: int = 0,
    foreign: FaultServer | None = None,
    texts: Iterable[str] = (),
    told: bool = True,
) -> None:
    """Check I1–I8 against the server's truth and the folder that a run has left behind.

    Parameters
    ----------
    resends : int
        How often the user has asked to buy one and the same request again.
    texts : iterable of str
        What a user could have got to see: reprs, messages, tracebacks.
    told : bool
        Whether the ledger's events tell all: not where it was damaged in between, nor where a clock was wrong.
    """
    with sqlite3.connect(f"file:{home / 'ledger.sqlite3'}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute("SELECT * FROM purchase ORDER BY id").fetchall()
        events = db.execute(
            "SELECT e.at, e.state, p.key, p.id AS row FROM event e JOIN purchase p ON p.id = e.purchase_id"
        ).fetchall()
    keys = {request.key for request in requests}

    # I1 pay once
    for key, bought in server.paid.items():
        assert key in keys, "I1: something was bought that nobody asked for"
        assert len(bought) <= 1 + resends, f"I1: {len(bought)} predictions for one request"

    if told:
        _check_events(server, rows, events)

    # I4 stored means stored; I8 what was got is known, so that what differs can be marked
    for row in rows:
        if row["state"] != "stored":
            continue
        if row["model"] == OPTIMIZER:
            assert row["text"], "I4: a text is not there"
            continue
        path = PictureStore(home).path(row["sha256"], row["suffix"])
        data = path.read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"], "I4: the file is not what the ledger says"
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}[image.format] == row["suffix"], (
                "I4: suffix"
            )
            assert image.size == (row["got_width"], row["got_height"]), (
                "I8: the size that came is not written"
            )

    # I5 the key is nowhere
    for path in home.rglob("*"):
        # The ledger is copied when a run is over: a part of it that has its name by now is read under that.
        with suppress(FileNotFoundError):
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), f"I5: the key is in {path.name}"
    for text in texts:
        assert CANARY not in text, "I5: the key is in what a user gets to see"

    # I6 no credential off-origin, nor on the origin where a picture is fetched
    for seen in (
        *(foreign.seen if foreign else ()),
        *server.requests("picture"),
        *server.requests("connect"),
    ):
        assert CANARY not in seen.text, "I6: the key went astray"
        assert seen.header("Authorization") is None, "I6: a credential went astray"
        assert seen.header("Cookie") is None, "I6: a cookie went astray"

    # I7 everything ends
    for key in keys:
        latest = next((row for row in reversed(rows) if row["key"] == key), None)
        if latest is not None:
            assert latest["state"] in FINAL | RESUMABLE, f"I7: {latest['state']} is no end"
            if latest["state"] in ("submitted", "completed"):
                assert latest["owner"] is None, "I7: a row waits for nobody"


def _check_events(server: FaultServer, rows: Sequence[sqlite3.Row], events: Sequence[sqlite3.Row]) -> None:
    """Check I2 and I3, which are seen in the course of things alone."""
    # I2 nothing lost; a row that was unknown may have been closed by the user, who bought again
    written = {row["prediction_id"] for row in rows}
    for key, bought in server.paid.items():
        unknown = {event["row"] for event in events if event["key"] == key and event["state"] == "unknown"}
        found = {row["id"] for row in rows if row["id"] in unknown and row["prediction_id"]}
        assert len(set(bought) - written) <= len(unknown - found), "I2: neither written down nor unknown"

    # I3 intent first
    nth: Counter[str] = Counter()
    for seen in server.submits:
        key = _key_of(server, seen)
        nth[key] += 1
        intents = [e for e in events if e["key"] == key and e["state"] == "sending" and e["at"] <= seen.at]
        assert len(intents) >= nth[key], "I3: a submit arrived before its row said `sending`"


def _key_of(server: FaultServer, seen: object) -> str:
    from server import API, Made

    return Made("", seen.target.removeprefix(API + "/"), seen.json).key


@dataclass
class Rig:
    """An engine on the fault server; `run` does a sweep and gives the updates of each request."""

    engine: Engine
    server: FaultServer
    home: Path
    requests: list[Order] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    resends: int = 0
    stop: Stop = field(default_factory=Stop)

    async def run(
        self, prompt: str = "a red fox", *, seeds: str = "7", retry: bool = False, fresh: bool = False
    ) -> list[CellUpdate]:
        """Do a sweep; the last update of each request, in the order they ended."""
        sweep = plan_sweep(prompt, seeds=seeds, sizes=(256, 256))
        return await self.buy(sweep.unique, retry=retry, fresh=fresh)

    async def enhance(self, text: str = "a red fox", style: str = "default", **options: bool) -> CellUpdate:
        """Have one prompt enhanced."""
        [update] = await self.buy([TextRequest(text, style)], **options)
        return update

    async def buy(
        self, orders: Sequence[Order], *, retry: bool = False, fresh: bool = False
    ) -> list[CellUpdate]:
        """Buy what isn't here; the last update of each, in the order they ended."""
        self.requests += orders
        self.resends += retry or fresh
        plan = await self.engine.plan_orders(orders, retry=retry, fresh=fresh)
        last: dict[str, CellUpdate] = {}
        async for update in self.engine.run(plan, self.stop):
            last[update.key] = update
            self.texts.append(repr(update))
            if update.error is not None:
                self.texts.append(full_traceback(update.error) + update.error.next_step)
        return list(last.values())

    async def one(self, **options: bool) -> CellUpdate:
        [update] = await self.run(**options)
        return update

    async def state(self) -> str:
        """The state of the one row that there is."""
        found = await self.engine.ledger.run(
            lambda db: db.latest(self.engine.provider, [request.key for request in self.requests])
        )
        [record] = found.values()
        return record.state
