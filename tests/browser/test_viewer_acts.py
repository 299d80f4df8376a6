"""What the page offers to do in place: buttons in tiles and rows, the message line, another grid in the same view."""

from __future__ import annotations

from dataclasses import replace

import pytest
from viewer_stage import Stage, make_view, picture, pictures

from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.view import Action
from qwen_widgets.grid.viewer import Viewer

LOOK = Action("look again", "", "no cost", "look")
BUY = Action("buy it again", "", "$0.03", "again")


@pytest.fixture
def stage(page) -> Stage:
    return Stage(page)


def with_offers(states: str = "us", **changes):
    view = make_view(states, columns=2, **changes)
    return replace(view, cells=(replace(view.cells[0], offers=(LOOK, BUY)), *view.cells[1:]))


def test_an_unknown_cell_has_its_two_choices_as_buttons(stage):
    heard = []
    stage.open(with_offers())
    stage.viewer.on_act = lambda *what: heard.append(what)
    buttons = stage.tile(0, 0).locator(".qw-told button")
    assert buttons.all_inner_texts() == ["look again", "buy it again · $0.03"]
    buttons.nth(0).click()
    buttons.nth(1).click()
    assert stage.count("dialog[open]") == 0
    stage.deliver()
    assert heard == [(0, 0, "look"), (0, 0, "again")]


def test_a_button_that_goes_with_its_tile_leaves_the_focus_there(stage):
    stage.open(with_offers())
    stage.tile(0, 0).locator("button").nth(1).focus()
    stage.press("Enter")
    stage.show(make_view("rs", columns=2))
    assert stage.focus == "prompt 0, seed 1"
    stage.press("d")
    assert stage.log("keys") == []


def test_what_was_copied_is_said_where_it_is_heard(stage):
    stage.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    stage.open(make_view())
    stage.focus_on(0, 1)
    stage.page.locator(".qw-chip").click()
    stage.page.wait_for_function("document.querySelector('.qw-said').textContent === 'copied'")
    for name in ("copy the seed", "copy the prompt"):
        stage.focus_on(0, 1)
        stage.press(".")
        stage.page.locator("dialog[open]").get_by_role("button", name=name).click()
        # Not behind the dialog, where nothing is heard.
        stage.page.wait_for_function(
            "document.querySelector('dialog[open] [role=status]').textContent === 'copied'"
        )
        stage.leave()


def test_the_keyboard_reaches_them_in_the_closer_look(stage):
    heard = []
    stage.open(with_offers())
    stage.viewer.on_act = lambda *what: heard.append(what)
    stage.focus_on(0, 0)
    stage.press("Enter")
    stage.page.locator("dialog[open] .qw-stage button").first.wait_for()
    # Of the tools below only those are there that do something without a picture.
    tools = stage.page.locator("dialog[open] .qw-tools button:visible")
    labels = tools.evaluate_all("(all) => all.map((el) => el.ariaLabel)")
    assert labels == ["go on from here", "previous", "next", "close"]
    while stage.focus != "buy it again, $0.03":
        stage.press("Tab")
    stage.press("Enter")
    stage.deliver()
    assert heard == [(0, 0, "again")]


def test_a_way_to_go_on_runs_in_place_beside_its_text(stage):
    heard = []
    stage.open(make_view())
    stage.viewer.on_act = lambda *what: heard.append(what)
    stage.viewer.on_actions = lambda *_: [
        Action("more seeds", "%%qwenimage --seeds 5-8\na", "$0.12", "more"),
        Action("the cell", "%%qwenimage\na"),
        LOOK,
    ]
    stage.focus_on(1, 2)
    stage.press(".")
    stage.deliver()
    texts = stage.page.locator("dialog[open] .qw-list button").all_inner_texts()
    assert texts == ["run here · $0.12", "copy", "copy", "look again · no cost"]
    stage.page.get_by_role("button", name="more seeds, run here, $0.12").click()
    assert stage.count("dialog[open]") == 0
    stage.deliver()
    assert heard == [(1, 2, "more")]
    assert stage.focus == "prompt 1, seed 3"


