"""Keep, reject and stars: from the page to Python at once, and back as state; and what Python takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from viewer_stage import Stage, make_view, picture

from qwen_widgets.grid.choices import Choice, Choices, Vote
from qwen_widgets.grid.view import Action, ColumnView
from qwen_widgets.grid.viewer import Viewer


@pytest.fixture
def stage(page) -> Stage:
    return Stage(page)


def test_keys_choose_and_the_choice_comes_back_as_state(stage):
    stage.open(make_view())
    heard = []
    stage.viewer.on_choice = lambda *all_: heard.append(all_)
    stage.focus_on(1, 2)
    stage.press("k", "4")
    # It is seen before Python has answered: a kernel that is busy answers late.
    assert stage.focus == "prompt 1, seed 3, kept, 4 stars"
    assert stage.tile(1, 2).locator(".qw-marks .qw-icon-star").count() == 4
    stage.deliver()
    assert heard == [(1, 2, "mark", "keep"), (1, 2, "stars", 4)]
    assert stage.viewer.choices[1, 2] == Choice(4, "keep")
    stage.press("x", "0")
    stage.deliver()
    assert stage.viewer.choices[1, 2] == Choice(0, "reject")
    assert stage.focus == "prompt 1, seed 3, rejected"
    stage.press("x")
    stage.deliver()
    assert stage.focus == "prompt 1, seed 3"
    assert stage.viewer.choices == Choices()


def test_the_mouse_gives_stars_and_takes_them_back(stage):
    stage.open(make_view())
    stage.tile(0, 1).hover()
    for _ in range(2):
        stage.tile(0, 1).locator(".qw-star").nth(2).click()
    assert [(m["type"], m["value"]) for m in stage.deliver()] == [("stars", 3), ("stars", 0)]
    assert stage.page.locator("dialog[open]").count() == 0


def test_a_reloaded_page_and_python_show_the_same(stage):
    stage.open(make_view(), choices=Choices().with_stars(0, 0, 2))
    assert stage.tile(0, 0).get_attribute("aria-label").endswith("2 stars")
    stage.focus_on(0, 1)
    stage.press("5")
    stage.deliver()
    stage.mount()
    assert stage.tile(0, 1).get_attribute("aria-label").endswith("5 stars")
    stage.viewer.choices = stage.viewer.choices.with_mark(2, 3, "reject")
    stage.settle()
    assert stage.tile(2, 3).get_attribute("aria-label").endswith("rejected")


def test_a_change_of_mind_before_python_answers_is_not_undone(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("3", "4")
    stage.viewer.choices = Choices().with_stars(0, 0, 3)
    stage.settle()
    assert stage.focus.endswith("4 stars")
    stage.deliver()
    assert stage.focus.endswith("4 stars")
    stage.viewer.choices = Choices().with_stars(0, 0, 1)
    stage.settle()
    assert stage.focus.endswith("1 star")


def test_only_a_picture_can_be_chosen(stage):
    stage.open(make_view("swfu"))
    for column in (1, 2, 3):
        stage.focus_on(0, column)
        stage.press("k", "5", " ")
    assert stage.log("sent") == []
    assert stage.count(".qw-picked") == 0


def test_what_was_there_before_is_not_chosen_among(stage):
    view = make_view("ss", columns=2)
    stage.open(replace(view, columns=(view.columns[0], ColumnView("before", before=True))))
    stage.focus_on(0, 1)
    stage.press("k", "5")
    assert stage.focus == "prompt 0, seed 2"
    assert stage.tile(0, 1).locator(".qw-strip button:visible").evaluate_all(
        "(all) => all.map((el) => el.ariaLabel)"
    ) == ["pick for compare", "go on from here"]
    stage.press("Enter", "x")
    tools = stage.page.locator(".qw-closer[open]")
    assert not tools.get_by_role("button", name="keep").is_visible()
    assert not tools.get_by_role("button", name="3 stars").is_visible()
    stage.press("ArrowLeft")
    assert tools.get_by_role("button", name="keep").is_visible()
    assert [one for one in stage.log("sent") if one["type"] != "original"] == []


# The widget's own side, which needs no browser.


@pytest.fixture
def viewer(monkeypatch) -> Viewer:
    monkeypatch.setattr(Viewer, "_send", lambda *_, **__: None)
    viewer = Viewer(make_view("s" * 12), {(0, 0): picture()})
    viewer.answers = []
    monkeypatch.setattr(
        Viewer, "send", lambda self, content, buffers=None: self.answers.append((content, buffers))
    )
    return viewer


@pytest.mark.parametrize(
    "content",
    [
        {"type": "stars", "row": 0, "column": 0, "value": 6},
        {"type": "stars", "row": 0, "column": 0, "value": -1},
        {"type": "stars", "row": 0, "column": 0, "value": True},
        {"type": "stars", "row": 0, "column": 0, "value": 1.0},
        {"type": "stars", "row": 0, "column": 0, "value": "5"},
        {"type": "stars", "row": 3, "column": 0, "value": 5},
        {"type": "stars", "row": -1, "column": 0, "value": 5},
        {"type": "stars", "row": True, "column": 0, "value": 5},
        {"type": "stars", "row": [0], "column": {}, "value": 5},
        {"type": "stars", "row": 0, "column": 0},
        {"type": "stars", "row": 0, "column": 0, "value": 5, "more": 1},
        {"type": "mark", "row": 0, "column": 0, "value": "love"},
        {"type": "mark", "row": 0, "column": 0, "value": ["keep"]},
        {"type": "mark", "row": 0, "column": 4, "value": "keep"},
        {"type": "original", "row": 0, "column": 99},
        {"type": "original", "row": 0.0, "column": 0},
        {"type": "original", "row": 0},
        {"type": "actions", "row": "0", "column": 0},
        {"type": "page", "row": 0},
        {"type": ["stars"], "row": 0, "column": 0, "value": 5},
        {"type": "vote", "id": 1, "column": 0, "one": 0, "other": 9, "winner": 0},
        {"type": "vote", "id": 1, "column": 0, "one": 0, "other": 1, "winner": 2},
    ],
)
def test_a_message_that_is_not_exactly_right_is_ignored(viewer, content):
    for name in ("on_choice", "on_vote", "on_original", "on_actions", "on_page"):
        setattr(viewer, name, lambda *_: pytest.fail("was called"))
    viewer._handle_custom_msg(content, [])
    assert viewer.choices == Choices()
    assert viewer.answers == []


def test_a_vote_is_kept_and_passed_on(viewer):
    heard = []
    viewer.on_vote = heard.append
    viewer._handle_custom_msg({"type": "vote", "id": 9, "column": 1, "one": 0, "other": 2, "winner": -1}, [])
    assert heard == [Vote(9, 1, 0, 2, None)] == list(viewer.choices.votes)


def test_the_original_and_the_actions_are_answered_and_a_failing_hook_is_no_answer(viewer):
    ask = {"type": "original", "row": 1, "column": 2}
    viewer._handle_custom_msg(ask, [])
    viewer.on_original = lambda row, column: f"{row},{column}".encode()
    viewer._handle_custom_msg(ask, [])
    viewer.on_original = lambda row, column: 1 / 0
    viewer._handle_custom_msg(ask, [])
    assert viewer.answers == [(ask, None), (ask, [b"1,2"]), (ask, None)]
    viewer.answers.clear()
    ask = {"type": "actions", "row": 1, "column": 2}
    viewer._handle_custom_msg(ask, [])
    viewer.on_actions = lambda row, column: [Action("again", f"%%qwenimage {row}", "$0.03")]
    viewer._handle_custom_msg(ask, [])
    again = {"label": "again", "text": "%%qwenimage 1", "price": "$0.03", "key": ""}
    assert viewer.answers == [({**ask, "actions": []}, None), ({**ask, "actions": [again]}, None)]


def test_the_grid_goes_out_as_a_page(viewer):
    viewer._handle_custom_msg({"type": "page"}, [])
    [(content, [data])] = viewer.answers
    assert content == {"type": "page"}
    assert data.startswith(b"<!doctype html>")
    viewer.on_page = lambda: "<p>mine</p>"
    viewer._handle_custom_msg({"type": "page"}, [])
    assert viewer.answers[1][1] == [b"<p>mine</p>"]
