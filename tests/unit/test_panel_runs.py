"""The panel's runs: what each adds to the grid, their queue, Stop, and the way back."""

from __future__ import annotations

import pytest
from panel_kit import forge, look

import qwen_widgets as qw
from qwen_widgets.panel.steps import Steps
from qwen_widgets.studio import studio


def test_each_run_adds_a_row_over_the_same_seeds_and_buys_only_it(panel):
    panel.run()
    panel.wait(30)
    grid = panel.grid
    panel.prompt = "a blue fox"
    panel.run()
    panel.wait(30)
    assert panel.grid is grid
    assert grid.prompts == ("a red fox", "a blue fox")
    assert grid.shape == (2, 2)
    assert {cell.state for cell in grid} == {"stored"}
    assert [row.parts for row in panel._results.described().rows][1] != (("same", "a blue fox"),)
    assert look(panel).startswith("1 × 2 = 2 · 2 already here · nothing new")


def test_other_seeds_are_columns_and_what_nobody_asked_for_stays_empty(panel):
    panel.run()
    panel.prompt, panel.seeds = "a blue fox", "2-3"
    panel.run()
    panel.wait(30)
    assert panel.grid.seeds == (1, 2, 3)
    assert sorted((cell.row, cell.column) for cell in panel.grid) == [(0, 0), (0, 1), (1, 1), (1, 2)]


def test_a_second_run_waits_for_the_first_and_neither_is_lost(new_panel):
    studio().configure(offline_seconds=0.4)
    panel = new_panel("a red fox", seeds="1-4", size="256x256")
    panel.run()
    panel.prompt = "an owl"
    panel.run()
    assert panel.busy
    panel.wait(30)
    assert not panel.busy
    assert panel.message == ""
    assert [cell.state for cell in panel.grid] == ["stored"] * 8


def test_stop_buys_nothing_more_and_drops_what_waits(new_panel):
    studio().configure(offline_seconds=0.5, at_once=1)
    panel = new_panel("a red fox", seeds="1-8", size="256x256")
    panel.run()
    panel.prompt = "an owl"
    panel.run()
    while panel.grid is None or not any(cell.state == "submitted" for cell in panel.grid):
        assert panel.busy
    panel.stop()
    panel.wait(30)
    states = [cell.state for cell in panel.grid]
    assert panel.grid.prompts == ("a red fox",)
    assert panel.message.startswith("stopped: 1 run that waited will not be done")
    assert states.count("stopped") >= 5
    assert set(states) <= {"stopped", "stored"}
    assert not panel.busy


def test_a_stop_that_comes_while_a_run_is_planned_is_heard(panel, monkeypatch):
    plan = studio().plan_into

    async def planned(*args, **options):
        job = await plan(*args, **options)
        if options.get("priced", True):
            panel.stop()
        return job

    monkeypatch.setattr(studio(), "plan_into", planned)
    panel.run()
    panel.wait(20)
    assert panel.grid is None
    assert not panel.busy
    assert studio().ledger().wait(lambda db: db.history()) == []


def test_stop_ends_a_run_that_was_begun_in_the_grid_itself(panel):
    panel.run()
    panel.wait(30)
    studio().configure(offline_seconds=0.5, at_once=1)
    panel._results._act(0, 0, "more")
    while not any(cell.state == "submitted" for cell in panel.grid):
        assert not panel.grid.done
    panel.stop()
    panel.grid.wait(20)
    assert [cell.state for cell in panel.grid].count("stopped") >= 2


def test_two_panels_do_not_mix(new_panel):
    one = new_panel("a red fox", seeds="1-2", size="256x256")
    other = new_panel("an owl", seeds="1-3", size="256x256")
    one.run()
    other.run()
    one.wait(30)
    other.wait(30)
    assert one.grid.prompts == ("a red fox",)
    assert other.grid.prompts == ("an owl",)
    assert [len(panel.grid) for panel in (one, other)] == [2, 3]
    assert one.grid.run_id != other.grid.run_id


def test_without_the_lock_the_same_seeds_are_not_run_twice(panel):
    panel.seed_locked = False
    panel.run()
    assert panel.seeds == "1,2"
    panel.prompt = "an owl"
    panel.run()
    assert panel.seeds != "1,2"
    drawn = panel.seeds
    panel.wait(30)
    panel.draw()
    panel.use_last()
    assert panel.seeds == drawn


def test_the_history_outlives_the_panel_and_goes_on_in_a_new_one(panel, new_panel):
    panel.run()
    panel.prompt = "a blue fox"
    panel.run()
    panel.wait(30)
    panel._results._viewer.on_choice(0, 0, "stars", 5)
    again = new_panel(run=panel.grid.run_id)
    assert again.grid.prompts == ("a red fox", "a blue fox")
    assert (again.prompt, again.seeds, again.size) == ("a blue fox", "1,2", "256x256")
    assert {cell.state for cell in again.grid} == {"stored"}
    again.prompt = "a green fox"
    again.run()
    again.wait(30)
    assert qw.grid(panel.grid.run_id).prompts == ("a red fox", "a blue fox", "a green fox")


