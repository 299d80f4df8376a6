"""The viewer's files: plain, small, and asking nobody for anything."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from qwen_widgets.grid.page import render_viewer_page
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.grid.view import NOTHING
from qwen_widgets.grid.viewer import Viewer
from qwen_widgets.panel.bridge import Bridge

STATIC = files("qwen_widgets.grid") / "static"


def test_the_module_is_one_file_and_small():
    code = (STATIC / "viewer.js").read_text(encoding="utf-8")
    assert len(code.encode()) < 60_000
    assert not re.search(r"^import |\bimport\(", code, re.MULTILINE)
    # It goes into a page's <script> as it is.
    assert "</script" not in code
    assert "<!--" not in code


@pytest.mark.parametrize(
    "name", ["viewer.js", "page.js", "viewer.css", "colours.css", "page.css", "page.html"]
)
def test_nothing_is_loaded_from_anywhere(name):
    text = (STATIC / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|\burl\(|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|EventSource", text)


def test_markup_is_never_made_from_text():
    code = (STATIC / "viewer.js").read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", code
    )


def test_every_view_has_the_shared_colours_and_none_its_own():
    shared = (STATIC / "colours.css").read_text(encoding="utf-8")
    names = set(re.findall(r"(--qw-[a-z-]+):", shared))
    assert {"--qw-paper", "--qw-ink", "--qw-accent"} <= names
    sheets = (
        STATIC / "viewer.css",
        STATIC / "snapshot.css",
        files("qwen_widgets.panel") / "static" / "panel.css",
    )
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert names & set(re.findall(r"(--qw-[a-z-]+):", text)) == set()
        assert "color-scheme" not in text
    for shown in (Viewer._css, Bridge._css, render_viewer_page(NOTHING, {})):
        assert str(shown).count("--qw-paper:") == 1
    assert render_snapshot(NOTHING, {}).count("--qw-paper:") == 1
