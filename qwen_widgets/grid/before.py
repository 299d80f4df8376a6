"""The pictures that edits were made of, as a column of their own, so that before and after can be compared.

The column stands behind those of the sweep: the places of the grid's own cells are the same in a view and in Python.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from qwen_widgets.core.errors import DamagedError
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid.view import CellView, ColumnView

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Grid


class Thumbnail(Protocol):
    """Makes a JPEG of a picture by its hash and suffix."""

    def __call__(self, sha256: str, suffix: str, *, blurred: bool) -> bytes:
        """Return it."""


def has_before(sweep: Sweep) -> bool:
    """Whether a view of the sweep has the column."""
    return any(row.images for row in sweep.rows)


def before_columns(sweep: Sweep) -> tuple[ColumnView, ...]:
    """Return the column's header, nothing where nothing was edited."""
    return (ColumnView("before", before=True),) if has_before(sweep) else ()


def before_view(sweep: Sweep, row: int) -> CellView:
    """Return what a row's pictures were made of as a cell; blank where it was words alone."""
    column = len(sweep.seeds)
    images = sweep.rows[row].images
    if not images:
        return CellView(row, column, "blank", 1, 1, "no picture before")
    picture = images[0]
    made = picture.made_from
    words = f"before: {made.prompt}" if made is not None else "before"
    more = f"and {len(images) - 1} more" if len(images) > 1 else ""
    return CellView(
        row,
        column,
        "stored",
        picture.width,
        picture.height,
        words,
        cost=more,
        cached=True,
        flagged=picture.flagged,
    )


def before_pictures(grid: Grid, make: Thumbnail) -> dict[tuple[int, int], bytes]:
    """Return a JPEG of the picture before, by row and column of the view; one picture is made once."""
    found: dict[tuple[int, int], bytes] = {}
    known: dict[InputPicture, bytes] = {}
    for place, picture in first_inputs(grid).items():
        if picture not in known:
            with contextlib.suppress(OSError, ValueError, DamagedError):
                known[picture] = make(picture.sha256, picture.suffix, blurred=picture.flagged)
        if picture in known:
            found[place] = known[picture]
    return found


def before_inputs(grid: Grid) -> dict[tuple[int, int], InputPicture]:
    """Return the pictures before that may be shown as they are, by row and column of the view."""
    return {place: picture for place, picture in first_inputs(grid).items() if not picture.flagged}


def first_inputs(grid: Grid) -> dict[tuple[int, int], InputPicture]:
    """Return the picture before of each row that has one, by row and column of the view."""
    column = len(grid.seeds)
    return {(row, column): line.images[0] for row, line in enumerate(grid.sweep.rows) if line.images}
