"""The living grid in Notebook 7 and in Voilà: all of it works there, and its keys do nothing to the cells."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from waits import IDLE, closed

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2"
BOATS = "%%qwenimage --seeds 1-3 --size 16:9 -o boat\na red boat {at sunset|in the rain}"
FRONT_END = "from qwen_widgets.grid.show import front_end\nprint('front end:', front_end())"
CHOSEN = "print([c.rating for c in boat.kept], len(boat.votes), boat.shape)"
FILLED = """(count) => [...document.querySelectorAll('.qw-viewer .qw-tile img')]
    .filter((img) => img.naturalWidth > 0).length === count"""
ORIGINAL = "document.querySelector('.qw-viewer dialog[open] .qw-stage img')?.naturalWidth === 1280"
ON_TILE = "document.activeElement.matches('.qw-tile')"
CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(
    (c) => [c.id, c.type, c.sharedModel.getSource(), c.executionCount ?? 0])"""
PAPER = "getComputedStyle(document.querySelector('.qw-viewer')).backgroundColor"
GUARDED = (["b"], ["d", "d"], ["a"], ["x"], ["m"], ["Control+Enter"], ["Shift+Enter"])


def tile(page, row: int, column: int):
    return page.locator(f".qw-row:nth-child({row + 2}) .qw-tile").nth(column)


def focus(page, row: int = 0, column: int = 0) -> None:
    tile(page, row, column).evaluate("(el) => el.focus()")


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def leave(page) -> None:
    press(page, "Escape")
    closed(page)
    page.wait_for_function(ON_TILE)


def has_paper(page, theme: str) -> None:
    """Wait until the viewer's paper is as dark as the theme."""
    page.wait_for_function(
        f"(dark) => ({PAPER}.match(/\\d+/g).slice(0, 3).reduce((sum, one) => sum + Number(one), 0) < 384) === dark",
        arg=theme == "dark",
    )


def look_closer_and_compare(page, shot) -> None:
    focus(page)
    press(page, "Enter")
    # The original comes from the kernel.
    page.wait_for_function(ORIGINAL)
    shot("closer")
    lens = "getComputedStyle(document.querySelector('dialog[open] .qw-stage img')).transform"
    before = page.evaluate(lens)
    press(page, "+", "+", "Shift+ArrowRight")
    assert page.evaluate(lens) != before
    press(page, "ArrowRight")
    leave(page)
    page.wait_for_function("document.activeElement.ariaLabel?.endsWith('seed 2, stored')")
    for row in (0, 1):
        focus(page, row, 0)
        press(page, " ")
    press(page, "c")
    seen = []
    for _ in range(5):
        seen.append(page.locator(".qw-modes [aria-pressed=true]").inner_text())
        press(page, "m")
    assert seen == ["side by side", "slider", "hover", "blink", "difference"]
    shot("compare")
    leave(page)
    press(page, "Escape")


def choose(page) -> None:
    focus(page)
    press(page, "k", "4")
    page.wait_for_function("document.querySelector('.qw-tile').ariaLabel.endsWith('kept, 4 stars')")
    press(page, "b")
    page.get_by_role("button", name="Start", exact=True).click()
    press(page, "ArrowLeft", "ArrowDown", "s")
    assert "of 2 votes" in page.locator(".qw-vote[open] caption").inner_text()
    leave(page)


def lay_out(page) -> None:
    focus(page)
    press(page, "v")
    page.get_by_role("combobox", name="prompt").select_option("tabs")
    leave(page)
    page.get_by_role("tab", name="a red boat in the rain").click()
    assert tile(page, 0, 0).get_attribute("aria-label").startswith("a red boat in the rain")
    focus(page)
    press(page, "v")
    page.get_by_role("button", name="as it was").click()
    closed(page)
    page.get_by_role("columnheader").nth(1).focus()
    press(page, "h")
    assert page.locator(".qw-tile").count() == 4
    page.get_by_role("button", name="show what is hidden").click()
    focus(page)
    press(page, "+", "+", "-", "-")
    assert page.locator(".qw-tile").count() == 6


def go_on(page) -> None:
    focus(page, 1, 0)
    press(page, ".")
    page.get_by_role("button", name="more seeds for this prompt, run here").click()
    page.wait_for_function(FILLED, arg=10)
    page.locator(".qw-bar").wait_for(state="hidden")
    focus(page)
    press(page, "v")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a page", exact=True).click()
    assert saved.value.suggested_filename == "boat.html"
    leave(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_grid_lives_in_notebook_7(notebook, page, theme):
    name = f"boats-{theme}"
    notebook.set_theme(None, theme)
    notebook.write_notebook(name, [LOAD, BOATS, FRONT_END, CHOSEN])
    notebook.open(page, name)
    notebook.run_all(page)
    page.wait_for_function(FILLED, arg=6)
    assert notebook.printed(page, 2) == "front end: live"
    expect(page.locator(".qw-snapshot")).to_have_count(1)
    expect(page.locator(".qw-snapshot:visible")).to_have_count(0)
    has_paper(page, theme)
    notebook.screenshot(page, f"notebook7-{theme}")

    cells = page.evaluate(CELLS)
    look_closer_and_compare(page, lambda what: notebook.screenshot(page, f"notebook7-{what}-{theme}"))
    choose(page)
    lay_out(page)
    go_on(page)
    assert page.evaluate(CELLS) == cells
    notebook.run_cell(page, 3)
    # The kernel has read the page's messages in their order, those before this cell first.
    assert notebook.printed(page, 3) == "[4] 2 (2, 7)"

    cells = page.evaluate(CELLS)
    for opened in (False, True):
        for keys in GUARDED:
            focus(page)
            press(page, *(["Enter"] if opened else []), *keys)
            while page.locator("dialog[open]").count():
                press(page, "Escape")
            # A command that came through would be seen at the latest when the page has had time for it,
            closed(page)
            page.evaluate(IDLE)
            assert page.evaluate(CELLS) == cells, (keys, opened)
    # or, a cell that was run, when the kernel has come to the next one.
    notebook.run_cell(page, 3)
    cells[3][3] = 1 + max(cell[3] for cell in cells)
    assert page.evaluate(CELLS) == cells
    focus(page)
    notebook.save(page)
    assert page.foreign_urls() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_grid_lives_in_voila(voila, page, theme):
    # Voilà's own template asks a CDN for its icons: it is let ask, and gets no answer.
    page.route("**/*fontawesome*/**", lambda route: route.abort())
    voila.write_notebook(f"boats-{theme}", [LOAD, BOATS, FRONT_END])
    voila.open(page, f"boats-{theme}", theme)
    page.wait_for_function(FILLED, arg=6)
    # Voilà executes as nbclient does, and is no place for the static view all the same.
    expect(page.locator("body")).to_contain_text("front end: live")
    assert page.locator(".qw-viewer").count() == 1
    expect(page.locator(".qw-snapshot:visible")).to_have_count(0)
    has_paper(page, theme)
    voila.screenshot(page, f"voila-{theme}")
    look_closer_and_compare(page, lambda what: voila.screenshot(page, f"voila-{what}-{theme}"))
    choose(page)
    lay_out(page)
    go_on(page)
    assert [url for url in page.foreign_urls() if "fontawesome" not in url] == []
