"""The portal's loop stays free: whatever takes long (fsync, decoding, thumbnails, SQLite) is done elsewhere."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable

import pytest
from rig import Rig

from qwen_widgets.core.sweep import plan_sweep

#: Seconds of CPU that one step may take on the loop. CPU and not wall time: the machine's other work is not ours.
MOST = 0.010


async def test_no_step_of_a_run_blocks_the_loop(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    rig = make_rig()
    sweep = plan_sweep("a red fox", seeds="1-8", sizes="1024x1024")
    rig.requests += sweep.unique
    steps: list[tuple[float, str]] = []
    run = asyncio.events.Handle._run
    here = threading.get_ident()

    def timed(handle: asyncio.events.Handle) -> None:
        began = time.thread_time()
        run(handle)
        # The server has a loop of its own, in a thread of its own.
        if threading.get_ident() == here:
            steps.append((time.thread_time() - began, repr(handle)))

    plan = await rig.engine.plan(sweep)
    # The first picture opens connections and reads certificates; that is once a process.
    first = await rig.engine.plan(plan_sweep("a red fox", seeds="1", sizes="1024x1024"))
    async for _ in rig.engine.run(first, rig.stop):
        pass
    monkeypatch.setattr(asyncio.events.Handle, "_run", timed)
    # A collection comes in whichever step it comes, and belongs to none.
    gc.disable()
    request.addfinalizer(gc.enable)
    states = {update.key: update.state async for update in rig.engine.run(plan, rig.stop)}
    monkeypatch.undo()
    assert set(states.values()) == {"stored"}
    assert len(steps) > 24
    slow = sorted(step for step in steps if step[0] > MOST)
    assert slow == []
