"""Many predictions are looked at together, by a page of the history; it brings good news, and proves nothing else."""

from __future__ import annotations

import asyncio
import json

import pytest
from server import contract, edited, reply, with_data

from qwen_widgets.core import pacing
from qwen_widgets.core.pacing import DEFAULT_RHYTHM


@pytest.fixture
def many(server, rig):
    """Twenty at a time, with predictions that take a third of a second and are polled as if that were 6.5 s."""
    rig.engine.at_once = 20
    rig.engine.usual = server.seconds = 0.35
    return rig


def polls(server, scale: float) -> int:
    """The most looks in any span that stands for a second."""
    times = sorted(seen.at for route in ("result", "history") for seen in server.requests(route))
    return max(sum(at <= other < at + scale for other in times) for at in times)


async def test_many_are_looked_at_together(server, many):
    """No single answer says that anything is completed, and the pictures arrive all the same."""
    server.on_result(with_data(status="processing", outputs=[]), times=None)
    running = asyncio.create_task(many.run(seeds="1-20"))
    await server.reached("picture", 5)
    server.forget("result")
    updates = await running
    assert [update.state for update in updates] == ["stored"] * 20
    assert len(server.submits) == 20


async def test_few_are_asked_one_by_one(server, rig):
    await rig.run(seeds="1-6")
    assert server.requests("history") == []
    assert len(server.requests("result")) >= 6


def emptied(answer):
    answer["data"]["items"] = []


def late(answer):
    for item in answer["data"]["items"]:
        item.update(status="processing", outputs=[])


def failing(answer):
    for item in answer["data"]["items"]:
        item.update(status="failed", outputs=[], error="not so")


def without_outputs(answer):
    for item in answer["data"]["items"]:
        item.update(outputs=[])


@pytest.mark.parametrize(
    "does",
    [reply(500), reply(404), reply(200, b"{"), *map(edited, (emptied, late, failing, without_outputs))],
    ids=["500", "no such call", "garbage", "empty", "lags", "says failed", "names no outputs"],
)
async def test_a_page_that_is_of_no_use_keeps_nothing_from_arriving(does, server, many):
    """What it doesn't say is asked of each prediction itself, within the budget of polls."""
    server.on_history(does, times=None)
    updates = await many.run(seeds="1-24")
    assert [update.state for update in updates] == ["stored"] * 24
    assert len(server.submits) == 24


async def test_a_page_that_lags_is_not_asked_for_again_and_again(server, many):
    server.on_history(edited(late), times=None)
    await many.run(seeds="1-40")
    assert len(server.requests("history")) < 20


async def test_polls_of_all_kinds_keep_to_the_budget(server, many):
    server.on_history(reply(500), times=None)
    await many.run(seeds="1-40")
    scale = many.engine.usual / pacing.USUAL_DURATION
    # Two may be nearer to each other when they arrive than when they were sent.
    assert polls(server, 0.9 * scale) <= DEFAULT_RHYTHM.most_polls + 4


async def test_a_run_of_durations_counts_while_it_lasts(server, rig):
    """The ledger is read once; what ends in this run is known to the polls of the next one in the same run."""
    rig.engine.at_once = 1
    seen: list[int] = []
    delays = rig.engine.delays

    def watched(known, age):
        seen.append(len(known))
        return delays(known, age)

    rig.engine.delays = watched
    await rig.run(seeds="1-4")
    assert seen == [0, 1, 2, 3]


def test_the_rhythm_follows_what_is_usual_whenever_that_is_set(rig):
    engine = rig.engine
    engine.usual = 0.05
    assert engine.rhythm == DEFAULT_RHYTHM.scaled(0.05 / pacing.USUAL_DURATION)
    engine.usual = 60.0
    assert engine.rhythm == DEFAULT_RHYTHM
    engine.usual = 0.65
    assert engine.rhythm.first == pytest.approx(0.1)


def test_a_poll_is_worth_more_while_pictures_wait_for_its_slot(rig):
    engine = rig.engine
    engine.at_once = 16
    assert engine._worth() == 1.0
    engine.waiting = 80
    assert engine._worth() == 6.0


async def test_a_slot_is_no_worth_while_the_gate_holds_everything_back(rig):
    engine = rig.engine
    engine.waiting = 80
    engine.gate.limited(100.0)
    waiting = asyncio.create_task(engine.gate.turn(rig.stop).__aenter__())
    await asyncio.sleep(0)
    assert engine._worth() == 1.0
    rig.stop.set()
    await waiting


@pytest.mark.parametrize("wording", ["You have reached your concurrency limit", "too many concurrent tasks"])
async def test_the_kind_of_limit_is_read_once_from_what_the_service_says(wording, server, rig):
    server.seconds = 0.2
    server.on_submit(
        contract, contract, reply(429, json.dumps({"code": 429, "message": wording}), retry_after_ms="10")
    )
    await rig.run(seeds="1-4")
    assert rig.engine.gate.slots is not None
    assert rig.engine.gate.window is None
