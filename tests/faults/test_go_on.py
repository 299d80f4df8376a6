"""Going on from a cell in place: what was offered is done in the background, and a forged message buys nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import closing

import pytest
from rig import CANARY
from server import accepted, contract, reply, reset

import qwen_widgets as qw
from qwen_widgets.core import reconcile
from qwen_widgets.core.errors import InputError, LedgerError, StoppedError
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.grid.describe import cell_actions, describe
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.show import connect
from qwen_widgets.grid.viewer import Viewer
from qwen_widgets.portal import portal
from qwen_widgets.studio import Settings, Studio


@pytest.fixture
def studio(server, monkeypatch):
    monkeypatch.setenv("WAVESPEED_API_KEY", CANARY)
    monkeypatch.setenv("QWEN_WIDGETS_BASE_URL", server.base_url)
    monkeypatch.setattr(reconcile, "SETTLE", (0.02, 0.04))
    here = Studio(Settings())
    monkeypatch.setattr("qwen_widgets.studio._default", here)
    return here


@pytest.fixture
def grid(studio) -> Grid:
    return qw.generate("a {red|blue} fox", seeds="1-2", sizes="256x256")


@pytest.fixture
def lost(studio, server) -> Grid:
    """One cell whose answer was lost, and the history can't be read."""
    server.on_submit(accepted(reset))
    server.on_history(reply(500), times=None)
    grid = qw.generate("a red fox", seeds="7", sizes="256x256")
    assert grid[0, 0].state == "unknown"
    return grid


def offers(grid: Grid, row: int = 0, column: int = 0) -> list[tuple[str, str, str]]:
    cell = next(cell for cell in describe(grid).cells if (cell.row, cell.column) == (row, column))
    return [(offer.label, offer.price, offer.key) for offer in cell.offers]


def bought(server) -> int:
    return len(server.predictions)


def test_more_seeds_come_into_the_grid_for_their_prompt_alone(grid, server):
    grid.act(1, 0, "more")
    grid.wait(60)
    assert grid.shape == (2, 6)
    assert [cell.request.seed for cell in grid if cell.row == 1] == [1, 2, 3, 4, 5, 6]
    assert [cell.request.seed for cell in grid if cell.row == 0] == [1, 2]
    assert {cell.state for cell in grid} == {"stored"}
    assert bought(server) == 8
    assert grid.done
    assert grid.message == ""
    # The other rows' places in such a column are filled by the next way.
    all_rows = next(action for action in cell_actions(grid, 1, 2) if action.key == "all")
    assert all_rows.price == "$0.03"
    grid.act(1, 2, "all")
    grid.wait(60)
    assert grid[0, 2].state == "stored"
    assert bought(server) == 9
    assert grid.cost == pytest.approx(9 * 0.027)  # the server's own price


def test_run_again_buys_the_picture_anew_and_counts_both(grid, server):
    before = grid[0, 1].prediction_id
    grid.act(0, 1, "again")
    grid.wait(60)
    assert grid[0, 1].prediction_id != before
    assert bought(server) == 5
    assert grid.cost == pytest.approx(5 * 0.027)


def test_what_runs_is_one_run_and_a_second_press_buys_nothing(grid, server):
    for _ in range(5):
        grid.act(0, 0, "again")
    assert not grid.done
    assert describe(grid).running
    assert not any(action.key for action in cell_actions(grid, 0, 0))
    with pytest.raises(InputError, match="still running"):
        grid.add(seeds="9")
    grid.wait(60)
    assert bought(server) == 5


def test_stop_of_a_run_in_place_is_heard(grid, studio, server):
    studio.configure(at_once=1)
    server.seconds = 1.5
    viewer = Viewer(describe(grid))
    connect(viewer, grid)
    grid.act(0, 0, "more")
    asyncio.run(server.reached("submit", 5))
    viewer.show(describe(grid))
    assert viewer.get_state("head")["head"]["stoppable"]
    viewer._handle_custom_msg({"type": "stop"}, [])
    grid.wait(60)
    assert bought(server) < 8
    assert "stopped" in {cell.state for cell in grid}
    stopped = next(cell for cell in grid if cell.state == "stopped")
    assert offers(grid, stopped.row, stopped.column) == [("run it", "$0.03", "again")]


