"""Several grids of one run: none of them undoes in the ledger what another has written there."""

# ruff: noqa: SLF001 - a grid's underscored side is the studio's, of which this is a part.

from __future__ import annotations

import contextlib
import json

from qwen_widgets.core.engine import Engine, Plan
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid.choices import Choices, read_choices
from qwen_widgets.grid.grid import Grid


def beside_others(run_id: str, sweep: Sweep, db: Store) -> tuple[Sweep, Sweep | None]:
    """Return a run's sweep with what another grid of the run has added meanwhile, and what the ledger had of it."""
    found = db.read_run(run_id)
    if found is None:
        return sweep, None
    try:
        kept = Sweep.from_json(found[2])
    except InputError:
        # Damaged; what this grid has of the run is written in its place.
        return sweep, None
    return sweep.beside(kept), kept


def keep_choices(grid: Grid, before: Choices, db: Store) -> Choices:
    """Write down a grid's choices, which were others `before`; return them with those of other grids of its run."""
    found = db.read_run(grid.run_id)
    kept = recalled_choices(found[3]) if found is not None and found[3] else before
    choices = grid.choices.over(before, kept)
    db.write_choices(grid.run_id, json.dumps(choices.to_json()))
    return choices


def recalled_choices(text: str) -> Choices:
    """Return the choices of a row; of a damaged one none."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return read_choices(json.loads(text))
    return Choices()


async def know_others(grid: Grid, plan: Plan, engine: Engine, others: Sweep) -> None:
    """Tell a grid what the ledger knows of the cells that another grid of its run has brought."""
    known = {*grid._updates, *plan.requests}
    new = [one for one in others.unique if one.key not in known]
    if new:
        async for update in engine.recall(await engine.plan_orders(new)):
            grid._apply(update)
