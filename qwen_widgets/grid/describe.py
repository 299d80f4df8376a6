"""What a grid says of itself: Grid in, GridView out, in the words that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from qwen_widgets.core.engine import CellState
from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.models import HIGHEST_SEED
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import Row, Sweep
from qwen_widgets.grid.before import before_columns, before_view, has_before
from qwen_widgets.grid.grid import Cell, Grid
from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.recipe import seed_text, write_cell, write_edit
from qwen_widgets.grid.view import INTERRUPT, Action, CellView, ColumnView, GridView, RowView, Shown

_SHOWN: dict[CellState, Shown] = {
    "planned": "waiting",
    "sending": "running",
    "submitted": "running",
    "completed": "running",
    "stored": "stored",
    "unknown": "unknown",
    "rejected": "failed",
    "failed": "failed",
    "expired": "failed",
    "stopped": "stopped",
}
_PAID = {"no": "Not charged.", "yes": "Charged.", "unknown": "It may have been charged."}


def money(amount: float) -> str:
    """Return US dollars as people write them: ``$0.30``, and three places where two would round."""
    return f"${amount:.2f}" if abs(amount * 100 - round(amount * 100)) < 1e-6 else f"${amount:.3f}"


def seconds_text(seconds: float) -> str:
    """Return a duration in short: ``0.4 s``, ``12 s``, ``3 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def plural(count: int, word: str) -> str:
    """Return ``1 seed`` or ``4 seeds``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def sweep_text(sweep: Sweep) -> str:
    """Return ``2 prompts × 4 seeds``, with the sizes and models where there are several."""
    axes = [plural(len(sweep.prompts), "prompt")]
    if seeds := sum(seed is not None for seed in sweep.seeds):
        axes.append(plural(seeds, "seed"))
    for count, word in ((len(_ratios(sweep)), "size"), (len(sweep.models), "model")):
        if count > 1:
            axes.append(plural(count, word))
    return " × ".join(axes)


def describe(grid: Grid) -> GridView:
    """Return everything that the views show of a grid, as it is now."""
    sweep = grid.sweep
    cells = {(cell.row, cell.column): cell for cell in grid}
    lines = [
        [
            _cell_view(cells[r, c]) if (r, c) in cells else CellView(r, c, "blank", 1, 1, "not asked for")
            for c in range(len(sweep.seeds))
        ]
        for r in range(len(sweep.rows))
    ]
    shown = [view for line in lines for view in line if view.state != "blank"]
    before = has_before(sweep)
    views = tuple(
        view for r, line in enumerate(lines) for view in (*line, *([before_view(sweep, r)] if before else ()))
    )
    done = sum(view.state == "stored" for view in shown)
    failed = sum(view.state in ("failed", "unknown") for view in shown)
    running = not grid.done
    # Once and not for each row: a sweep can have a thousand.
    told = len(_ratios(sweep)) > 1, len(sweep.models) > 1
    return GridView(
        run_id=grid.run_id,
        title=grid.title,
        facts=(
            sweep_text(sweep),
            *_asked(sweep),
            *_standing(grid, done, failed, len(shown), running=running),
        ),
        foot=(
            *_asked(sweep, full=True),
            *_standing(grid, done, failed, len(shown), running=running),
            # What `qw.grid("…")` opens again.
            f"run {grid.run_id}",
        ),
        provider=grid.provider.title,
        offline=grid.provider.offline,
        done=done,
        failed=failed,
        total=len(shown),
        running=running,
        stoppable=grid.stoppable,
        stopping=grid.stopping,
        rows=tuple(
            _row_view(sweep, r, [view for view in line if view.state != "blank"], grid.marked_against, told)
            for r, line in enumerate(lines)
        ),
        columns=(*map(_column_view, sweep.seeds), *before_columns(sweep)),
        cells=views,
        magic=grid.magic(),
        message=grid.message,
    )


def _column_view(seed: int | None) -> ColumnView:
    return ColumnView(seed_text(seed), "" if seed is None else str(seed))


def _ratio(row: Row) -> str:
    """Return a row's size in short: the ratio where it is a preset of its model."""
    preset = row.model.ratio(row.size) if row.model.takes_size else None
    return preset or str(row.size)


def _ratios(sweep: Sweep) -> tuple[str, ...]:
    """Return the different sizes in short: one ratio is one, though each model has its own pixels for it."""
    return tuple(dict.fromkeys(map(_ratio, sweep.rows)))


