"""The main job in JupyterLab: the grid fills live, and its snapshot is there when the notebook is opened again."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 2"
FOXES = "%%qwenimage --seeds 1-4 --size 16:9 -o fox\na red fox in {fresh snow|autumn leaves}, golden hour"


@pytest.mark.parametrize(("theme", "seeds"), [("light", "1-4"), ("dark", "5-8")])
def test_the_grid_fills_live_and_survives_without_a_kernel(lab, page, theme, seeds):
    name = f"foxes-{theme}"
    lab.set_theme(None, theme)
    lab.write_notebook(name, [LOAD, FOXES.replace("1-4", seeds), "print('behind')"])
    empty = lab.path(name).stat().st_size
    lab.open(page, name)
    lab.run_all(page, wait=False)

    output = lab.cell_output(page, 1)
    viewer = output.locator(".qw-viewer")
    viewer.wait_for()
    viewer.locator("img").first.wait_for()
    # The first picture is seen while others are still on their way.
    assert viewer.locator("img").count() < 8
    lab.screenshot(page, f"grid-running-{theme}")
    page.wait_for_function("document.querySelectorAll('.qw-viewer img').length === 8")
    lab.wait_idle(page)
    assert lab.cell_output(page, 2).inner_text().strip() == "behind"
    assert "offline preview" in viewer.inner_text()
    # One grid is seen, not two: the snapshot hides behind the living viewer.
    assert output.locator(".qw-snapshot").count() == 1
    assert not output.locator(".qw-snapshot").is_visible()
    lab.screenshot(page, f"grid-done-{theme}")

    lab.save(page)
    assert lab.path(name).stat().st_size - empty < 150_000
    lab.close(page)
    lab.shutdown_kernels()

    lab.open_without_kernel(page, name)
    output = lab.cell_output(page, 1)
    snapshot = output.locator(".qw-snapshot")
    snapshot.wait_for()
    assert snapshot.locator("img").count() == 8
    assert page.evaluate("[...document.querySelectorAll('.qw-snapshot img')].every(i => i.naturalWidth > 0)")
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
    assert "Error displaying widget" not in output.inner_text()
    assert output.locator(".qw-snapshot").is_visible()
    lab.screenshot(page, f"grid-new-kernel-{theme}")
    assert page.foreign_urls() == []


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
    assert page.locator(".qw-snapshot img").count() == 8
    assert page.evaluate("[...document.querySelectorAll('.qw-snapshot img')].every(i => i.naturalWidth > 0)")
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
    assert page.locator(".qw-snapshot:visible").count() == 0
