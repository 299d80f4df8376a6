"""A header that opens: the whole prompt is there, nothing else moves, and no picture shows through where it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from viewer_stage import Stage, make_view

from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.view import RowView

LONG = "an old harbour town with wooden houses on stilts, " * 6
FIRST, OTHER = f"{LONG}a red lighthouse", f"{LONG}a blue lighthouse"
THREE_LINES = 3 * 1.45 * 13 + 2  # pixels


@pytest.fixture
def stage(page) -> Stage:
    return Stage(page)


def long_view():
    rows = tuple(RowView(text, mark(text, FIRST), "", "4 of 4") for text in (FIRST, OTHER, FIRST))
    return replace(make_view("s" * 12), rows=rows)


def tops(stage: Stage) -> list[float]:
    return stage.page.locator(".qw-row").evaluate_all(
        "(all) => all.map((el) => el.getBoundingClientRect().top)"
    )


@pytest.mark.parametrize("how", ["hover", "focus"])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_long_prompt_opens_wholly_with_its_marks_and_moves_nothing(stage, how, row):
    stage.open(long_view())
    stage.page.locator(".qw-size input").fill("5")  # tiles lower than three lines: the headers make the rows
    stage.settle()
    header = stage.page.locator(".qw-row-header").nth(row)
    before = tops(stage)
    assert header.locator(".qw-prompt:visible").bounding_box()["height"] <= THREE_LINES
    getattr(header, how)()
    stage.settle()
    told = " ".join(header.locator(".qw-prompt:visible").inner_text().split())
    assert told == (f"{LONG}a blue red lighthouse" if row == 1 else FIRST)
    assert header.locator(".qw-prompt:visible ins").all_inner_texts() == (["blue"] if row == 1 else [])
    assert tops(stage) == pytest.approx(before, abs=0.6)
    # Neither is it cut at the end of the scroller.
    inside = header.locator(".qw-inside").bounding_box()
    grid = stage.page.locator(".qw-grid").bounding_box()
    assert inside["y"] + inside["height"] <= grid["y"] + grid["height"] + 1 or row < 2
    if how == "hover":
        stage.page.mouse.move(0, 0)
    else:
        stage.page.locator("#before").focus()
    stage.settle()
    assert tops(stage) == pytest.approx(before, abs=0.6)
    assert header.locator(".qw-prompt:visible").bounding_box()["height"] <= THREE_LINES


def test_a_prompt_as_a_column_opens_over_the_pictures(stage):
    stage.open(long_view())
    stage.focus_on(0, 0)
    stage.press("v")
    for axis, side in (("prompt", "columns"), ("seed", "rows")):
        stage.page.locator(".qw-view").get_by_label(axis).select_option(side)
    stage.press("Escape")
    before = tops(stage)
    header = stage.page.locator(".qw-column-header").nth(2)
    header.focus()
    stage.settle()
    assert tops(stage) == pytest.approx(before, abs=0.6)
    assert header.locator(".qw-prompt:visible").inner_text().endswith("lighthouse")


def test_pictures_that_scroll_away_are_not_seen_through_the_row_header(stage):
    stage.open(make_view("s" * 12))
    stage.page.locator(".qw-size input").fill("70")
    stage.page.locator(".qw-scroll").evaluate("(el) => el.scrollTo(500, 60)")
    stage.settle()
    header = stage.page.locator(".qw-row-header").first
    box = header.bounding_box()
    corners = [
        (box["x"] + 1, box["y"] + box["height"] - 2),
        (box["x"] + box["width"] - 2, box["y"] + box["height"] - 2),
    ]
    for x, y in corners:
        assert stage.page.evaluate(
            "([x, y]) => !!document.elementFromPoint(x, y).closest('.qw-row-header')", [x, y]
        )
    # It is as high as its row, and its words stay in view.
    assert box["height"] >= stage.tile(0, 3).bounding_box()["height"] - 1
    top = stage.page.locator(".qw-top").bounding_box()
    assert header.locator(".qw-prompt").bounding_box()["y"] >= top["y"] + top["height"] - 2


def test_a_finger_that_taps_a_tile_twice_looks_twice(browser):
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    stage = Stage(context.new_page())
    stage.open(make_view())
    closer = stage.page.locator(".qw-closer[open]")
    for _ in range(2):
        stage.tile(0, 0).tap()
        closer.wait_for()
        closer.get_by_role("button", name="close").tap()
        closer.wait_for(state="hidden")
    assert [message for message in stage.log("sent") if message["type"] != "original"] == []
    context.close()


def test_the_closer_looks_reject_and_close_do_not_look_alike(stage):
    stage.open(make_view())
    stage.tile(0, 0).click()
    paths = [
        stage.page.locator(f".qw-closer [aria-label={name}] path").get_attribute("d")
        for name in ("reject", "close")
    ]
    assert paths[0] != paths[1]


def test_of_long_prompts_a_comparison_shows_where_they_differ(stage):
    stage.open(long_view())
    for row in (0, 1):
        stage.focus_on(row, 0)
        stage.press(" ")
    stage.press("c")
    words = stage.page.locator(".qw-closer .qw-words")
    box, added = words.bounding_box(), words.locator("ins").bounding_box()
    assert added["y"] + added["height"] <= box["y"] + box["height"]


def test_behind_a_blind_vote_nothing_says_which_is_which(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("b")
    behind = stage.page.locator(".qw-vote").evaluate(
        "(el) => getComputedStyle(el, '::backdrop').backgroundColor"
    )
    paper = stage.page.locator(".qw-viewer").evaluate("(el) => getComputedStyle(el).backgroundColor")
    assert behind == paper == "rgb(255, 255, 255)"


def test_on_a_phone_a_long_prompt_opens_wider_than_its_header(stage):
    stage.page.set_viewport_size({"width": 360, "height": 740})
    stage.open(long_view())
    header = stage.page.locator(".qw-row-header").nth(1)
    narrow = header.bounding_box()["width"]
    header.focus()
    stage.settle()
    inside = header.locator(".qw-inside").bounding_box()
    assert inside["width"] > 2 * narrow
    assert inside["x"] + inside["width"] <= 360
    assert stage.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_seed_of_ten_digits_is_told_whole(stage):
    view = make_view("s" * 16, columns=16)
    columns = tuple(
        replace(column, label=f"seed {2147483632 + at}") for at, column in enumerate(view.columns)
    )
    stage.open(replace(view, columns=columns))
    for zoom in ("", "5"):
        if zoom:
            stage.page.locator(".qw-size input").fill(zoom)
            stage.settle()
        cut = stage.page.locator(".qw-label").evaluate_all(
            "(all) => all.filter((el) => el.scrollWidth > el.clientWidth || el.scrollHeight > el.clientHeight).length"
        )
        assert cut == 0
    # The tile that keys have come to is not below the headers that stay.
    stage.page.set_viewport_size({"width": 700, "height": 400})
    stage.focus_on(0, 15)
    stage.settle()
    tile = stage.page.locator(".qw-tile").nth(15).bounding_box()
    top = stage.page.locator(".qw-top").bounding_box()
    assert tile["y"] >= top["y"] + top["height"] - 1
