"""What a fault costs: the official client and this package against the same server in the same run.

    python benchmarks/reliability.py

Times are scaled down (the figures are given as if they were not); the server is that of the fault tests. A figure that
is worse than the one in noted.json is said so, and the command ends with 1.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import requests
import wavespeed
import wavespeed.config

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))

from noted import compare
from server import (
    Exchange,
    FaultServer,
    Made,
    accepted,
    as_bytes,
    contract,
    hang,
    lose_answer,
    picture,
    redirect,
    reply,
)

from qwen_widgets.core import pacing
from qwen_widgets.core.engine import CellUpdate, Engine
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.models import DEFAULT_MODEL
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.core.transport import Timeouts
from qwen_widgets.core.wavespeed import WaveSpeed
from qwen_widgets.offline.service import OFFLINE_BASE_URL, OfflineService, ServiceSettings

KEY = "a-key-for-the-benchmark"
MEDIAN = 6.5


class Service(FaultServer):
    """The fault server with durations like the hosted model's, a rate limit, and a log of who asked when."""

    def __init__(
        self,
        *,
        scale: float,
        limit: int | None = None,
        span: float = 60.0,
        names: bool = False,
        even: float | None = None,
    ) -> None:
        self.scale = scale
        #: Submits that are taken in any span, seconds; whether a refusal names the wait until there is room.
        self.limit, self.span, self.names = limit, span * scale, names
        #: Seconds that every prediction takes, in place of durations as the hosted model has them.
        self.even = even
        self.limited = 0
        self._taken: list[float] = []
        super().__init__(seconds=0.0)

    def seconds_of(self, made: Made) -> float:
        if self.even is not None:
            return self.even * self.scale
        digest = hashlib.sha256(made.key.encode()).digest()
        rng = random.Random(digest)
        wide = 0.75 if rng.random() < 0.05 else 0.25
        return MEDIAN * math.exp(rng.gauss(0, wide)) * self.scale

    def _describe(self, made: Made) -> dict[str, Any]:
        self.seconds = self.seconds_of(made)
        return super()._describe(made)

    def _contract(self, x: Exchange) -> tuple[int, bytes, dict[str, str]]:
        if x.seen.route == "submit" and self.limit is not None:
            now = time.time()
            self._taken = [at for at in self._taken if at > now - self.span]
            if len(self._taken) >= self.limit:
                self.limited += 1
                wait = (self._taken[0] + self.span - now) * 1000
                headers = {"Retry-After-Ms": f"{wait:.0f}"} if self.names else {}
                return 429, as_bytes({"code": 429, "message": "You have reached your rate limit"}), headers
            self._taken.append(now)
        return super()._contract(x)

    def delays(self) -> list[float]:
        """Seconds, unscaled, from each prediction's end to the poll that saw it."""
        found = []
        for made in self.predictions.values():
            done = made.created + self.seconds_of(made)
            polls = [
                seen.at for seen in self.requests("result") if made.id in seen.target and seen.at >= done
            ]
            if polls:
                found.append((min(polls) - done) / self.scale)
        return found

    @property
    def polls(self) -> list[float]:
        """When it was asked how predictions stand, one by one or a page of them."""
        return sorted(seen.at for route in ("result", "history") for seen in self.requests(route))

    @property
    def polls_per_picture(self) -> float:
        return len(self.polls) / max(1, len(self.predictions))

    @property
    def most_polls(self) -> int:
        """The most polls in any one second, unscaled."""
        polls = self.polls
        return max(sum(at <= other < at + self.scale for other in polls) for at in polls)


def official(server: FaultServer) -> wavespeed.Client:
    return wavespeed.Client(api_key=KEY, base_url=server.origin)


def official_picture(server: FaultServer, seed: int, poll: float) -> bool:
    """One picture as the official client's documentation gets it; whether it arrived."""
    inputs = {"prompt": "a red fox", "size": "256*256", "seed": seed}
    try:
        outputs = official(server).run(DEFAULT_MODEL.id, inputs, poll_interval=poll)["outputs"]
        return requests.get(outputs[0], timeout=10).ok
    except Exception:
        return False


def ours(
    server: FaultServer, seeds: str, *, scale: float, at_once: int = 8, size: str = "256x256", known: int = 0
) -> list[CellUpdate]:
    """A sweep by this package's engine; the last update of each request."""

    async def run() -> list[CellUpdate]:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            ledger = Ledger(home)
            client = WaveSpeed(server.base_url, ApiKey(KEY), timeouts=Timeouts(read=2, whole_call=3))
            if known:
                rng = random.Random(1)
                for _ in range(known):
                    seconds = MEDIAN * math.exp(rng.gauss(0, 0.25)) * scale
                    await ledger.run(
                        lambda db, s=seconds: db.write_duration(client.origin, DEFAULT_MODEL.id, s)
                    )
            engine = Engine(
                client, ledger, PictureStore(home), provider=client.origin, at_once=at_once, time_scale=scale
            )
            engine.usual = MEDIAN * scale
            plan = await engine.plan(plan_sweep("a red fox", seeds=seeds, sizes=size))
            last = {update.key: update async for update in engine.run(plan, pacing.Stop())}
            await client.aclose()
            ledger.close()
            return list(last.values())

    return asyncio.run(run())


