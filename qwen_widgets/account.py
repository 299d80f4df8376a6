"""The account: who makes the pictures, what was spent, and what a day may cost, as lines for a person."""

from __future__ import annotations

from qwen_widgets.core.pacing import SYSTEM_CLOCK
from qwen_widgets.grid.describe import money, plural
from qwen_widgets.grid.show import short_path
from qwen_widgets.studio import studio


def status_lines() -> list[str]:
    """Return what a person wants to know now: provider, home, and what was spent today."""
    here = studio()
    provider = here.provider()
    key, where = here.find_key()
    lines = [
        f"provider  {provider.title}" + (" (no cost, no network)" if provider.offline else ""),
        f"API key   {f'found ({where})' if key else 'none found: set WAVESPEED_API_KEY or use %qwen login'}",
        f"home      {short_path(here.home)}",
    ]
    if not provider.offline:
        spent, budget = here.ledger().wait(lambda db: (db.spent_since(SYSTEM_CLOCK.midnight()), db.budget()))
        of = f" of {money(float(budget))}" if budget is not None else ", no budget a day set"
        lines.append(f"today     {money(float(spent))}{of}")
        lines.append(f"a run     may cost {money(here.settings.max_cost)}")
        waiting = len(here.ledger().wait(lambda db: db.unfinished(provider.name)))
        if waiting:
            lines.append(f"to fetch  {plural(waiting, 'picture')}: %qwen resume")
    return lines


def budget_lines() -> list[str]:
    """Return what was spent today and what a day may cost."""
    spent, budget = studio().ledger().wait(lambda db: (db.spent_since(SYSTEM_CLOCK.midnight()), db.budget()))
    limit = "no budget a day is set" if budget is None else f"a day may cost {money(float(budget))}"
    return [f"{money(float(spent))} spent today; {limit}."]
