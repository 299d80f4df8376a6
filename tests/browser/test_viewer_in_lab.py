"""The living grid in a real JupyterLab, used as a person does: what is seen, what Python knows, what stays unharmed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from waits import IDLE, closed, seen

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2"
FOXES = "%%qwenimage --seeds 1-3 --size 16:9 -o fox\na red fox in {fresh snow|autumn leaves}, golden hour"
SLOW = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 1.5\n%config QwenMagics.at_once = 1"
DIALOG = ".qw-viewer dialog[open]"
# What a shortcut of the notebook's command mode would change.
CELLS = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(
    (c) => [c.id, c.type, c.sharedModel.getSource(), c.executionCount ?? 0])"""
SAME_LABELS = """() => {
    const [one, other] = [...document.querySelectorAll('.qw-viewer')].map(
        (view) => [...view.querySelectorAll('.qw-tile')].map((el) => el.ariaLabel).join('|'));
    return one === other;
}"""
ON_TILE = "() => document.activeElement.matches('.qw-tile')"


class Board:
    """A grid that a notebook's second cell has made."""

    def __init__(self, lab, page, name: str, *more: str, theme: str = "light", make: str = FOXES) -> None:
        self.lab, self.page = lab, page
        lab.set_theme(None, theme)
        lab.write_notebook(name, [LOAD, make, *more])
        lab.open(page, name)
        for index in (0, 1):
            lab.run_cell(page, index)
        self.filled(6)

    def filled(self, count: int, view: int = 0) -> None:
        """Wait for so many pictures that are really painted."""
        self.page.wait_for_function(
            """([count, view]) => [...document.querySelectorAll('.qw-viewer')[view]?.querySelectorAll('.qw-tile img') ?? []]
                .filter((img) => img.naturalWidth > 0).length === count""",
            arg=[count, view],
        )

    def view(self, view: int = 0):
        return self.page.locator(".qw-viewer").nth(view)

    def tile(self, row: int, column: int, view: int = 0):
        return self.view(view).locator(f".qw-row:nth-child({row + 2}) .qw-tile").nth(column)

    def focus(self, row: int, column: int, view: int = 0) -> None:
        self.tile(row, column, view).evaluate("(el) => el.focus()")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def python(self, index: int) -> str:
        """Run a cell that stands below, and return what it printed."""
        self.lab.run_cell(self.page, index)
        return self.lab.printed(self.page, index)

    def leave(self) -> None:
        """Close what is open, and wait until the focus is in the grid again."""
        self.press("Escape")
        closed(self.page)
        self.page.wait_for_function(ON_TILE)

    def heard(self) -> None:
        """Wait until Python has read what the page has sent.

        A kernel with subshells reads a page's messages beside its cells, but each of them in its turn.
        """
        self.focus(0, 0)
        self.press(".")
        self.dialog.locator(".qw-list button").first.wait_for()
        self.leave()

    def labels(self, view: int = 0) -> list[str]:
        return self.view(view).locator(".qw-tile").evaluate_all("(all) => all.map((el) => el.ariaLabel)")

    @property
    def dialog(self):
        return self.page.locator(DIALOG)

    def is_on(self, words: str) -> None:
        """Wait until the focus is on what is said to be this."""
        self.page.wait_for_function("(words) => document.activeElement.ariaLabel?.endsWith(words)", arg=words)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_looking_closer_brings_the_original_and_comparing_two_of_them(lab, page, theme):
    board = Board(lab, page, f"closer-{theme}", theme=theme)
    assert page.evaluate("document.querySelector('.qw-tile img').naturalWidth") < 1280
    board.focus(0, 1)
    board.press("Enter")
    lens = page.locator(f"{DIALOG} .qw-stage img")
    page.wait_for_function(f"document.querySelector('{DIALOG} .qw-stage img')?.naturalWidth === 1280")
    assert lens.get_attribute("alt").endswith("seed 2, stored")
    lab.screenshot(page, f"viewer-closer-{theme}")

    transform = "getComputedStyle(document.querySelector('dialog[open] .qw-stage img')).transform"
    before = page.evaluate(transform)
    board.press("+", "+", "+", "+")
    zoomed = page.evaluate(transform)
    assert float(zoomed.removeprefix("matrix(").split(",")[0]) > 2
    board.press("Shift+ArrowRight")
    assert page.evaluate(transform) not in (before, zoomed)
    board.press("f")
    assert page.evaluate(transform) == before
    board.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('{DIALOG} .qw-stage img').alt.endsWith('seed 3, stored')")
    board.leave()
    # The focus is where the reader has got to.
    board.is_on("seed 3, stored")
    board.tile(1, 0).locator("img").click(position={"x": 20, "y": 20})
    assert lens.get_attribute("alt").startswith("a red fox in autumn leaves")
    board.leave()

    for row in (0, 1):
        board.focus(row, 0)
        board.press(" ")
    board.view().get_by_role("button", name="Compare 2").click()
    page.wait_for_function(
        f"[...document.querySelectorAll('{DIALOG} .qw-stage img')].map((i) => i.naturalWidth).join() === '1280,1280'"
    )
    lab.screenshot(page, f"viewer-compare-{theme}")
    mode = page.locator(".qw-modes [aria-pressed=true]")
    seen = [mode.inner_text()]
    for _ in range(4):
        board.press("m")
        seen.append(mode.inner_text())
        lab.screenshot(page, f"viewer-{seen[-1].replace(' ', '-')}-{theme}")
    assert seen == ["side by side", "slider", "hover", "blink", "difference"]
    board.press("m")
    alts = "[...document.querySelectorAll('dialog[open] .qw-stage img')].map((i) => i.alt)"
    one, other = page.evaluate(alts)
    board.press("c")
    assert page.evaluate(alts) == [other, one]
    board.leave()
    assert page.foreign_urls() == []