def test_a_row_comes_back_into_the_box_and_a_cell_starts_a_branch(panel):
    panel.prompt = "a {red|blue} fox with {braces}"
    panel.run()
    panel.wait(30)
    panel.prompt = "an owl"
    panel._results._take(1)
    assert panel.prompt == r"a blue fox with \{braces\}"
    panel.size = "1:1"
    panel._results._act(0, 1, "branch")
    assert (panel.prompt, panel.seeds, panel.size) == (r"a red fox with \{braces\}", "2", "256x256")


def test_undo_and_redo_go_through_the_prompts_of_the_runs(panel):
    panel.run()
    panel.prompt = "a blue fox"
    panel.run()
    panel.prompt = "a blue fox, never run"
    panel.undo()
    assert panel.prompt == "a blue fox"
    panel.undo()
    panel.undo()
    assert panel.prompt == "a red fox"
    panel.redo()
    panel.redo()
    assert panel.prompt == "a blue fox, never run"
    panel.wait(30)


def test_reset_begins_anew_and_the_old_grid_stays_in_the_ledger(panel):
    panel.run()
    panel.wait(30)
    old = panel.grid.run_id
    panel.prompt, panel.seeds = "an owl", "9"
    panel.reset()
    assert (panel.prompt, panel.seeds, panel.grid) == ("a red fox", "1,2", None)
    assert qw.grid(old).prompts == ("a red fox",)


def test_an_extended_grid_and_the_panel_go_on_together(panel):
    panel.run()
    panel.wait(30)
    panel.grid.add(seeds="3")
    panel.prompt = "an owl"
    panel.run()
    panel.wait(30)
    assert panel.grid.seeds == (1, 2, 3)
    assert sum(cell.state == "stored" for cell in panel.grid) == 5


def test_steps_forget_what_was_undone_before_something_new():
    steps = Steps("a")
    steps.record("b")
    assert steps.undo("b") == "a"
    steps.record("c")
    assert not steps.can_redo("c")
    assert steps.undo("c") == "a"
    assert steps.redo("a") == "c"


def test_an_opened_run_shows_what_its_buttons_buy_and_holds_them_to_the_limit(panel, new_panel):
    panel.run()
    panel.wait(30)
    again = new_panel(run=panel.grid.run_id, max_cost=0.01)
    again._results._act(0, 0, "more")
    again.grid.wait(30)
    assert again.grid.max_cost == 0.01
    assert again._results._viewer._view.columns == again._results.described().columns


def test_waiting_in_an_observer_that_a_run_calls_is_refused_and_not_for_ever(panel):
    said = []

    def wait(change):
        try:
            panel.wait(5)
        except qw.QwenError as error:
            said.append(str(error))

    panel.observe(wait, names="looked")
    panel.prompt = "an owl"
    look(panel)
    assert any("wait for itself" in text for text in said)


def test_what_is_given_beside_a_run_stays_as_it_is(panel, new_panel):
    panel.run()
    panel.wait(30)
    run = panel.grid.run_id
    again = new_panel("an owl", run=run, seeds="7")
    assert (again.prompt, again.seeds, again.size) == ("an owl", "7", "256x256")
    again = new_panel(run=run)
    again.prompt, again.size = "a newt", "1:1"
    again.reset()
    assert (again.prompt, again.size) == ("a red fox", "256x256")


@pytest.mark.parametrize("name", ["prompt", "line", "runnable", "busy", "message"])
def test_an_observer_that_raises_stops_nothing_and_is_told_as_what_it_is(panel, name):
    def observer(change):
        raise ZeroDivisionError(f"of {name}")

    look(panel)
    panel.observe(observer, names=name)
    forge(panel, {"type": "run", "fields": {"prompt": "" if name in ("message", "runnable") else "an owl"}})
    panel.wait(30)
    look(panel)
    shown = panel._form.places["message"].value
    assert f"code that observes the panel has raised ZeroDivisionError: of {name}" in shown
    if panel.prompt:
        assert {cell.state for cell in panel.grid} == {"stored"}
    assert not panel.busy


def test_the_line_without_the_lock_is_of_the_seeds_that_will_be_drawn(panel):
    panel.run()
    panel.wait(30)
    assert "nothing new" in look(panel)
    panel.seed_locked = False
    assert look(panel).startswith("1 × 2 = 2 · 2 new")
    assert panel.seeds == "1,2"
    assert panel.magic().startswith("%%qwenimage --seeds 1,2 ")
    panel.run()
    assert panel.seeds != "1,2"
    panel.wait(30)
    assert sum(cell.state == "stored" for cell in panel.grid) == 4
