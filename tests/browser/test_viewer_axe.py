"""axe-core finds nothing to object to: viewer, its dialogs and the exported page, light and dark."""

from __future__ import annotations

from dataclasses import replace

import pytest
from viewer_stage import PROMPTS, Stage, make_view, pictures
from waits import still

from qwen_widgets.grid.choices import Choices, Vote
from qwen_widgets.grid.page import render_viewer_page
from qwen_widgets.grid.view import Action, RowView

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

CHOICES = (
    Choices()
    .with_stars(0, 0, 4)
    .with_mark(0, 1, "keep")
    .with_mark(0, 2, "reject")
    .with_vote(Vote(1, 0, 0, 1, 0))
)
ACTIONS = (Action("more seeds for this prompt", "%%qwenimage --seeds 5-8\na boat", "$0.12", "more"),)


def full_view():
    """Make a view with every state in it, several sizes, and what moderation flagged."""
    view = make_view("ssssrwfubsss")
    cells = list(view.cells)
    cells[3] = replace(cells[3], flagged=True, warning="640×640, asked 1280×720")
    rows = tuple(
        RowView(row.prompt, row.parts, "16:9", "4 of 4", size, "Qwen Image 2.0", 1280, 720)
        for row, size in zip(view.rows, ("16:9", "9:16", "16:9"), strict=True)
    )
    offers = (Action("look again", "", "no cost", "look"), Action("buy it again", "", "$0.03", "again"))
    cells[7] = replace(cells[7], offers=offers)
    return replace(view, cells=tuple(cells), rows=rows, message="over the limit", take="edit this prompt")


def violations(page) -> list[str]:
    # What fades in is not yet what it will be.
    still(page)
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:4]]}" for one in found]


@pytest.fixture(params=["light", "dark"])
def scheme(request, page) -> str:
    page.emulate_media(color_scheme=request.param, reduced_motion="reduce")
    return request.param


def test_the_viewer_and_all_its_dialogs(page, scheme):
    stage = Stage(page)
    view = full_view()
    stage.open(view, pictures(view), CHOICES)
    stage.viewer.on_actions = lambda *_: ACTIONS
    assert violations(page) == []
    stage.focus_on(0, 0)
    stage.press(" ", "ArrowRight", " ")
    assert violations(page) == []
    stage.press("ArrowLeft", "ArrowLeft")
    assert violations(page) == []
    for keys, name in (
        (["Enter"], "look closer"),
        (["c"], "side by side"),
        (["c", "m"], "slider"),
        (["c", "m", "m"], "difference"),
        (["?"], "keys"),
        (["v"], "view"),
        (["b"], "vote"),
        (["."], "actions"),
    ):
        stage.focus_on(0, 1)
        stage.press(*keys)
        stage.deliver()
        assert page.locator("dialog[open]").count() == 1, name
        assert violations(page) == [], name
        stage.leave()
    stage.focus_on(0, 0)
    stage.press("b")
    page.get_by_role("button", name="start").click()
    assert violations(page) == []
    stage.leave()
    stage.press("v")
    page.locator(".qw-view select[aria-label=size]").select_option("tabs")
    stage.leave()
    assert violations(page) == []


def test_the_exported_page(page, scheme, tmp_path):
    view = full_view()
    html = render_viewer_page(view, pictures(view), CHOICES, {(0, 0): ACTIONS})
    (tmp_path / "grid.html").write_text(html, encoding="utf-8")
    page.goto((tmp_path / "grid.html").as_uri())
    page.wait_for_selector(".qw-tile img")
    assert violations(page) == []
    page.locator(".qw-tile").first.focus()
    page.keyboard.press("Enter")
    assert violations(page) == []
    assert PROMPTS[0] in page.inner_text(".qw-closer")
