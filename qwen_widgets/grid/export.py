"""What leaves a grid: a table, a folder of pictures, an HTML page."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qwen_widgets.core import arguments, metadata, reading
from qwen_widgets.core.arguments import PromptsLike, SeedsLike
from qwen_widgets.core.errors import ArgumentError, DamagedError, InputError, PlaceError, clean
from qwen_widgets.core.paths import expanded, told
from qwen_widgets.core.sweep import Row, Sweep, drawing, plan_sweep, read_seeds
from qwen_widgets.grid.files import read_all, read_cell, warn_of_damage

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Cell, Grid

#: Names of what is saved beside the pictures.
MANIFEST, TABLE, PAGE = "manifest.jsonl", "grid.csv", "grid.html"
#: Pixels of the longer side of a page's thumbnails.
PAGE_SIDE = 512
_LEFT_OUT = "what is left of them was not exported"


def extended(sweep: Sweep, prompts: PromptsLike | None, seeds: SeedsLike | None) -> Sweep:
    """Return the sweep with rows for further prompts and columns for further seeds."""
    if prompts is None and seeds is None:
        raise InputError("add: give prompts, seeds or both.")
    # Once, as plain values: each model asks for them.
    seeds = arguments.seeds("seeds", seeds)
    rows = _further_rows(sweep, arguments.prompts("prompts", prompts)) if prompts is not None else []
    draw = drawing(sweep.models)
    new_seeds = read_seeds(seeds, None, draw=draw)[0] if seeds is not None else ()
    if new_seeds and not any(row.model.takes_seed for row in (*sweep.rows, *rows)):
        raise InputError(
            f"add: {sweep.models[0].name} takes no seed; generate(…, fresh=True) makes another picture."
        )
    return sweep.extended(rows, new_seeds)


def _further_rows(sweep: Sweep, prompts: PromptsLike) -> list[Row]:
    """Return a row for each further prompt with each model, in the sizes that the model has here."""
    found: dict[str, list[Row]] = {}
    for model in sweep.models:
        mine = [row for row in sweep.rows if row.model == model]
        planned = plan_sweep(
            prompts,
            sizes=list(dict.fromkeys(row.size for row in mine)) if model.takes_size else None,
            models=model,
            images=mine[0].images,
            output_format=mine[0].output_format,
            inputs=dict(mine[0].extra),
        )
        for row in planned.rows:
            found.setdefault(row.prompt, []).append(row)
    return [row for rows in found.values() for row in rows]


def place_in(grid: Grid, place: tuple[object, object]) -> tuple[int, int]:
    """Return the row and the column of ``grid[row, column]``, counted from the beginning.

    Raises
    ------
    ArgumentError, PlaceError
    """
    if not issubclass(type(place), tuple) or len(place) != 2:
        raise ArgumentError("grid[row, column] takes two numbers.")
    row, column = _index("row", place[0]), _index("column", place[1])
    rows, columns = grid.shape
    if not (-rows <= row < rows and -columns <= column < columns):
        raise _outside(grid, f"[{row}, {column}]")
    found = row % rows, column % columns
    if found not in grid.sweep.requests:
        raise PlaceError(f"cell [{row}, {column}]: no picture was asked for there.")
    return found


def row_in(grid: Grid, row: object) -> int:
    """Return a row, counted from the beginning; errors as in `place_in`."""
    found, rows = _index("row", row), grid.shape[0]
    if not -rows <= found < rows:
        raise _outside(grid, f"row {found}")
    return found % rows


_index = reading.bounded(-(10**9), 10**9)


def _outside(grid: Grid, place: str) -> PlaceError:
    rows, columns = grid.shape
    has = f"{rows} row{'s' * (rows != 1)} and {columns} column{'s' * (columns != 1)}"
    return PlaceError(f"cell {place}: the grid has {has}.")


def records(grid: Grid) -> list[dict[str, Any]]:
    """Return a dict per cell; costs in US dollars, times in seconds, sizes in pixels."""
    wins = _wins(grid)
    return [_record(grid, cell) | wins[cell.row] for cell in grid]


def _wins(grid: Grid) -> list[dict[str, int]]:
    """Return how each row fared in the blind votes, all of its seeds together."""
    found = {one.row: {"wins": one.wins, "ties": one.ties, "losses": one.losses} for one in grid.wins}
    return [found.get(row, {"wins": 0, "ties": 0, "losses": 0}) for row in range(grid.shape[0])]


def _enhanced(grid: Grid, cell: Cell) -> dict[str, Any]:
    """Return what a cell's prompt was before it was enhanced, and the style; None where it wasn't."""
    row = grid.sweep.rows[cell.row]
    return {"enhanced_from": row.original or None, "style": row.style or None}


def _record(grid: Grid, cell: Cell) -> dict[str, Any]:
    return {
        "row": cell.row,
        "column": cell.column,
        "prompt": cell.request.prompt,
        "seed": cell.request.seed,
        "width": cell.request.size.width,
        "height": cell.request.size.height,
        "model": cell.request.model.name,
        "format": cell.request.output_format,
        "images": ", ".join(picture.sha256 for picture in cell.request.images),
        **_lineage(cell),
        "state": cell.state,
        "cached": cell.cached,
        "cost": cell.cost,
        "seconds": cell.seconds,
        "rating": cell.rating,
        "mark": cell.mark,
        "path": str(cell.path) if cell.path is not None else None,
        "prediction_id": cell.prediction_id,
        "error": cell.error.message if cell.error is not None else None,
        **_enhanced(grid, cell),
    }


def _lineage(cell: Cell) -> dict[str, Any]:
    """Return the cell that the first input picture was, and the words it was made with."""
    made = cell.made_from
    return {
        "made_from": f"{made.run_id}[{made.row},{made.column}]" if made is not None else None,
        "made_from_key": made.key if made is not None else None,
        "made_from_prompt": made.prompt if made is not None else None,
        "made_from_seed": made.seed if made is not None else None,
    }


def to_frame(grid: Grid) -> Any:
    """Return a pandas DataFrame, or a list of dicts where pandas isn't installed."""
    return as_table(records(grid))


