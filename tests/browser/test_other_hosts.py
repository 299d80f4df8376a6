"""The living grid in Notebook 7 and in Voilà: alive there, opened closer, and its keys do nothing to the cells."""

from __future__ import annotations

import pytest
from hosts import Notebook, Voila

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2"
BOATS = "%%qwenimage --seeds 1-3 --size 16:9 -o boat\na red boat {at sunset|in the rain}"
FRONT_END = "from qwen_widgets.grid.show import front_end\nprint('front end:', front_end())"
FILLED = """(count) => [...document.querySelectorAll('.qw-viewer .qw-tile img')]
    .filter((img) => img.naturalWidth > 0).length === count"""
ORIGINAL = "document.querySelector('.qw-viewer dialog[open] .qw-stage img')?.naturalWidth === 1280"
ON_TILE = "document.activeElement.matches('.qw-tile')"
CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(
    (c) => [c.id, c.type, c.sharedModel.getSource(), c.executionCount ?? 0])"""
PAPER = "getComputedStyle(document.querySelector('.qw-viewer')).backgroundColor"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, child_env):
    host = Notebook(tmp_path_factory.mktemp("notebook7"), child_env)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def voila(tmp_path_factory, child_env):
    host = Voila(tmp_path_factory.mktemp("voila"), child_env)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def look_closer(page) -> None:
    """Enter on the first tile, until the original is there; Escape, until the focus is back."""
    page.locator(".qw-tile").first.evaluate("(el) => el.focus()")
    page.keyboard.press("Enter")
    page.wait_for_function(ORIGINAL)


def leave(page) -> None:
    page.keyboard.press("Escape")
    page.wait_for_function(ON_TILE)
    assert page.locator("dialog[open]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_grid_lives_in_notebook_7(notebook, page, theme):
    name = f"boats-{theme}"
    page.set_default_timeout(15_000)
    notebook.set_theme(None, theme)
    notebook.write_notebook(name, [LOAD, BOATS, FRONT_END, "print([c.rating for c in boat.kept])"])
    notebook.open(page, name)
    notebook.run_all(page)
    page.wait_for_function(FILLED, arg=6)
    assert notebook.cell_output(page, 2).inner_text().strip() == "front end: live"
    assert page.locator(".qw-snapshot").count() == 1
    assert page.locator(".qw-snapshot:visible").count() == 0
    dark = sum(map(int, page.evaluate(PAPER).removeprefix("rgb(").rstrip(")").split(",")[:3])) < 384
    assert dark == (theme == "dark")
    notebook.screenshot(page, f"notebook7-{theme}")

    look_closer(page)
    notebook.screenshot(page, f"notebook7-closer-{theme}")
    leave(page)
    page.keyboard.press("k")
    page.keyboard.press("4")
    notebook.run_cell(page, 3)
    assert notebook.cell_output(page, 3).inner_text().strip() == "[4]"

    cells = page.evaluate(CELLS)
    for opened in (False, True):
        for keys in (["b"], ["d", "d"], ["a"], ["Control+Enter"], ["Shift+Enter"]):
            page.locator(".qw-tile").first.evaluate("(el) => el.focus()")
            if opened:
                look_closer(page)
            for key in keys:
                page.keyboard.press(key)
            while page.locator("dialog[open]").count():
                page.keyboard.press("Escape")
            page.wait_for_timeout(100)  # an inserted cell, or one that runs, comes a little later
            assert page.evaluate(CELLS) == cells, (keys, opened)
    assert page.foreign_urls() == []
    notebook.tidy()
    # Notebook 7.6's own, in about every second start: its settings come in before the plugin they are of.
    page.page_errors[:] = [error for error in page.page_errors if "(reading 'schema')" not in error]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_grid_lives_in_voila(voila, page, theme):
    page.set_default_timeout(15_000)
    voila.write_notebook(f"boats-{theme}", [LOAD, BOATS, FRONT_END])
    voila.open(page, f"boats-{theme}", theme)
    page.wait_for_function(FILLED, arg=6)
    # Voilà executes as nbclient does, and is no place for the static view all the same.
    assert "front end: live" in page.inner_text("body")
    assert page.locator(".qw-viewer").count() == 1
    assert page.locator(".qw-snapshot:visible").count() == 0
    voila.screenshot(page, f"voila-{theme}")
    look_closer(page)
    voila.screenshot(page, f"voila-closer-{theme}")
    leave(page)
    # Kernel and page go on talking: what is chosen comes back as state.
    page.keyboard.press("3")
    page.keyboard.press(".")
    page.locator(".qw-actions[open] pre").first.wait_for()
    leave(page)
    assert page.locator(".qw-tile").first.get_attribute("aria-label").endswith("3 stars")
    for keys in (["b"], ["d", "d"], ["a"], ["Control+Enter"], ["Shift+Enter"]):
        for key in keys:
            page.keyboard.press(key)
        while page.locator("dialog[open]").count():
            page.keyboard.press("Escape")
        page.wait_for_function(ON_TILE)
    assert page.locator(".qw-viewer .qw-tile").count() == 6
    # Voilà's own page asks a CDN for its icons; the grid does without anything.
    assert [url for url in page.foreign_urls() if "fontawesome" not in url] == []
