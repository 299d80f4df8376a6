"""SIGKILL at random instants and at named points: restarted until done, nothing is lost, paid twice or broken.

With everything else mixed in: test_kill_in_weather.py
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from kernel_child import POINTS
from rig import a_request, check_invariants
from server import accepted, contract, fin, lose_answer, reply, truncated

CHILD = Path(__file__).with_name("kernel_child.py")
CELLS = 12
SEEDS = f"1-{CELLS}"
REQUESTS = [a_request(seed=seed) for seed in range(1, CELLS + 1)]
_MOST_RESTARTS = 8


def chaos(rnd: random.Random, *behaviours, share: float):
    """One of these in a share of the cases, else the contract."""

    async def behave(x):
        await (rnd.choice(behaviours) if rnd.random() < share else contract)(x)

    return behave


def nothing() -> None:
    pass


def troubled(server, rnd: random.Random) -> None:
    server.on_arrival = nothing

    def counted(behave):
        async def count(x):
            x.server.on_arrival()
            await behave(x)

        return count

    spoilt = chaos(
        rnd,
        lose_answer,
        accepted(reply(502, "bad gateway")),
        reply(429, "slow down", retry_after_ms="20"),
        accepted(fin),
        share=0.3,
    )
    server.on_submit(counted(spoilt), times=None)
    server.on_picture(chaos(rnd, truncated(1500, fin), share=0.2), times=None)


async def start(home: Path, server, env: dict[str, str], kill_at: str | None = None):
    extra = {"QWEN_TEST_KILL_AT": kill_at} if kill_at else {}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), str(home), server.base_url, SEEDS),
        env=env | extra,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def until_stored(home: Path, server, env: dict[str, str]) -> None:
    """Run the cell again, as a user does, until all is here."""
    for _ in range(_MOST_RESTARTS):
        child = await start(home, server, env)
        out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        if json.loads(out)["states"] == ["stored"] * CELLS:
            return
    raise AssertionError(f"not all is here: {out.decode()}")


def check(server, home: Path) -> None:
    check_invariants(server, home, REQUESTS)
    assert sorted(server.paid) == sorted(request.key for request in REQUESTS)
    assert len(list((home / "pictures").rglob("*.png"))) == CELLS


@pytest.mark.parametrize("kill_round", range(10))
def test_killed_it_is_taken_up_again(server, qwen_home, child_env, tmp_path, kill_round):
    """Rounds 0 and 5: killed twice at random instants. The others: once at each named point in turn."""
    rnd = random.Random(kill_round)
    troubled(server, rnd)
    env = child_env(tmp_path, home=qwen_home)

    async def at_random() -> int:
        """Kill it a little after one of its orders has arrived, or when it has just ended."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        counted = rnd.randint(1, CELLS)

        def count() -> None:
            nonlocal counted
            counted -= 1
            if counted == 0:
                loop.call_soon_threadsafe(arrived.set)

        server.on_arrival = count
        child = await start(qwen_home, server, env)
        tasks = [asyncio.create_task(arrived.wait()), asyncio.create_task(child.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tasks[0].cancel()
        await asyncio.wait(tasks[1:], timeout=rnd.uniform(0, 0.15))
        server.on_arrival = nothing
        if child.returncode is None:
            child.kill()
        await child.communicate()
        return await tasks[1]

    async def at_a_point() -> int:
        point = POINTS[kill_round % 5 - 1]
        child = await start(qwen_home, server, env, f"{point}:{rnd.randint(1, 6)}")
        await child.communicate()
        return child.returncode

    async def everything() -> list[int]:
        ends = [await at_random(), await at_random()] if kill_round % 5 == 0 else [await at_a_point()]
        await until_stored(qwen_home, server, env)
        return ends

    ends = asyncio.run(everything())
    if kill_round % 5:
        assert ends == [-signal.SIGKILL]
    check(server, qwen_home)


async def test_stopped_dead_by_the_system_it_lets_the_row_go(server, qwen_home, child_env, tmp_path):
    """A kernel that is killed with an order on its way leaves a row that the next one takes up at once."""
    env = child_env(tmp_path, home=qwen_home)
    child = await start(qwen_home, server, env, "before_commit_of_id:1")
    await child.communicate()
    assert child.returncode == -signal.SIGKILL
    bought = {key: list(ids) for key, ids in server.paid.items()}
    assert bought
    await until_stored(qwen_home, server, env)
    assert {key: server.paid[key] for key in bought} == bought
    check(server, qwen_home)
    assert os.getpid() != child.pid
