"""What a user, a network, a service and a clock can do, in any order: I1–I4 hold after every step."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from rig import CANARY, PATIENT, a_request, check_invariants
from server import FaultServer, accepted, fin, lose_answer, reply, reset, truncated

from qwen_widgets.core import owner, pacing, reconcile
from qwen_widgets.core.engine import Engine
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.pacing import Clock, Stop
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.core.wavespeed import WaveSpeed

SEEDS = 4
REQUESTS = [a_request(seed=seed) for seed in range(1, SEEDS + 1)]
#: Process ids that are alive in this world; a killed kernel's is not.
ALIVE: set[int] = set()
LOST = {
    "lost": lose_answer,
    "502 after it was made": accepted(reply(502)),
    "cut after it was made": accepted(fin),
    "reset on the way": reset,
    "500": reply(500),
    "429": reply(429, "slow down", retry_after_ms="5"),
    "not JSON, made": accepted(reply(200, "OK")),
}


class Kernel:
    """An engine with a ledger of its own, which can be killed: nothing of it is written afterwards."""

    def __init__(self, home: Path, server: FaultServer, clock: Clock) -> None:
        self.pid = random.getrandbits(30)
        ALIVE.add(self.pid)
        self.ledger = Ledger(home, clock=clock.wall)
        store = self.ledger._store
        store.owner = ":".join([str(self.pid), store.owner.split(":")[1], uuid.uuid4().hex[:8]])
        self.client = WaveSpeed(server.base_url, ApiKey(CANARY), timeouts=PATIENT)
        self.engine = Engine(
            self.client,
            self.ledger,
            PictureStore(home),
            provider=self.client.origin,
            usual=0.03,
            time_scale=0.01,
            clock=clock,
        )

    async def run(self, seeds: str, stop: Stop | None = None) -> dict[str, str]:
        plan = await self.engine.plan(plan_sweep("a red fox", seeds=seeds, sizes=(256, 256)))
        states: dict[str, str] = {}
        async for update in self.engine.run(plan, stop or Stop()):
            states[update.key] = update.state
        return states

    async def die(self) -> None:
        """Nothing more is written; then what still runs is thrown away."""
        self.ledger.close()
        ALIVE.discard(self.pid)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.aclose()


class Purchases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)
        self.server = FaultServer(seconds=0.01)
        self.home = Path(tempfile.mkdtemp(prefix="qwen-machine-"))
        self.jumped = 0.0
        self.clock = Clock(wall=lambda: time.time() + self.jumped)
        self.kernel = Kernel(self.home, self.server, self.clock)

    def do(self, work):
        async def in_time():
            async with asyncio.timeout(90):
                return await work

        return self.loop.run_until_complete(in_time())

    @initialize(seconds=st.sampled_from([0.0, 0.01, 0.05]), echo=st.booleans())
    def service(self, seconds, echo):
        self.server.seconds = seconds
        self.server.echo = echo

    @rule(names=st.lists(st.sampled_from(sorted(LOST)), min_size=1, max_size=4))
    def the_next_answers_are_lost(self, names):
        self.server.on_submit(*[LOST[name] for name in names])

    @rule(times=st.integers(1, 6))
    def the_history_is_down(self, times):
        self.server.on_history(reply(500), times=times)

    @rule(times=st.integers(1, 3))
    def downloads_break(self, times):
        self.server.on_picture(truncated(1000, fin), times=times)

    @rule(times=st.integers(1, 3))
    def polls_fail(self, times):
        self.server.on_result(reply(429), reply(500), times=times)

    @rule(seeds=st.sampled_from(["1", "2", "1-2", "3-4", f"1-{SEEDS}"]))
    def a_cell_is_run(self, seeds):
        states = self.do(self.kernel.run(seeds))
        assert not {"planned", "sending", "failed"} & set(states.values()), states

    @rule(seeds=st.sampled_from(["1-2", f"1-{SEEDS}"]), moment=st.floats(0, 0.08))
    def a_cell_is_run_and_the_kernel_killed(self, seeds, moment):
        async def begin() -> None:
            running = asyncio.ensure_future(self.kernel.run(seeds))
            await asyncio.wait({running}, timeout=moment)
            await self.kernel.die()

        self.do(begin())
        self.kernel = Kernel(self.home, self.server, self.clock)

    @rule(seeds=st.sampled_from(["1-2", f"1-{SEEDS}"]), moment=st.floats(0, 0.05))
    def a_cell_is_run_and_stopped(self, seeds, moment):
        async def begin() -> None:
            stop = Stop()
            running = asyncio.ensure_future(self.kernel.run(seeds, stop))
            await asyncio.wait({running}, timeout=moment)
            stop.set()
            await running

        self.do(begin())

    @rule()
    def the_strays_are_fetched(self):
        self.do(self.kernel.engine.fetch_strays(Stop()))

    @rule(seconds=st.sampled_from([-7200.0, -40.0, 40.0, 7200.0]))
    def the_clock_is_set(self, seconds):
        self.jumped += seconds

    @rule()
    def pictures_expire(self):
        """The service deletes what is a week old, and so is known here by then."""
        known = self.kernel.ledger.wait(lambda db: db.prediction_ids(self.kernel.engine.provider))
        for prediction_id in known:
            self.server.predictions.pop(prediction_id, None)

    @invariant()
    def each_is_paid_for_once(self):
        for key, bought in self.server.paid.items():
            assert len(bought) == 1, f"I1: {len(bought)} predictions for {key}"

    def teardown(self):
        try:
            # The network is well again: everything comes to an end, and what can be had is had.
            for route in ("submit", "result", "history", "picture"):
                self.server._scripts[route].clear()
            self.do(self.kernel.run(f"1-{SEEDS}"))
            self.each_is_paid_for_once()
            # Against the clock of the rows: I3 compares the server's with theirs.
            if self.jumped == 0:
                check_invariants(self.server, self.home, REQUESTS)
        finally:
            self.do(self.kernel.die())
            self.server.stop()
            self.loop.close()
            shutil.rmtree(self.home)


@pytest.fixture
def small_world(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(pacing, "backoff", lambda *_args, **_options: 0.0)
    monkeypatch.setattr(pacing, "DEFAULT_RETRY", 1.0)
    monkeypatch.setattr(reconcile, "SETTLE", (1.0, 2.0, 4.0))
    monkeypatch.setattr(owner, "alive", lambda pid: pid in ALIVE or pid == os.getpid())
    with stamina.set_testing(True, attempts=8, cap=True), contextlib.suppress(KeyboardInterrupt):
        yield
    ALIVE.clear()


@pytest.mark.usefixtures("small_world")
def test_in_any_order_nothing_is_lost_or_paid_twice():
    run_state_machine_as_test(
        Purchases,
        settings=settings(
            max_examples=20,
            stateful_step_count=8,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
