"""The panel in a real JupyterLab, used as a person does: typed into, run, changed, run again, left with code."""

from __future__ import annotations

import re

import pytest
from panel_stage import PanelPage, explore
from playwright.sync_api import expect
from waits import IDLE

LOAD = (
    "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2\n"
    "import asyncio, threading, qwen_widgets as qw"
)
PANEL = (
    "panel = qw.Panel('a red boat on a lake at sunset', seeds='1-3', size='16:9', title='Exploration')\npanel"
)
CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(
    (c) => [c.id, c.type, c.sharedModel.getSource(), c.executionCount ?? 0])"""


@pytest.fixture
def open_panel(lab, page):
    """Open a notebook whose second cell shows a panel."""

    def make(name: str, *more: str, panel: str = PANEL, theme: str = "light") -> PanelPage:
        lab.set_theme(None, theme)
        lab.write_notebook(name, [LOAD, panel, *more])
        lab.open(page, name)
        for index in (0, 1):
            lab.run_cell(page, index)
        found = PanelPage(page)
        found.ready()
        return found

    return make


def python(lab, page, index: int) -> str:
    """Run a cell that stands below, and return what it printed."""
    lab.run_cell(page, index)
    return lab.printed(page, index)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_prompt_is_explored_and_leaves_as_a_cell_that_costs_nothing(lab, page, open_panel, theme):
    panel = open_panel(
        f"explore-{theme}",
        "",
        "print(panel.grid.shape, [c.cached for c in panel.grid].count(True))",
        theme=theme,
    )
    lab.screenshot(page, f"panel-empty-{theme}")
    cell = explore(panel)
    lab.screenshot(page, f"panel-{theme}")
    assert cell == (
        '%%qwenimage --seeds 1-3 --size 4:3 --title "Exploration"\na blue boat on a lake at night'
    )
    assert python(lab, page, 3).startswith("(2, 3)")
    # Pasted as a person does.
    lab.cell(page, 2).locator(".cm-content").click()
    page.keyboard.press("Control+v")
    lab.run_cell(page, 2)
    output = lab.cell_output(page, 2)
    expect(output).to_contain_text("3 already here · nothing new")
    page.wait_for_function(
        "document.querySelectorAll('.qw-viewer')[1]?.querySelectorAll('.qw-tile img').length === 3"
    )
    assert [label.removesuffix(", picked B") for label in panel.labels()[3:]] == output.locator(
        ".qw-tile"
    ).evaluate_all("(all) => all.map((el) => el.ariaLabel)")
    assert page.foreign_urls() == []


def test_stop_is_heard_while_a_run_goes_on_and_other_cells_run_meanwhile(lab, page, open_panel):
    panel = open_panel(
        "stop",
        "%config QwenMagics.offline_seconds = 3\n%config QwenMagics.at_once = 1",
        "print(panel.busy)",
        "print(sorted({c.state for c in panel.grid}), panel.grid.cost)",
        panel=PANEL.replace("1-3", "101-108"),
    )
    lab.run_cell(page, 2)
    panel.press("run")
    panel.root.locator(".qw-tile img").first.wait_for()
    assert python(lab, page, 3) == "True"
    panel.press("stop")
    panel.quiet()
    assert python(lab, page, 4).startswith("['stopped', 'stored']")
    panel.says_stopped()


def test_no_key_pressed_in_the_panel_reaches_the_notebook_but_saving_does(lab, page, open_panel):
    panel = open_panel("keys")
    before = page.evaluate(CELLS)
    places = [
        "ratio select", "model select", "seed input", "count input", "title input",
        "slider [role=slider]", "prompt textarea",
    ]  # fmt: skip
    for place in [f".qw-p-{place}" for place in places] + ["button.qw-p-die", "button.qw-p-python"]:
        panel.root.locator(place).focus()
        for key in ("b", "d", "d", "Shift+Enter", "Control+Enter", "ArrowDown", "m", "y"):
            if place.endswith("textarea") and key == "Control+Enter":
                continue
            # Enter is what a button is pressed with.
            if place.startswith("button") and "Enter" in key:
                continue
            page.keyboard.press(key)
        page.evaluate(IDLE)
        assert page.evaluate(CELLS) == before, place
    assert panel.root.locator(".qw-tile").count() == 0
    lab.save(page)
    # From the same place, with the modifier, it runs.
    panel.type("an owl")
    page.keyboard.press("Control+Enter")
    panel.root.locator(".qw-tile img").first.wait_for()
    assert page.evaluate(CELLS) == before


def test_the_keyboard_alone_explores(lab, page, open_panel):
    panel = open_panel("keyboard")
    panel.prompt.focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('qw-p-run')"):
            break
    page.keyboard.press("Enter")
    panel.filled(3)
    panel.quiet()
    order = []
    panel.prompt.focus()
    for _ in range(30):
        order.append(
            page.evaluate(
                "document.activeElement.ariaLabel || document.activeElement.innerText || document.activeElement.tagName"
            )
        )
        page.keyboard.press("Tab")
        if page.evaluate("!document.activeElement.closest('.qw-p-controls')"):
            break
    assert order.index("Seed") < order.index("Generate") < order.index("Copy as magic")
    # Behind the controls comes the grid.
    assert page.evaluate("!!document.activeElement.closest('.qw-p-results')")


def test_what_cannot_run_says_why_at_its_field(lab, page, open_panel):
    panel = open_panel("wrong")
    panel.type("x" * 20)
    panel.says("length", "20 / 800")
    panel.prompt.fill("x" * 900)
    panel.says("line", "900 characters")
    panel.press("run")
    panel.says("prompt-error", "900 characters")
    expect(panel.prompt).to_have_attribute("aria-invalid", "true")
    panel.prompt.fill("")
    panel.says("line", "write a prompt first")
    panel.prompt.fill("a {red|blue} boat")
    panel.says("length", "2 prompts")
    panel.says("line", "2 × 3 = 6")
    # The line stands right under the button, and is read out with it.
    expect(panel.part("run")).to_have_accessible_description(re.compile("2 × 3 = 6"))
    run, line = panel.part("run").bounding_box(), panel.part("line").bounding_box()
    assert 0 <= line["y"] - (run["y"] + run["height"]) < 12
    panel.press("run")
    panel.filled(6)
    expect(panel.part("prompt-error")).to_have_text("")


def test_what_was_typed_while_the_kernel_was_busy_is_what_runs(lab, page, open_panel):
    panel = open_panel(
        "busy", "import time; time.sleep(6); print('done')", "print(panel.grid.prompts, panel.grid.seeds)"
    )
    lab.run_cell(page, 2, wait=False)
    panel.type("an owl in the snow")
    panel.part("count").locator("input").fill("2")
    panel.part("seed").locator("input").fill("41")
    panel.press("run")
    panel.type("an owl that nobody has run yet")
    panel.filled(2)
    lab.wait_idle(page)
    assert python(lab, page, 3) == "('an owl in the snow',) (41, 42)"
    assert panel.prompt.input_value() == "an owl that nobody has run yet"


def test_other_words_are_suggested_and_an_inserted_cell_runs_them(lab, page, open_panel):
    panel = open_panel("words", "print([row.original for row in panel.grid.sweep.rows])")
    panel.part("style").locator("select").select_option("photographic")
    panel.press("enhance")
    panel.part("suggestion").locator("textarea").wait_for()
    panel.part("changes").locator("ins").first.wait_for()
    lab.screenshot(page, "panel-suggestion")
    panel.press("accept")
    page.wait_for_function("document.querySelector('.qw-p-prompt textarea').value.length > 40")
    panel.part("suggestion").locator("textarea").wait_for(state="hidden")
    text = panel.prompt.input_value()
    panel.press("run")
    panel.filled(3)
    assert python(lab, page, 2) == "['a red boat on a lake at sunset']"
    panel.does("insert")
    below = page.evaluate(CELLS)[2]
    assert below[2].startswith("%%qwenimage --seeds 1-3")
    assert below[2].endswith(text)
    panel.press("undo")
    page.wait_for_function(
        "document.querySelector('.qw-p-prompt textarea').value === 'a red boat on a lake at sunset'"
    )


def test_a_picture_of_the_grid_and_one_of_a_file_are_edited(lab, page, open_panel, tmp_path):
    panel = open_panel("edit", "print([(c.row, c.made_from is not None) for c in panel.grid if c.row])")
    panel.press("run")
    panel.filled(3)
    panel.quiet()
    tile = panel.root.locator(".qw-tile").nth(1)
    tile.hover()
    tile.get_by_role("button", name="Go on").click()
    page.locator("dialog[open]").get_by_role("button", name="edit this", exact=True).click()
    panel.says("pictures", "1280×720")
    panel.type("make it a snowy night")
    panel.part("count").locator("input").fill("1")
    panel.press("run")
    page.wait_for_function("document.querySelectorAll('.qw-tile img').length >= 5")
    panel.quiet()
    lab.screenshot(page, "panel-edit")
    assert python(lab, page, 2) == "[(1, True)]"
    panel.press("clear")
    page.wait_for_function("!document.querySelector('.qw-p-pictures').innerText.trim()")
    (tmp_path / "not.png").write_bytes(b"<svg/>")
    with page.expect_file_chooser() as chooser:
        panel.press("files")
    chooser.value.set_files(tmp_path / "not.png")
    panel.says("line", "not.png")


def test_two_panels_do_not_mix(lab, page, open_panel):
    one = open_panel("two", panel=PANEL + "\ndisplay(panel)\nqw.Panel('an owl', seeds='7-8', size='16:9')")
    other = PanelPage(page, 1)
    one.press("run")
    other.press("run")
    one.filled(3)
    other.filled(2)
    assert [len(panel.labels()) for panel in (one, other)] == [3, 2]
    assert all("owl" in label for label in other.labels())


def test_traits_set_in_python_show_in_the_page_and_locks_hold(lab, page, open_panel):
    panel = open_panel(
        "traits",
        "panel.prompt = 'an owl'; panel.size = '640x480'; panel.count = 2; panel.locked = ['model', 'size']",
        "print(panel.size, panel.model)",
    )
    lab.run_cell(page, 2)
    page.wait_for_function("document.querySelector('.qw-p-prompt textarea').value === 'an owl'")
    page.wait_for_function("document.querySelector('.qw-p-ratio select').disabled")
    page.wait_for_function(
        "document.querySelector('.qw-p-ratio select').selectedOptions[0].text === 'custom'"
    )
    expect(panel.part("width").locator("input")).to_have_value("640")
    expect(panel.part("model").locator("select")).to_be_disabled()
    # A page that takes the lock off by itself.
    page.evaluate(
        """() => { const el = document.querySelector('.qw-p-ratio select'); el.disabled = false; el.selectedIndex = 1;
            el.dispatchEvent(new Event('change', {bubbles: true})); }"""
    )
    # Python has read that when it answers what came after it.
    seed = panel.part("seed").locator("input")
    before = seed.input_value()
    panel.press("die")
    expect(seed).not_to_have_value(before)
    assert python(lab, page, 3) == "640x480 qwen-image-2.0"


def test_the_saved_panel_leaves_its_last_snapshot_and_no_error_line(lab, page, open_panel):
    panel = open_panel("saved")
    panel.press("run")
    panel.filled(3)
    panel.quiet()
    # One grid is seen, not two.
    expect(page.locator(".qw-snapshot")).to_be_hidden()
    lab.save(page)
    lab.close(page)
    lab.shutdown_kernels()
    lab.open_without_kernel(page, "saved")
    output = lab.cell_output(page, 1)
    output.locator(".qw-snapshot").wait_for()
    expect(output.locator(".qw-snapshot img")).to_have_count(3)
    assert "widget" not in output.inner_text().lower()
    lab.close(page)
    lab.open(page, "saved")
    output = lab.cell_output(page, 1)
    output.locator(".qw-snapshot").wait_for()
    page.wait_for_function("!document.body.innerText.includes('Loading widget')")
    assert "Error displaying widget" not in output.inner_text()


def test_a_reloaded_page_shows_the_same_panel(lab, page, open_panel):
    panel = open_panel("reload")
    panel.type("an owl")
    panel.press("run")
    panel.filled(3)
    panel.quiet()
    lab.save(page)
    lab.close(page)
    lab.open(page, "reload")
    panel.ready()
    panel.filled(3)
    expect(panel.prompt).to_have_value("an owl")
    panel.type("a newt")
    panel.press("run")
    panel.filled(6)