def test_choices_and_votes_are_in_python_at_once_and_in_every_view(lab, page):
    board = Board(
        lab,
        page,
        "choices",
        "print([(c.row, c.column) for c in fox.kept], fox[0, 0].rating, fox[1, 2].rating, repr(fox[1, 2].mark))",
        "print(len(fox.votes), [(s.row, s.wins, s.ties, s.losses) for s in fox.wins])",
        "fox",
        "fox[1, 1].rating = 4",
        theme="dark",
    )
    board.focus(0, 0)
    board.press("k", "4", "ArrowRight", "k", "ArrowDown", "ArrowRight", "x", "2", "5")
    # Seen before Python has answered, and known there when the next cell runs.
    assert board.tile(0, 0).get_attribute("aria-label").endswith("kept, 4 stars")
    board.heard()
    assert board.python(2) == "[(0, 0), (0, 1)] 4 5 'reject'"

    board.focus(0, 0)
    board.press("b")
    board.dialog.get_by_role("button", name="Start").click()
    status = board.dialog.get_by_role("status")
    for at, key in enumerate(("ArrowLeft", "ArrowRight", "ArrowDown"), 1):
        assert status.inner_text() == f"pair {at} of 3"
        lab.screenshot(page, f"viewer-vote-{at}")
        board.press(key)
    board.dialog.get_by_role("button", name="Again").wait_for()
    table = board.dialog.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.querySelectorAll('td')].slice(0, 3).map((td) => Number(td.textContent)))"
    )
    lab.screenshot(page, "viewer-wins")
    board.leave()
    board.heard()
    standings = board.python(3)
    assert standings.startswith("3 [")
    assert [tuple(line) for line in table] == [
        tuple(map(int, found)) for found in re.findall(r"\(\d+, (\d+), (\d+), (\d+)\)", standings)
    ]
    assert sum(sum(line) for line in table) == 6

    lab.run_cell(page, 4)
    board.filled(6, view=1)
    page.wait_for_function(SAME_LABELS)
    assert board.labels(1)[0].endswith("kept, 4 stars")
    # What is chosen in one is in the other, wherever it comes from.
    board.focus(1, 0, view=1)
    board.press("3")
    page.wait_for_function(
        "document.querySelectorAll('.qw-viewer')[0].querySelectorAll('.qw-tile')[3].ariaLabel.endsWith('3 stars')"
    )
    lab.run_cell(page, 5)
    page.wait_for_function(
        "[...document.querySelectorAll('.qw-viewer')].every((v) => v.querySelectorAll('.qw-tile')[4].ariaLabel.endsWith('4 stars'))"
    )
    page.wait_for_function(SAME_LABELS)
    expect(page.locator(".qw-snapshot:visible")).to_have_count(0)


