"""Limits: what a run and a day may cost, checked before anything is bought."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from qwen_widgets.core.engine import Engine
from qwen_widgets.core.errors import BudgetError
from qwen_widgets.core.pacing import SYSTEM_CLOCK
from qwen_widgets.grid.describe import money
from qwen_widgets.grid.grid import Provider


async def check_limits(engine: Engine, provider: Provider, cost: Decimal, limit: float) -> None:
    """Hold a run to its own limit and to the day's budget.

    Parameters
    ----------
    cost, limit : Decimal, float
        What it would cost and what it may cost, US dollars.

    Raises
    ------
    BudgetError
        Nothing was bought.
    """
    check_run(cost, limit, provider)
    if cost <= 0:
        return
    midnight = SYSTEM_CLOCK.midnight(engine.client.now())
    spent, budget = await engine.ledger.run(lambda db: (db.spent_since(midnight), db.budget()))
    if budget is not None and spent + cost > budget:
        raise BudgetError(
            f"this would cost {money(float(cost))}, and {money(float(spent))} of the day's budget of "
            f"{money(float(budget))} are spent; %qwen budget {_enough(spent + cost)} allows it."
        )


def check_run(cost: Decimal, limit: float, provider: Provider) -> None:
    """Hold a run to its own limit; errors as in `check_limits`."""
    if not provider.offline and cost > Decimal(str(limit)):
        raise BudgetError(
            f"this would cost {money(float(cost))} and a run may cost {money(float(limit))}; "
            f"ask for fewer images or allow it with --max-cost {_enough(cost)} (max_cost= in Python)."
        )


def _enough(dollars: Decimal) -> str:
    """Return dollars and cents, rounded up, so that what is named as a limit is one."""
    return str(dollars.quantize(Decimal("0.01"), ROUND_CEILING))
