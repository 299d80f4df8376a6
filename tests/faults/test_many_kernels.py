"""Two kernels, one home, the same cell at the same time: each picture is bought once, and both have all of them."""

from __future__ import annotations

import asyncio
import json

from server import contract, lose_answer, reply
from test_kill import CELLS, check, start


async def both(server, home, env):
    children = [await start(home, server, env) for _ in range(2)]
    ends = await asyncio.gather(*(child.communicate() for child in children))
    for child, (_, err) in zip(children, ends, strict=True):
        assert child.returncode == 0, err.decode()
    return [json.loads(out) for out, _ in ends]


async def test_two_kernels_buy_each_picture_once(server, qwen_home, child_env, tmp_path):
    """Slow enough that each finds the other's rows at every stage."""
    server.seconds = 0.5

    async def slow(x):
        await asyncio.sleep(0.05)
        await contract(x)

    server.on_submit(slow, times=None)
    ends = await both(server, qwen_home, child_env(tmp_path, home=qwen_home))
    assert [end["states"] for end in ends] == [["stored"] * CELLS] * 2
    assert len(server.submits) == CELLS
    # Between them each was bought by one and watched, or found, by the other.
    assert sum(end["cached"] for end in ends) == CELLS
    check(server, qwen_home)


async def test_two_kernels_with_lost_answers_and_a_limit(server, qwen_home, child_env, tmp_path):
    server.on_submit(contract, lose_answer, reply(429, retry_after_ms="10"), lose_answer, contract)
    env = child_env(tmp_path, home=qwen_home)
    first = await both(server, qwen_home, env)
    again = await both(server, qwen_home, env)
    assert first
    assert [end["states"] for end in again] == [["stored"] * CELLS] * 2
    check(server, qwen_home)


async def test_the_second_kernel_finds_all_of_the_first(server, qwen_home, child_env, tmp_path):
    env = child_env(tmp_path, home=qwen_home)
    for bought in (0, CELLS):
        child = await start(qwen_home, server, env)
        out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        assert json.loads(out) == {"states": ["stored"] * CELLS, "cached": bought}
    assert len(server.submits) == CELLS
    check(server, qwen_home)
