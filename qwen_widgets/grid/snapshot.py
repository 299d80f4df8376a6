"""The static view: HTML that needs no script and no style sheet."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, Template
from markupsafe import Markup

from qwen_widgets.core.errors import clean
from qwen_widgets.grid.choices import Choice, Choices
from qwen_widgets.grid.marks import Parts, brief
from qwen_widgets.grid.styles import style_sheet
from qwen_widgets.grid.view import CellView, GridView, RowView

# What GitHub's page and an average notebook leave for a table, in pixels.
_PAGE = 920
_HEADER = 170
_GAP = 6
_NARROWEST, _WIDEST, _TALLEST = 104, 280, 320
#: Characters of a picture's alternative text.
_LONGEST_ALT = 160

# Told from their first bytes, because anything else (SVG above all) must not get into a page.
_KINDS = (
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)

_NO_CHOICES = Choices()
_SAID = {"": "", "keep": "kept", "reject": "rejected"}
#: What a cell without a picture says where the view has no words of its own.
_WORDS = {
    "waiting": "waiting",
    "running": "running",
    "stored": "no preview",
    "failed": "failed",
    "unknown": "not known",
    "stopped": "stopped",
    "blank": "",
}


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of words; `before` and `after` are its outer blanks, which are neither underlined nor struck."""

    kind: str
    before: str
    words: str
    after: str


@dataclass(frozen=True, slots=True)
class _Tile:
    """One cell as the template draws it."""

    view: CellView
    #: Prompt, seed and state, cut where the prompt is long.
    alt: str
    #: A ``data:`` address, or empty.
    source: str
    #: Pixels on the page.
    width: int
    height: int
    most: int
    words: str
    tooltip: str
    #: What a person said of it: ``★★★★ kept``.
    said: str
    #: A clear word below a blurred picture; empty otherwise.
    flagged: str


@dataclass(frozen=True, slots=True)
class _Line:
    """One row as the template draws it."""

    view: RowView
    runs: tuple[_Run, ...]
    #: The whole prompt where the runs leave some of it out.
    whole: str
    small: str
    tiles: tuple[_Tile, ...]


def render_snapshot(
    view: GridView,
    pictures: Mapping[tuple[int, int], bytes],
    choices: Choices = _NO_CHOICES,
    *,
    style: bool = True,
) -> str:
    """Render the grid as a piece of HTML that reads well wherever it lands.

    Parameters
    ----------
    view : GridView
        What to show.
    pictures : mapping of (row, column) to bytes
        JPEG, PNG or WebP files, embedded as they are; other bytes are left out. What moderation flagged comes as its
        blurred derivative: a sanitiser would drop a blur of the style sheet.
    choices : Choices
        Stars and marks, told below the pictures.
    style : bool
        Whether a style sheet goes with it: theme colours, hover, and the rules by which a live viewer in the
        output before and this snapshot give way to each other.
    """
    columns = len(view.columns)
    if columns and view.columns[-1].before:
        # On paper what was there before comes first.
        cells = [view.cells[at : at + columns] for at in range(0, len(view.cells), columns)]
        view = replace(
            view,
            columns=(view.columns[-1], *view.columns[:-1]),
            cells=tuple(cell for line in cells for cell in (line[-1], *line[:-1])),
        )
    room = _room(columns)
    widest = widest_tile(view)
    tiles = [
        _tile(cell, pictures.get((cell.row, cell.column), b""), choices[cell.row, cell.column], room)
        for cell in view.cells
    ]
    lines = [_line(row, tuple(tiles[at * columns : (at + 1) * columns])) for at, row in enumerate(view.rows)]
    return _template().render(
        view=view,
        lines=lines,
        foot=(*view.foot, "offline preview, drawn on this computer" if view.offline else view.provider),
        header=_HEADER,
        narrowest=_HEADER + columns * (_NARROWEST + _GAP),
        widest=max(560, _HEADER + columns * (widest + _GAP) + 24),
        sheet=_sheet() if style else "",
    )


def _line(row: RowView, tiles: tuple[_Tile, ...]) -> _Line:
    parts: Parts = row.parts or (("same", row.prompt),)
    shown = brief(parts, room=150)
    return _Line(
        view=row,
        runs=_runs(shown),
        whole="" if shown == parts else row.prompt,
        small=" · ".join(text for text in (row.note, row.tally) if text),
        tiles=tiles,
    )


def _runs(parts: Parts) -> tuple[_Run, ...]:
    """Split the outer blanks off each run, so that a mark covers words only."""
    cut = []
    for kind, text in parts:
        words = text.strip()
        start = len(text) - len(text.lstrip())
        cut.append(_Run(kind, text[:start], words, text[start + len(words) :]))
    return tuple(cut)


def widest_tile(view: GridView) -> int:
    """Return how wide the tiles of a grid may get where nobody asks for more, pixels."""
    return max((_limit(cell) for cell in view.cells if cell.state != "blank"), default=_WIDEST)


def _limit(cell: CellView) -> int:
    """Return how wide a cell's picture may get, pixels: a tall one is held by its height."""
    return max(_NARROWEST, min(_WIDEST, round(_TALLEST * cell.width / max(cell.height, 1))))


def _room(columns: int) -> int:
    """Return how wide a tile is where the page is as wide as most, pixels."""
    return max(_NARROWEST, (_PAGE - _HEADER) // max(columns, 1) - _GAP)


def shown_sides(view: GridView) -> dict[tuple[int, int], int]:
    """Return the longer side of each picture as it is shown, pixels, by row and column."""
    room = _room(len(view.columns))
    return {
        (cell.row, cell.column): round(min(room, _limit(cell)) * max(1.0, cell.height / max(cell.width, 1)))
        for cell in view.cells
        if cell.state != "blank"
    }


def picture_kind(picture: bytes) -> str:
    """Return the media type of a JPEG, PNG or WebP file, told from its first bytes; empty for anything else."""
    return next((kind for magic, kind in _KINDS if magic.match(picture)), "")


def _tile(cell: CellView, picture: bytes, choice: Choice, room: int) -> _Tile:
    kind = picture_kind(picture) if cell.state == "stored" else ""
    flagged = "flagged by moderation" if cell.flagged and cell.state == "stored" else ""
    most = _limit(cell)
    width = min(room, most)
    # A grid of many cells says its long prompts in the rows' headers.
    alt = clean(cell.alt, longest=_LONGEST_ALT, both_ends=True)
    return _Tile(
        view=cell,
        alt=alt,
        source=f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}" if kind else "",
        width=width,
        height=max(1, round(width * cell.height / max(cell.width, 1))),
        most=most,
        words=flagged or _WORDS[cell.state],
        tooltip=" · ".join(text for text in (alt, flagged, cell.cost, cell.warning) if text),
        said=" ".join(text for text in ("★" * choice.stars, _SAID[choice.mark]) if text),
        flagged=flagged,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("qwen_widgets.grid", "static"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("snapshot.html")


@lru_cache(maxsize=1)
def _sheet() -> Markup:
    """Return the style sheet without its comments and line breaks: it is saved with every notebook."""
    text = style_sheet(Path(__file__).parent / "static" / "snapshot.css")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*([{};,])\s*", r"\1", text)
    return Markup(re.sub(r"\s+", " ", text).strip())  # noqa: S704 - the package's own file
