"""The main job in JupyterLab: the grid fills live, and its snapshot is there when the notebook is opened again."""

from __future__ import annotations

import subprocess
import sys

import pytest
from playwright.sync_api import expect
from waits import seen

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 1\n%config QwenMagics.at_once = 2"
# Words of this file alone: what another has had made is here already, and comes at once.
FOXES = "%%qwenimage --seeds 1-4 --size 16:9 -o fox\na red fox in {deep snow|fallen leaves}, golden hour"
PAINTED = """(count) => {
    const all = [...document.querySelectorAll('.qw-snapshot img')];
    return all.length === count && all.every((one) => one.naturalWidth > 0);
}"""


@pytest.mark.parametrize(("theme", "seeds"), [("light", "1-4"), ("dark", "5-8")])
def test_the_grid_fills_live_and_survives_without_a_kernel(lab, page, theme, seeds):
    name = f"foxes-{theme}"
    lab.set_theme(None, theme)
    lab.write_notebook(name, [LOAD, FOXES.replace("1-4", seeds), "print('behind')"])
    empty = lab.path(name).stat().st_size
    lab.open(page, name)
    # The first picture is seen while others are still on their way.
    with seen(page, "[1, 2, 3, 4, 5, 6, 7].includes(document.querySelectorAll('.qw-viewer img').length)"):
        lab.run_all(page, wait=False)
        output = lab.cell_output(page, 1)
        viewer = output.locator(".qw-viewer")
        viewer.locator("img").first.wait_for()
        lab.screenshot(page, f"grid-running-{theme}")
        page.wait_for_function("document.querySelectorAll('.qw-viewer img').length === 8")
    expect(lab.cell_output(page, 2)).to_have_text("behind")
    lab.wait_idle(page)
    expect(viewer).to_contain_text("offline preview")
    # One grid is seen, not two: the snapshot hides behind the living viewer.
    expect(output.locator(".qw-snapshot")).to_have_count(1)
    expect(output.locator(".qw-snapshot")).to_be_hidden()
    lab.screenshot(page, f"grid-done-{theme}")

    lab.save(page)
    assert lab.path(name).stat().st_size - empty < 150_000
    lab.close(page)
    lab.shutdown_kernels()

    lab.open_without_kernel(page, name)
    output = lab.cell_output(page, 1)
    output.locator(".qw-snapshot").wait_for()
    page.wait_for_function(PAINTED, arg=8)
    text = output.inner_text()
    assert "Loading widget" not in text
    assert "Error displaying widget" not in text
    lab.screenshot(page, f"grid-no-kernel-{theme}")
    lab.close(page)

    # With a new kernel, which knows nothing of the old viewer.
    lab.open(page, name)
    output = lab.cell_output(page, 1)
    output.locator(".qw-snapshot").wait_for()
    page.wait_for_function("!document.body.innerText.includes('Loading widget')")
    expect(output.locator(".qw-snapshot")).to_be_visible()
    assert "Error displaying widget" not in output.inner_text()
    lab.screenshot(page, f"grid-new-kernel-{theme}")
    assert page.foreign_urls() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_notebook_from_elsewhere_shows_the_snapshot(lab, page, theme):
    lab.set_theme(None, theme)
    lab.write_notebook("mine", [LOAD, FOXES])
    lab.open(page, "mine")
    lab.run_all(page)
    lab.save(page)
    lab.close(page)
    lab.shutdown_kernels()
    # Who gets it by mail has not signed it: all HTML of its outputs goes through Lab's sanitiser.
    book = lab.read_notebook("mine")
    name = f"theirs-{theme}"
    lab.write_notebook(name, book.cells, {"from": theme})
    assert not lab.is_trusted(name)
    for width in (1200, 400):
        page.set_viewport_size({"width": width, "height": 900})
        lab.open_without_kernel(page, name)
        lab.cell_output(page, 1).locator(".qw-snapshot").wait_for()
        page.wait_for_function(PAINTED, arg=8)
        sources = page.locator(".qw-snapshot img").evaluate_all(
            "all => all.map((one) => one.src.split(';')[0])"
        )
        assert set(sources) <= {"data:image/webp", "data:image/jpeg"}
        assert not page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).trusted")
        lab.screenshot(page, f"grid-untrusted-{theme}-{width}")
        lab.close(page)


def test_nbconvert_shows_the_snapshot(lab, page, tmp_path):
    lab.write_notebook("export", [LOAD, FOXES])
    lab.open(page, "export")
    lab.run_all(page)
    lab.save(page)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "nbconvert",
            "--to",
            "html",
            "--output-dir",
            str(tmp_path),
            str(lab.path("export")),
        ],
        check=True,
        capture_output=True,
    )
    # nbconvert's page asks a CDN for its libraries; what it shows must not need them.
    page.route(
        "**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort()
    )
    page.goto((tmp_path / "export.html").as_uri())
    page.wait_for_function(PAINTED, arg=8)
    assert page.locator(".qw-snapshot").is_visible()
    assert "Error displaying widget" not in page.inner_text("body")
    lab.screenshot(page, "grid-nbconvert")


def test_a_page_loaded_again_shows_the_living_grid(lab, page):
    lab.write_notebook("reload", [LOAD, FOXES, "fox.add(seeds='5')"])
    lab.open(page, "reload")
    lab.run_all(page)
    lab.save(page)
    lab.close(page)
    lab.open(page, "reload")
    page.wait_for_function(
        "[...document.querySelectorAll('.qw-viewer')].map(v => v.querySelectorAll('img').length).join() === '10,10'"
    )
    expect(page.locator(".qw-snapshot:visible")).to_have_count(0)
