"""The viewer, Python and module together: what it shows, its keys, and the widget's own side."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from viewer_stage import Stage, make_view, picture, pictures

from qwen_widgets.grid.view import INTERRUPT, ColumnView, GridView, RowView
from qwen_widgets.grid.viewer import Viewer

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script><b>bold</b>"


@pytest.fixture
def stage(page) -> Stage:
    return Stage(page)


def test_every_tile_appears_with_its_picture_and_its_words(stage):
    stage.open(make_view())
    assert stage.count(".qw-tile img") == 12
    assert stage.count('[role="grid"] > [role="row"]') == 4
    assert stage.count('[role="columnheader"]') == 4
    assert stage.count('[role="rowheader"]') == 3
    assert stage.tile(1, 2).get_attribute("aria-label") == "prompt 1, seed 3"
    stage.page.wait_for_function(
        "[...document.querySelectorAll('.qw-tile img')].every((i) => i.naturalWidth === 160)"
    )
    assert "3 prompts × 4 seeds · Qwen Image 2.0" in stage.page.inner_text(".qw-header")
    assert (
        stage.page.inner_html(".qw-row:nth-child(3) .qw-prompt")
        == "a <ins>blue</ins> <del>red</del> boat at sunset"
    )


def test_each_state_has_its_own_look(stage):
    stage.open(make_view("swrfub" + "ssss" + "ss"))
    assert stage.tile(0, 1).inner_text() == "waiting"
    assert stage.tile(0, 3).inner_text().split("\n") == [
        "Moderated",
        "It was flagged.",
        "Not charged. Change it.",
    ]
    assert "qw-unknown" in stage.tile(1, 0).get_attribute("class")
    assert stage.tile(1, 1).inner_text() == ""
    box = stage.tile(0, 1).locator(".qw-box").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(16 / 9, rel=0.02)


def test_a_picture_that_arrives_changes_its_own_tile_only(stage):
    stage.open(make_view("sss" + "r" + "w" * 8))
    stage.page.evaluate("window.kept = [...document.querySelectorAll('.qw-tile, .qw-tile img')]")
    stage.page.focus(".qw-tile >> nth=1")
    stage.show(make_view("ssss" + "r" + "w" * 7))
    assert stage.count(".qw-tile img") == 4
    assert stage.page.evaluate("window.kept.every((el) => el.isConnected)")
    assert stage.focus == "prompt 0, seed 2"
    assert stage.made(4) == 4


def test_a_picture_that_is_replaced_frees_the_old_one(stage):
    view = make_view()
    stage.open(view)
    first = stage.tile(0, 0).locator("img").get_attribute("src")
    stage.show(view, {**pictures(view), (0, 0): picture("red")})
    assert stage.tile(0, 0).locator("img").get_attribute("src") != first
    assert stage.log("revoked") == [first]


def test_the_grid_grows_by_rows_and_columns(stage):
    stage.open(make_view("s" * 4, columns=2))
    stage.show(make_view("s" * 9, columns=3))
    assert stage.count(".qw-tile img") == 9
    assert [stage.tile(r, 2).get_attribute("aria-label") for r in range(3)] == [
        f"prompt {r}, seed 3" for r in range(3)
    ]
    assert stage.made(9) == 9


def test_seconds_tick_only_while_something_runs(stage):
    stage.stop_clock(1_000_000)
    view = make_view("r" + "w" * 11)
    cells = (replace(view.cells[0], since=999_996.0), *view.cells[1:])
    stage.open(replace(view, cells=cells))
    assert stage.tile(0, 0).inner_text() == "4 s"
    stage.page.clock.run_for(3000)
    assert stage.tile(0, 0).inner_text() == "7 s"
    assert len(stage.log("timers")) == 1
    stage.viewer.show(make_view(), pictures(make_view()))
    stage.page.clock.run_for(100)
    assert stage.log("timers") == []


def test_seconds_start_at_naught_where_the_kernels_clock_is_off(stage):
    stage.stop_clock(1_000_000)
    view = make_view("r" + "w" * 11)
    stage.open(replace(view, cells=(replace(view.cells[0], since=990_000.0), *view.cells[1:])))
    assert stage.tile(0, 0).inner_text() == "0 s"
    stage.page.clock.run_for(2000)
    assert stage.tile(0, 0).inner_text() == "2 s"


def test_the_progress_line_and_stop_go_when_the_run_is_done(stage):
    stage.open(make_view("ssssss" + "w" * 6))
    line = stage.page.locator(".qw-bar")
    assert line.bounding_box()["height"] == 2
    assert line.get_attribute("aria-valuenow") == "6"
    stage.page.get_by_role("button", name="stop").click()
    assert stage.log("sent") == [{"type": "stop"}]
    stop = stage.page.get_by_role("button", name="stop")
    assert stop.get_attribute("aria-disabled") == "true"
    assert stop.get_attribute("aria-label").startswith("Stopping")
    stop.click(force=True)
    assert stage.log("sent") == [{"type": "stop"}]
    assert stage.page.locator(".qw-header button:visible").count() <= 4
    stage.show(make_view())
    assert not line.is_visible()
    assert not stop.is_visible()
    assert stage.page.inner_text('.qw-viewer [role="status"]') == "finished: 12 of 12"


def test_stop_by_key_keeps_the_focus_and_gives_it_to_the_grid_when_it_goes(stage):
    stage.open(make_view("ssss" + "w" * 8))
    stage.page.get_by_role("button", name="stop").focus()
    stage.press("Enter")
    assert stage.focus.startswith("Stopping")
    stage.press("k")
    assert stage.log("keys") == []
    stage.show(make_view())
    assert stage.focus == "prompt 0, seed 1"


def test_another_view_shows_that_the_run_is_being_stopped(stage):
    stage.open(make_view("ssss" + "w" * 8, stopping=True))
    assert stage.page.get_by_role("button", name="stop").inner_text() == "Stopping"


def test_where_a_cell_keeps_the_kernel_busy_stop_interrupts_it_if_the_page_can_reach_it(stage):
    blocked = make_view("ssss" + "w" * 8, stoppable=False, facts=("4 of 12", INTERRUPT))
    stage.open(blocked)
    assert stage.page.inner_text(".qw-facts") == "4 of 12 · interrupt the kernel to stop"
    assert stage.count(".qw-header button:visible:has-text('Stop')") == 0
    stage.kernel = True
    stage.mount()
    assert stage.page.inner_text(".qw-facts") == "4 of 12"
    stop = stage.page.get_by_role("button", name="stop")
    assert "interrupts the kernel" in stop.get_attribute("aria-label")
    stop.click()
    assert stage.log("interrupts") == [1]
    assert stage.log("sent") == []
    assert stop.inner_text() == "Stopping"
    stage.show(make_view())
    assert not stop.is_visible()


def test_it_is_one_tab_stop_and_arrows_move_over_the_tiles(stage):
    stage.open(make_view())
    stage.page.locator(".qw-header button").last.evaluate("(el) => el.previousElementSibling.focus()")
    stage.page.keyboard.press("Tab")
    assert stage.focus == "prompt 0, seed 1"
    for key, label in [
        ("ArrowRight", "prompt 0, seed 2"),
        ("ArrowDown", "prompt 1, seed 2"),
        ("End", "prompt 1, seed 4"),
        ("ArrowRight", "prompt 1, seed 4"),
        ("ArrowLeft", "prompt 1, seed 3"),
        ("Home", "prompt 1, seed 1"),
        ("ArrowUp", "prompt 0, seed 1"),
        ("ArrowUp", None),
        ("ArrowUp", None),
        ("ArrowDown", "prompt 0, seed 1"),
        ("ArrowDown", "prompt 1, seed 1"),
    ]:
        stage.page.keyboard.press(key)
        assert stage.focus == label, key
    assert stage.count('.qw-grid [tabindex="0"]') == 1
    stage.page.keyboard.press("Shift+Tab")
    assert stage.focus.startswith("view")
    stage.page.keyboard.press("Tab")
    assert stage.focus == "prompt 1, seed 1"


def test_the_focused_tile_has_a_ring_and_its_strip_and_others_have_neither(stage):
    stage.open(make_view())
    stage.page.get_by_role("button", name="view").focus()
    stage.page.keyboard.press("Tab")
    tile = stage.tile(0, 0)
    assert tile.locator(".qw-box").evaluate("(el) => getComputedStyle(el).outlineStyle") == "solid"
    stage.page.wait_for_function("getComputedStyle(document.querySelector('.qw-strip')).opacity === '1'")
    assert tile.locator(".qw-strip").count() == stage.count(".qw-strip") == 1
    assert tile.get_attribute("title") == "seed 1 · $0.03"
    stage.tile(2, 3).hover()
    assert stage.tile(2, 3).locator(".qw-strip").count() == 1
    # The focus has not moved; pressing a button of the strip doesn't move it off the grid either.
    stage.tile(2, 3).get_by_role("button", name="keep").click()
    assert stage.focus.startswith("prompt")


def test_the_lightbox_opens_flips_and_gives_the_focus_back(stage):
    stage.open(make_view())
    stage.page.focus(".qw-tile >> nth=1")
    stage.page.keyboard.press("Enter")
    lightbox = stage.page.locator(".qw-closer")
    assert lightbox.is_visible()
    assert lightbox.locator("img").get_attribute("alt") == "prompt 0, seed 2"
    stage.page.keyboard.press("ArrowDown")
    stage.page.keyboard.press("ArrowRight")
    assert lightbox.locator("img").get_attribute("alt") == "prompt 1, seed 3"
    assert lightbox.locator(".qw-words").inner_text().split("\n")[0] == "a blue red boat at sunset"
    stage.page.keyboard.press("Escape")
    assert not lightbox.is_visible()
    stage.page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'prompt 1, seed 3'")


def test_the_lightbox_works_with_the_mouse_and_keeps_up_with_the_run(stage):
    stage.open(make_view("sr" + "w" * 10))
    stage.tile(0, 0).click()
    lightbox = stage.page.locator(".qw-closer")
    previous = lightbox.get_by_role("button", name="previous")
    assert previous.get_attribute("aria-disabled") == "true"
    previous.click(force=True)
    lightbox.get_by_role("button", name="next").click()
    assert lightbox.locator("img").count() == 0
    stage.show(make_view("ss" + "w" * 10))
    assert lightbox.locator("img").get_attribute("alt") == "prompt 0, seed 2"
    lightbox.get_by_role("button", name="close").click()
    stage.page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'prompt 0, seed 2'")


def test_keys_stay_inside_but_the_hosts_own_combinations_pass(stage):
    stage.open(make_view())
    stage.page.focus(".qw-tile >> nth=0")
    for key in (
        "b",
        "d",
        "d",
        "a",
        "Shift+Enter",
        "Control+Enter",
        "ArrowRight",
        "Escape",
        "Enter",
        "d",
        "Escape",
    ):
        stage.press(key)
    # Control itself is a key, too; alone it does nothing anywhere.
    assert set(stage.log("keys")) <= {"Control"}
    stage.page.wait_for_function("document.activeElement.matches('.qw-tile')")
    stage.page.keyboard.press("Control+s")
    assert "s" in stage.log("keys")


def hostile_view() -> GridView:
    view = make_view("sfuw" * 3)
    cells = tuple(
        replace(
            cell,
            **dict.fromkeys(("alt", "cost", "warning"), HOSTILE),
            **(dict.fromkeys(("title", "reason", "paid", "next_step"), HOSTILE) if cell.title else {}),
        )
        for cell in view.cells
    )
    row = RowView(HOSTILE, (("same", HOSTILE), ("added", HOSTILE), ("dropped", HOSTILE)), HOSTILE, HOSTILE)
    return replace(
        view,
        title=HOSTILE,
        facts=(HOSTILE,),
        provider=HOSTILE,
        rows=(row,) * 3,
        columns=(ColumnView(HOSTILE),) * 4,
        cells=cells,
    )


def test_hostile_words_make_no_element_no_dialog_and_no_request(stage):
    view = hostile_view()
    stage.open(
        view, {(row, 0): b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(3)'/>" for row in range(3)}
    )
    for place in (0, 1):
        stage.tile(0, place).click()
        stage.press("Escape")
    assert stage.count("script") == 0
    assert stage.count("b:not(.qw-title, .qw-told > b, .qw-dialog-top > b)") == 0
    assert stage.page.evaluate(
        "[...document.querySelectorAll('img')].every((img) => img.src.startsWith('blob:'))"
    )
    assert stage.page.evaluate(
        "[...document.querySelectorAll('.qw-tile img')].every((img) => !img.naturalWidth)"
    )
    attributes = "[...document.querySelectorAll('.qw-viewer *')].flatMap((el) => el.getAttributeNames())"
    assert not [name for name in stage.page.evaluate(attributes) if name.startswith("on")]
    assert HOSTILE in stage.page.inner_text(".qw-title")
    assert stage.dialogs == []
    assert stage.page.foreign_urls() == []
    assert not [url for url in stage.page.urls if url.endswith("/x")]


def test_cleanup_leaves_nothing_behind(stage):
    stage.open(make_view("ssss" + "rrrr" + "wwww"))
    assert stage.page.evaluate("listening()") == 2
    stage.page.evaluate("change({}, {}); cleanup()")
    assert stage.page.evaluate("listening()") == 0
    assert sorted(stage.log("revoked")) == sorted(stage.log("made"))
    assert stage.log("timers") == []
    assert stage.page.inner_html("#here") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(stage, scheme):
    stage.page.emulate_media(color_scheme=scheme)
    stage.open(make_view("swrfu" + "sssssss"))
    contrast = """() => {
      const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      const paint = (...colours) => {
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const low = [];
      for (const el of document.querySelectorAll(".qw-viewer *:not(.qw-caption, .qw-hidden)")) {
        if (![...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !el.getClientRects().length) continue;
        const under = [];
        for (let at = el; at; at = at.parentElement) under.unshift(getComputedStyle(at).backgroundColor);
        const [one, other] = [paint("white", ...under), paint("white", ...under, getComputedStyle(el).color)].sort((a, b) => b - a);
        const ratio = (one + .05) / (other + .05);
        if (ratio < 4.5) low.push(`${el.className || el.tagName} ${el.textContent}: ${ratio.toFixed(2)}`);
      }
      return low;
    }"""
    assert stage.page.evaluate(contrast) == []


def test_a_narrow_page_scrolls_inside_of_the_viewer(stage):
    stage.page.set_viewport_size({"width": 360, "height": 640})
    stage.open(make_view())
    assert stage.page.evaluate("document.documentElement.scrollWidth") <= 360
    header = stage.page.locator(".qw-row-header").first.bounding_box()
    stage.tile(0, 3).focus()
    assert stage.page.evaluate("document.querySelector('.qw-scroll').scrollLeft") > 0
    assert stage.page.locator(".qw-row-header").first.bounding_box()["x"] == pytest.approx(
        header["x"], abs=15
    )


# The widget's own side, which needs no browser.


@pytest.fixture
def sent(monkeypatch) -> list[list[str]]:
    """The names that each message of a viewer carries."""
    messages: list[list[str]] = []
    monkeypatch.setattr(
        Viewer, "_send", lambda _self, message, buffers=None: messages.append((message, buffers))
    )
    return messages


def test_only_what_changed_travels_and_in_one_message(sent):
    view = make_view("r" * 12)
    viewer = Viewer(view)
    sent.clear()
    viewer.show(view, {})
    assert sent == []
    later = make_view("s" + "r" * 11)
    viewer.show(later, {(0, 0): b"jpeg"})
    [(message, buffers)] = sent
    assert sorted(message["state"]) == ["c0", "head"]
    assert message["buffer_paths"] == [["p0"]]
    assert buffers == [b"jpeg"]


def test_growth_sends_the_new_places_only(sent):
    viewer = Viewer(make_view("s" * 4, columns=2), {(1, 1): b"old"})
    sent.clear()
    viewer.show(make_view("s" * 6, columns=3), {(1, 1): b"old", (1, 2): b"new"})
    [(message, buffers)] = sent
    assert sorted(message["state"]) == ["c4", "c5", "head"]
    assert buffers == [b"new"]
    assert viewer.get_state("c5")["c5"]["column"] == 2


def test_a_picture_goes_when_its_cell_is_asked_for_again(sent):
    viewer = Viewer(make_view("ssss"), {(0, 0): b"old"})
    viewer.show(make_view("rsss"), {(0, 0): b"old"})
    assert viewer.get_state("p0") == {"p0": b""}


def test_a_new_page_gets_the_whole_state(sent):
    viewer = Viewer(make_view("ssss"), {(0, 0): b"jpeg"})
    sent.clear()
    viewer._handle_msg({"content": {"data": {"method": "request_state"}}, "buffers": []})
    [(message, buffers)] = sent
    assert {"head", "c0", "c3", "_esm", "_css"} <= set(message["state"])
    assert buffers == [b"jpeg"]


def test_the_page_cannot_write(sent):
    viewer = Viewer(make_view("rrrr"))
    state = {"head": {}, "c0": {"alt": "x"}, "p0": "x"}
    viewer._handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})
    assert viewer.get_state("c0")["c0"]["alt"] == "prompt 0, seed 1"


@pytest.mark.parametrize(
    "content",
    [None, "stop", [], {}, {"type": "halt"}, {"type": ["stop"]}, {"type": "stop", "more": 1}, {"stop": 1}],
)
def test_unknown_messages_are_ignored(sent, content):
    viewer = Viewer(make_view("rrrr"))
    viewer.on_stop = lambda: pytest.fail("was called")
    viewer._handle_custom_msg(content, [])


def test_stop_is_passed_on_while_something_runs(sent):
    viewer = Viewer(make_view("rrrr"))
    viewer._handle_custom_msg({"type": "stop"}, [])
    stops = []
    viewer.on_stop = lambda: stops.append(1)
    viewer._handle_custom_msg({"type": "stop"}, [])
    viewer.show(make_view("ssss"))
    viewer._handle_custom_msg({"type": "stop"}, [])
    assert stops == [1]


def test_threads_can_show_at_once(sent):
    viewer = Viewer(make_view("w" * 12))
    views = [make_view("s" * done + "w" * (12 - done)) for done in range(13)]
    threads = [threading.Thread(target=lambda: [viewer.show(view) for view in views]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert viewer.get_state("head")["head"]["done"] == 12
    assert [viewer.get_state(f"c{at}")[f"c{at}"]["state"] for at in range(12)] == ["stored"] * 12


def test_what_is_saved_shows_nothing_of_its_own():
    viewer = Viewer(make_view("ssss"), {(0, 0): b"jpeg"})
    data, _ = viewer._repr_mimebundle_()
    assert data["text/html"] == "<span></span>"
    assert data["text/plain"] == ""
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == viewer.model_id
    assert repr(viewer) == "Viewer('boats', 4 of 4)"
