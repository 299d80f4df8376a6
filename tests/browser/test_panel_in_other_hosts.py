"""The panel in Notebook 7 and in Voilà, used as a person does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from panel_stage import PanelPage, explore
from playwright.sync_api import expect
from waits import IDLE

EXPLORER = Path(__file__).resolve().parents[2] / "notebooks" / "explorer.ipynb"
LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2\n%config QwenMagics.at_once = 2\nimport qwen_widgets as qw"
PANEL = "panel = qw.Panel('a red boat on a lake at sunset', seeds='1-3', size='16:9')\npanel"
MANY = "{a|one|the|this|that|my|our|your}"
CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(
    (c) => [c.id, c.type, c.sharedModel.getSource(), c.executionCount ?? 0])"""


def stop(panel: PanelPage, prompt: str) -> None:
    """Begin a run of 128 pictures and stop it."""
    panel.part("count").locator("input").fill("16")
    panel.type(prompt)
    panel.press("run")
    panel.root.locator(".qw-tile[aria-label^='an owl'] img").first.wait_for()
    panel.press("stop")
    panel.quiet()
    panel.says_stopped()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_lives_in_notebook_7(notebook, page, theme):
    notebook.set_theme(None, theme)
    name = f"panel-{theme}"
    notebook.write_notebook(name, [LOAD, PANEL, "", "print(panel.grid.shape)"])
    notebook.open(page, name)
    for index in (0, 1):
        notebook.run_cell(page, index)
    panel = PanelPage(page)
    cell = explore(panel)
    notebook.screenshot(page, f"panel-notebook7-{theme}")
    assert cell == "%%qwenimage --seeds 1-3 --size 4:3\na blue boat on a lake at night"
    notebook.cell(page, 2).locator(".cm-content").click()
    page.keyboard.press("Control+v")
    notebook.run_cell(page, 2)
    expect(notebook.cell_output(page, 2)).to_contain_text("3 already here · nothing new")

    before = page.evaluate(CELLS)
    for place in ("ratio select", "seed input", "slider [role=slider]", "prompt textarea", "run"):
        panel.root.locator(f".qw-p-{place}").focus()
        for key in ("b", "d", "d", "a", "x", "Shift+Enter", "Control+Enter"):
            if place in ("prompt textarea", "run") and "Enter" in key:
                continue
            page.keyboard.press(key)
        page.evaluate(IDLE)
        assert page.evaluate(CELLS) == before, place
    # The slider's own keys are heard all the same.
    seed = int(panel.part("seed").locator("input").input_value())
    panel.root.locator(".qw-p-slider [role=slider]").focus()
    page.keyboard.press("PageUp")
    page.wait_for_function(f"Number(document.querySelector('.qw-p-seed input').value) > {seed}")
    notebook.save(page)
    stop(panel, f"an owl in {MANY} {theme} wood")
    assert page.foreign_urls() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_explorer_is_an_app_in_voila(voila, page, theme):
    page.route("**/*fontawesome*/**", lambda route: route.abort())
    shutil.copy(EXPLORER, voila.root / f"explorer-{theme}.ipynb")
    voila.open(page, f"explorer-{theme}", theme)
    panel = PanelPage(page)
    panel.ready()
    # An app: its code is not seen.
    assert "import qwen_widgets" not in page.inner_text("body")
    expect(page.locator(".qw-snapshot:visible")).to_have_count(0)
    panel.prompt.fill("a red boat on a lake at sunset")
    panel.part("count").locator("input").fill("3")
    panel.part("count").locator("input").blur()
    panel.says("line", "1 × 3 = 3")
    assert explore(panel).startswith("%%qwenimage --seeds 1-3 --size 4:3")
    voila.screenshot(page, f"panel-voila-{theme}")
    stop(panel, f"an owl in {MANY} {theme} wood")
    expect(panel.part("insert")).to_be_hidden()
    assert [url for url in page.foreign_urls() if "fontawesome" not in url] == []