def _asked(sweep: Sweep, *, full: bool = False) -> tuple[str, ...]:
    """Return the model and the size, where all pictures share them."""
    facts = []
    if len(sweep.models) == 1:
        facts.append(sweep.models[0].title)
    ratios = _ratios(sweep)
    if len(ratios) == 1:
        several = len(sweep.sizes) > 1 or ratios[0] == str(sweep.sizes[0])
        facts.append(f"{ratios[0]}, {sweep.sizes[0]}" if full and not several else ratios[0])
    return tuple(facts)


def _standing(grid: Grid, done: int, failed: int, total: int, *, running: bool) -> tuple[str, ...]:
    facts = []
    if running or done < total:
        facts.append(f"{done} of {total}")
    if failed:
        facts.append(f"{failed} failed")
    cached = sum(cell.cached for cell in grid)
    if cached and not running:
        facts.append(f"{cached} already here")
    facts.append("no cost" if grid.provider.offline else money(grid.cost))
    if running:
        facts += time_left(grid)
        if not grid.stoppable and not grid.stopping:
            facts.append(INTERRUPT)
    elif grid.seconds >= 0.05:
        facts.append(seconds_text(grid.seconds))
    return tuple(facts)


def time_left(grid: Grid) -> list[str]:
    """Return how long the run will still take, where that is known and more than a moment."""
    left = grid.seconds_left
    return [] if left is None or left < 0.5 else [f"{seconds_text(left)} left"]


def _row_view(
    sweep: Sweep,
    r: int,
    cells: list[CellView],
    against: Literal["first", "previous"],
    told: tuple[bool, bool],
) -> RowView:
    """Return a row's header; `told` is whether it says its size and its model."""
    row = sweep.rows[r]
    other = sweep.rows[0 if against == "first" else max(0, r - 1)]
    done = sum(view.state == "stored" for view in cells)
    failed = sum(view.state in ("failed", "unknown") for view in cells)
    tally = f"{done} of {len(cells)}" + (f" · {failed} failed" if failed else "")
    return RowView(
        prompt=row.prompt,
        # What an enhancer adds is usually far more than what it was given.
        parts=mark(row.prompt, row.original, alike=0.0) if row.original else mark(row.prompt, other.prompt),
        note=_row_note(row, *told),
        tally=tally,
        size=_ratio(row),
        model=row.model.title,
        width=row.size.width,
        height=row.size.height,
        original=row.original,
    )


def _row_note(row: Row, size: bool, model: bool) -> str:
    notes = [f"enhanced ({row.style})"] if row.original else []
    if size:
        notes.append(_ratio(row))
    if model:
        notes.append(row.model.title)
    return " · ".join(notes)


def _cell_view(cell: Cell) -> CellView:
    state = _SHOWN[cell.state]
    error = cell.error
    size = cell.size or cell.request.size
    waits = cell.state in ("planned", "submitted") and error is not None
    # An open cell with a lasting error (still running, key refused while polling) is no longer worked on.
    if cell.left_open:
        state = "unknown"
    told = error is not None and (state in ("failed", "unknown", "stopped") or waits)
    warnings = []
    asked = cell.request.model.takes_size
    if asked and cell.size is not None and cell.size != cell.request.size:
        warnings.append(f"{cell.size}, asked {cell.request.size}")
    if cell.damaged and error is not None:
        warnings.append(f"damaged: {error.sentence}")
    return CellView(
        row=cell.row,
        column=cell.column,
        state=state,
        width=size.width,
        height=size.height,
        alt=f"{cell.request.prompt}, {seed_text(cell.request.seed)}, {state}",
        cost="from cache" if cell.cached else (money(cell.cost) if cell.cost else ""),
        cached=cell.cached,
        title=error.title if told and error else "",
        reason=error.message if told and error else "",
        paid=_paid_text(error) if told and error and state in ("failed", "unknown") else "",
        next_step=error.next_step if told and error else "",
        since=cell.since if state == "running" else 0.0,
        warning=" · ".join(warnings),
        flagged=cell.flagged,
        offers=cell_offers(cell),
    )


def _paid_text(error: QwenError) -> str:
    words = _PAID[error.paid]
    # The next step of some errors says it already.
    return "" if "charged" in error.next_step.lower() else words


#: The label of the way to go on that edits a picture.
EDIT = "edit this"
#: Seeds that "more seeds" asks for.
_MORE = 4


@dataclass(frozen=True, slots=True)
class Way:
    """A way to go on from a cell: what is shown of it, and what the grid is asked for where it is done in place."""

    action: Action
    #: Seeds that the grid has afterwards, and the requests that are to be had, by row and column.
    seeds: tuple[int | None, ...] = ()
    requests: Mapping[tuple[int, int], ImageRequest] = field(default_factory=dict)
    #: Whether what is here, failed or unknown is bought again.
    anew: bool = False
    #: Whether anything may be bought.
    buys: bool = True


