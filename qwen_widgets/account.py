"""The account: its balance and history, what was spent, and what a day may cost, as lines for a person."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from qwen_widgets.core import history, reading
from qwen_widgets.core.answers import Prediction, check_prediction_id
from qwen_widgets.core.engine import Engine
from qwen_widgets.core.enhancer import OPTIMIZER, makes_text
from qwen_widgets.core.errors import (
    BudgetError,
    InputError,
    QwenError,
    RejectedError,
    UnavailableError,
    clean,
)
from qwen_widgets.core.models import remembered_model
from qwen_widgets.core.pacing import SYSTEM_CLOCK, Stop
from qwen_widgets.core.reading import taking
from qwen_widgets.core.records import Record
from qwen_widgets.core.states import KEPT
from qwen_widgets.core.strays import Stray, read_stray
from qwen_widgets.grid.describe import money, plural
from qwen_widgets.grid.export import as_table
from qwen_widgets.grid.lines import damaged_lines
from qwen_widgets.grid.show import say, short_path
from qwen_widgets.portal import portal
from qwen_widgets.studio import studio

T = TypeVar("T")
#: Lines of a list that are printed.
_LINES = 40
_PROMPT = 60
_TOO_MANY = "Only the newest {} of the account were looked at: %qwen adopt ID fetches an older one."


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
        spent = here.ledger().wait(lambda db: db.spent_since(SYSTEM_CLOCK.midnight()))
        try:
            budget = here.ledger().wait(lambda db: db.budget())
            of = f" of {money(float(budget))}" if budget is not None else ", no budget a day set"
        except BudgetError as error:
            of = f"; {error.sentence}"
        lines.append(f"today     {money(float(spent))}{of}")
        lines.append(f"a run     may cost {money(here.settings.max_cost)}")
        waiting = len(here.ledger().wait(lambda db: db.unfinished(provider.name)))
        if waiting:
            lines.append(f"to fetch  {plural(waiting, 'picture')}: %qwen resume")
    if told := here.restored_line():
        lines.append(f"ledger    {told}")
    return lines


def budget_lines() -> list[str]:
    """Return what was spent today and what a day may cost."""
    spent, budget = studio().ledger().wait(lambda db: (db.spent_since(SYSTEM_CLOCK.midnight()), db.budget()))
    limit = "no budget a day is set" if budget is None else f"a day may cost {money(float(budget))}"
    return [f"{money(float(spent))} spent today; {limit}."]


def balance_lines() -> list[str]:
    """Return what the account has left."""
    engine, provider = studio().engine()
    if provider.offline:
        return ["The embedded service costs nothing and has no balance; with a key this is the account's."]
    left = _asked_for(engine.client.balance())
    return [f"{provider.title}: {money(float(left))} left; failed predictions are refunded within 3 hours."]


# --- what was spent ---------------------------------------------------------------------------------------


def usage() -> Any:
    """Return what this ledger has spent, by day and model, newest first: a pandas DataFrame, or a list of dicts.

    Columns: `day` (ISO, local time), `provider`, `model` (full id), `count`, `cost` (US dollars; unknown outcomes are
    counted as spent) and `unknown` (US dollars of these alone).
    """
    rows = _usage_rows()
    for line in damaged_lines(studio().ledger().damaged):
        say(line)
    return as_table(rows)


def usage_lines() -> list[str]:
    """Return the same as lines for a person."""
    rows = _usage_rows()
    if not rows:
        return ["This ledger has spent nothing."]
    shown = [(row, _model_name(row["model"])) for row in rows[:_LINES]]
    width = max(len(name) for _, name in shown)
    lines = []
    for row, name in shown:
        what = plural(row["count"], "text" if makes_text(row["model"]) else "picture")
        lines.append(f"{row['day']}  {name:<{width}}  {what:>14}  {money(row['cost']):>8}")
    if len(rows) > _LINES:
        lines.append("… and earlier: qw.usage() is all of it.")
    total, unknown = (sum(Decimal(str(row[name])) for row in rows) for name in ("cost", "unknown"))
    more = f", {money(float(unknown))} of it with an unknown outcome" if unknown else ""
    lines.append(f"{money(float(total))} in all{more}.")
    return [*lines, *damaged_lines(studio().ledger().damaged)]


def _usage_rows() -> list[dict[str, Any]]:
    spent: dict[tuple[str, str, str], list[Record]] = {}
    for record in studio().ledger().wait(lambda db: db.bought()):
        day = f"{datetime.fromtimestamp(record.sent_at or record.created_at).astimezone():%Y-%m-%d}"
        spent.setdefault((day, record.provider, record.model), []).append(record)
    return [
        {
            "day": day,
            "provider": provider,
            "model": model,
            "count": len(records),
            "cost": float(sum(record.spent for record in records)),
            "unknown": float(sum(record.spent for record in records if record.state == "unknown")),
        }
        for (day, provider, model), records in sorted(spent.items(), reverse=True)
    ]


# --- what was made elsewhere ------------------------------------------------------------------------------


def remote_lines() -> list[str]:
    """Return the account's predictions of the last seven days that this ledger doesn't have, a line each."""
    engine, _ = studio().engine()
    strays, note = _asked_for(_strays(engine))
    if not strays:
        span = "newest predictions" if note else "last seven days"
        return [f"The account's {span} hold nothing that this ledger doesn't have.", *note]
    lines = [_stray_line(stray) for stray in strays[:_LINES]]
    if len(strays) > _LINES:
        lines.append(f"… and {len(strays) - _LINES:,} more.")
    lines.append(
        f"{plural(len(strays), 'prediction')} that this ledger doesn't have; %qwen adopt ID fetches one, %qwen adopt all "
        "those of the models that are known here."
    )
    return [*lines, *note]


@taking(which=reading.text)
def adopt(which: str) -> list[Record]:
    """Fetch what was made elsewhere into this ledger; buys nothing.

    Parameters
    ----------
    which : str
        ``all``, or the id of a prediction. All are those of models that are known here, but for failed ones.

    Returns
    -------
    list of Record
        The rows as they are now.

    Raises
    ------
    InputError
        There is no such prediction, or it is here already.
    """
    return _taken_up(which)[0]


def _taken_up(which: str) -> tuple[list[Record], list[str]]:
    """Adopt; with it, what is to be said of a history that was not read to its end."""
    engine, _ = studio().engine()
    rows, note = _asked_for(_adopt(engine, which))
    if not rows and which != "all":
        raise InputError(
            f"adopt {which!r}: it is in this ledger already, or an order that waits may be it: %qwen resume looks."
        )
    return rows, note


def adopt_lines(which: str) -> list[str]:
    """Adopt, and say what came of it."""
    rows, note = _taken_up(which)
    if not rows:
        nothing = "There is nothing to adopt: %qwen history --remote lists what this ledger doesn't have."
        return [nothing, *note]
    here = [row for row in rows if row.state == "stored"]
    lines = [f"{len(here)} of {len(rows)} are here now; qw.history() says where; fetching them cost nothing."]
    for row in rows:
        if row not in here:
            why = (
                row.error.message if row.error is not None else f"it is {row.state}; %qwen resume asks again."
            )
            lines.append(f"{row.prediction_id}: {why}")
    return [*lines, *note]


def _asked_for(call: Coroutine[Any, Any, T]) -> T:
    """Ask the account for something that costs nothing; what is said of a failure is said of that."""
    try:
        return portal.run(call)
    except UnavailableError as error:
        error.next_step = "Nothing was bought; ask again in a moment."
        raise
    except RejectedError as error:
        # It is no request for a picture, and there is nothing in it to change.
        error.next_step = "Nothing was bought; the service does not tell it here."
        raise


def _model_name(model_id: str) -> str:
    return OPTIMIZER.name if makes_text(model_id) else remembered_model(model_id).name


async def _strays(engine: Engine) -> tuple[list[Stray], list[str]]:
    """Return what the history has and this ledger hasn't, and what is to be said of one that is longer than is read."""
    found, all_of_it = await _newest(engine)
    known = await engine.ledger.run(lambda db: db.known_predictions(engine.provider))
    note = [] if all_of_it else [_TOO_MANY.format(plural(len(found), "prediction"))]
    return [read_stray(prediction) for prediction in found if prediction.id not in known], note


