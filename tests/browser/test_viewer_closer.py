"""Looking closer and comparing: originals, one shared lens, the modes, flipping at the same place."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace

import pytest
from PIL import Image
from viewer_stage import Stage, make_view, picture, pictures

from qwen_widgets.grid.view import Action

LENSES = "[...document.querySelectorAll('.qw-lens')].map((img) => getComputedStyle(img).transform)"


def large(colour: str = "navy") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1280, 720), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def stage(page) -> Stage:
    return Stage(page)


def lens_box(stage: Stage) -> dict[str, float]:
    """Where the picture itself is: its element fills the pane, and the picture is contained in it."""
    box = stage.page.locator(".qw-lens").bounding_box()
    width = min(box["width"], box["height"] * 16 / 9)
    height = width * 9 / 16
    left, top = box["x"] + (box["width"] - width) / 2, box["y"] + (box["height"] - height) / 2
    return {"x": left, "y": top, "width": width, "height": height}


def compare(stage: Stage, *places: tuple[int, int]) -> None:
    for place in places:
        stage.focus_on(*place)
        stage.press(" ")
    stage.press("c")
    stage.page.wait_for_selector(".qw-closer[open] .qw-lens")


def shown(stage: Stage) -> list[str]:
    return stage.page.evaluate(
        "[...document.querySelectorAll('.qw-lens')].filter((i) => getComputedStyle(i).visibility === 'visible').map((i) => i.alt)"
    )


def test_the_original_takes_the_previews_place_and_is_asked_for_once(stage):
    stage.open(make_view())
    asked = []
    stage.viewer.on_original = lambda *place: asked.append(place) or large()
    stage.focus_on(0, 1)
    stage.press("Enter")
    lens = stage.page.locator(".qw-lens")
    assert lens.evaluate("(img) => img.decode().then(() => img.naturalWidth)") == 160
    before = lens.bounding_box()
    stage.deliver()
    stage.page.wait_for_function("document.querySelector('.qw-lens').naturalWidth === 1280")
    assert lens.bounding_box() == before
    stage.press("ArrowRight", "ArrowLeft")
    stage.deliver()
    assert asked == [(0, 1), (0, 2)]
    assert stage.page.locator(".qw-lens").evaluate("(img) => img.naturalWidth") == 1280


def test_without_an_original_the_preview_stays(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("Enter")
    assert stage.deliver() == [{"type": "original", "row": 0, "column": 0}]
    assert (
        stage.page.locator(".qw-lens").evaluate("(img) => img.decode().then(() => img.naturalWidth)") == 160
    )


def test_a_new_picture_drops_the_old_original(stage):
    view = make_view()
    stage.open(view)
    stage.viewer.on_original = lambda *_: large()
    stage.focus_on(0, 0)
    stage.press("Enter")
    stage.deliver()
    stage.show(view, {**pictures(view), (0, 0): picture("red")})
    assert stage.deliver() == [{"type": "original", "row": 0, "column": 0}]


def test_wheel_keys_and_drag_move_the_lens_and_the_point_under_the_wheel_stays(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("Enter")
    level = stage.page.locator(".qw-level")
    fit = level.inner_text()
    box = lens_box(stage)
    at = (box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    stage.page.mouse.move(*at)
    stage.page.mouse.wheel(0, -800)
    stage.page.wait_for_function(f"document.querySelector('.qw-level').textContent !== '{fit}'")
    near = lens_box(stage)
    assert (at[0] - near["x"]) / near["width"] == pytest.approx(0.25, abs=0.01)
    assert (at[1] - near["y"]) / near["height"] == pytest.approx(0.25, abs=0.01)
    stage.page.mouse.down()
    stage.page.mouse.move(at[0] + 40, at[1] + 30)
    stage.page.mouse.up()
    moved = lens_box(stage)
    assert (moved["x"] - near["x"], moved["y"] - near["y"]) == pytest.approx((40, 30), abs=1)
    stage.press("Shift+ArrowRight")
    assert lens_box(stage)["x"] == pytest.approx(moved["x"] - 60, abs=1)
    stage.press("f")
    assert level.inner_text() == fit
    # Nothing of the picture can be lost out of the view.
    stage.press("Shift+ArrowRight")
    assert lens_box(stage) == pytest.approx(box)
    stage.press("f")
    assert level.inner_text() == "100%"
    assert lens_box(stage)["width"] == pytest.approx(1280, abs=2)


def test_two_fingers_zoom(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("Enter")
    box = stage.page.locator(".qw-stage").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    session = stage.page.context.new_cdp_session(stage.page)
    before = lens_box(stage)["width"]

    def touch(kind: str, apart: float) -> None:
        points = [
            {"x": middle[0] - apart, "y": middle[1], "id": 0},
            {"x": middle[0] + apart, "y": middle[1], "id": 1},
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []})

    touch("touchStart", 50)
    for apart in (70, 90, 100):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    # The page hears of a finger's moves when a frame is due.
    stage.page.wait_for_function(
        f"Math.abs(document.querySelector('.qw-lens').getBoundingClientRect().width / {box['width']} - 2) < 0.2"
    )
    assert lens_box(stage)["width"] == pytest.approx(2 * before, rel=0.1)


def test_flipping_keeps_place_and_zoom(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("Enter", "+", "+", "+", "Shift+ArrowRight")
    lens = stage.page.evaluate(LENSES)
    assert lens[0].startswith("matrix(1.95")
    stage.press("ArrowDown", "ArrowRight")
    assert shown(stage) == ["prompt 1, seed 2"]
    assert stage.page.evaluate(LENSES) == lens


def test_compare_needs_two_and_shows_them_under_one_lens(stage):
    stage.open(make_view())
    button = stage.page.get_by_role("button", name="compare", exact=False).first
    assert button.get_attribute("aria-disabled") == "true"
    stage.focus_on(0, 1)
    stage.press("c")
    assert stage.count("dialog[open]") == 0
    stage.press(" ")
    stage.focus_on(1, 1)
    stage.press(" ")
    assert button.inner_text() == "Compare 2"
    assert [letter.inner_text() for letter in stage.page.locator(".qw-tile .qw-letter").all()] == ["A", "B"]
    style = stage.tile(0, 1).locator(".qw-box").evaluate("(el) => getComputedStyle(el).outlineWidth")
    assert style == "3px"
    assert stage.tile(0, 1).get_attribute("aria-selected") == "true"
    button.click()
    assert shown(stage) == ["prompt 0, seed 2", "prompt 1, seed 2"]
    stage.press("+", "+")
    one, other = stage.page.evaluate(LENSES)
    assert one == other != ""
    stage.press("ArrowRight")
    assert shown(stage) == ["prompt 0, seed 3", "prompt 1, seed 3"]
    assert stage.page.evaluate(LENSES) == [one, other]
    # Where one of them has no neighbour, none moves.
    stage.press("ArrowDown", "ArrowDown")
    assert shown(stage) == ["prompt 1, seed 3", "prompt 2, seed 3"]
    stage.press("c")
    assert shown(stage) == ["prompt 2, seed 3", "prompt 1, seed 3"]
    stage.press("z")
    assert stage.count("dialog[open]") == 0
    stage.page.wait_for_function("document.activeElement.matches('.qw-tile')")


def test_m_goes_through_the_modes(stage):
    stage.open(make_view())
    compare(stage, (0, 0), (1, 0))
    mode = stage.page.locator(".qw-modes [aria-pressed=true]")
    seen = []
    for _ in range(6):
        seen.append(mode.inner_text())
        stage.press("m")
    assert seen == ["side by side", "slider", "hover", "blink", "difference", "side by side"]


def test_the_slider_cuts_where_the_divider_is(stage):
    stage.open(make_view())
    compare(stage, (0, 0), (1, 0))
    stage.press("m")
    clip = "getComputedStyle(document.querySelectorAll('.qw-layer')[1]).clipPath"
    assert stage.page.evaluate(clip) == "inset(0px 0px 0px 50%)"
    box = stage.page.locator(".qw-stage").bounding_box()
    stage.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    stage.page.mouse.down()
    stage.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    stage.page.mouse.up()
    assert stage.page.evaluate(clip) == "inset(0px 0px 0px 25%)"
    divider = stage.page.locator(".qw-divider")
    divider.focus()
    stage.press("ArrowRight")
    assert stage.page.evaluate(clip) == "inset(0px 0px 0px 26%)"


def test_hover_shows_the_one_whose_side_the_pointer_is_on(stage):
    stage.open(make_view())
    compare(stage, (0, 0), (1, 0))
    stage.press("m", "m")
    box = stage.page.locator(".qw-stage").bounding_box()
    for share, alt in ((0.2, "prompt 0, seed 1"), (0.8, "prompt 1, seed 1")):
        stage.page.mouse.move(box["x"] + box["width"] * share, box["y"] + 50)
        assert shown(stage) == [alt]
    stage.press(" ")
    assert shown(stage) == ["prompt 0, seed 1"]


def test_blink_changes_twice_a_second_and_not_at_all_where_motion_is_unwanted(stage):
    stage.stop_clock()
    stage.open(make_view())
    for place in ((0, 0), (1, 0)):
        stage.focus_on(*place)
        stage.press(" ")
    stage.press("c", "m", "m", "m")
    changes = []
    for _ in range(20):
        changes.append(shown(stage)[0])
        stage.page.clock.run_for(100)
    # A flash is a pair of opposing changes; three a second are allowed.
    assert sum(a != b for a, b in itertools.pairwise(changes)) == 3
    stage.page.emulate_media(reduced_motion="reduce")
    stage.press("m", *"mmmm")
    still = shown(stage)
    stage.page.clock.run_for(2000)
    assert shown(stage) == still
    stage.press(" ")
    assert shown(stage) != still
    stage.press("Escape")
    assert stage.log("timers") == []


@pytest.mark.parametrize("way", ["pointer", "keyboard"])
def test_in_every_mode_keys_rate_a_picture_that_is_seen(stage, way):
    stage.open(make_view())
    compare(stage, (0, 0), (0, 1), (0, 2))
    pane = stage.page.locator(".qw-pane").nth(2)
    pane.hover() if way == "pointer" else pane.focus()
    rated = []
    for _ in range(4):
        stage.press("m", "5")
        message = [one for one in stage.log("sent") if one["type"] == "stars"][-1]
        rated.append(f"prompt {message['row']}, seed {message['column'] + 1}")
        assert rated[-1] in shown(stage)
        stage.press("0")
    # In the slider and the difference Space goes to and fro between the two that are seen.
    for alt in ("prompt 0, seed 2", "prompt 0, seed 1"):
        stage.press(" ", "k")
        message = [one for one in stage.log("sent") if one["type"] == "mark"][-1]
        assert f"prompt {message['row']}, seed {message['column'] + 1}" == alt


def test_a_mode_by_key_from_a_pane_keeps_the_keys_in_the_dialog(stage):
    stage.open(make_view())
    compare(stage, (0, 0), (0, 1))
    stage.page.locator(".qw-pane").nth(1).focus()
    labels = []
    for _ in range(5):
        stage.press("m")
        labels.append(stage.page.locator(".qw-closer").get_attribute("aria-label"))
        assert stage.page.evaluate("!!document.activeElement.closest('.qw-closer')")
    assert labels[-1] == "compare, side by side"
    assert stage.log("keys") == []


def test_the_divider_leaves_the_keys_that_are_not_its_own(stage):
    stage.open(make_view())
    compare(stage, (0, 0), (0, 1))
    stage.press("m")
    stage.page.locator(".qw-divider").focus()
    stage.press("End", "PageDown", "ArrowLeft", "k", "4", "c")
    assert stage.page.locator(".qw-divider").input_value() == "89"
    assert [one["value"] for one in stage.log("sent") if one["type"] in ("mark", "stars")] == ["keep", 4]
    assert shown(stage)[0] == "prompt 0, seed 2"
    # It goes with its mode, and the focus not with it.
    stage.press("m")
    assert stage.focus == "compare, hover"
    stage.press("z")
    assert stage.count("dialog[open]") == 0


def test_the_slider_of_three_says_which_take_no_part(stage):
    stage.open(make_view())
    compare(stage, (0, 0), (0, 1), (0, 2))
    aside = "[...document.querySelectorAll('.qw-line')].map((el) => el.textContent.includes('not seen in this mode'))"
    assert stage.page.evaluate(aside) == [False] * 3
    for mode, told in (("slider", True), ("hover", False), ("blink", False), ("difference", True)):
        stage.press("m")
        assert stage.page.evaluate(aside) == [False, False, told], mode


def test_a_tap_shows_the_next_one_where_nothing_hovers_and_nothing_blinks(browser):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, reduced_motion="reduce"
    )
    page = context.new_page()
    stage = Stage(page)
    stage.open(make_view())
    compare(stage, (0, 0), (0, 1))
    for mode in ("hover", "blink"):
        page.locator(".qw-closer").get_by_role("button", name=mode).tap()
        seen = [shown(stage)]
        for _ in range(2):
            page.locator(".qw-stage").tap()
            seen.append(shown(stage))
        assert seen == [["prompt 0, seed 1"], ["prompt 0, seed 2"], ["prompt 0, seed 1"]], mode
    context.close()


def test_the_difference_of_a_picture_with_itself_is_black(stage):
    stage.open(make_view(), {**pictures(make_view()), (2, 0): picture("red")})
    compare(stage, (0, 0), (1, 0))
    stage.press("m", "m", "m", "m")

    def middle() -> tuple[int, ...]:
        stage.page.wait_for_function(
            "[...document.querySelectorAll('.qw-lens')].every((i) => i.complete && i.naturalWidth)"
        )
        stage.settle()
        shot = Image.open(io.BytesIO(stage.page.locator(".qw-stage").screenshot())).convert("RGB")
        return shot.getpixel((shot.width // 2, shot.height // 2))

    assert max(middle()) <= 4
    stage.press("ArrowDown")
    assert max(middle()) > 100


def test_choices_are_made_in_the_closer_look_too(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("Enter", "k")
    stage.page.locator(".qw-closer .qw-star").nth(4).click()
    assert stage.page.locator(".qw-closer .qw-words").inner_text().endswith("kept, 5 stars")
    stage.page.locator(".qw-closer").get_by_role("button", name="pick").click()
    stage.press("Escape")
    assert stage.tile(0, 0).get_attribute("aria-label") == "prompt 0, seed 1, kept, 5 stars, picked A"


def test_opened_again_before_the_page_has_heard_of_its_end_it_is_whole(stage):
    stage.open(make_view())
    stage.focus_on(0, 0)
    stage.press("Enter")
    # Between two frames: `close` comes with the next one.
    stage.page.evaluate(
        """() => {
            for (const key of ['Escape', 'Enter'])
                document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, composed: true }));
        }"""
    )
    stage.settle()
    assert stage.count(".qw-closer[open] .qw-lens") == 1
    stage.press("Escape")
    assert stage.focus == "prompt 0, seed 1"
    assert stage.count(".qw-lens") == 0


def test_what_moderation_flagged_is_blurred_until_asked_for(stage):
    view = make_view()
    stage.open(replace(view, cells=(replace(view.cells[0], flagged=True), *view.cells[1:])))
    blur = "getComputedStyle(document.querySelector('.qw-tile img')).filter"
    assert "blur" in stage.page.evaluate(blur)
    stage.focus_on(0, 1)
    stage.press("Enter", "ArrowLeft")
    assert stage.page.locator(".qw-closer .qw-veiled").count() == 1
    stage.press("Escape")
    stage.focus_on(0, 0)
    stage.press("Enter")
    assert stage.page.evaluate(blur) == "none"
    assert stage.count("dialog[open]") == 0
    stage.press("Enter")
    assert stage.page.locator(".qw-closer .qw-veiled").count() == 0


def test_the_ways_to_go_on_are_shown_as_cells_to_copy_with_their_price(stage):
    stage.open(make_view("ssu" + "s"))
    stage.viewer.on_actions = lambda row, column: (
        Action("more seeds", f"%%qwenimage --seeds {row}-{column}\na boat", "$0.12"),
        Action("buy it again", "%%qwenimage --fresh\na boat", "$0.03"),
    )

    stage.focus_on(0, 2)
    stage.press(".")
    stage.deliver()
    dialog = stage.page.locator(".qw-actions[open]")
    assert dialog.locator("pre").all_inner_texts() == [
        "%%qwenimage --seeds 0-2\na boat",
        "%%qwenimage --fresh\na boat",
    ]
    assert dialog.locator(".qw-price").all_inner_texts() == ["$0.12", "$0.03"]
    dialog.get_by_role("button", name="copy: more seeds").click()
    stage.page.wait_for_function(
        "[...document.querySelectorAll('.qw-list button')].some((b) => b.textContent === 'copied')"
    )
    stage.press("Escape")
    stage.page.wait_for_function("document.activeElement.matches('.qw-tile')")