def cell_actions(grid: Grid, row: int, column: int) -> tuple[Action, ...]:
    """Return the ways to go on from a cell: each a `%%qwenimage` cell, a button that does it here, or both.

    Parameters
    ----------
    row, column : int
        A place that was asked for.

    Raises
    ------
    IndexError
        No picture was asked for there.
    """
    whole = Action("the cell that makes this grid", grid.magic())
    return (*(way.action for way in cell_ways(grid, row, column)), *_edit_action(grid[row, column]), whole)


def _edit_action(cell: Cell) -> tuple[Action, ...]:
    """Return the cell in which a picture can be edited; nothing where there is none."""
    found = write_edit(cell.request, f"{cell.grid.run_id}[{cell.row},{cell.column}]", cell.size)
    if cell.state != "stored" or found is None:
        return ()
    text, model = found
    price = "no cost" if cell.grid.provider.offline else money(float(model.price))
    return (Action(EDIT, text, f"{price} a picture" if price != "no cost" else price),)


def cell_ways(grid: Grid, row: int, column: int) -> tuple[Way, ...]:
    """Return the ways to go on from a cell, with what doing them in the grid itself means."""
    cell = grid[row, column]
    sweep, request = grid.sweep, cell.request
    found = []
    known = [seed for seed in sweep.seeds if seed is not None]
    # A model without a seed has no more of them; its next picture is another run.
    if known and request.seed is not None:
        last = max(known)
        # At the top of the range there is no room above; then the seeds below the lowest are the new ones.
        start = last + 1 if last + _MORE <= HIGHEST_SEED else max(0, min(known) - _MORE)
        more = tuple(range(start, start + _MORE))
        if len(sweep.rows) > 1:
            all_rows = {
                (r, column): one.request(request.seed, check=False)
                for r, one in enumerate(sweep.rows)
                if one.wants(request.seed)
            }
            found.append(_way(grid, "this seed for all", "all", all_rows, sweep.seeds))
        seeds = (*sweep.seeds, *more)
        places = {
            (row, len(sweep.seeds) + at): replace(request, seed=seed, check=False)
            for at, seed in enumerate(more)
        }
        found.append(_way(grid, "more seeds for this prompt", "more", places, seeds))
    again = _way(grid, _again_label(cell), "again", {(row, column): request}, sweep.seeds, anew=True)
    if _SHOWN[cell.state] == "stored":
        found.append(again)
    else:
        keys = {action.key: action for action in cell_offers(cell)}
        found.append(replace(again, action=replace(again.action, key="again" if "again" in keys else "")))
        if "look" in keys:
            found.insert(0, replace(again, action=keys["look"], anew=False, buys=False))
    return tuple(found)


def cell_offers(cell: Cell) -> tuple[Action, ...]:
    """Return what a cell without a picture offers as buttons in itself, once nothing runs."""
    error = cell.error
    lost = cell.state == "unknown"
    if not cell.grid.done:
        return ()
    look = (Action("look again", "", "no cost", "look"),) if lost or cell.left_open else ()
    worth = (
        lost or cell.state == "stopped" or (cell.state in _RETRIED and error is not None and error.may_retry)
    )
    again = (Action(_again_label(cell), "", _price(cell.grid, [cell.request]), "again"),) if worth else ()
    return (*look, *again)


_RETRIED = ("rejected", "failed", "expired")


def _again_label(cell: Cell) -> str:
    return {"unknown": "buy it again", "stopped": "run it"}.get(cell.state, "run again")


def _price(grid: Grid, requests: Iterable[ImageRequest]) -> str:
    return "no cost" if grid.provider.offline else money(float(sum(one.model.price for one in requests)))


def _way(
    grid: Grid,
    label: str,
    key: str,
    places: Mapping[tuple[int, int], ImageRequest],
    seeds: tuple[int | None, ...],
    *,
    anew: bool = False,
) -> Way:
    here = set() if anew else {cell.request.key for cell in grid if cell.state == "stored"}
    new = {request.key: request for request in places.values() if request.key not in here}
    text = write_cell(Sweep.of(places.values()), title=grid.title)
    if anew:
        text = text.replace("%%qwenimage ", "%%qwenimage --fresh ", 1)
    price = _price(grid, new.values()) if new or grid.provider.offline else "already here"
    action = Action(label, text, price, key if new and grid.done else "")
    return Way(action, seeds, places, anew)
