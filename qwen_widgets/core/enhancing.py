"""Enhancing: buys enhanced prompts, and puts them into a sweep in place of the originals, or below them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from qwen_widgets.core.engine import NOT_BOUGHT, CellUpdate, Engine, Plan
from qwen_widgets.core.enhancer import TextRequest, Wish
from qwen_widgets.core.errors import (
    InputError,
    LedgerError,
    ModeratedError,
    QwenError,
    UnavailableError,
    clean,
)
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import Row, Sweep

#: Characters of a prompt that a message shows.
_SHOWN = 40
#: What an error tells of a run that buys pictures, where it ends before the first of them.
_NONE_BOUGHT = "no picture was bought"
#: How a text ends that is asked for again only where the user says so.
_ENDED = ("unknown", "rejected", "failed", "expired")
_AGAIN = 'qw.enhance("…", style="…", retry=True) buys it again.'


@dataclass(frozen=True, slots=True)
class Enhanced:
    """An enhanced prompt; its text where a text is wanted.

    Attributes
    ----------
    text, original : str
        After and before.
    style : str
    cost : float
        US dollars that it cost now: 0 where it was here already.
    cached : bool
        Whether it was here already.
    """

    text: str
    original: str
    style: str
    cost: float
    cached: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Enhancing:
    """What a run will ask of the enhancer before it buys pictures.

    Attributes
    ----------
    sweep : Sweep
        As it was typed.
    plan : Plan
        Of the texts.
    fresh : bool
        Whether the pictures are bought anew; a text never is.
    """

    wish: Wish
    sweep: Sweep
    plan: Plan
    fresh: bool = False

    @property
    def new(self) -> int:
        """How many prompts will be asked about, or are paid for and not here."""
        return self.plan.count("buy", "fetch")


@dataclass(frozen=True)
class Reworded:
    """A sweep with its enhanced prompts, and what is to be said about it.

    Attributes
    ----------
    count : int
        Prompts whose text is here.
    spent : Decimal
        US dollars, unknown outcomes included.
    kept : str
        What was spent, for whoever is told that no picture was bought.
    """

    sweep: Sweep
    notes: tuple[str, ...]
    count: int
    spent: Decimal
    kept: str


async def plan_enhancing(engine: Engine, sweep: Sweep, wish: Wish, *, fresh: bool) -> tuple[Enhancing, Plan]:
    """Say what a run with enhanced prompts will do: its texts, and its pictures as far as the texts are known.

    The pictures of a prompt whose text isn't known yet count as bought: it can become less, and never more.

    Raises
    ------
    InputError
        An enhanced prompt that is here already is too long for the model.
    """
    orders = [TextRequest(prompt, wish.style) for prompt in sweep.prompts]
    texts = await engine.plan_orders(orders)
    known: dict[str, str | None] = {}
    for order in orders:
        action, record = texts.actions[order.key], texts.records.get(order.key)
        if action == "keep":
            known[order.prompt] = None
        elif action == "here" and record is not None:
            known[order.prompt] = record.text
    reworded, pending = reword(sweep, known, wish)
    pictures = await engine.plan_orders(reworded.unique, fresh=fresh, pending=pending)
    return Enhancing(wish, sweep, replace(texts, run_id=pictures.run_id), fresh), pictures


async def enhance_sweep(engine: Engine, enhancing: Enhancing, stop: Stop) -> Reworded:
    """Buy what texts are missing and put them into the sweep; where one fails, its original stays.

    Raises
    ------
    InputError
        An enhanced prompt is too long for the model: it is kept, and no picture was bought.
    QwenError
        The run can buy nothing more (no credit, the key refused, the day's budget): no picture was bought.
    """
    updates = await _buy(engine, enhancing.plan, stop)
    kept = _kept(updates.values())
    if (end := _end(updates.values(), stop)) is not None:
        words = end.message.removeprefix(NOT_BOUGHT).rstrip(".")
        raise type(end)(f"{words}; {kept}.", paid=end.paid, next_step=end.next_step)
    known: dict[str, str | None] = {}
    failed: dict[str, list[str]] = {}
    for key, order in enhancing.plan.requests.items():
        record = updates[key].record
        known[order.prompt] = record.text if record is not None and updates[key].state == "stored" else None
        if known[order.prompt] is None:
            reason = _failure(updates[key])
            again = _AGAIN if reason.next_step == _AGAIN else ""
            words = reason.message if reason.message.endswith(".") else f"{reason.message}."
            why = " ".join(text for text in (words, _paid(reason), again) if text)
            failed.setdefault(why, []).append(order.prompt)
    sweep, _ = reword(enhancing.sweep, known, enhancing.wish, kept)
    notes = tuple(f"not enhanced, the original is used: {_listed(p)}: {why}" for why, p in failed.items())
    count = sum(text is not None for text in known.values())
    return Reworded(sweep, notes, count, _spent(updates.values()), kept)


async def enhance_one(engine: Engine, plan: Plan, stop: Stop) -> Enhanced:
    """Buy the one text of a plan, where it isn't here.

    Raises
    ------
    QwenError
        Why there is none.
    """
    [(key, order)] = plan.requests.items()
    assert isinstance(order, TextRequest)
    update = (await _buy(engine, plan, stop))[key]
    if update.state != "stored" or update.record is None or update.record.text is None:
        raise _failure(update)
    return Enhanced(update.record.text, order.prompt, order.style, float(_spent([update])), update.cached)


async def _buy(engine: Engine, plan: Plan, stop: Stop) -> dict[str, CellUpdate]:
    last: dict[str, CellUpdate] = {}
    async for update in engine.run(plan, stop):
        last[update.key] = update
    return last


def _failure(update: CellUpdate) -> QwenError:
    """Return why there is no text; a text has no grid in which it could be bought again, but its own call."""
    error = update.error or UnavailableError(f"The enhancer gave no text; it is {update.state}.")
    if update.state in _ENDED and not error.may_retry and not isinstance(error, ModeratedError):
        error.next_step = _AGAIN
    return error


def _end(updates: Iterable[CellUpdate], stop: Stop) -> QwenError | None:
    """Return what has ended the run, None where it goes on: a picture could be bought no more than a text."""
    errors = [update.error for update in updates if update.state != "stored" and update.error is not None]
    causes = [error for error in errors if error.stops_run or isinstance(error, LedgerError)]
    # The first error is told of its own; the others' orders were held back for it.
    return next(iter(causes or errors), None) if causes or stop.is_set() else None


def _kept(updates: Collection[CellUpdate]) -> str:
    """Say that no picture was bought, and which texts were."""
    bought = [update for update in updates if update.state == "stored" and not update.cached]
    unsure = sum(update.error is not None and update.error.paid == "unknown" for update in updates)
    words = _NONE_BOUGHT
    if bought:
        what = "an enhanced prompt was" if len(bought) == 1 else f"{len(bought)} enhanced prompts were"
        spent = f"${_spent(bought).normalize():f}" if _spent(bought) else "no cost"
        words += f", {what} ({spent}), kept for the next run"
    if unsure:
        words += f", and {unsure} more may have been charged"
    return words


def _paid(error: QwenError) -> str:
    return {"no": "", "yes": "It is charged.", "unknown": "It may be charged."}[error.paid]


def _spent(updates: Iterable[CellUpdate]) -> Decimal:
    bought = (update.record for update in updates if update.record is not None and not update.cached)
    return sum((record.spent for record in bought), Decimal(0))


def _listed(prompts: Sequence[str]) -> str:
    first = repr(clean(prompts[0], longest=_SHOWN))
    return first if len(prompts) == 1 else f"{first} and {len(prompts) - 1} more"


def reword(
    sweep: Sweep, texts: Mapping[str, str | None], wish: Wish, kept: str = _NONE_BOUGHT
) -> tuple[Sweep, tuple[ImageRequest, ...]]:
    """Put enhanced prompts into a sweep.

    Parameters
    ----------
    texts : mapping of prompt to text
        None for a prompt that could not be enhanced: it stays. One that is missing isn't known yet.
    kept : str
        What was bought up to now, for an error to tell.

    Returns
    -------
    Sweep
        With what is known.
    tuple of ImageRequest
        The pictures of prompts that aren't known yet, each once, with the original's words.

    Raises
    ------
    InputError
        A text is too long for the model.
    """
    asked: dict[Row, dict[int, ImageRequest]] = {}
    pending: dict[str, ImageRequest] = {}
    for r, row in enumerate(sweep.rows):
        mine = {column: request for (at, column), request in sweep.requests.items() if at == r}
        text = texts.get(row.prompt)
        if wish.both or (row.prompt in texts and text is None):
            asked.setdefault(row, {}).update(mine)
        if row.prompt not in texts:
            pending |= {request.key: request for request in mine.values()}
        if text is None:
            continue
        if len(text) > row.model.max_prompt:
            raise InputError(
                f"enhanced prompt of {_listed([row.prompt])}: {len(text)} characters, and {row.model.name} takes "
                f"at most {row.model.max_prompt}; {kept}: shorten it by hand "
                f'(qw.enhance("…", style="{wish.style}") gives it again for nothing) or choose another style.'
            )
        new = replace(row, prompt=text, original=row.prompt, style=wish.style)
        cells = {column: replace(request, prompt=text) for column, request in mine.items()}
        asked.setdefault(new, {}).update(cells)
    rows = tuple(asked)
    places = {(r, column): request for r, row in enumerate(rows) for column, request in asked[row].items()}
    used = sorted({column for _, column in places})
    seeds = tuple(sweep.seeds[column] for column in used)
    requests = {(r, used.index(column)): request for (r, column), request in places.items()}
    return Sweep(rows, seeds, requests, sweep.notes), tuple(pending.values())
