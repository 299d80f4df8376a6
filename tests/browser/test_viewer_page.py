"""The viewer as a file: everything works without a kernel and a network, and nothing in it can run but its own script."""

from __future__ import annotations

import base64
import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread

import pytest
from playwright.sync_api import expect
from viewer_stage import make_view, picture, pictures
from waits import closed

from qwen_widgets.grid.choices import Choices, Vote
from qwen_widgets.grid.page import render_viewer_page
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.grid.view import Action

ACTIONS = {(0, 0): (Action("again", "%%qwenimage --fresh\na boat </script>", "$0.03"),)}


@pytest.fixture
def open_page(page, tmp_path):
    def open_page(html: str):
        path = tmp_path / "grid.html"
        path.write_text(html, encoding="utf-8")
        page.goto(path.as_uri())
        page.wait_for_selector(".qw-viewer .qw-tile .qw-box")
        return page

    return open_page


def test_it_shows_everything_and_asks_for_nothing(open_page):
    view = make_view("s" * 10 + "rf", running=True)
    page = open_page(render_viewer_page(view, pictures(view), Choices().with_stars(0, 1, 3), ACTIONS))
    assert page.locator(".qw-tile img").count() == 10
    page.wait_for_function(
        "[...document.querySelectorAll('.qw-tile img')].every((img) => img.naturalWidth === 160)"
    )
    assert page.locator(".qw-tile").nth(1).get_attribute("aria-label").endswith("3 stars")
    # What was on its way when it was written isn't any more.
    assert page.locator(".qw-tile").nth(10).inner_text() == "waiting"
    assert page.locator(".qw-bar:visible").count() == 0
    assert page.get_by_role("button", name="stop").count() == 0
    assert page.console_errors == []
    assert [url for url in page.urls if not url.startswith(("file:", "blob:", "data:"))] == []


def test_the_viewers_functions_work_in_it(open_page):
    view = make_view()
    votes = Choices().with_vote(Vote(1, 0, 0, 1, 0))
    page = open_page(render_viewer_page(view, pictures(view), votes, ACTIONS))
    tile = page.locator(".qw-tile").nth(0)
    tile.focus()
    for key in ("k", "5", " "):
        page.keyboard.press(key)
    assert tile.get_attribute("aria-label") == "prompt 0, seed 1, kept, 5 stars, picked A"
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.keyboard.press("c")
    assert page.locator(".qw-closer[open] .qw-lens").count() == 2
    page.keyboard.press("Escape")
    closed(page)
    page.keyboard.press("ArrowUp")
    tile.focus()
    page.keyboard.press(".")
    assert page.locator(".qw-actions pre").inner_text() == ACTIONS[0, 0][0].text
    page.keyboard.press("Escape")
    closed(page)
    page.keyboard.press("b")
    assert page.locator(".qw-vote caption").inner_text() == "who wins, of 1 vote"
    page.keyboard.press("Escape")


def test_the_policy_lets_only_the_own_script_run(open_page):
    html = render_viewer_page(make_view(), {})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith(
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-"
    )
    for word in ("unsafe-eval", "http", "*", "connect-src"):
        assert word not in policy
    page = open_page(html)
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.bad = 1'}))"
    )
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.bad = 1\">')")
    page.wait_for_function("document.images[document.images.length - 1].complete")
    assert page.evaluate("window.bad") is None


def test_nothing_in_the_file_points_elsewhere():
    html = re.sub(r'"pictures":\[[^\]]*\]', "", render_viewer_page(make_view(), pictures(make_view())))
    assert set(re.findall(r"https?://[^\s\"'<]*", html)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in html
    assert "url(" not in html
    assert not re.search(r"<link|<iframe|\bfetch\(|XMLHttpRequest|WebSocket|eval\(", html)


def test_the_data_is_json_that_cannot_end_its_element():
    hostile = "</script><script>alert(1)</script><!--<script>"
    view = make_view(title=hostile)
    html = render_viewer_page(view, {}, actions={(0, 0): (Action(hostile, hostile),)})
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert "<" not in text
    assert json.loads(text)["head"]["title"] == hostile
    assert html.count("<script") == 2 + html.split("<script>")[1].count("<script")


def test_only_pictures_are_embedded_and_only_of_stored_cells():
    view = make_view("sss" + "f")
    html = render_viewer_page(
        view, {(0, 0): picture(), (0, 1): b"<svg onload=alert(1)>", (0, 2): b"", (0, 3): picture()}
    )
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert [bool(text) for text in data["pictures"]] == [True, False, False, False]
    assert data["pictures"][0] == "data:image/jpeg;base64," + base64.b64encode(picture()).decode()


def test_the_first_pictures_are_drawn_while_the_page_is_still_being_read(page, monkeypatch):
    monkeypatch.setattr("qwen_widgets.grid.page._BLOCK", 3000)
    view = make_view("s" * 12)
    html = render_viewer_page(view, pictures(view)).encode()
    cut = html.index(b'class="pictures"')
    go_on = Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html[:cut])
            go_on.wait(30)
            self.wfile.write(html[cut:])

        def log_message(self, *_args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Slow)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/", wait_until="commit")
        page.wait_for_selector(".qw-tile img")
        assert page.evaluate("document.readyState") == "loading"
        few = page.locator(".qw-box").count()
        assert 0 < few < 12
        go_on.set()
        page.wait_for_load_state()
        expect(page.locator(".qw-tile img[src]")).to_have_count(12)
    finally:
        go_on.set()
        server.shutdown()
        server.server_close()
    assert [label(page, at) for at in (0, 11)] == ["prompt 0, seed 1", "prompt 2, seed 4"]
    assert page.console_errors == []


