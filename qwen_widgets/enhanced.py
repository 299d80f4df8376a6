"""A run whose prompts are enhanced first: until they are, nothing is bought for its grid with other words."""

# ruff: noqa: SLF001 - a grid's underscored side is the studio's: it fills and shows it.

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakSet

from qwen_widgets.core.engine import NOT_BOUGHT, CellUpdate, Engine, Plan
from qwen_widgets.core.enhancing import Enhancing, Reworded, enhance_sweep
from qwen_widgets.core.errors import BudgetError, InputError, QwenError, StoppedError
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.lines import plan_line, reworded_line

#: Grids that have their prompts as they were typed, where enhanced ones were asked for.
_WAITING: WeakSet[Grid] = WeakSet()


def hold(grid: Grid) -> None:
    """Let a grid buy nothing until its prompts are enhanced: whoever has asked for that wants no picture without."""
    _WAITING.add(grid)


def release(grid: Grid) -> None:
    """Let a grid buy again: its run has begun, with the prompts that it is to have."""
    _WAITING.discard(grid)


def check_enhanced(grid: Grid) -> None:
    """Raise InputError where a grid waits for its enhanced prompts."""
    if grid in _WAITING:
        raise InputError(
            "this grid's prompts were to be enhanced and are not yet, and its pictures would be made with the original "
            "words: run its cell again, which enhances them first."
        )


async def enhance_first(
    grid: Grid,
    engine: Engine,
    enhancing: Enhancing,
    stop: Stop,
    price: Callable[[Plan, Reworded], Awaitable[Plan]],
) -> tuple[Sweep, Plan, list[str]]:
    """Buy the texts that are missing, and plan the pictures with them; on the portal.

    Parameters
    ----------
    price : callable
        Takes up the API's prices of a plan and holds it to the limits.

    Returns
    -------
    Sweep, Plan
        With the enhanced prompts.
    list of str
        What is to be said of it.

    Raises
    ------
    QwenError
        No picture was bought; each cell says why, and what was spent on texts is in the error.
    """
    try:
        done = await enhance_sweep(engine, enhancing, stop)
        plan = await engine.plan(done.sweep, fresh=enhancing.fresh)
        try:
            plan = await price(plan, done)
        except BudgetError as error:
            # The error of a price says it in its own sentence.
            error.next_step = error.next_step or f"{done.kept[0].upper()}{done.kept[1:]}."
            raise
    except QwenError as error:
        _stopped(grid, error.message.rstrip("."))
        raise
    except asyncio.CancelledError:
        _stopped(grid, "stopped while its prompt was being enhanced")
        raise
    lines = [*done.notes, reworded_line(done, enhancing.wish, grid.provider)]
    expected = grid._plan
    if (plan.cost, len(plan.requests)) != (expected.cost, len(expected.requests)):
        lines.append(plan_line(done.sweep, plan, grid.provider))
    return done.sweep, plan, lines


def _stopped(grid: Grid, why: str) -> None:
    """Say in each cell why its picture wasn't bought."""
    for request in grid.sweep.unique:
        again = "Run the cell again: it enhances the prompts first."
        error = StoppedError(f"{NOT_BOUGHT}{why}.", next_step=again)
        grid._apply(CellUpdate(request.key, "stopped", error=error))
