"""The panel under quick, long and stray presses: what is pressed once is done once, and no key gets past the panel."""

from __future__ import annotations

import pytest
from panel_stage import PanelPage
from playwright.sync_api import expect
from waits import IDLE

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.1\nimport qwen_widgets as qw"
PANEL = "panel = qw.Panel('a red boat', seeds='1-2', size='640x480')\npanel"
CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(
    (c) => [c.id, c.type, c.sharedModel.getSource(), c.executionCount ?? 0])"""
# How wide a dropdown's text is beside the room that its field has.
FITS = """(el) => {
    const style = getComputedStyle(el), pen = document.createElement("canvas").getContext("2d");
    pen.font = style.font;
    const room = el.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    return [...el.options].filter(({text}) => pen.measureText(text).width > room).map(({text}) => text);
}"""


@pytest.fixture
def open_panel(lab, page):
    def make(name: str, *more: str, panel: str = PANEL) -> PanelPage:
        lab.write_notebook(name, [LOAD, panel, *more])
        lab.open(page, name)
        for index in (0, 1):
            lab.run_cell(page, index)
        found = PanelPage(page)
        found.ready()
        return found

    return make


def python(lab, page, index: int) -> str:
    lab.run_cell(page, index)
    return lab.printed(page, index)


@pytest.mark.parametrize("host", ["lab", "notebook"])
def test_keys_behind_a_click_on_an_empty_place_stay_in_the_panel(request, page, host):
    server = request.getfixturevalue(host)
    server.write_notebook("stray", [LOAD, PANEL, "1 + 1"])
    server.open(page, "stray")
    for index in (0, 1):
        server.run_cell(page, index)
    panel = PanelPage(page)
    panel.ready()
    panel.press("run")
    panel.filled(2)
    panel.quiet()
    before = page.evaluate(CELLS)
    results = panel.root.locator(".qw-p-results").bounding_box()
    places = [
        panel.part("line").bounding_box(),
        panel.part("row-seedline").locator(".widget-label").first.bounding_box(),
        panel.root.locator(".qw-facts").bounding_box(),
        {"x": results["x"] + 20, "y": results["y"] + results["height"] - 30, "width": 4, "height": 4},
    ]
    for box in places:
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for key in ("x", "b", "d", "d", "a"):
            page.keyboard.press(key)
        page.evaluate(IDLE)
        assert page.evaluate(CELLS) == before, box
        page.keyboard.press("Escape")


def test_a_key_that_is_held_and_a_double_click_run_once(lab, page, open_panel):
    panel = open_panel("once", "print(panel.grid.shape)")
    lock = panel.root.locator("button.qw-p-seed_locked")
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "false")
    panel.prompt.focus()
    page.keyboard.down("Control")
    for _ in range(5):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    panel.filled(2)
    panel.quiet()
    panel.root.locator("button.qw-p-run").dblclick()
    panel.filled(4)
    panel.quiet()
    assert python(lab, page, 2) == "(1, 4)"


def test_a_press_that_a_busy_kernel_has_not_heard_is_seen(lab, page, open_panel):
    panel = open_panel("sent", "import time; time.sleep(3)")
    run = panel.root.locator("button.qw-p-run")
    lab.run_cell(page, 2, wait=False)
    page.evaluate("""() => {
        const run = document.querySelector("button.qw-p-run");
        run.addEventListener("click", () => {}, {once: true});
        new MutationObserver(() => { if (run.classList.contains("qw-p-sent")) window.seen = true; })
            .observe(run, {attributes: true, attributeFilter: ["class"]});
    }""")
    run.click()
    page.wait_for_function("window.seen")
    panel.filled(2)
    page.wait_for_function("!document.querySelector('.qw-p-sent')")


def test_the_arrows_of_a_side_go_both_ways_in_steps_of_16(lab, page, open_panel):
    panel = open_panel("arrows")
    width = panel.part("width").locator("input")
    width.focus()
    for key, value in (("ArrowUp", "656"), ("ArrowUp", "672"), ("ArrowDown", "656")):
        page.keyboard.press(key)
        expect(width).to_have_value(value)
        page.wait_for_function(
            "(text) => document.querySelector('.qw-p-line').innerText && document.querySelector('.qw-p-width input').value === text",
            arg=value,
        )


def test_each_model_is_read_with_its_price(lab, page, open_panel):
    panel = open_panel("models")
    assert panel.part("model").locator("select").evaluate(FITS) == []
    assert panel.part("ratio").locator("select").evaluate(FITS) == []


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [("count", "99", "between 1 and 16"), ("seed", "99999999999", "2147483647"), ("width", "5000", "1536")],
)
def test_a_number_that_cannot_be_is_told_and_not_made_another(lab, page, open_panel, field, typed, said):
    panel = open_panel(f"number-{field}", "print(panel.grid)")
    kept = panel.part(field).locator("input").input_value()
    panel.part(field).locator("input").fill(typed)
    panel.prompt.focus()
    panel.says({"width": "size-error"}.get(field, "seed-error"), said)
    expect(panel.part(field).locator("input")).to_have_value(kept)
    assert python(lab, page, 2) == "None"


def test_the_focus_goes_where_one_goes_on(lab, page, open_panel):
    panel = open_panel("focus")
    panel.press("run")
    panel.filled(2)
    panel.quiet()
    panel.type("a blue boat")
    panel.root.locator(".qw-row-header").first.hover()
    panel.root.get_by_role("button", name="edit this prompt").first.click()
    expect(panel.prompt).to_have_value("a red boat")
    expect(panel.prompt).to_be_focused()
    # The last step back takes the button with it.
    undo = panel.root.locator("button.qw-p-undo")
    while undo.is_enabled():
        undo.focus()
        before = panel.prompt.input_value()
        page.keyboard.press("Enter")
        expect(panel.prompt).not_to_have_value(before)
        panel.root.locator("button.qw-p-redo:enabled").wait_for()
        page.wait_for_function("document.querySelector('.qw-panel').contains(document.activeElement)")
    expect(panel.prompt).to_be_focused()
