"""The viewer as a file: one HTML page with script, styles, pictures and data inside, that reaches for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.marks import brief
from qwen_widgets.grid.snapshot import picture_kind, widest_tile
from qwen_widgets.grid.styles import style_sheet
from qwen_widgets.grid.view import INTERRUPT, Action, CellView, GridView

_NO_CHOICES = Choices()
_STATIC = Path(__file__).parent / "static"
#: What a row stands for; a column is a seed.
_ROW_AXES = ("prompt", "model", "size")
#: Characters of pictures in one element of the page: what a browser reads in a few frames.
_BLOCK = 1_000_000
_NO_ACTIONS: Mapping[tuple[int, int], Sequence[Action]] = MappingProxyType({})


def render_viewer_page(
    view: GridView,
    pictures: Mapping[tuple[int, int], bytes],
    choices: Choices = _NO_CHOICES,
    actions: Mapping[tuple[int, int], Sequence[Action]] = _NO_ACTIONS,
) -> str:
    """Render the grid as a whole HTML file with the viewer in it: all that works without a kernel works there.

    Parameters
    ----------
    view : GridView
        What to show. Cells that were on their way are shown as waiting.
    pictures : mapping of (row, column) to bytes
        JPEG, PNG or WebP files, embedded as they are; they are the page's originals. Other bytes are left out.
    choices : Choices
        Stars, marks and votes; what a reader adds stays in the reader's browser, and in a page saved from there.
    actions : mapping of (row, column) to sequence of Action, optional
        The ways to go on from each cell.
    """
    cells = [_at_rest(cell) for cell in view.cells]
    first, *others = _blocks([_address(cell, pictures) for cell in cells])
    data = {
        "head": head_of(replace(view, running=False, stopping=False, message="", take=""), len(cells)),
        "cells": [cell_of(view, cell) for cell in cells],
        "pictures": first,
        "choices": choices.to_json(),
        "actions": {
            # A page has nobody who could do it: what is only a button stays away.
            f"{row},{column}": [asdict(replace(one, key="")) for one in found if one.text]
            for (row, column), found in actions.items()
        },
        "words": words(),
    }
    script, style = _script(), _style()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(loader=PackageLoader("qwen_widgets.grid", "static"), autoescape=True)
    return environment.get_template("page.html").render(
        title=view.title or "grid",
        digest=Markup(digest),  # noqa: S704 - base64
        style=Markup(style),  # noqa: S704 - the package's own file
        script=Markup(script),  # noqa: S704 - the package's own file
        data=_json(data),
        others=[_json(block) for block in others],
    )


def _json(data: object) -> Markup:
    # In JSON a `<` only stands in texts: written as an escape, none of them can end the element.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 - JSON without a `<`


def _blocks(addresses: list[str]) -> list[list[str]]:
    """Split the pictures as a browser reads them: the first rows are drawn before it has read the others."""
    blocks: list[list[str]] = [[]]
    length = 0
    for address in addresses:
        if length + len(address) > _BLOCK and blocks[-1]:
            blocks.append([])
            length = 0
        blocks[-1].append(address)
        length += len(address)
    return blocks


def head_of(view: GridView, places: int) -> dict[str, Any]:
    """Return what a page needs beside the cells; long prompts are cut to their marks, as in the snapshot."""
    head = asdict(replace(view, cells=()))
    for name in ("cells", "magic", "facts", "foot"):
        del head[name]
    head["stoppable"] = view.running and view.stoppable
    # Where the page can interrupt the kernel it has a button in place of these words.
    head["interrupt"] = INTERRUPT if INTERRUPT in view.facts else ""
    head["title"] = view.title or "grid"
    head["line"] = " · ".join(fact for fact in view.facts if fact != INTERRUPT)
    progress = f"{view.done} of {view.total}" + (f", {view.failed} failed" if view.failed else "")
    head["said"] = progress if view.running else f"finished: {progress}"
    for row, shown in zip(head["rows"], view.rows, strict=True):
        whole = shown.parts or (("same", shown.prompt),)
        row["parts"] = brief(whole)
        row["whole"] = whole if row["parts"] != whole else None
    for row, ids in zip(head["rows"], _ids(view), strict=True):
        row["ids"] = ids
    several = [axis for axis in _ROW_AXES if len({getattr(row, axis) for row in view.rows}) > 1]
    if len(view.columns) > 1:
        several.append("seed")
    return {**head, "places": places, "several": several, "widest": widest_tile(view)}


def _ids(view: GridView) -> list[dict[str, int]]:
    """Return where each row stands on its axes: the first row that has the same prompt, model, size."""
    found: list[dict[str, int]] = []
    for r, row in enumerate(view.rows):
        ids = {
            axis: next(at for at, one in enumerate(view.rows) if getattr(one, axis) == getattr(row, axis))
            for axis in _ROW_AXES
        }
        # Rows that nothing tells apart stay rows of their own.
        found.append({**ids, "prompt": -r} if ids in found else ids)
    return found


def cell_of(view: GridView, cell: CellView) -> dict[str, Any]:
    """Return what a page needs of a cell."""
    told = (cell.title, cell.reason, cell.paid, cell.next_step)
    if cell.title or cell.reason:
        tooltip = "\n".join(text for text in told if text)
    else:
        label = view.columns[cell.column].label
        tooltip = " · ".join(text for text in (label, cell.cost, cell.warning) if text)
    return {**asdict(cell), "tooltip": tooltip}


def _at_rest(cell: CellView) -> CellView:
    cell = replace(cell, offers=())
    return replace(cell, state="waiting", since=0.0) if cell.state == "running" else cell


def _address(cell: CellView, pictures: Mapping[tuple[int, int], bytes]) -> str:
    picture = pictures.get((cell.row, cell.column), b"") if cell.state == "stored" else b""
    kind = picture_kind(picture)
    return f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}" if kind else ""


def _read(name: str) -> str:
    return files("qwen_widgets.grid").joinpath(f"static/{name}").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """Return the icons and the keys' table: what the viewer shows and is not code."""
    return dict(json.loads(_read("words.json")))


@lru_cache(maxsize=1)
def _script() -> str:
    """Return the viewer's module with the few lines that mount it on the page's own data, as one script.

    Not as a module: those wait until the whole page is read.
    """
    start = re.sub(r"^import .*\n", "", _read("page.js"), flags=re.MULTILINE)
    viewer = re.sub(r"^export default ", "void ", _read("viewer.js"), flags=re.MULTILINE)
    viewer = re.sub(r"^export ", "", viewer, flags=re.MULTILINE)
    return f'\n"use strict";\n{{\n{viewer}\n{start}}}\n'


@lru_cache(maxsize=1)
def _style() -> str:
    return style_sheet(_STATIC / "viewer.css") + _read("page.css")