def as_table(rows: list[dict[str, Any]]) -> Any:
    """Return rows as a pandas DataFrame, as they are where pandas isn't installed."""
    try:
        import pandas as pd  # noqa: PLC0415  (an extra, and slow to import)
    except ImportError:
        return rows
    frame = pd.DataFrame(rows)
    for name in ("seed", "made_from_seed"):
        # A seed is a whole number, also beside a model that takes none.
        if name in frame and frame[name].isna().any():
            frame[name] = frame[name].astype("Int64")
    return frame


def save(grid: Grid, folder: Path) -> list[Path]:
    """Copy the stored pictures into a folder as ``01-02-a-red-fox-seed-7.png`` (row, column), with what they are.

    The copies carry what they were asked with; the stored originals keep the service's own bytes. Beside them:
    ``manifest.jsonl`` and ``grid.csv``, a line per cell, and ``grid.html``, the page.
    """
    what = f"save {_shown(folder)}"
    folder = expanded(folder, what)
    with told(what, "made"):
        folder.mkdir(parents=True, exist_ok=True)
    saved = []
    damaged: list[Cell] = []
    for name, data in _contents(grid, damaged):
        with told(what, "written"):
            write_atomic(folder / name, data)
        if name not in (MANIFEST, TABLE, PAGE):
            saved.append(folder / name)
    warn_of_damage("save", damaged, _LEFT_OUT)
    return saved


