"""Layout: zoom, hide, reorder, any axis on any side, mixed sizes, long and foreign prompts; and the blind vote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect
from viewer_stage import PROMPTS, Stage, make_view, pictures

from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.view import CellView, ColumnView, GridView, RowView


@pytest.fixture
def stage(page) -> Stage:
    return Stage(page)


def labels(stage: Stage, side: str) -> list[str]:
    return [
        text.split("\n")[0] for text in stage.page.locator(f".qw-{side}-header").all_inner_texts() if text
    ]


def alts(stage: Stage) -> list[list[str | None]]:
    return stage.page.evaluate(
        "[...document.querySelectorAll('.qw-row:not(.qw-top)')].map((row) => [...row.querySelectorAll('.qw-tile')].map((el) => el.getAttribute('aria-label')))"
    )


def axes_view() -> GridView:
    """Make 2 prompts × 2 sizes × 2 models as rows, 2 seeds as columns."""
    sizes = {"16:9": (1280, 720), "9:16": (720, 1280)}
    rows, cells = [], []
    for prompt in PROMPTS[:2]:
        for model in ("Base", "Pro"):
            for size, (width, height) in sizes.items():
                r = len(rows)
                rows.append(
                    RowView(
                        prompt,
                        mark(prompt, PROMPTS[0]),
                        f"{size} · {model}",
                        "2 of 2",
                        size,
                        model,
                        width,
                        height,
                    )
                )
                cells += [
                    CellView(r, c, "stored", width, height, f"{prompt[2]} {model} {size} {c + 1}")
                    for c in (0, 1)
                ]
    return replace(
        make_view(),
        rows=tuple(rows),
        cells=tuple(cells),
        columns=(ColumnView("seed 1", "1"), ColumnView("seed 2", "2")),
    )


def put(stage: Stage, axis: str, side: str) -> None:
    stage.press("v")
    stage.page.locator(f".qw-view select[aria-label={axis}]").select_option(side)
    stage.press("Escape")


def test_any_axis_goes_on_any_side(stage):
    stage.open(axes_view())
    stage.focus_on(0, 0)
    assert len(alts(stage)) == 8
    assert stage.made(16) == 16
    put(stage, "seed", "rows")
    put(stage, "prompt", "columns")
    put(stage, "model", "tabs")
    assert labels(stage, "row") == ["16:9 · seed 1", "16:9 · seed 2", "9:16 · seed 1", "9:16 · seed 2"]
    assert labels(stage, "column") == ["a red boat at sunset", "a blue red boat at sunset"]
    assert stage.page.locator("[role=tab]").all_inner_texts() == ["Base", "Pro"]
    assert alts(stage)[1] == ["r Base 16:9 2", "b Base 16:9 2"]
    stage.page.locator("[role=tab]").first.focus()
    stage.press("ArrowRight")
    assert stage.page.evaluate("document.activeElement.textContent") == "Pro"
    assert alts(stage)[2] == ["r Pro 9:16 1", "b Pro 9:16 1"]
    # No picture was made anew for it.
    assert len(stage.log("made")) == 16
    # The arrow keys walk over what is shown now.
    stage.focus_on(0, 0)
    stage.press("ArrowDown", "ArrowRight")
    assert stage.focus == "b Pro 16:9 2"
    stage.press("v")
    stage.page.get_by_role("button", name="as it was").click()
    assert len(alts(stage)) == 8
    assert stage.count("[role=tablist]:visible") == 0


def test_mixed_sizes_keep_the_grid_and_no_picture_is_cut(stage):
    stage.open(axes_view())
    stage.focus_on(0, 0)
    put(stage, "size", "columns")
    boxes = [
        [tile.bounding_box() for tile in row.locator(".qw-tile").all()]
        for row in stage.page.locator(".qw-row:not(.qw-top)").all()
    ]
    assert {len(row) for row in boxes} == {4}
    for column in zip(*boxes, strict=True):
        assert len({round(box["x"]) for box in column}) == 1
    for row in boxes:
        assert len({round(box["y"]) for box in row}) == 1
    assert stage.tile(0, 0).locator("img").evaluate("(i) => getComputedStyle(i).objectFit") == "contain"
    box = stage.tile(0, 2).locator(".qw-box").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(9 / 16, rel=0.02)


def test_a_box_has_the_shape_that_was_asked_for_whatever_came(stage):
    view = make_view("ssss")
    row = replace(view.rows[0], width=1280, height=720)
    cells = (
        replace(view.cells[0], width=640, height=640, warning="640×640, asked 1280×720"),
        *view.cells[1:],
    )
    stage.open(replace(view, rows=(row,), cells=cells))
    one, other = (stage.tile(0, column).locator(".qw-box").bounding_box() for column in (0, 1))
    assert (one["width"], one["height"]) == pytest.approx((other["width"], other["height"]))
    assert stage.count(".qw-note") == 1


def test_hide_and_show_a_row_and_a_column(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("ArrowDown", "ArrowLeft", "h")
    assert labels(stage, "row") == [PROMPTS[0], "a red boat in autumn at sunset"]
    stage.focus_on(0, 2)
    stage.press("ArrowUp", "h")
    assert labels(stage, "column") == ["2 hidden: show", "seed 1", "seed 2", "seed 4"]
    # The focus stays in the grid.
    assert stage.page.evaluate("document.activeElement.className") == "qw-column-header"
    stage.page.get_by_role("button", name="show what is hidden").click()
    assert len(alts(stage)) == 3
    assert len(alts(stage)[0]) == 4


def test_the_last_row_cannot_be_hidden(stage):
    stage.open(make_view("ssss"))
    stage.focus_on(0, 0)
    stage.press("ArrowLeft", "h")
    assert len(alts(stage)) == 1


def test_rows_and_columns_move_with_their_focus(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("ArrowUp", "Shift+ArrowRight", "Shift+ArrowRight")
    assert labels(stage, "column") == ["seed 2", "seed 3", "seed 1", "seed 4"]
    assert stage.page.evaluate("document.activeElement.textContent").startswith("seed 1")
    assert alts(stage)[1][2] == "prompt 1, seed 1"
    stage.tile(0, 0).hover()
    header = stage.page.locator(".qw-row-header").nth(2)
    header.hover()
    header.get_by_role("button", name="move back").click()
    assert [row[0] for row in alts(stage)] == ["prompt 0, seed 2", "prompt 2, seed 2", "prompt 1, seed 2"]


def test_what_was_moved_and_hidden_stays_so_when_the_grid_grows(stage):
    stage.open(make_view("s" * 4, columns=2))
    stage.focus_on(0, 0)
    stage.press("ArrowUp", "Shift+ArrowRight")
    stage.show(make_view("s" * 9, columns=3))
    assert labels(stage, "column") == ["seed 2", "seed 1", "seed 3"]
    assert alts(stage)[2] == ["prompt 2, seed 2", "prompt 2, seed 1", "prompt 2, seed 3"]


def test_the_layout_outlives_the_page_and_belongs_to_its_grid(stage):
    page = stage.page
    page.route("http://stage.test/*", lambda route: route.fulfill(body="<title>stage</title>"))
    page.goto("http://stage.test/")
    view = axes_view()
    stage.open(view)
    stage.page.locator(".qw-row-header").first.focus()
    stage.press("v")
    page.get_by_role("combobox", name="model").select_option("tabs")
    stage.press("Escape")
    page.get_by_role("tab", name="Pro").click()
    stage.page.locator(".qw-row-header").first.focus()
    stage.press("Shift+ArrowDown")
    stage.page.locator(".qw-column-header").nth(1).focus()
    stage.press("h", "+", "+")
    arranged = (labels(stage, "row"), alts(stage))
    page.reload()
    stage.mount()
    assert (labels(stage, "row"), alts(stage)) == arranged
    assert page.get_by_role("tab", selected=True).inner_text() == "Pro"
    assert page.get_by_label("size of the pictures").input_value() == "20"
    assert "hidden: show" in page.inner_text(".qw-top")
    # What is kept is the layout alone.
    kept = page.evaluate("JSON.stringify({...sessionStorage})")
    assert "boat" not in kept
    stage.viewer.show(replace(view, run_id="another"))
    stage.settle()
    assert len(alts(stage)) == 8
    assert page.get_by_label("size of the pictures").input_value() == "0"
    # And the first one again, in the same page.
    stage.viewer.show(view)
    stage.settle()
    assert alts(stage) == arranged[1]


@pytest.mark.parametrize(
    "kept", ["null", "{", "[]", '{"where": {"prompt": "<img>"}, "order": {"rows": ["x"]}}']
)
def test_a_layout_that_was_tampered_with_leaves_the_grid_usable(stage, kept):
    page = stage.page
    page.route("http://stage.test/*", lambda route: route.fulfill(body="<title>stage</title>"))
    page.goto("http://stage.test/")
    page.evaluate("(kept) => sessionStorage.setItem('qwen_widgets r', kept)", kept)
    stage.open(make_view())
    stage.page.locator(".qw-row-header").first.focus()
    stage.press("v")
    page.get_by_role("button", name="as it was").click()
    assert stage.count(".qw-tile img") == 12


def many(rows: int = 24, columns: int = 5) -> GridView:
    view = make_view("s" * rows * columns, columns=columns)
    return replace(
        view, rows=tuple(RowView(f"prompt {r}", (("same", f"prompt {r}"),), "", "") for r in range(rows))
    )


def test_of_a_large_grid_those_near_the_view_come_first_and_the_others_when_they_are_scrolled_to(stage):
    # The pictures that are far come by themselves after a while: here they wait for the scrolling.
    stage.stop_clock()
    stage.open(many())
    loaded = "[...document.querySelectorAll('.qw-tile img')].map((img) => img.naturalWidth > 0)"
    stage.page.wait_for_function(f"{loaded}[0]")
    assert not stage.page.evaluate(loaded)[-1]
    # Its words are all there, for the browser's search and for those who listen.
    assert stage.count("[role=rowheader]") == 24
    assert stage.count("[role=gridcell][aria-label]") >= 120
    stage.tile(23, 4).scroll_into_view_if_needed()
    stage.page.wait_for_function(f"{loaded}.at(-1)")
    assert not all(stage.page.evaluate(loaded))
    stage.page.clock.run_for(1000)
    stage.page.wait_for_function(f"{loaded}.every(Boolean)")


def test_a_tile_far_away_is_reached_by_keys_and_has_its_picture(stage):
    page = stage.page
    stage.open(many())
    stage.focus_on(0, 0)
    stage.press(*["ArrowDown"] * 23, "End")
    assert stage.focus == "prompt 23, seed 5"
    tile = stage.tile(23, 4)
    page.wait_for_function("document.querySelectorAll('.qw-row')[24].querySelector('img').naturalWidth > 0")
    box = tile.bounding_box()
    assert 0 < box["y"] < 1000
    assert box["height"] > 50
    stage.press("Enter")
    assert page.locator("dialog[open] .qw-stage img").count() == 1
    stage.press("Escape")
    # A picture that comes for a far tile is shown there, too.
    changed = {**pictures(view := many(), "teal"), (12, 0): pictures(view, "red")[12, 0]}
    stage.viewer.show(view, changed)
    stage.settle()
    assert stage.tile(23, 4).locator("img").count() == 1


def test_fewer_tiles_on_a_side_bring_the_pictures_of_those_that_were_far(stage):
    page = stage.page
    stage.stop_clock()
    stage.open(many())
    stage.page.locator(".qw-row-header").first.focus()
    stage.press("v")
    page.get_by_role("combobox", name="prompt").select_option("tabs")
    stage.press("Escape")
    page.get_by_role("tab", name="prompt 20").click()
    assert stage.count(".qw-tile") == 5
    assert stage.count(".qw-tile img") == 5


def test_zoom_goes_from_thumbnails_to_one_picture_across(stage):
    stage.open(make_view())
    stage.page.wait_for_function("[...document.images].every((img) => img.naturalWidth)")
    slider = stage.page.get_by_role("slider", name="size of the pictures")
    width = "document.querySelector('.qw-box').getBoundingClientRect().width"
    slider.fill("1")
    assert stage.page.evaluate(width) < 72
    slider.fill("100")
    room = stage.page.evaluate("document.querySelector('.qw-scroll').clientWidth")
    header = stage.page.locator(".qw-row-header").first.bounding_box()["width"]
    assert room - header - 80 < stage.page.evaluate(width) < room - header
    assert stage.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Larger than its thumbnail, a picture that is in view is asked for in full; the others aren't.
    stage.settle()
    asked = stage.deliver()
    assert {"type": "original", "row": 0, "column": 0} in asked
    assert len(asked) <= 4
    slider.fill("0")
    assert stage.page.evaluate(width) > 112
    stage.focus_on(0, 0)
    stage.press("+", "+")
    assert slider.input_value() == "20"


def test_long_prompts_take_three_lines_and_open_on_focus(stage):
    long = "a boat, " * 60
    view = make_view("ssss")
    stage.open(replace(view, rows=(RowView(long, (("same", long),), "", "4 of 4"),)))
    prompt = stage.page.locator(".qw-row-header .qw-prompt:visible")
    line = 1.45 * 13
    assert prompt.bounding_box()["height"] <= 3 * line + 2
    stage.focus_on(0, 0)
    stage.press("ArrowLeft")
    assert prompt.bounding_box()["height"] > 3 * line + 2


@pytest.mark.parametrize(
    ("prompt", "direction"), [("قارب أحمر على البحيرة", "rtl"), ("湖面上的红色小船，日落", "ltr")]
)
def test_a_prompt_runs_in_its_own_direction(stage, prompt, direction):
    view = make_view("ssss")
    stage.open(replace(view, rows=(RowView(prompt, (("same", prompt),), "", "4 of 4"),)))
    assert (
        stage.page.locator(".qw-prompt").first.evaluate("(el) => getComputedStyle(el).direction") == direction
    )


def test_a_blind_vote_hides_what_is_what_and_counts(stage):
    stage.open(make_view("s" * 8 + "sssw"))
    stage.focus_on(0, 0)
    stage.press("b")
    dialog = stage.page.locator(".qw-vote[open]")
    dialog.locator("input").nth(1).uncheck()
    dialog.get_by_role("button", name="start").click()
    # Rows 0 and 2 have three seeds in common.
    assert "pair 1 of 3" in dialog.inner_text()
    assert dialog.locator("img").evaluate_all("(all) => all.map((i) => i.alt)") == [
        "the left picture",
        "the right picture",
    ]
    assert not any(word in dialog.inner_html() for word in ("boat", "seed", "prompt 0", 'title="prompt'))
    stage.press("ArrowLeft")
    stage.press("ArrowDown")
    dialog.locator(".qw-side").nth(1).click()
    votes = [message for message in stage.deliver() if message["type"] == "vote"]
    assert [(vote["one"], vote["other"]) for vote in votes] == [(0, 2)] * 3
    assert votes[1]["winner"] == -1
    assert {vote["winner"] for vote in votes} <= {0, 2, -1}
    assert sorted(vote["column"] for vote in votes) == [0, 1, 2]
    assert len(stage.viewer.choices.votes) == 3
    rows = dialog.locator("tbody tr").all_inner_texts()
    assert len(rows) == 2
    assert dialog.locator("caption").inner_text() == "who wins, of 3 votes"
    stage.press("Escape")
    stage.page.wait_for_function("document.activeElement.matches('.qw-tile')")
    # A reloaded page counts them, too, and once.
    stage.mount()
    stage.focus_on(0, 0)
    stage.press("b")
    assert stage.page.locator(".qw-vote caption").inner_text() == "who wins, of 3 votes"


def checked(stage) -> list[bool]:
    stage.press("b")
    boxes = stage.page.locator(".qw-vote input").evaluate_all("(all) => all.map((box) => box.checked)")
    stage.leave()
    return boxes


def test_a_vote_starts_with_the_rows_in_view_and_of_one_size(stage):
    view = make_view()
    stage.open(view)
    stage.focus_on(0, 0)
    assert checked(stage) == [True, True, True]
    stage.page.locator(".qw-row-header").nth(1).evaluate("(el) => el.focus()")
    stage.press("h")
    assert checked(stage) == [True, False, True]
    # Of several sizes the first takes part, where it has two rows to compare.
    sizes = [replace(row, size=size) for row, size in zip(view.rows, ("16:9", "16:9", "9:16"), strict=True)]
    stage.open(replace(view, run_id="sizes", rows=tuple(sizes)))
    stage.focus_on(0, 0)
    assert checked(stage) == [True, True, False]
    sizes = [replace(row, size=size) for row, size in zip(view.rows, ("16:9", "1:1", "9:16"), strict=True)]
    stage.open(replace(view, run_id="others", rows=tuple(sizes)))
    stage.focus_on(0, 0)
    assert checked(stage) == [True, True, True]


def test_a_hidden_column_takes_no_part_in_a_vote(stage):
    stage.open(make_view())
    stage.focus_on(0, 2)
    stage.press("ArrowUp", "h", "b")
    dialog = stage.page.locator(".qw-vote[open]")
    dialog.get_by_role("button", name="start").click()
    # Three rows are three pairs in each of the columns.
    assert "pair 1 of 9" in dialog.inner_text()
    stage.press(*["ArrowLeft"] * 9)
    votes = [message for message in stage.deliver() if message["type"] == "vote"]
    assert {vote["column"] for vote in votes} == {0, 1, 3}


def test_sides_are_shuffled(stage):
    stage.open(
        make_view("s" * 24, columns=12),
        {(r, c): p for (r, c), p in pictures(make_view("s" * 24, columns=12)).items()},
    )
    stage.focus_on(0, 0)
    stage.press("b")
    stage.page.get_by_role("button", name="start").click()
    for _ in range(12):
        stage.press("ArrowLeft")
    winners = [message["winner"] for message in stage.log("sent") if message["type"] == "vote"]
    # Twelve times the same one by chance: once in 2,048 runs.
    assert len(winners) == 12
    assert len(set(winners)) == 2


def test_at_360_pixels_a_finger_does_all_of_it(browser):
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    page = context.new_page()
    stage = Stage(page)
    stage.open(make_view())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    stage.tile(0, 0).tap()
    closer = page.locator(".qw-closer[open]")
    for name in ("keep", "4 stars", "pick for compare"):
        closer.get_by_role("button", name=name, exact=True).tap()
    for button in closer.locator("button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert min(box["width"], box["height"]) >= 24
    # A swipe flips.
    box = page.locator(".qw-stage").bounding_box()
    session = context.new_cdp_session(page)
    for kind, x in (("touchStart", 280), ("touchMove", 180), ("touchMove", 90), ("touchEnd", None)):
        points = [] if x is None else [{"x": x, "y": box["y"] + 200}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator(".qw-lens")).to_have_attribute("alt", "prompt 0, seed 2")
    closer.get_by_role("button", name="close").tap()
    assert stage.tile(0, 0).get_attribute("aria-label") == "prompt 0, seed 1, kept, 4 stars, picked A"
    context.close()