def table(title: str, rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"\n{title}")
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def faults() -> None:
    """How often an order is sent when something goes wrong behind it."""
    rows = [("one picture, and its order's", "official", "ours", "ours ends")]
    for name, behaviour in (
        ("answer is lost", lose_answer),
        ("answer never comes", accepted(hang)),
        ("answer is a 500", accepted(reply(500, "oops"))),
        ("answer is a 307 to elsewhere", None),
    ):
        counts, end = [], ""
        for who in ("official", "ours"):
            server, elsewhere = Service(scale=0.01), Service(scale=0.01)
            server.on_submit(behaviour or redirect(f"{elsewhere.base_url}/{DEFAULT_MODEL.id}", 307))
            if who == "official":
                wavespeed.config.api.read_timeout = 2
                official_picture(server, 1, 0.01)
                wavespeed.config.api.read_timeout = None
            else:
                (update,) = ours(server, "1", scale=0.01)
                end = update.state
            followed = f" and {len(elsewhere.submits)} followed" if behaviour is None else ""
            counts.append(f"{len(server.submits)}{followed}")
            server.stop()
            elsewhere.stop()
        rows.append((name, *counts, end))
    table("Orders sent", rows)


def delivered(count: int = 240, share: float = 0.12) -> None:
    """What arrives of what is paid for, when answers are lost."""
    rows = [(f"{count} pictures, {share:.0%} of the answers lost", "official", "ours")]
    paid, here = [], []
    for who in ("official", "ours"):
        server = Service(scale=0.003)
        lottery = random.Random(7)

        async def now_and_then(x: Exchange, lottery: random.Random = lottery) -> None:
            await (lose_answer if lottery.random() < share else contract)(x)

        server.on_submit(now_and_then, times=None)
        if who == "official":
            with ThreadPoolExecutor(8) as pool:
                got = sum(pool.map(partial(official_picture, server, poll=0.01), range(count)))
        else:
            updates = ours(server, f"0-{count - 1}", scale=0.003)
            got = sum(update.state == "stored" for update in updates)
        paid.append(str(len(server.predictions)))
        here.append(str(got))
        server.stop()
    table("Paid for and delivered", [*rows, ("paid for", *paid), ("delivered", *here)])


def polling(count: int = 160, scale: float = 0.1) -> None:
    """How long a finished picture waits to be noticed, and what noticing costs."""
    results: dict[str, tuple[float, float]] = {}
    for who in ("official", "ours"):
        server = Service(scale=scale)
        if who == "official":
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(partial(official_picture, server, poll=1.0 * scale), range(count)))
        else:
            ours(server, f"0-{count - 1}", scale=scale, known=48)
        results[who] = (statistics.mean(server.delays()), server.polls_per_picture)
        server.stop()
    (theirs, their_polls), (mine, my_polls) = results["official"], results["ours"]
    compare("polling, delay, ours / official", mine / theirs)
    compare("polling, polls a picture, ours / official", my_polls / their_polls)
    table(
        f"Polling, durations of {MEDIAN} s in the middle (run at {scale} of the time)",
        [
            ("", "official", "ours", "ours / official"),
            (
                "from its end to the poll that sees it",
                f"{theirs:.2f} s",
                f"{mine:.2f} s",
                f"{mine / theirs:.2f}",
            ),
            ("polls a picture", f"{their_polls:.1f}", f"{my_polls:.1f}", f"{my_polls / their_polls:.2f}"),
        ],
    )


def rate(count: int = 60, per_minute: int = 10, scale: float = 0.05) -> None:
    """A rate limit that nobody told us of, and one whose refusals name the wait."""
    rows = [("", "stored", "answers 429", "time", "bound", "time / bound")]
    for number, limit, span, names, even, slower in (
        (count, per_minute, 60.0, False, None, scale),
        (30, 10, 6.0, True, 0.5, 1.0),
    ):
        server = Service(scale=slower, limit=limit, span=span, names=names, even=even)
        began = time.monotonic()
        updates = ours(server, f"0-{number - 1}", scale=slower)
        took = (time.monotonic() - began) / slower
        bound = (math.ceil(number / limit) - 1) * span + (MEDIAN if even is None else even)
        stored = sum(update.state == "stored" for update in updates)
        title = f"{number} at {limit} in {span:.0f} s" + (", with a named wait" if names else "")
        rows.append(
            (
                title,
                f"{stored} of {number}",
                str(server.limited),
                f"{took:.1f} s",
                f"{bound:.1f} s",
                f"{took / bound:.2f}",
            )
        )
        server.stop()
        compare(f"rate, time / bound{', named wait' if names else ''}", took / bound)
    table(f"Pictures through a rate limit (the first at {scale} of the time)", rows)


