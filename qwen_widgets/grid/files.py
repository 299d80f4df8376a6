"""The files behind a grid's pictures: read, each checked against its hash, and made small for the views.

A picture leaves its file only as the bytes that were stored. Where the file is damaged, a view goes on showing the
thumbnail that was made of the right one, marked (`Cell.damaged`); everything else says so in place of a picture.
"""

# ruff: noqa: SLF001 - a grid's store is the business of its own package.

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qwen_widgets.core.errors import DamagedError
from qwen_widgets.grid.before import before_inputs, before_pictures, first_inputs

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Cell, Grid


def read_cell(cell: Cell) -> bytes:
    """Return the bytes of a cell that is stored, which are those that were stored.

    Raises
    ------
    DamagedError
        The file is gone, or was changed or cut; names the cell.
    """
    assert cell._file is not None
    try:
        return cell._grid._store.read(*cell._file)
    except DamagedError as error:
        raise DamagedError(f"cell [{cell.row}, {cell.column}]: {error.message}") from None


def look_at_files(grid: Grid) -> None:
    """Have the grid's store know which files are damaged, for what is about to show them."""
    for cell in grid:
        if cell._file is not None:
            grid._store.intact(*cell._file)


def read_all(grid: Grid) -> tuple[dict[tuple[int, int], bytes], list[Cell]]:
    """Return the pictures of a view as they are stored, without those that are flagged, and the damaged cells."""
    found: dict[tuple[int, int], bytes] = {}
    damaged = []
    for place, picture in before_inputs(grid).items():
        if (data := grid._store.read_input(picture.sha256, picture.suffix)) is not None:
            found[place] = data
    for cell in grid:
        if cell._file is not None and not cell.flagged:
            try:
                found[cell.row, cell.column] = read_cell(cell)
            except DamagedError:
                damaged.append(cell)
    return found, damaged


def read_place(grid: Grid, row: int, column: int) -> bytes | None:
    """Return the stored picture at a place of a view; None while there is none, or where it is damaged."""
    if column == len(grid.seeds):
        picture = before_inputs(grid).get((row, column))
        return grid._store.read_input(picture.sha256, picture.suffix) if picture is not None else None
    cell = grid[row, column]
    if cell._file is None:
        return None
    try:
        return read_cell(cell)
    except DamagedError:
        # The views say so from now on.
        for view in tuple(grid._views):
            view.refresh()
        return None


def live_pictures(grid: Grid) -> dict[tuple[int, int], bytes]:
    """Return a JPEG of each picture that has arrived, as the engine made it, and of what edits were made of."""
    found = before_pictures(grid, grid._store.thumbnail)
    for place, request in grid.sweep.requests.items():
        update = grid._updates.get(request.key)
        if update is not None and update.thumbnail is not None:
            found[place] = update.thumbnail
    return found


def make_thumbnails(grid: Grid, side: int) -> dict[tuple[int, int], bytes]:
    """Return a JPEG of each picture of a view, its longer side at most `side` pixels, by row and column."""
    found = {}
    for place, (digest, suffix, flagged) in _pictures(grid).items():
        with contextlib.suppress(OSError, ValueError, DamagedError):
            found[place] = grid._store.thumbnail(digest, suffix, side=side, blurred=flagged)
    return found


def make_miniatures(
    grid: Grid, sides: Mapping[tuple[int, int], int], quality: int
) -> dict[tuple[int, int], bytes]:
    """Return a WebP or JPEG of each picture at some places of a view, its longer side at most so many pixels."""
    found = {}
    for place, (digest, suffix, flagged) in _pictures(grid).items():
        if place in sides:
            with contextlib.suppress(OSError, ValueError, DamagedError):
                found[place] = grid._store.miniature(
                    digest, suffix, side=sides[place], quality=quality, blurred=flagged
                )
    return found


def _pictures(grid: Grid) -> dict[tuple[int, int], tuple[str, str, bool]]:
    """Return hash, suffix and whether it is flagged of each picture of a view, the ones before among them."""
    found = {
        place: (picture.sha256, picture.suffix, picture.flagged)
        for place, picture in first_inputs(grid).items()
    }
    found |= {(cell.row, cell.column): (*cell._file, cell.flagged) for cell in grid if cell._file is not None}
    return found


def warn_of_damage(what: str, cells: Sequence[Cell], left: str) -> None:
    """Warn of cells whose files are damaged, on the line that has called `Grid`; nothing where there are none."""
    if cells:
        places = ", ".join(f"[{cell.row}, {cell.column}]" for cell in cells)
        files = "the stored picture's file of" if len(cells) == 1 else "the stored pictures' files of"
        warnings.warn(
            f"{what}: {files} {places} {'was' if len(cells) == 1 else 'were'} changed, cut or deleted, and "
            f"{left}. {DamagedError.next_step}",
            stacklevel=_callers_level(),
        )


def _callers_level() -> int:
    """Return the `stacklevel`, for a warning in the function that asks, of the line outside of this package."""
    level, frame = 1, inspect.currentframe()
    while (frame := frame.f_back if frame is not None else None) is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] != __name__.partition(".")[0]:
            break
        level += 1
    return level