async def _newest(engine: Engine) -> tuple[list[Prediction], bool]:
    """Return what the service still keeps, newest first, and whether that is all."""
    listing = await history.read(engine.client, scale=engine.time_scale)
    if listing.trouble is not None:
        raise listing.trouble
    now = engine.client.now() or 0.0
    kept = [
        entry
        for entry in listing.entries.values()
        if entry.created_at is None or entry.created_at.timestamp() >= now - KEPT
    ]
    return kept, listing.ended


async def _adopt(engine: Engine, which: str) -> tuple[list[Record], list[str]]:
    note: list[str] = []
    if which == "all":
        strays, note = await _strays(engine)
        # A list may leave the outputs out, so that the status alone tells.
        chosen = [stray for stray in strays if stray.known_model and not stray.prediction.failed]
    else:
        chosen = [read_stray(await _asked(engine, which))]
    rows = await engine.ledger.run(
        lambda db: [
            db.take_in(engine.provider, stray, account=engine.client.account) for stray in reversed(chosen)
        ]
    )
    stop = Stop()
    stop.set()
    return await engine.fetch_rows([row for row in rows if row is not None], stop), note


async def _asked(engine: Engine, prediction_id: str) -> Prediction:
    """Ask for one prediction, however long the history is."""
    try:
        check_prediction_id(prediction_id)
    except ValueError:
        raise InputError(
            f"adopt {clean(prediction_id, longest=40)!r}: that is no prediction's id; "
            "%qwen history --remote lists them."
        ) from None
    found = await engine.client.result(prediction_id)
    if found is None:
        raise InputError(f"adopt {prediction_id!r}: the service knows no such prediction (any more).")
    if found.input is None:
        # The history may tell what it was asked with; what it can't tell stays unknown.
        with contextlib.suppress(QwenError):
            listed, _ = await _newest(engine)
            return next((one for one in listed if one.id == prediction_id), found)
    return found


def _stray_line(stray: Stray) -> str:
    prediction = stray.prediction
    moment = prediction.created_at
    at = f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment is not None else "at some time"
    model = _model_name(prediction.model) if prediction.model else "unknown model"
    seed = f"seed {stray.seed}" if stray.seed is not None else "seed not told"
    return (
        f"{prediction.id}  {at}  {clean(prediction.status, longest=12):<10} {clean(model, longest=60)}  {seed}  "
        f"{clean(stray.prompt, longest=_PROMPT)}"
    )
