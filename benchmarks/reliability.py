"""What a fault costs: the official client and this package against the same server in the same run.

    python benchmarks/reliability.py

Times are scaled down (the figures are given as if they were not); the server is that of the fault tests.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "faults"))

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

KEY = "a-key-for-the-benchmark"
MEDIAN = 6.5


class Service(FaultServer):
    """The fault server with durations like the hosted model's, a rate limit, and a log of who asked when."""

    def __init__(self, *, scale: float, per_minute: int | None = None) -> None:
        self.scale = scale
        self.per_minute = per_minute
        self.limited = 0
        self._taken: list[float] = []
        super().__init__(seconds=0.0)

    def seconds_of(self, made: Made) -> float:
        digest = hashlib.sha256(made.key.encode()).digest()
        rng = random.Random(digest)
        wide = 0.75 if rng.random() < 0.05 else 0.25
        return MEDIAN * math.exp(rng.gauss(0, wide)) * self.scale

    def _describe(self, made: Made) -> dict[str, Any]:
        self.seconds = self.seconds_of(made)
        return super()._describe(made)

    def _contract(self, x: Exchange) -> tuple[int, bytes, dict[str, str]]:
        if x.seen.route == "submit" and self.per_minute is not None:
            now = time.time()
            self._taken = [at for at in self._taken if at > now - 60 * self.scale]
            if len(self._taken) >= self.per_minute:
                self.limited += 1
                return 429, as_bytes({"code": 429, "message": "You have reached your rate limit"}), {}
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
    def polls_per_picture(self) -> float:
        return len(self.requests("result")) / max(1, len(self.predictions))


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
    """A rate limit that nobody told us of."""
    server = Service(scale=scale, per_minute=per_minute)
    began = time.monotonic()
    updates = ours(server, f"0-{count - 1}", scale=scale)
    took = (time.monotonic() - began) / scale
    bound = (math.ceil(count / per_minute) - 1) * 60 + MEDIAN
    stored = sum(update.state == "stored" for update in updates)
    table(
        f"{count} pictures at {per_minute} a minute (run at {scale} of the time)",
        [
            ("stored", "answers 429", "time", "bound", "time / bound"),
            (
                f"{stored} of {count}",
                str(server.limited),
                f"{took:.0f} s",
                f"{bound:.0f} s",
                f"{took / bound:.2f}",
            ),
        ],
    )
    server.stop()


def throughput(count: int = 48) -> None:
    """What a 1024×1024 picture costs this machine, from order to thumbnail."""
    server = Service(scale=0.0005)
    picture((1024, 1024), 1)
    server._scripts["picture"].append([_same_picture, None])
    cpu, began = time.process_time(), time.monotonic()
    before = sum(_thread_time(thread) for thread in [server._thread])
    updates = ours(server, f"0-{count - 1}", scale=0.0005, at_once=16, size="1024x1024")
    took, spent = time.monotonic() - began, time.process_time() - cpu
    served = sum(_thread_time(thread) for thread in [server._thread]) - before
    stored = sum(update.state == "stored" for update in updates)
    table(
        "1024×1024, from order to thumbnail",
        [
            ("stored", "CPU a picture, the server's aside", "pictures a second"),
            (f"{stored} of {count}", f"{(spent - served) / count * 1000:.0f} ms", f"{count / took:.1f}"),
        ],
    )
    server.stop()


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
    "rate": rate,
    "throughput": throughput,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
