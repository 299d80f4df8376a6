"""The snapshot's thumbnails: in proportion to the width they are shown at, and together within a saved notebook's budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qwen_widgets.grid.describe import describe
from qwen_widgets.grid.files import make_miniatures
from qwen_widgets.grid.snapshot import render_snapshot, shown_sides

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Grid

Place = tuple[int, int]

#: Bytes of a snapshot of up to eight cells, and of each further one; so 100 have 413,000 and 400 have 1.4 million.
_FIRST, _FIRST_CELLS, _FURTHER = 108_000, 8, 3_300
#: Pixels of a thumbnail for each pixel that it is shown at, and the encoders' quality, the best first. Twice as many
#: are for dense screens; fewer than one would be scaled up, so that from there on the quality gives way.
_LEVELS = ((2.0, 75), (1.6, 75), (1.3, 70), (1.0, 70), (1.0, 50), (1.0, 30), (1.0, 10))
#: Cells that are made to see what all will weigh.
_SAMPLE = 12


def budget(cells: int) -> int:
    """Return how many bytes a snapshot may have, pictures and all."""
    return _FIRST + _FURTHER * max(0, cells - _FIRST_CELLS)


def snapshot_pictures(grid: Grid) -> dict[Place, bytes]:
    """Return thumbnails for the saved notebook, as large as its budget allows, by row and column of the view."""
    view = describe(grid)
    sides = shown_sides(view)
    stored = [(cell.row, cell.column) for cell in view.cells if cell.state == "stored"]
    if not stored:
        return {}
    words = len(render_snapshot(view, {}, grid.choices).encode())
    # What hasn't arrived yet has its share, so that the others needn't be made anew for it.
    room = (budget(len(sides)) - words) * len(stored) // len(sides)
    sample = stored[:: max(1, len(stored) // _SAMPLE)]
    found: dict[Place, bytes] = {}
    for level in _LEVELS:
        some = _made(grid, sides, sample, level)
        if _weight(some) * len(stored) > room * max(1, len(some)) and level != _LEVELS[-1]:
            continue
        found = _made(grid, sides, stored, level)
        if _weight(found) <= room:
            break
    return found


def _made(
    grid: Grid, sides: Mapping[Place, int], places: list[Place], level: tuple[float, int]
) -> dict[Place, bytes]:
    scale, quality = level
    return make_miniatures(grid, {place: round(scale * sides[place]) for place in places}, quality)


def _weight(pictures: Mapping[Place, bytes]) -> int:
    """Return how many bytes pictures are as base64."""
    return sum(4 * -(-len(picture) // 3) for picture in pictures.values())
