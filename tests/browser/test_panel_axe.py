"""axe-core finds nothing to object to in the panel, light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from panel_stage import PanelPage
from waits import still

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.1\nimport qwen_widgets as qw"
PANEL = "panel = qw.Panel('a {red|blue} boat', seeds='1-3', size='640x480')\npanel"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel(lab, page, theme):
    page.emulate_media(reduced_motion="reduce")
    lab.set_theme(None, theme)
    lab.write_notebook(f"axe-{theme}", [LOAD, PANEL])
    lab.open(page, f"axe-{theme}")
    for index in (0, 1):
        lab.run_cell(page, index)
    panel = PanelPage(page)
    panel.ready()

    def violations():
        still(page)
        found = axe.Axe().run(page, context=".qw-panel").response["violations"]
        return [f"{one['id']}: {[node['html'][:200] for node in one['nodes'][:4]]}" for one in found]

    assert violations() == []
    panel.press("run")
    panel.filled(6)
    panel.quiet()
    assert violations() == []
    # Each control says what it is, in the order of thought.
    names = panel.root.locator(".qw-p-controls").evaluate(
        """(el) => [...el.querySelectorAll('input, select, textarea, [role=slider], button')].filter((one) => one.offsetParent)
            .map((one) => one.ariaLabel || one.labels?.[0]?.textContent || one.textContent || one.title)"""
    )
    assert names[:2] == ["Prompt", "Enhance as"]
    assert names[3:8] == ["Edit a picture", "Model", "Ratio", "Seeds", "Width"]
    assert all(names)
    assert panel.part("line").get_attribute("role") == "status"
    assert panel.part("message").get_attribute("role") == "alert"
    panel.prompt.fill("")
    panel.says("line", "write a prompt first")
    assert violations() == []


def test_the_panel_fits_a_telephone(lab, page):
    lab.write_notebook("narrow", [LOAD, PANEL])
    lab.open(page, "narrow")
    for index in (0, 1):
        lab.run_cell(page, index)
    panel = PanelPage(page)
    panel.ready()
    panel.press("run")
    panel.filled(6)
    panel.root.evaluate("(el) => { el.style.width = '360px' }")
    for name in ("controls", "results"):
        box = panel.part(name).bounding_box()
        assert box["width"] <= 360
    assert panel.part("results").bounding_box()["y"] > panel.part("controls").bounding_box()["y"] + 300
    wide = panel.root.evaluate(
        """(el) => [...el.querySelectorAll('.qw-p-controls *')].filter((one) => one.offsetParent
            && one.getBoundingClientRect().right > el.getBoundingClientRect().right + 1).map((one) => one.className)"""
    )
    assert wide == []
    lab.screenshot(page, "panel-narrow")