@pytest.fixture
def asked_twice(studio, grid, server) -> tuple[threading.Event, threading.Event]:
    """The price is asked for anew, and waits: it was asked for, it may be answered."""
    asked, answer = threading.Event(), threading.Event()

    async def wait(x):
        asked.set()
        await asyncio.to_thread(answer.wait, 60)
        await contract(x)

    server.on("price", wait)
    return asked, answer


@pytest.mark.parametrize("key", ["more", "again"])
def test_stop_is_heard_while_a_run_in_place_is_planned(grid, server, asked_twice, key):
    asked, answer = asked_twice
    viewer = Viewer(describe(grid))
    connect(viewer, grid)
    before = grid[0, 0].path
    grid.act(0, 0, key)
    assert asked.wait(60)
    viewer.show(describe(grid))
    assert viewer.get_state("head")["head"]["stoppable"]
    viewer._handle_custom_msg({"type": "stop"}, [])
    answer.set()
    grid.wait(60)
    assert bought(server) == 4
    assert (grid.shape, grid[0, 0].path, grid.done) == ((2, 2), before, True)
    assert grid.message.startswith("Stopped before anything was bought.")
    # The Stop was that run's alone.
    grid.act(0, 0, key)
    grid.wait(60)
    assert bought(server) > 4
    assert grid.message == ""


def test_stop_is_heard_while_more_is_planned(grid, server, asked_twice):
    asked, answer = asked_twice

    def stop() -> None:
        assert asked.wait(60)
        grid.stop()
        answer.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(StoppedError, match="before anything was bought"):
        grid.add(seeds="3-4")
    stopping.join()
    assert (bought(server), grid.shape, grid.done) == (4, (2, 2), True)