def to_zip(grid: Grid, path: Path) -> Path:
    """Write what `save` writes into one ZIP file."""
    what = f"to_zip {_shown(path)}"
    path = expanded(path, what)
    out = io.BytesIO()
    damaged: list[Cell] = []
    # Pictures are compressed already.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, data in _contents(grid, damaged):
            file.writestr(name, data)
    with told(what, "written"):
        write_atomic(path, out.getvalue())
    warn_of_damage("to_zip", damaged, _LEFT_OUT)
    return path


def _shown(path: Path) -> str:
    return repr(clean(path, longest=120, both_ends=True))


def _contents(grid: Grid, damaged: list[Cell]) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of a saved grid: its pictures, the manifest, the table, the page.

    Each picture is hashed before it leaves; what is no longer what was stored goes to `damaged` in its place.
    """
    lines, wins = [], _wins(grid)
    for cell in grid:
        name, data = None, b""
        if cell.path is not None:
            try:
                data = read_cell(cell)
            except DamagedError:
                damaged.append(cell)
        if cell.path is not None and data:
            stem = f"{cell.row + 1:02}-{cell.column + 1:02}-{slug(cell.request.prompt)}"
            seed = "" if cell.request.seed is None else f"-seed-{cell.request.seed}"
            name = f"{stem}{seed}{cell.path.suffix}"
            facts = {"provider": grid.provider.name, "prediction_id": cell.prediction_id, "run": grid.run_id}
            facts |= {key: value for key, value in _enhanced(grid, cell).items() if value}
            yield name, metadata.embed(data, cell.request, facts)
        # Only now: reading it may have shown that it is damaged.
        record = _record(grid, cell) | wins[cell.row]
        # Where it lies on this machine is nobody else's business.
        lines.append({"file": name} | {key: value for key, value in record.items() if key != "path"})
    yield MANIFEST, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    yield TABLE, _csv(lines).encode("utf-8-sig")
    yield PAGE, page(grid).encode()


def _csv(lines: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]) if lines else ["file"])
    writer.writeheader()
    for line in lines:
        writer.writerow({key: _no_formula(value) for key, value in line.items()})
    return out.getvalue()


def _no_formula(value: Any) -> Any:
    """Quote a text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@") else value


def slug(text: str, *, longest: int = 40) -> str:
    """Return a text as part of a file name: letters and digits of any script, hyphens, at most `longest`.

    Never empty, no dots and no slashes; the 40 characters are at most 160 bytes.
    """
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text))
    short = ""
    for word in words:
        longer = f"{short}-{word}" if short else word
        if len(longer) > longest:
            break
        short = longer
    return (short or "".join(words)[:longest] or "picture").lower()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a link of that name is replaced, never followed."""
    part = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(part, flags, 0o666), "wb") as file:
        file.write(data)
    part.replace(path)


def to_html(grid: Grid, path: Path, *, embed: str = "thumbs") -> Path:
    """Write the grid as one HTML file with its pictures inside."""
    what = f"to_html {_shown(path)}"
    path = expanded(path, what)
    originals, damaged = read_all(grid) if embed == "full" else ({}, [])
    with told(what, "written"):
        write_atomic(path, page(grid, originals).encode())
    warn_of_damage("to_html", damaged, "their thumbnails, made before, are in the page")
    return path


def page(grid: Grid, originals: Mapping[tuple[int, int], bytes] = MappingProxyType({})) -> str:
    """Return the grid as one HTML page, its choices and its ways to go on with it.

    Parameters
    ----------
    originals : mapping of (row, column) to bytes
        Pictures that stand in place of their thumbnails.
    """
    from qwen_widgets.grid.describe import cell_actions, describe  # noqa: PLC0415  (they read grids, this is their part)
    from qwen_widgets.grid.page import render_viewer_page  # noqa: PLC0415

    pictures = {**grid.thumbnails(PAGE_SIDE), **originals}
    actions = {(cell.row, cell.column): cell_actions(grid, cell.row, cell.column) for cell in grid}
    return render_viewer_page(describe(grid), pictures, grid.choices, actions)
