"""The panel in a real JupyterLab, used as a person does: typed into, run, changed, run again, left with code."""

from __future__ import annotations

import sys

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.3\nimport qwen_widgets as qw"
PANEL = (
    "panel = qw.Panel('a red boat on a lake at sunset', seeds='1-3', size='16:9', title='Exploration')\npanel"
)


def test_try(lab, page):
    page.on("pageerror", lambda e: sys.stderr.write(str(e.stack)))
    lab.write_notebook("panel", [LOAD, PANEL])
    lab.open(page, "panel")
    for index in (0, 1):
        lab.run_cell(page, index)
    page.wait_for_timeout(3000)
    lab.screenshot(page, "panel-0")
    page.locator(".qw-p-run").click()
    page.wait_for_timeout(5000)
    lab.screenshot(page, "panel-1")
