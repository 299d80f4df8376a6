"""The line before a run: what will be made, what is here already, what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from qwen_widgets.core.engine import Plan
from qwen_widgets.core.enhancer import Wish
from qwen_widgets.core.enhancing import Enhancing, Reworded
from qwen_widgets.core.records import Record
from qwen_widgets.core.restored import Restored
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid.describe import money, plural, seconds_text, sweep_text
from qwen_widgets.grid.grid import Provider


def plan_line(sweep: Sweep, plan: Plan, provider: Provider, enhancing: Enhancing | None = None) -> str:
    """Return the line before a run: ``2 prompts × 4 seeds = 8 images · 3 already here · 5 new · $0.15 · about 20 s``.

    Parameters
    ----------
    enhancing : Enhancing, optional
        What is asked of the enhancer first; then `sweep` is as it was typed.
    """
    axes = sweep_text(sweep)
    # A model without a seed has one column, a prompt can have a seed of its own: then the product is not the sum.
    product = math.prod(int(axis.split()[0].replace(",", "")) for axis in axes.split(" × "))
    if enhancing is not None and enhancing.wish.both:
        axes = axes.replace(" × ", " × original and enhanced × ", 1)
        product *= 2
    whole = len(plan.requests) == product
    what = f"{axes} {'=' if whole else '·'} {plural(len(plan.requests), 'image')}"
    if enhancing is None:
        return " · ".join([what, *_plan_facts(plan, provider)])
    facts = [what, _enhancing_fact(enhancing, provider)]
    return " · ".join([*facts, *_plan_facts(plan, provider, extra=enhancing.plan.cost)])


#: Damaged rows that are named one by one.
_ROWS = 5
_WHY = {
    "damaged": "The ledger was damaged",
    "gone": "The ledger was gone",
    "behind": "The ledger knew less than its own copy",
}


def restored_line(told: Restored) -> str:
    """Say what became of a lost ledger, in one sentence."""
    if told.copied_at is not None:
        moment = datetime.fromtimestamp(told.copied_at).astimezone()
        today = moment.date() == datetime.now().astimezone().date()
        source = f"its copy of {moment:%H:%M}" if today else f"its copy of {moment:%Y-%m-%d %H:%M}"
        facts = [f"{_WHY[told.why]} and was made anew from {source}"]
    elif told.known:
        facts = [f"{_WHY[told.why]} and was made anew from what lies beside the pictures"]
    else:
        facts = [f"{_WHY[told.why]} and a new one was begun"]
    if told.found:
        were = "was" if told.found == 1 else "were"
        facts.append(f"{plural(told.found, 'order')} of before {were} found in the account's history")
    if told.unsure:
        facts.append(
            f"{plural(told.unsure, 'order')} sent since then will be looked for in the account's history"
        )
    if told.aside:
        facts.append(f"the old file is kept as {told.aside}")
    return "; ".join(facts) + "."


def damaged_lines(records: Sequence[Record]) -> list[str]:
    """Say which rows of the ledger can't be read in full, a sentence each."""
    lines = []
    for record in records[:_ROWS]:
        if not record.usable and record.error is not None:
            lines.append(record.error.sentence)
        else:
            columns = ", ".join(record.damaged)
            lines.append(
                f"Row {record.id} of the ledger is damaged ({columns}); what is said of it in these is a guess."
            )
    if len(records) > _ROWS:
        lines.append(f"{len(records) - _ROWS:,} more rows of the ledger are damaged.")
    return lines


def reworded_line(done: Reworded, wish: Wish, provider: Provider) -> str:
    """Return the line behind the enhancing: ``2 prompts enhanced (anime) · $0.002``."""
    cost = "no cost" if provider.offline else money(float(done.spent))
    return f"{plural(done.count, 'prompt')} enhanced ({wish.style}) · {cost}"


def _enhancing_fact(enhancing: Enhancing, provider: Provider) -> str:
    new, before = enhancing.new, enhancing.plan.count("here")
    if not new:
        return f"{plural(before, 'prompt')} enhanced before" if before else "nothing to enhance"
    price = "" if provider.offline else f" {money(float(enhancing.plan.cost))}"
    return f"enhancing {plural(new, 'prompt')}{price}"


def short_line(sweep: Sweep, plan: Plan, provider: Provider) -> str:
    """Return the line below a panel's button: ``2 × 4 = 8 · 3 already here · 5 new · $0.15 · about 20 s``."""
    rows, columns = sweep.shape
    count = len(plan.requests)
    whole = f"{rows} × {columns} = {count}" if rows * columns == count > 1 else plural(count, "picture")
    return " · ".join([whole, *_plan_facts(plan, provider)])


def _plan_facts(plan: Plan, provider: Provider, *, extra: Decimal = Decimal(0)) -> list[str]:
    facts = []
    here, fetch, keep, new = (plan.count(action) for action in ("here", "fetch", "keep", "buy"))
    if here:
        facts.append(f"{here} already here")
    if fetch:
        facts.append(f"{fetch} paid for, to fetch")
    if keep:
        facts.append(f"{keep} failed before")
    facts.append(f"{new} new" if new else "nothing new")
    facts.append("no cost (offline preview)" if provider.offline else money(float(plan.cost + extra)))
    if new:
        facts.append(f"about {seconds_text(max(1.0, round(plan.seconds)))}".replace(".0 s", " s"))
    return facts
