"""The panel as it is met in the first minutes: pasted cells that run, fields that can be read, a kernel that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from panel_stage import PanelPage
from playwright.sync_api import expect

EXPLORER = Path(__file__).resolve().parents[2] / "notebooks" / "explorer.ipynb"
LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.1\nimport qwen_widgets as qw"
PANEL = "panel = qw.Panel('a {red|blue} boat', seeds='2147483640-2147483642', size='640x480')\npanel"


@pytest.fixture
def panel(lab, page):
    lab.write_notebook("first", [LOAD, PANEL])
    lab.open(page, "first")
    for index in (0, 1):
        lab.run_cell(page, index)
    found = PanelPage(page)
    found.ready()
    return found


def test_a_cell_inserted_from_the_explorer_runs(lab, page):
    shutil.copy(EXPLORER, lab.path("explorer"))
    lab.open(page, "explorer")
    lab.run_cell(page, 1)
    panel = PanelPage(page)
    panel.ready()
    panel.does("insert")
    lab.run_cell(page, 2)
    expect(lab.cell_output(page, 2)).to_contain_text("1 prompt × 4 seeds = 4 images")


def test_a_field_shows_all_of_what_it_holds_and_stands_in_line_with_its_neighbour(lab, page, panel):
    seed = panel.part("seed").locator("input")
    expect(seed).to_have_value("2147483640")
    assert seed.evaluate("(el) => el.scrollWidth <= el.clientWidth")
    for row, parts in (("words", ("style select", "enhance")), ("pair", ("ratio select", "count input"))):
        boxes = [panel.part(f"row-{row}").first.locator(f".qw-p-{part}").bounding_box() for part in parts]
        assert boxes[0]["height"] == pytest.approx(boxes[1]["height"], abs=1), row
        assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=1), row
    ways = panel.part("row-ways").locator("button").evaluate_all("(all) => all.map((el) => el.offsetHeight)")
    assert len(set(ways)) == 1
    expect(panel.part("remarks").locator("li")).to_have_text(["a red boat", "a blue boat"])
    expect(panel.part("sides")).to_have_text("256–1536 pixels, in steps of 16")


def test_a_restarted_kernel_is_said_once(lab, page, panel):
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()"
    )
    page.locator(".qw-panel.jupyter-widgets-disconnected").wait_for()
    shown = panel.root.evaluate(
        """(el) => [el, ...el.querySelectorAll('*')].filter((one) => one.checkVisibility()).map((one) => getComputedStyle(one, '::before'))
            .filter((style) => style.content !== 'none' && style.display !== 'none').map((style) => style.content)"""
    )
    assert len(shown) == 1
    assert "run its cell again" in shown[0]
    lab.wait_idle(page)
