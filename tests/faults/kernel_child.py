"""One kernel of the kill tests, as a process: runs a sweep on a home at an address and prints what became of it.

    python kernel_child.py HOME BASE_URL SEEDS

QWEN_TEST_TEXTS="a fox|a cat" has these enhanced in place of the sweep. QWEN_TEST_KILL_AT="point:n" kills it by SIGKILL when it comes to a point for the n-th time; the points are patched in
here, the package knows nothing of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from qwen_widgets.core import pacing, reconcile
from qwen_widgets.core.engine import Engine
from qwen_widgets.core.enhancer import TextRequest
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.core.transport import Timeouts
from qwen_widgets.core.wavespeed import WaveSpeed

POINTS = ("after_post", "before_commit_of_id", "after_rename", "before_stored_row")


class Countdown:
    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, count: int) -> None:
    die = Countdown(count)
    submit, accept, keep, move = WaveSpeed.submit, Store.accept, PictureStore.keep, Store.move
    if point == "after_post":

        async def posted(self, *args):
            answer = await submit(self, *args)
            die()
            return answer

        WaveSpeed.submit = posted
    elif point == "before_commit_of_id":

        def accepted(self, *args, **options):
            accept(self, *args, **options)
            die()

        Store.accept = accepted
    elif point == "after_rename":

        def kept(self, *args):
            path = keep(self, *args)
            die()
            return path

        PictureStore.keep = kept
    elif point == "before_stored_row":

        def moved(self, row_id, state, **options):
            move(self, row_id, state, **options)
            if state == "stored":
                die()

        Store.move = moved
    else:
        raise ValueError(point)


async def main(home: str, base_url: str, seeds: str) -> None:
    pacing.DEFAULT_RETRY = 2.0
    reconcile.SETTLE = (1.0, 4.0, 8.0, 16.0)
    ledger = Ledger(Path(home))
    client = WaveSpeed(
        base_url, ApiKey("canary-5f0e9b7c1d-key"), timeouts=Timeouts(read=5, whole_call=10, whole_download=20)
    )
    engine = Engine(
        client, ledger, PictureStore(Path(home)), provider=client.origin, usual=0.03, time_scale=0.01
    )
    if "QWEN_TEST_TEXTS" in os.environ:
        plan = await engine.plan_orders(
            [TextRequest(text) for text in os.environ["QWEN_TEST_TEXTS"].split("|")]
        )
    else:
        plan = await engine.plan(plan_sweep("a red fox", seeds=seeds, sizes=(256, 256)))
    states: dict[str, str] = {}
    cached = 0
    async for update in engine.run(plan, Stop()):
        states[update.key] = update.state
        cached += update.cached
    await client.aclose()
    ledger.close()
    print(json.dumps({"states": sorted(states.values()), "cached": cached}))  # noqa: T201


if __name__ == "__main__":
    if "QWEN_TEST_KILL_AT" in os.environ:
        point, _, count = os.environ["QWEN_TEST_KILL_AT"].partition(":")
        arm(point, int(count or "1"))
    asyncio.run(main(*sys.argv[1:]))