def test_the_view_is_arranged_and_a_way_to_go_on_is_copied(lab, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    board = Board(lab, page, "arranged")
    viewer = board.view()
    before = board.labels()
    width = board.tile(0, 0).bounding_box()["width"]
    board.focus(0, 0)
    board.press("v")
    board.dialog.get_by_label("prompt", exact=True).select_option("columns")
    board.dialog.get_by_label("seed", exact=True).select_option("rows")
    lab.screenshot(page, "viewer-view-menu")
    board.leave()
    assert board.labels() == [before[at] for at in (0, 3, 1, 4, 2, 5)]
    viewer.get_by_role("button", name="view").click()
    board.dialog.get_by_label("seed", exact=True).select_option("tabs")
    board.press("Escape")
    closed(page)
    assert viewer.get_by_role("tab").all_inner_texts() == ["seed 1", "seed 2", "seed 3"]
    viewer.get_by_role("tab", name="seed 3").click()
    assert board.labels() == [before[2], before[5]]
    board.focus(0, 0)
    board.press("v")
    board.dialog.get_by_role("button", name="as it was").click()
    closed(page)
    assert board.labels() == before

    board.focus(1, 0)
    board.press("ArrowLeft", "h")
    assert board.labels() == before[:3]
    viewer.get_by_role("button", name="show what is hidden").click()
    assert board.labels() == before

    board.focus(0, 0)
    board.press(*"++++++++++")
    assert board.tile(0, 0).bounding_box()["width"] > 1.3 * width
    # Beyond a thumbnail's own size the original takes its place.
    page.wait_for_function("document.querySelector('.qw-tile img').naturalWidth === 1280")
    lab.screenshot(page, "viewer-zoomed")
    board.press(*"----------")
    assert board.tile(0, 0).bounding_box()["width"] == pytest.approx(width, abs=1)

    board.press(".")
    with seen(
        page, "[...document.querySelectorAll('.qw-list button')].some((b) => b.textContent === 'copied')"
    ):
        board.dialog.get_by_role("button", name="copy: more seeds for this prompt").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("%%qwenimage --seeds 4-7 --size 16:9")
    assert copied.splitlines()[1] == "a red fox in fresh snow, golden hour"
    lab.screenshot(page, "viewer-actions")
    board.leave()


@pytest.mark.parametrize("where", ["tile", "closer"])
def test_no_key_of_the_notebook_reaches_the_cells(lab, page, where):
    board = Board(lab, page, f"keys-{where}", "print('behind')")
    cells = page.evaluate(CELLS)
    assert [cell[3] > 0 for cell in cells] == [True, True, False]
    for keys in (["b"], ["d", "d"], ["a"], ["Control+Enter"], ["Shift+Enter"], ["Alt+Enter"], ["y"], ["m"]):
        board.focus(0, 0)
        if where == "closer":
            board.press("Enter")
            board.dialog.wait_for()
        board.press(*keys)
        while board.dialog.count():
            board.press("Escape")
        closed(page)
        page.wait_for_function(ON_TILE)
        page.evaluate(IDLE)  # an inserted cell, or one that runs, comes a little later
        assert page.evaluate(CELLS) == cells, keys
    # At the latest what a cell says that was run behind the keys would come: the kernel does one after the other.
    assert board.python(2) == "behind"
    now = page.evaluate(CELLS)
    assert [cell[:3] for cell in now] == [cell[:3] for cell in cells]
    assert [cell[3] for cell in now] == [1, 2, 3]


# Lumino leaves an element with data-lm-suppress-shortcuts alone altogether, and tiles and dialogs have it.
@pytest.mark.parametrize("where", ["tile", "closer"])
def test_the_notebook_is_saved_with_the_focus_in_the_grid(lab, page, where):
    board = Board(lab, page, f"saved-{where}")
    saved = lab.path(f"saved-{where}").stat().st_mtime_ns
    board.focus(0, 0)
    if where == "closer":
        board.press("Enter")
        board.dialog.wait_for()
    lab.save(page)
    assert lab.path(f"saved-{where}").stat().st_mtime_ns != saved


# A kernel that runs a cell hears the page's messages after it: a Stop that was one of them would be a promise too much.
@pytest.mark.parametrize("way", ["page", "menu"])
def test_a_cell_that_blocks_the_kernel_is_stopped_by_an_interrupt_from_the_page_and_the_menu(lab, page, way):
    make = "%%qwenimage --seeds 11-22 --size 16:9 -o hare\na hare at dawn"
    lab.write_notebook(f"stop-{way}", [SLOW, make, "print(sorted({c.state for c in hare}), hare.done)"])
    lab.open(page, f"stop-{way}")
    lab.run_all(page, wait=False)
    viewer = page.locator(".qw-viewer")
    viewer.locator("img").first.wait_for()
    if way == "page":
        # The page reaches the kernel here, and its Stop is the toolbar's.
        expect(viewer).not_to_contain_text("interrupt the kernel to stop")
        viewer.get_by_role("button", name="stop").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.ariaLabel").startswith("Stopping")
    else:
        lab.menu(page, "Kernel", "kernelmenu:interrupt")
    page.wait_for_function(
        "document.querySelectorAll('.qw-tile.qw-running, .qw-tile.qw-waiting').length === 0"
    )
    states = viewer.locator(".qw-tile").evaluate_all("(all) => all.map((el) => el.className)")
    lab.screenshot(page, f"viewer-stopped-{way}")
    assert "qw-stored" in states[0]
    assert "qw-stopped" in states[-1]
    lab.run_cell(page, 2)
    assert lab.printed(page, 2) == "['stopped', 'stored'] True"


def test_a_page_loaded_again_in_mid_run_shows_the_same_once_the_cell_is_over(lab, page):
    make = "%%qwenimage --seeds 21-24 --size 16:9 -o owl\nan owl {by day|by night}"
    lab.write_notebook("midway", [SLOW.replace("1.5", "2"), make, "owl"])
    lab.open(page, "midway")
    lab.run_all(page, wait=False)
    page.locator(".qw-viewer img").first.wait_for()
    lab.save(page)
    assert page.locator(".qw-viewer").first.locator("img").count() < 8
    lab.close(page)
    lab.open(page, "midway")  # until the kernel is idle
    page.wait_for_function("document.querySelectorAll('.qw-viewer img').length >= 8")
    lab.run_cell(page, 2)
    page.wait_for_function("document.querySelectorAll('.qw-viewer img').length === 16")
    page.wait_for_function(SAME_LABELS)
    page.wait_for_function(
        "[...document.querySelectorAll('.qw-viewer .qw-tile')].every((el) => el.ariaLabel.endsWith('stored'))"
    )
    page.wait_for_function(
        "new Set([...document.querySelectorAll('.qw-viewer .qw-facts')].map((el) => el.textContent)).size === 1"
    )
    expect(page.locator(".qw-snapshot:visible")).to_have_count(0)
    lab.screenshot(page, "viewer-reloaded")


def test_a_page_loaded_again_and_a_second_view_are_laid_out_the_same(lab, page):
    board = Board(lab, page, "laid-out", "fox")
    page.get_by_role("columnheader").nth(1).focus()
    board.press("h")
    page.get_by_role("rowheader").first.focus()
    board.press("Shift+ArrowDown")
    laid_out = board.labels()
    assert len(laid_out) == 4
    assert laid_out[0].startswith("a red fox in autumn leaves")
    lab.save(page)
    page.reload()
    board.filled(4)
    assert board.labels() == laid_out
    lab.wait_idle(page)
    lab.run_cell(page, 2)
    board.filled(4, view=1)
    assert board.labels(1) == laid_out


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_way_to_go_on_runs_in_the_page_and_python_has_it(lab, page, theme):
    board = Board(
        lab,
        page,
        f"go-on-{theme}",
        "print(fox.shape, fox.done, [c.request.seed for c in fox if c.row])",
        theme=theme,
    )
    board.focus(1, 0)
    board.press(".")
    here = page.locator(f"{DIALOG} .qw-list").get_by_role(
        "button", name="more seeds for this prompt, run here"
    )
    here.wait_for()
    lab.screenshot(page, f"viewer-actions-{theme}")
    here.click()
    board.filled(10)
    board.view().locator(".qw-bar").wait_for(state="hidden")
    lab.screenshot(page, f"viewer-more-{theme}")
    assert board.python(2) == "(2, 7) True [1, 2, 3, 4, 5, 6, 7]"


def test_a_stop_of_a_run_in_place_is_heard(lab, page):
    board = Board(
        lab,
        page,
        "go-on-stop",
        "%config QwenMagics.offline_seconds = 4\n%config QwenMagics.at_once = 1",
        "print(fox.done, sum(c.state == 'stopped' for c in fox) > 0)",
        # Seeds of its own: what another test has had made is here already, and nothing is left to stop.
        make=FOXES.replace("1-3", "301-303"),
    )
    lab.run_cell(page, 2)
    board.focus(0, 0)
    board.press(".")
    page.locator(f"{DIALOG} .qw-list").get_by_role(
        "button", name="more seeds for this prompt, run here"
    ).click()
    # Planned and begun: a Stop before that leaves no cell behind that could say so.
    page.wait_for_function("document.querySelectorAll('.qw-tile:not(.qw-blank)').length > 6")
    board.view().get_by_role("button", name="stop").click()
    page.wait_for_function("[...document.querySelectorAll('.qw-stopped')].length > 1")
    board.view().locator(".qw-stopped button").first.wait_for()
    # What was bought already comes first.
    board.view().locator(".qw-bar").wait_for(state="hidden")
    assert board.python(3) == "True True"
    lab.screenshot(page, "viewer-stopped-light")


BOXED = """import ipywidgets as w
from qwen_widgets.grid.describe import describe
from qwen_widgets.grid.show import connect
from qwen_widgets.grid.viewer import Viewer
viewer = Viewer(describe(fox), fox.pictures)
connect(viewer, fox)
w.VBox([w.HTML("above"), w.HBox([w.Button(description="beside"), viewer])])"""


def test_inside_of_a_box_it_is_the_same_viewer(lab, page):
    board = Board(lab, page, "boxed", BOXED, "print(fox[1, 2].rating)")
    lab.run_cell(page, 2)
    board.filled(6, view=1)
    before = page.evaluate(CELLS)
    board.focus(1, 2, view=1)
    board.press("d", "d", "4", "b", "a", "Escape")
    closed(page)
    page.evaluate(IDLE)
    assert page.evaluate(CELLS) == before
    board.tile(0, 0, view=1).locator("img").click()
    assert page.locator(f"{DIALOG} .qw-stage img").count() == 1
    board.leave()
    board.heard()
    width = board.view(1).bounding_box()["width"]
    assert width > 500
    assert board.python(3) == "4"
    lab.screenshot(page, "viewer-boxed-light")
