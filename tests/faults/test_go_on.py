"""Going on from a cell in place: what was offered is done in the background, and a forged message buys nothing."""

from __future__ import annotations

import pytest
from conftest import CANARY
from server import accepted, reply, reset

import qwen_widgets as qw
from qwen_widgets.core import reconcile
from qwen_widgets.core.errors import InputError
from qwen_widgets.grid.describe import cell_actions, describe
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.show import connect
from qwen_widgets.grid.viewer import Viewer
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
    grid.wait(20)
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
    grid.wait(20)
    assert grid[0, 2].state == "stored"
    assert bought(server) == 9
    assert grid.cost == pytest.approx(9 * 0.027)  # the server's own price


def test_run_again_buys_the_picture_anew_and_counts_both(grid, server):
    before = grid[0, 1].prediction_id
    grid.act(0, 1, "again")
    grid.wait(20)
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
    grid.wait(20)
    assert bought(server) == 5


def test_stop_of_a_run_in_place_is_heard(grid, studio, server):
    studio.configure(at_once=1)
    server.seconds = 0.4
    viewer = Viewer(describe(grid))
    connect(viewer, grid)
    grid.act(0, 0, "more")
    while not grid.stoppable:
        assert not grid.done
    viewer.show(describe(grid))
    assert viewer.get_state("head")["head"]["stoppable"]
    viewer._handle_custom_msg({"type": "stop"}, [])
    grid.wait(20)
    assert bought(server) < 8
    assert "stopped" in {cell.state for cell in grid}
    stopped = next(cell for cell in grid if cell.state == "stopped")
    assert offers(grid, stopped.row, stopped.column) == [("run it", "$0.03", "again")]


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
    grid.wait(20)
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
    grid.wait(20)
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
    grid.wait(20)
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