def test_a_large_page_is_saved_whole(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr("qwen_widgets.grid.page._BLOCK", 3000)
    view = make_view("s" * 12)
    page = open_page(render_viewer_page(view, pictures(view)))
    expect(page.locator(".qw-tile img[src]")).to_have_count(12)
    page.locator(".qw-tile").nth(11).focus()
    page.keyboard.press("k")
    path = tmp_path / "large.html"
    save_anew(page, path)
    sources = "[...document.querySelectorAll('.qw-tile img')].map((img) => img.src)"
    before = page.evaluate(sources)
    page.goto(path.as_uri())
    expect(page.locator(".qw-tile img[src]")).to_have_count(12)
    assert page.evaluate(sources) == before
    assert label(page, 11) == "prompt 2, seed 4, kept"


@pytest.mark.parametrize("inside", [False, True], ids=["between blocks", "inside of one"])
def test_a_file_that_is_cut_off_says_so(open_page, monkeypatch, inside):
    monkeypatch.setattr("qwen_widgets.grid.page._BLOCK", 3000)
    view = make_view("s" * 12)
    html = render_viewer_page(view, pictures(view))
    page = open_page(html)
    expect(page.locator(".qw-tile img[src]")).to_have_count(12)
    expect(page.locator("#missing")).to_be_empty()
    begins = html.rindex('<script type="application/json" class="pictures">')
    page = open_page(html[: begins + 1000 if inside else begins])
    here = page.locator(".qw-box").count()
    assert 0 < here < 12
    expect(page.get_by_role("alert")).to_have_text(
        f"This file is incomplete: {here} of its 12 cells are here. Copy it once more."
    )
    expect(page.locator(".qw-tile img[src]")).to_have_count(here)
    assert page.console_errors == []


def save_anew(page, path):
    """Save the page with what its reader chose, as a press of the button does."""
    page.locator(".qw-tile").nth(0).focus()
    page.keyboard.press("v")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a page", exact=True).click()
    assert download.value.suggested_filename.endswith(".html")
    download.value.save_as(path)
    page.keyboard.press("Escape")
    closed(page)


def test_texts_are_as_large_as_the_reader_has_set_them(open_page):
    size = "parseFloat(getComputedStyle(document.querySelector('.qw-viewer, .qw-snapshot')).fontSize)"
    page = open_page(render_viewer_page(make_view(), {}))
    assert page.evaluate(size) == 14
    page.evaluate("document.documentElement.style.fontSize = '24px'")
    assert page.evaluate(size) == 21
    # A snapshot has its own size inline, for pages that drop its sheet; a notebook's goes before it.
    page.set_content(render_snapshot(make_view(), {}))
    assert page.evaluate(size) == 13
    page.evaluate("document.documentElement.style.setProperty('--jp-content-font-size1', '20px')")
    assert page.evaluate(size) == 20
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.qw-snapshot td, .qw-snapshot th')).fontSize")
        == "20px"
    )


def label(page, at: int) -> str:
    return page.locator(".qw-tile").nth(at).get_attribute("aria-label")


def test_what_a_reader_chooses_is_there_after_a_reload_but_not_in_another_export(open_page):
    view = make_view()
    html = render_viewer_page(view, pictures(view), Choices().with_stars(0, 1, 3))
    page = open_page(html)
    page.locator(".qw-tile").nth(0).focus()
    for key in ("k", "5", "b"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Start").click()
    page.keyboard.press("ArrowLeft")
    page.reload()
    page.wait_for_selector(".qw-tile img")
    assert label(page, 0) == "prompt 0, seed 1, kept, 5 stars"
    assert label(page, 1) == "prompt 0, seed 2, 3 stars"
    page.locator(".qw-tile").nth(0).focus()
    page.keyboard.press("b")
    assert page.locator(".qw-vote caption").inner_text() == "who wins, of 1 vote"
    # Choices that came from Python since are not overruled by those of an older page.
    page = open_page(render_viewer_page(view, pictures(view), Choices().with_stars(0, 0, 2)))
    assert label(page, 0) == "prompt 0, seed 1, 2 stars"


def test_a_page_goes_on_with_what_its_reader_chose(open_page, tmp_path, browser):
    title = "</script><img src=x onerror=alert(1)>"
    view = make_view(title=title)
    page = open_page(render_viewer_page(view, pictures(view), actions=ACTIONS))
    page.locator(".qw-tile").nth(0).focus()
    for key in ("k", "5", "ArrowRight", "x"):
        page.keyboard.press(key)
    path = tmp_path / "sent on.html"
    save_anew(page, path)
    # Somebody else opens it, and saves it once more.
    context = browser.new_context(accept_downloads=True)
    other = context.new_page()
    errors = []
    other.on("pageerror", lambda error: errors.append(str(error)))
    other.on("console", lambda message: message.type == "error" and errors.append(message.text))
    other.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    for _ in range(2):
        other.goto(path.as_uri())
        other.wait_for_selector(".qw-tile img")
        assert label(other, 0) == "prompt 0, seed 1, kept, 5 stars"
        assert label(other, 1) == "prompt 0, seed 2, rejected"
        assert other.locator(".qw-viewer").count() == 1
        assert other.locator(".qw-title").inner_text() == title
        assert other.locator(".qw-tile img").count() == 12
        save_anew(other, path)
    context.close()
    assert errors == []
