"""The snapshot: readable with and without its styles, and nothing in it but what belongs there."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.grid.view import CellView, ColumnView, GridView, RowView

PROMPTS = ("a red boat on a mountain lake at sunset", "a red boat on a mountain lake in autumn")
HOSTILE = """"><img src=x onerror=alert(1)><script>alert(2)</script></style>' onload='x {{ 7*7 }} &amp; javascript:x"""
# What is left of these by JupyterLab's sanitiser and by GitHub is all of them.
PLAIN_TAGS = {
    "div",
    "p",
    "b",
    "i",
    "span",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "img",
    "br",
    "small",
    "ins",
    "del",
    "details",
    "summary",
    "pre",
    "code",
}


def picture(kind: str = "JPEG", colour: str = "teal") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 9), colour).save(file, kind)
    return file.getvalue()


def make_view(states: list[str] | None = None, **changes) -> GridView:
    states = states or ["stored"] * 8
    told = {
        "title": "Moderated",
        "reason": "The prompt was flagged.",
        "paid": "Not charged.",
        "next_step": "Change it.",
    }
    cells = tuple(
        CellView(
            at // 4, at % 4, state, 1280, 720, f"alt {at}", "$0.03", **(told if state == "failed" else {})
        )
        for at, state in enumerate(states)
    )
    view = GridView(
        run_id="r",
        title="boats",
        facts=("2 prompts × 4 seeds", "Qwen Image 2.0"),
        provider="WaveSpeedAI",
        offline=False,
        done=8,
        failed=0,
        total=8,
        running=False,
        rows=tuple(RowView(prompt, mark(prompt, PROMPTS[0]), "", "4 of 4") for prompt in PROMPTS),
        columns=tuple(ColumnView(f"seed {seed}") for seed in range(1, 5)),
        cells=cells,
        magic="%%qwenimage --seeds 1-4\n" + "\n".join(PROMPTS),
        foot=("Qwen Image 2.0", "1280×720", "$0.24", "41 s"),
    )
    return replace(view, **changes)