class Shown:
    """A view that nobody sees."""

    def refresh(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def choose(self, choices: object) -> None:
        pass


def launched(studio, grid: Grid, *, stopped: bool = False) -> Future[None]:
    """Begin a run as a panel does."""
    sweep = plan_sweep("a red fox", seeds="5-6", sizes=(256, 256))
    job = portal.run(studio.plan_into(grid, sweep, max_cost=None))
    if stopped:
        job.stop.set()
    return portal.submit(studio.launch(job, Shown()))


def test_a_job_that_is_stopped_before_it_is_launched_buys_nothing(grid, studio, server):
    launched(studio, grid, stopped=True).result(20)
    assert [cell.state for cell in grid if cell.column > 1] == ["stopped"] * 2
    assert (bought(server), grid.done) == (4, True)


def test_stop_is_heard_from_the_moment_a_launch_has_the_grid(grid, studio, server, qwen_home):
    # The lock is taken on the portal's thread, and given back on this one.
    file = qwen_home / "ledger.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        claim, claimed = grid._claim, threading.Event()

        def hold(*given, **named):
            other.execute("BEGIN IMMEDIATE")  # the run can't be written down yet
            claimed.set()
            return claim(*given, **named)

        grid._claim = hold
        running = launched(studio, grid)
        assert claimed.wait(20)
        while grid.done:
            assert not running.done()
        assert grid._began is None
        grid.stop()
        other.execute("ROLLBACK")
        running.result(20)
    assert bought(server) == 4
    assert [cell.state for cell in grid if cell.column > 1] == ["stopped"] * 2


@pytest.mark.parametrize("begin", ["add", "act", "launch"])
def test_a_run_that_can_not_be_written_down_leaves_the_grid_free(grid, studio, server, qwen_home, begin):
    with closing(sqlite3.connect(qwen_home / "ledger.sqlite3")) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON run BEGIN SELECT RAISE(FAIL, 'no room'); END")
        db.commit()
        if begin == "act":
            grid.act(0, 0, "more")
            grid.wait(60)
            assert "the ledger can't be written (no room)" in grid.message
        else:
            with pytest.raises(LedgerError, match="no room"):
                grid.add(seeds="3-4") if begin == "add" else launched(studio, grid).result(20)
        assert (grid.done, grid.shape, bought(server)) == (True, (2, 2), 4)
        assert not describe(grid).running
        db.execute("DROP TRIGGER full")
        db.commit()
    grid.add(seeds="3-4")
    assert bought(server) == 8


def test_a_callback_on_the_portal_can_wait_for_a_run(grid, server):
    server.seconds = 0.2

    async def callback() -> str:
        grid.act(0, 0, "again")
        with pytest.raises(TimeoutError):
            grid.wait(0.01)
        grid.wait(60)
        return grid[0, 0].state

    assert portal.submit(callback()).result(20) == "stored"
    assert grid.done
    assert bought(server) == 5


def test_looking_again_finds_a_lost_picture_and_buys_nothing(lost, server):
    assert offers(lost) == [("look again", "no cost", "look"), ("buy it again", "$0.03", "again")]
    lost.act(0, 0, "look")
    lost.wait(20)
    assert lost[0, 0].state == "unknown"
    assert len(server.submits) == 1
    server.forget("history")
    lost.act(0, 0, "look")
    lost.wait(20)
    assert lost[0, 0].state == "stored"
    assert len(server.submits) == 1
    assert offers(lost) == []


def test_looking_again_never_sends_what_was_not_made(studio, server):
    server.on_submit(reset)
    server.on_history(reply(500), times=None)
    grid = qw.generate("a red fox", seeds="7", sizes="256x256")
    server.forget("history")
    grid.act(0, 0, "look")
    grid.wait(60)
    assert grid[0, 0].state == "rejected"
    assert len(server.submits) == 1
    assert offers(grid) == [("run again", "$0.03", "again")]


def test_a_lost_picture_can_be_bought_again(lost, server):
    lost.act(0, 0, "again")
    lost.wait(20)
    assert lost[0, 0].state == "stored"
    assert bought(server) == 2


@pytest.mark.parametrize("limit", ["a run", "a day", "the provider"])
def test_what_may_not_be_bought_is_said_in_the_page(grid, studio, server, limit, monkeypatch):
    viewer = Viewer(describe(grid))
    connect(viewer, grid)
    if limit == "a run":
        studio.configure(max_cost=0.1)
    elif limit == "a day":
        studio.set_budget(0.13)
    else:
        studio.configure(provider="offline")
    viewer._handle_custom_msg({"type": "act", "row": 0, "column": 0, "key": "more"}, [])
    grid.wait(60)
    message = describe(grid).message
    assert {"a run": "may cost $0.10", "a day": "$0.13", "the provider": "not be comparable"}[
        limit
    ] in message
    assert bought(server) == 4
    assert grid.done
    # The next try starts with a clean sheet.
    studio.configure(max_cost=1.0, provider="auto")
    studio.set_budget(None)
    grid.act(0, 0, "more")
    grid.wait(60)
    assert describe(grid).message == ""
    assert bought(server) == 8


FORGED = [
    {"type": "act", "row": 0, "column": 0, "key": ""},
    {"type": "act", "row": 0, "column": 0, "key": "look"},
    {"type": "act", "row": 0, "column": 0, "key": "AGAIN"},
    {"type": "act", "row": 0, "column": 0, "key": "again" * 9},
    {"type": "act", "row": 0, "column": 0, "key": ["again"]},
    {"type": "act", "row": 0, "column": 0, "key": True},
    {"type": "act", "row": 0, "column": 0, "key": "__class__"},
    {"type": "act", "row": True, "column": 0, "key": "again"},
    {"type": "act", "row": 0, "column": False, "key": "again"},
    {"type": "act", "row": 0.0, "column": 0, "key": "again"},
    {"type": "act", "row": "0", "column": 0, "key": "again"},
    {"type": "act", "row": -1, "column": 0, "key": "again"},
    {"type": "act", "row": 2, "column": 0, "key": "again"},
    {"type": "act", "row": 0, "column": 2, "key": "again"},
    {"type": "act", "row": 10**400, "column": 0, "key": "again"},
    {"type": "act", "row": 0, "column": 0, "key": "again", "seeds": "1-99"},
    {"type": "act", "row": 0, "column": 0},
    {"type": "act"},
    {"type": "take", "row": 0},
    {"type": "take", "row": True},
]


def test_a_forged_message_buys_nothing(grid, server):
    viewer = Viewer(describe(grid))
    connect(viewer, grid)
    viewer.on_take = lambda row: pytest.fail("no such button was offered")
    for content in FORGED:
        viewer._handle_custom_msg(content, [])
        assert grid.done, content
    assert bought(server) == 4
    assert describe(grid).message == ""


def test_a_place_that_was_not_asked_for_buys_nothing(studio, server):
    grid = qw.generate("a fox\n\na cat --seed 9", seeds=1, sizes="256x256")
    viewer = Viewer(describe(grid))
    connect(viewer, grid)
    viewer._handle_custom_msg({"type": "act", "row": 0, "column": 1, "key": "again"}, [])
    assert grid.done
    assert bought(server) == 2