def pace(count: int = 96, seconds: float = MEDIAN, scale: float = 0.5) -> None:
    """A long run whose slots are what holds it back, downloads included; the bound is that of the slots alone."""
    rows = [("at a time", "whose", "time", "bound", "time / bound", "polls a picture", "most polls a second")]
    for at_once in (16, 48):
        ratios, polls = {}, {}
        for who in ("official", "ours"):
            server = Service(scale=scale, even=seconds)
            began = time.monotonic()
            if who == "official":
                with ThreadPoolExecutor(at_once) as pool:
                    got = sum(pool.map(partial(official_picture, server, poll=1.0 * scale), range(count)))
            else:
                updates = ours(server, f"0-{count - 1}", scale=scale, at_once=at_once)
                got = sum(update.state == "stored" for update in updates)
            took = (time.monotonic() - began) / scale
            assert got == count, f"{got} of {count} arrived"
            bound = math.ceil(count / at_once) * seconds
            ratios[who], polls[who] = took / bound, server.polls_per_picture
            rows.append(
                (
                    str(at_once),
                    who,
                    f"{took:.1f} s",
                    f"{bound:.1f} s",
                    f"{ratios[who]:.3f}",
                    f"{polls[who]:.1f}",
                    str(server.most_polls),
                )
            )
            server.stop()
        compare(f"pace, time / bound, {at_once} at a time", ratios["ours"])
        compare("pace, ours / official", ratios["ours"] / ratios["official"])
        compare("pace, polls a picture, ours / official", polls["ours"] / polls["official"])
    table(f"{count} pictures of {seconds} s (run at {scale} of the time)", rows)


def embedded(count: int = 3, seconds: float = 0.05) -> None:
    """The embedded service, polled in its own rhythm."""

    async def run() -> tuple[float, int]:
        with tempfile.TemporaryDirectory() as folder:
            home, ledger = Path(folder), Ledger(Path(folder))
            service = OfflineService(ServiceSettings(duration=seconds))
            client = WaveSpeed(OFFLINE_BASE_URL, None, app=service.app)
            engine = Engine(client, ledger, PictureStore(home), provider="offline", free=True)
            # As the studio does it: after the engine was made.
            engine.usual = seconds
            took = 0.0
            # The first one loads the painter.
            for seeds in ("0", f"1-{count}"):
                plan = await engine.plan(plan_sweep("a red fox", seeds=seeds, sizes="256x256"))
                began = time.monotonic()
                last = {update.key: update async for update in engine.run(plan, pacing.Stop())}
                took = time.monotonic() - began
            await client.aclose()
            ledger.close()
            return took, sum(update.state == "stored" for update in last.values())

    took, stored = asyncio.run(run())
    table(
        f"{count} pictures of 256×256 by the embedded service, {seconds} s each",
        [("stored", "time"), (f"{stored} of {count}", f"{took:.2f} s")],
    )
    compare("embedded, seconds for three pictures", took)


def throughput(count: int = 48) -> None:
    """What a 1024×1024 picture costs this machine, from order to thumbnail: nothing is waited for."""
    server = Service(scale=0.0005)
    picture((1024, 1024), 1)
    server.on_picture(_same_picture, times=None)
    # What is loaded once is no part of a picture.
    ours(server, "1000", scale=0.0005, size="1024x1024")
    cpu, began, before = time.process_time(), time.monotonic(), _thread_time(server._thread)
    updates = ours(server, f"0-{count - 1}", scale=0.0005, at_once=16, size="1024x1024")
    took, spent = time.monotonic() - began, time.process_time() - cpu
    served = _thread_time(server._thread) - before
    stored = sum(update.state == "stored" for update in updates)
    cost, speed = (spent - served) / count * 1000, count / took
    table(
        "1024×1024, from order to thumbnail",
        [
            ("stored", "CPU a picture, the server's aside", "pictures a second"),
            (f"{stored} of {count}", f"{cost:.0f} ms", f"{speed:.1f}"),
        ],
    )
    server.stop()
    compare("throughput, ms of CPU a picture", cost)
    compare("throughput, pictures a second", speed)


async def _same_picture(x: Exchange) -> None:
    data = picture((1024, 1024), 1)
    await x.answer(200, data, {"Content-Type": "image/png"})


def _thread_time(thread: threading.Thread) -> float:
    """Return the CPU seconds of a thread, 0 where the system doesn't tell."""
    try:
        clock = time.pthread_getcpuclockid(thread.ident or 0)
        return time.clock_gettime(clock)
    except (AttributeError, OSError):
        return 0.0


PARTS: dict[str, Callable[[], None]] = {
    "faults": faults,
    "delivered": delivered,
    "polling": polling,
    "pace": pace,
    "rate": rate,
    "embedded": embedded,
    "throughput": throughput,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