class Page(HTMLParser):
    """What a browser would make of a piece of HTML: tags with attributes, and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._within: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._within.append(tag)

    def handle_endtag(self, tag):
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._within:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


ALL = {(row, column): picture() for row in range(2) for column in range(4)}


def test_it_is_a_table_with_headers_both_ways():
    page = Page(render_snapshot(make_view(), ALL))
    assert [th["scope"] for th in page.all("th")] == ["col"] * 4 + ["row", "row"]
    assert len(page.all("img")) == 8
    assert page.tags[0][1]["class"] == "qw-snapshot"


def test_every_picture_has_its_size_alt_and_title_as_attributes():
    for img in Page(render_snapshot(make_view(), ALL)).all("img"):
        assert re.fullmatch(r"alt \d", img["alt"])
        assert "$0.03" in img["title"]
        assert int(img["width"]) / int(img["height"]) == pytest.approx(16 / 9, rel=0.02)
        assert img["src"].startswith("data:image/jpeg;base64,")


def test_without_any_style_it_still_says_everything():
    bare = re.sub(
        r' (style|class)="[^"]*"',
        "",
        render_snapshot(make_view(["failed"] + ["stored"] * 7), ALL, style=False),
    )
    page = Page(bare)
    assert {tag for tag, _ in page.tags} <= PLAIN_TAGS
    for words in (
        "boats",
        "2 prompts × 4 seeds",
        "Moderated",
        "The prompt was flagged.",
        "Not charged.",
        "$0.24",
    ):
        assert words in page.text
    assert "<ins>in autumn</ins> <del>at sunset</del>" in bare
    assert "%%qwenimage --seeds 1-4\n" in bare


def test_inline_styles_are_of_the_kinds_that_the_sanitiser_keeps():
    styles = " ".join(
        attrs["style"] for _, attrs in Page(render_snapshot(make_view(), ALL)).tags if attrs.get("style")
    )
    assert not re.search(r"var\(|object-fit|filter|url\(|!important", styles)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
def test_the_type_is_told_from_the_bytes(kind):
    html = render_snapshot(make_view(), {(0, 0): picture(kind)})
    assert f"data:image/{kind.lower()};base64," in html


@pytest.mark.parametrize(
    "data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a....", b"", b"RIFF....WAVE"]
)
def test_anything_else_is_not_embedded(data):
    page = Page(render_snapshot(make_view(), {(0, 0): data}))
    assert page.all("img") == []
    assert "no preview" in page.text


@pytest.mark.parametrize("state", ["waiting", "running", "stopped", "unknown", "failed"])
def test_a_cell_without_a_picture_is_a_box_of_the_right_shape_with_a_word(state):
    view = make_view()
    cells = tuple(replace(cell, state=state, cost="") for cell in view.cells)
    page = Page(render_snapshot(replace(view, cells=cells), {}))
    boxes = [div for div in page.all("div") if "qw-box" in (div.get("class") or "")]
    assert len(boxes) == 8
    assert all("aspect-ratio:1280/720" in box["style"] for box in boxes)
    assert page.text.count("not known" if state == "unknown" else state) == 8


def test_a_blank_cell_is_empty():
    page = Page(render_snapshot(make_view(["stored"] * 7 + ["blank"]), ALL | {(1, 3): b""}))
    assert len(page.all("img")) == 7
    assert not [div for div in page.all("div") if "qw-box" in (div.get("class") or "")]


def test_a_warning_is_read_below_its_picture():
    view = make_view()
    cells = (replace(view.cells[0], warning="640×640, asked 1280×720"), *view.cells[1:])
    assert "640×640, asked 1280×720" in Page(render_snapshot(replace(view, cells=cells), ALL)).text


def test_an_offline_preview_says_so_twice():
    page = Page(render_snapshot(make_view(offline=True, provider="offline preview"), ALL))
    assert page.text.count("offline preview") == 2
    assert "offline" not in Page(render_snapshot(make_view(), ALL)).text


def hostile_view(text: str) -> GridView:
    view = make_view(["failed"] + ["stored"] * 7)
    cells = tuple(
        replace(cell, alt=text, cost=text, warning=text, title=text, reason=text, paid=text, next_step=text)
        for cell in view.cells
    )
    return replace(
        view,
        title=text,
        facts=(text,),
        provider=text,
        rows=tuple(
            RowView(text, (("same", text), ("added", text), ("dropped", text)), text, text) for _ in view.rows
        ),
        columns=tuple(ColumnView(text) for _ in view.columns),
        cells=cells,
        magic=text,
        foot=(text,),
    )


def test_hostile_words_stay_words():
    tame, hostile = (
        Page(render_snapshot(hostile_view("w" * len(HOSTILE)), ALL)),
        Page(render_snapshot(hostile_view(HOSTILE), ALL)),
    )
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in tame.tags]
    assert [sorted(attrs) for _, attrs in hostile.tags] == [sorted(attrs) for _, attrs in tame.tags]
    assert HOSTILE in "".join(hostile.texts)


def test_words_of_others_stand_in_texts_alt_and_title_only():
    for tag, attrs in Page(render_snapshot(hostile_view("WORDS"), ALL)).tags:
        for name, value in attrs.items():
            assert name in ("alt", "title") or "WORDS" not in (value or ""), (tag, name)


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r"), max_size=40))
def test_no_words_change_the_structure(text):
    tags = [tag for tag, _ in Page(render_snapshot(hostile_view("x" + text), {})).tags]
    assert tags == [tag for tag, _ in Page(render_snapshot(hostile_view("x"), {})).tags]


def test_a_long_prompt_is_cut_to_its_marks_and_whole_in_the_title():
    long = PROMPTS[0] + ", soft light over calm water" * 20
    rows = (RowView(long, (("same", long),), "", ""), make_view().rows[1])
    page = Page(render_snapshot(make_view(rows=rows), ALL))
    assert [th.get("title") for th in page.all("th") if th["scope"] == "row"] == [long, None]
    assert "…" in page.text


def test_it_is_small():
    for states in (["stored"] * 8, ["waiting"] * 8, ["failed"] * 8):
        assert len(render_snapshot(make_view(states), {}).encode()) < 12_000


def test_the_style_swaps_viewer_and_snapshot():
    sheet = re.findall(r"<style>(.*?)</style>", render_snapshot(make_view(), ALL), re.DOTALL)[0]
    # `:has` must not nest in `:has`: the browser drops such a rule as a whole.
    assert not re.search(r":has\([^()]*(\([^()]*\)[^()]*)*:has", sheet)
    assert ".jp-OutputArea-child:has(.qw-viewer,.qw-panel)+" in sheet.replace(" + ", "+")
    assert ":not(:has(.jupyter-widgets *))" in sheet
    assert "/*" not in sheet


def test_the_style_can_be_left_out():
    assert "<style" not in render_snapshot(make_view(), ALL, style=False)


def test_it_reaches_for_nothing():
    html = render_snapshot(make_view(title="a < b"), ALL)
    assert not re.search(r"https?:|//\w|url\(|@import|<script|<link", re.sub(r"base64,[^\"]*", "", html))


def test_what_moderation_flagged_is_there_blurred_and_says_so():
    view = make_view(["stored"] * 4)
    view = replace(view, cells=(replace(view.cells[0], flagged=True), *view.cells[1:]))
    page = Page(render_snapshot(view, {(0, 0): picture(), (0, 1): picture()}))
    first, second = page.all("img")[:2]
    assert "flagged by moderation" in first["title"]
    assert "flagged" not in second["title"]
    assert page.text.count("flagged by moderation") == 1
    # Without its thumbnail there is the word alone.
    assert Page(render_snapshot(view, {})).text.count("flagged by moderation") == 1


def test_what_was_chosen_is_told_below_the_picture():
    choices = Choices().with_stars(0, 0, 4).with_mark(0, 0, "keep")
    view = make_view(["stored"] * 4)
    assert "★★★★ kept" in render_snapshot(view, {(0, 0): picture()}, choices)
    assert "★" not in render_snapshot(view, {(0, 0): picture()})