def test_a_row_can_be_taken(stage):
    heard = []
    stage.open(make_view(take="edit this prompt"))
    stage.viewer.on_take = heard.append
    row = stage.page.get_by_role("rowheader").nth(1)
    row.hover()
    row.get_by_role("button", name="edit this prompt").click()
    row.focus()
    stage.press("ArrowDown", "Enter")
    # A column's header has none.
    stage.press("ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight", "Enter")
    stage.deliver()
    assert heard == [1, 2]


def test_without_a_hook_or_words_no_row_has_a_button(stage):
    stage.open(make_view())
    assert stage.count(".qw-row-header .qw-take") == 0


def test_a_message_is_an_alert_and_goes_again(stage):
    stage.open(make_view(message="this would cost $9.00"))
    alert = stage.page.get_by_role("alert")
    assert alert.inner_text() == "this would cost $9.00"
    stage.show(make_view())
    assert not alert.is_visible()


def test_what_a_hook_raises_is_said_in_the_page(stage):
    stage.open(with_offers())
    stage.viewer.on_act = lambda *_: 1 / 0
    stage.tile(0, 0).locator("button").nth(1).click()
    stage.deliver()
    stage.settle()
    assert stage.page.get_by_role("alert").inner_text() == "division by zero"
    # A refresh of the grid doesn't wipe it away; the next press does.
    stage.show(with_offers("uw"))
    assert stage.page.get_by_role("alert").is_visible()
    stage.viewer.on_act = lambda *_: None
    stage.tile(0, 0).locator("button").nth(1).click()
    stage.deliver()
    stage.settle()
    assert not stage.page.get_by_role("alert").is_visible()


def test_another_grid_takes_the_view_over(stage):
    stage.open(make_view(), choices=Choices().with_mark(0, 0, "keep"))
    stage.focus_on(0, 0)
    stage.press(" ", "Enter")
    page = stage.page
    other = make_view("ss" + "sw", columns=2, run_id="other", title="ships")
    stage.viewer.replace(other, pictures(other, "red"))
    stage.settle()
    assert stage.count("dialog[open]") == 0
    assert page.inner_text(".qw-title") == "ships"
    assert stage.count(".qw-tile") == 4
    assert stage.count(".qw-tile img") == 3
    assert stage.count(".qw-picked, .qw-keep") == 0
    assert stage.viewer.choices == Choices()
    # Every picture of the first one has been given back.
    assert len(stage.log("revoked")) >= 12
    # And the first one again: no place has another's picture.
    stage.viewer.replace(make_view(), {(2, 3): picture("green")})
    stage.settle()
    assert stage.count(".qw-tile") == 12
    assert stage.count(".qw-tile img") == 1
    assert stage.tile(2, 3).locator("img").count() == 1


def test_a_grid_may_have_no_cells_yet(stage):
    stage.open(replace(make_view(), rows=(), columns=(), cells=(), total=0))
    assert stage.page.locator(".qw-header").is_visible()
    stage.viewer.show(make_view(), pictures(make_view()))
    stage.settle()
    assert stage.count(".qw-tile img") == 12


def test_a_forged_act_or_take_reaches_no_hook():
    viewer = Viewer(make_view(take="edit"))
    viewer.send = viewer.send_state = lambda *_, **__: None
    viewer.on_act = viewer.on_take = lambda *_: pytest.fail("was called")
    for content in (
        {"type": "act", "row": 0, "column": 4, "key": "again"},
        {"type": "act", "row": True, "column": 0, "key": "again"},
        {"type": "act", "row": 0, "column": 0, "key": "a" * 41},
        {"type": "act", "row": 0, "column": 0, "key": 1},
        {"type": "act", "row": 10**300, "column": 0, "key": "again"},
        {"type": "take", "row": 3},
        {"type": "take", "row": -1},
        {"type": "take", "row": False},
        {"type": "take", "row": 0.0},
        {"type": "take", "row": 0, "more": 1},
    ):
        viewer._handle_custom_msg(content, [])
    # A place of a larger grid that was there before is none of this one's.
    viewer.show(make_view("ssss", columns=2))
    viewer._handle_custom_msg({"type": "act", "row": 2, "column": 3, "key": "again"}, [])
