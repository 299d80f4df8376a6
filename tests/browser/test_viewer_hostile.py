"""Hostile words everywhere a word can stand, in the viewer, the snapshot, exports and file names: they stay words."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from viewer_stage import Stage, make_view, pictures
from waits import drawn

import qwen_widgets as qw
from qwen_widgets.grid.page import render_viewer_page
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.grid.view import Action, CellView, ColumnView, GridView, RowView
from qwen_widgets.studio import Settings, Studio

# Each would set window.hit, open a dialog, or ask for /hit, were it ever taken for markup or code.
PAYLOADS = r"""
<script>window.hit=1</script>
</script><script>window.hit=1</script>
</title><script>window.hit=1</script>
</style><script>window.hit=1</script>
</textarea><script>window.hit=1</script>
</noscript><script>window.hit=1</script>
</pre></code></details><script>window.hit=1</script>
<!--<script>--><script>window.hit=1</script>
--><script>window.hit=1</script><!--
]]><script>window.hit=1</script>
<ScRiPt>window.hit=1</sCrIpT>
<script/x>window.hit=1</script>
<script src=http://127.0.0.1:9/hit></script>
<script src=data:text/javascript,window.hit=1></script>
<script type=module>window.hit=1</script>
<scr<script>ipt>window.hit=1</scr</script>ipt>
<img src=x onerror=window.hit=1>
<img src=http://127.0.0.1:9/hit>
<img/src=x/onerror=window.hit=1>
<IMG SRC="x" ONERROR="window.hit=1">
<img src=x onerror="&#119;indow.hit=1">
<img srcset="http://127.0.0.1:9/hit 1x">
"><img src=x onerror=window.hit=1>
'><img src=x onerror=window.hit=1>
`><img src=x onerror=window.hit=1>
"'><svg onload=window.hit=1>
<svg onload=window.hit=1>
<svg/onload=window.hit=1>
<svg><script>window.hit=1</script></svg>
<svg><animate onbegin=window.hit=1 attributeName=x dur=1s>
<svg><use href="http://127.0.0.1:9/hit#x"></use></svg>
<svg><style><img src=x onerror=window.hit=1></style></svg>
<math><mtext><img src=x onerror=window.hit=1></mtext></math>
<math><maction actiontype="statusline" xlink:href="javascript:window.hit=1">x</maction></math>
<iframe src="javascript:parent.hit=1"></iframe>
<iframe srcdoc="<script>parent.hit=1</script>"></iframe>
<iframe src=http://127.0.0.1:9/hit></iframe>
<object data="javascript:window.hit=1"></object>
<object data=http://127.0.0.1:9/hit></object>
<embed src=http://127.0.0.1:9/hit>
<link rel=stylesheet href=http://127.0.0.1:9/hit>
<link rel=preload as=image href=http://127.0.0.1:9/hit>
<style>@import "http://127.0.0.1:9/hit";</style>
<style>*{background:url(http://127.0.0.1:9/hit)}</style>
<meta http-equiv=refresh content="0;url=http://127.0.0.1:9/hit">
<base href=http://127.0.0.1:9/hit/>
<body onload=window.hit=1>
<details open ontoggle=window.hit=1>x</details>
<video><source onerror=window.hit=1></video>
<video poster=http://127.0.0.1:9/hit></video>
<audio src=x onerror=window.hit=1></audio>
<input autofocus onfocus=window.hit=1>
<select autofocus onfocus=window.hit=1></select>
<textarea autofocus onfocus=window.hit=1>
<button popovertarget=x onclick=window.hit=1>x</button>
<form action=javascript:window.hit=1><input type=submit>
<isindex action=javascript:window.hit=1>
<a href="javascript:window.hit=1">x</a>
<marquee onstart=window.hit=1>x</marquee>
<x contenteditable onblur=window.hit=1>x</x>
<template><script>window.hit=1</script></template>
<div style="background:url(http://127.0.0.1:9/hit)">x</div>
<table background=http://127.0.0.1:9/hit></table>
" onmouseover=window.hit=1 x="
" onfocus=window.hit=1 autofocus x="
' onerror=window.hit=1 src=x x='
" style="background:url(http://127.0.0.1:9/hit)" x="
javascript:window.hit=1
data:text/html,<script>window.hit=1</script>
{{constructor.constructor('window.hit=1')()}}
{{ 7*7 }}{% raw %}{{ config }}
${window.hit=1}
`${window.hit=1}`
\u003cscript\u003ewindow.hit=1\u003c/script\u003e
&lt;script&gt;window.hit=1&lt;/script&gt;
&#60;script&#62;window.hit=1&#60;/script&#62;
%3Cscript%3Ewindow.hit=1%3C/script%3E
+ADw-script+AD4-window.hit=1+ADw-/script+AD4-
<<SCRIPT>window.hit=1//<</SCRIPT>
__proto__
constructor
[object Object]
""".strip().splitlines()


def view_of(words: list[str]) -> GridView:
    """Make a view with a row for each text, in every place that a text can take."""
    rows = tuple(
        RowView(text, (("same", text), ("added", text), ("dropped", text)), text, text, text, text)
        for text in words
    )
    told = ("title", "reason", "paid", "next_step")
    cells = tuple(
        CellView(
            row,
            column,
            state,
            16,
            9,
            text,
            text,
            warning=text,
            **(dict.fromkeys(told, text) if state == "failed" else {}),
        )
        for row, text in enumerate(words)
        for column, state in enumerate(("stored", "failed"))
    )
    return replace(
        make_view(),
        title=words[0],
        facts=tuple(words[:2]),
        foot=tuple(words[:2]),
        provider=words[0],
        magic=words[0],
        rows=rows,
        columns=(ColumnView(words[0], words[0]), ColumnView(words[-1], words[-1])),
        cells=cells,
    )


def check(page, shown: int) -> None:
    """Nothing ran, nothing was asked for, and no element is theirs."""
    assert shown >= 60
    assert page.evaluate("window.hit") is None
    assert [url for url in page.urls if "hit" in url or url.startswith(("http:", "https:"))] == []
    foreign = "script[src], iframe, object, embed, link, base, video, audio, form, math, marquee, template, details[ontoggle]"
    assert page.locator(f"main :is({foreign})").count() == 0
    names = page.evaluate("[...document.querySelectorAll('main *')].flatMap((el) => el.getAttributeNames())")
    assert {name for name in names if name.startswith("on")} == set()
    pictures = page.evaluate("[...document.querySelectorAll('main img')].map((i) => i.src.split(':')[0])")
    assert set(pictures) <= {"blob", "data"}


@pytest.fixture
def page(page):
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    return page


def test_there_are_enough_of_them():
    assert len(set(PAYLOADS)) >= 60


def test_in_the_viewer_with_every_view_open(page):
    stage = Stage(page)
    view = view_of(PAYLOADS)
    stage.open(view, pictures(view))
    stage.viewer.on_actions = lambda row, column: [Action(PAYLOADS[row], PAYLOADS[row], PAYLOADS[row])]
    assert page.locator(".qw-row-header .qw-prompt").all_text_contents()[5].count(PAYLOADS[5]) == 3
    for text in PAYLOADS:
        stage.show(replace(view, title=text, provider=text, facts=(text,)), pictures(view))
        assert page.text_content(".qw-title") == text
    for row in range(0, len(PAYLOADS), 6):
        stage.focus_on(row, row % 2)
        stage.press("Enter", ".")
        stage.deliver()
        stage.press("Escape", "Escape")
    stage.focus_on(0, 0)
    stage.press(" ", "ArrowDown", " ", "c", "Escape", "v")
    for axis, side in (("model", "tabs"), ("prompt", "columns"), ("size", "rows")):
        page.locator(f".qw-view select[aria-label={axis}]").select_option(side)
    stage.press("Escape")
    page.locator(".qw-view").wait_for(state="hidden")
    stage.focus_on(0, 0)
    stage.press("v")
    page.get_by_role("button", name="as it was").click()
    stage.press("b")
    check(page, page.locator(".qw-row-header").count())


def test_in_the_snapshot(page):
    view = view_of(PAYLOADS)
    html = render_snapshot(view, pictures(view))
    page.set_content(f"<!doctype html><main>{html}</main>")
    check(page, page.locator("tbody tr").count())


def test_in_the_page_that_nbconvert_makes(page, tmp_path):
    # What nbconvert's own template asks for is none of ours; an empty notebook's page shows what that is.
    page.route(re.compile("^https?:"), lambda route: route.abort())

    def visit(cells) -> list[str]:
        html, _ = HTMLExporter(template_name="lab").from_notebook_node(new_notebook(cells=cells))
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        page.urls.clear()
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_load_state()
        return list(page.urls)

    own = visit([])
    view = view_of(PAYLOADS)
    output = {"text/html": render_snapshot(view, pictures(view)), "text/plain": PAYLOADS[0]}
    cell = new_code_cell("fox", outputs=[new_output("display_data", data=output)])
    asked = visit([cell])
    assert page.locator(".qw-snapshot tbody tr").count() == len(PAYLOADS)
    assert [url for url in asked if url not in own and not url.startswith("data:")] == []
    assert page.evaluate("window.hit") is None
    names = page.evaluate(
        "[...document.querySelectorAll('.qw-snapshot *')].flatMap((el) => [el.localName, ...el.getAttributeNames()])"
    )
    ours = {
        "p",
        "b",
        "i",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "td",
        "th",
        "img",
        "small",
        "br",
        "ins",
        "del",
        "span",
    }
    ours |= {
        "details",
        "summary",
        "pre",
        "code",
        "style",
        "class",
        "src",
        "alt",
        "title",
        "width",
        "height",
        "scope",
    }
    assert set(names) <= ours | {"align", "valign", "dir"}


def test_as_names_of_files(page, tmp_path, monkeypatch):
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.02)))
    names = [text for text in PAYLOADS if "\x00" not in text][:60:10]
    for at, text in enumerate(names):
        prompt = (
            " ".join(text.split())[:200].replace("{", "").replace("}", "").replace("|", "").replace("\\", "")
        )
        grid = qw.generate([prompt], seeds=1, sizes="256x256", title=prompt)
        folder = tmp_path / str(at)
        saved = grid.save(folder)
        here = sorted(path.name for path in folder.iterdir())
        assert len(here) == 4
        assert all(path.parent == folder for path in saved)
        # Letters, digits and hyphens of any script: nothing that a page, a shell or a path could take for its own.
        assert re.fullmatch(r"01-01-[\w-]+-seed-1\.png", saved[0].name), saved[0].name
        with zipfile.ZipFile(grid.to_zip(tmp_path / f"{at}.zip")) as file:
            assert sorted(file.namelist()) == here
        page.goto((folder / "grid.html").as_uri())
        page.locator(".qw-tile img").wait_for()
        assert page.text_content(".qw-title") == prompt
        # A name that the user gives is a name: the page in it is the same.
        odd = tmp_path / (re.sub(r"[/\x00-\x1f]", "_", text)[:60] + ".html")
        grid.to_html(odd)
        page.goto(odd.as_uri())
        page.locator(".qw-tile img").wait_for()
        page.urls.remove(page.url)  # the page's own address has the payload in it
        check(page, 60)


def test_in_the_exported_viewer(page, tmp_path):
    view = view_of(PAYLOADS)
    actions = {(row, 0): (Action(text, text, text),) for row, text in enumerate(PAYLOADS)}
    html = render_viewer_page(view, pictures(view), actions=actions)
    (tmp_path / "grid.html").write_text(html, encoding="utf-8")
    page.goto((tmp_path / "grid.html").as_uri())
    page.wait_for_selector(".qw-tile .qw-box")
    page.locator(".qw-tile").first.focus()
    for key in ("Enter", ".", "Escape", "Escape", "b", "Escape", "v", "Escape"):
        page.keyboard.press(key)
        drawn(page)
    assert page.title() == f"{' '.join(PAYLOADS[0].split())} · qwen_widgets"
    check(page, page.locator(".qw-row-header").count())
