"""The archive: what the ledger remembers. History, a run's grid, and what is paid for and not here."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from qwen_widgets.core import metadata, reading
from qwen_widgets.core.engine import Engine
from qwen_widgets.core.enhancer import TextRequest
from qwen_widgets.core.errors import InputError, LedgerError, QwenError, StoppedError, clean
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.pacing import SYSTEM_CLOCK, Stop
from qwen_widgets.core.paths import expanded, read_file
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.reading import taking
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.states import Heard
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid.describe import money, plural
from qwen_widgets.grid.export import as_table
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.lines import damaged_lines
from qwen_widgets.grid.recipe import seed_text
from qwen_widgets.grid.show import say
from qwen_widgets.portal import portal
from qwen_widgets.runs import recalled_choices
from qwen_widgets.studio import Job, Studio, studio

#: Bounds of what the ledger is asked: no prompt is as long, no ledger has as many rows.
_LONGEST_TEXT, _MOST_ROWS = 10_000, 10**9
#: Rows that `%qwen history` prints.
_LINES = 20
#: Seconds for which an input picture stays that no run was made with: some kernel may be about to make one.
_GIVEN_LATELY = 24 * 3600.0
#: Digits; SQLite's numbers of rows have less.
_LONGEST_NUMBER = 19


@taking(text=partial(reading.text, longest=_LONGEST_TEXT), most=reading.bounded(0, _MOST_ROWS))
def history(text: str = "", *, most: int = 1000) -> Any:
    """Return what the ledger knows of, newest first: a pandas DataFrame, without pandas a list of dicts.

    Parameters
    ----------
    text : str
        Part of the prompt.
    most : int
        How many rows.
    """
    here = studio()
    store = PictureStore(here.home)
    rows = [_row(record, store) for record in _records(here, text, most)]
    for line in damaged_lines(here.ledger().damaged):
        say(line)
    return as_table(rows)


@taking(run_id=reading.text)
def grid(run_id: str) -> Grid:
    """Return the grid of an earlier run, from the ledger and the stored pictures; nothing is asked of the service.

    Parameters
    ----------
    run_id : str
        As in ``grid.run_id`` or the column `run` of `history`.

    Raises
    ------
    InputError
        There is no such run in this home, or another provider made it.
    """
    here = studio()
    found = here.ledger().wait(lambda db: db.read_run(run_id))
    if found is None:
        raise InputError(
            f"run {clean(run_id, longest=40)!r}: this ledger has no such run; qw.history() lists them."
        )
    provider, title, text, choices = found
    here.learn()
    try:
        sweep = Sweep.from_json(text)
    except InputError as error:
        raise InputError(f"run {run_id!r}: {error.message}") from None
    again = here.recall(sweep, run_id=run_id, title=title, provider_name=provider)
    if choices:
        again.choices = recalled_choices(choices)
    return again


@taking(path=reading.path)
def read(path: str | Path) -> ImageRequest:
    """Return what a picture was asked with: from its metadata, or for a stored original from the ledger.

    Parameters
    ----------
    path : str or Path
        A picture that `Grid.save` has written, or one of ``QWEN_WIDGETS_HOME``.

    Raises
    ------
    InputError
        The file can't be read, or says nothing.
    """
    what = f"read {clean(path, longest=120, both_ends=True)!r}"
    data = read_file(expanded(path, what), what)
    # Who makes pictures now is no matter here.
    with contextlib.suppress(QwenError):
        studio().learn()
    found = metadata.read(data)
    if found is None:
        digest = hashlib.sha256(data).hexdigest()
        record = studio().ledger().wait(lambda db: db.by_sha256(digest))
        found = record.request() if record is not None and not record.unassigned else None
    if found is None:
        raise InputError(f"{what}: neither the picture nor this ledger says what it was asked with.")
    return found


def resume() -> Grid | None:
    """Fetch what is paid for and not here; buys nothing. None where there is nothing to fetch.

    Lost answers are looked for in the account's history. Pictures that are found there and belong to no cell are
    fetched, too, and listed as unassigned.
    """
    here = studio()
    engine, provider = here.engine()
    unfinished = here.ledger().wait(lambda db: db.unfinished(provider.name))
    if not unfinished:
        return None
    stop = Stop()
    stop.set()
    known = [record for record in unfinished if not record.unassigned]
    texts = [record.text_request() for record in known if record.makes_text]
    portal.run(_fetch_texts(engine, texts, stop))
    sweep = Sweep.of(record.request() for record in known if not record.makes_text)
    found = None
    if sweep.requests:
        job = portal.run(here.plan_job(sweep, title="resumed"))
        found = here.run(Job(job.grid, sweep, job.plan, engine, job.line, stop))
    # Last, because looking for lost answers may have brought some to light.
    portal.run(engine.fetch_strays(stop))
    return found


async def _fetch_texts(engine: Engine, texts: Sequence[TextRequest], stop: Stop) -> None:
    async for _ in engine.run(await engine.plan_orders(texts), stop):
        pass


def waiting() -> int:
    """Return how many pictures and texts are paid for, or may be, and are not here."""
    here = studio()
    _, provider = here.engine()
    return len(here.ledger().wait(lambda db: db.unfinished(provider.name)))


@taking(which=reading.text)
def forget(which: str) -> int:
    """Give up pictures that are paid for and not here, or whose outcome isn't known; they stay in the history.

    Parameters
    ----------
    which : str
        ``all``, or the number of a row in the history.

    Returns
    -------
    int
        How many were given up.
    """
    here = studio()
    _, provider = here.engine()
    waiting = here.ledger().wait(lambda db: db.unfinished(provider.name))
    chosen = [record for record in waiting if which in ("all", str(record.id))] or _damaged_row(here, which)
    if not chosen and which != "all":
        raise InputError(
            f"forget {clean(which, longest=40)!r}: give all, or the number of a row that waits: {_numbers(waiting)}."
        )

    def close(db: Any) -> None:
        for record in chosen:
            # A damaged row that is given up stands in nobody's way any more.
            again = None if record.usable else StoppedError("The user gave the damaged row up.")
            db.step(record.id, Heard.GIVEN_UP, note="the user gave it up", error=again)

    here.ledger().wait(close)
    return len(chosen)


def _damaged_row(here: Studio, which: str) -> list[Record]:
    """Return the row of this number, where it can't be read."""
    if not (which.isascii() and which.isdecimal() and len(which) < _LONGEST_NUMBER):
        return []
    with contextlib.suppress(LedgerError):
        record = here.ledger().wait(lambda db: db.get(int(which)))
        return [] if record.usable else [record]
    return []


def accept_ledger() -> bool:
    """Let be bought what can't be proven not to have been bought by a lost ledger.

    Returns
    -------
    bool
        Whether there was anything to accept.
    """

    def accept(db: Store) -> bool:
        open_ = bool(db.gaps())
        db.write_gaps(())
        return open_

    return studio().ledger().wait(accept)


def ledger_lines(words: str) -> list[str]:
    """Return what became of the ledger, or accept that."""
    if words == "accept":
        if accept_ledger():
            return [
                "Accepted: run the cell again. What the lost ledger had bought and isn't here is paid for a second time."
            ]
        return ["There is nothing to accept: the ledger knows what was bought."]
    here = studio()
    told = here.restored_line()
    lines = [told] if told else []
    provider = here.provider().name
    if any(provider not in gap.seen for gap in here.ledger().wait(lambda db: db.gaps())):
        lines.append(
            "What the lost ledger had bought last is looked for in the account's history before anything is bought; "
            "%qwen ledger accept buys without."
        )
    return [*lines, *damaged_lines(here.ledger().damaged)] or ["The ledger is whole."]


def forget_inputs() -> list[str]:
    """Delete the kept input pictures that no run and no purchase was made with, and say how much that was.

    What a run needs to be shown, finished or done again stays, and whatever was given within the last day.
    """
    here = studio()
    needed = here.ledger().wait(lambda db: db.inputs_in_use())
    done = PictureStore(here.home).clear_inputs(needed, before=SYSTEM_CLOCK.wall() - _GIVEN_LATELY)
    if not done.deleted and not done.left:
        return ["No input pictures are kept here."]
    stay = (
        f"{plural(done.left, 'input picture')} ({_size(done.left_bytes)}) stay" if done.left else "none stay"
    )
    why = ": runs were made with them, or they are new today" if done.left else ""
    return [f"{plural(done.deleted, 'input picture')} deleted, {_size(done.freed)} free; {stay}{why}."]


def _size(count: int) -> str:
    """Return bytes as people read them."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def history_lines(text: str) -> list[str]:
    """Return the history as lines for a person."""
    here = studio()
    found = _records(here, text, _LINES + 1)
    if not found:
        return ["The ledger has nothing" + (f" with {text!r}." if text else " yet.")]
    lines = [_line(record) for record in found[:_LINES]]
    if len(found) > _LINES:
        lines.append("… and more: qw.history() is all of it.")
    return [*lines, *damaged_lines(here.ledger().damaged)]


def _records(here: Studio, text: str, most: int) -> list[Record]:
    return here.ledger().wait(lambda db: db.history(text=text, most=most))


def _row(record: Record, store: PictureStore) -> dict[str, Any]:
    stored = record.state == "stored" and record.sha256 is not None and record.suffix is not None
    path = str(store.path(record.sha256 or "", record.suffix or "")) if stored else None
    return {
        "row": record.id,
        "at": datetime.fromtimestamp(record.created_at, UTC),
        "prompt": record.prompt,
        "seed": record.seed,
        "width": record.size.width,
        "height": record.size.height,
        "model": record.model,
        "state": record.state,
        "cost": float(record.spent),
        "provider": record.provider,
        "run": record.run_id,
        "prediction_id": record.prediction_id,
        "path": path,
        "text": record.text,
        "error": record.error.message if record.error is not None else None,
    }


def _line(record: Record) -> str:
    moment = datetime.fromtimestamp(record.created_at).astimezone()
    cost = money(float(record.spent)) if record.price else "no cost"
    if record.makes_text:
        what = (
            "enhanced" if record.unassigned or record.damaged else f"enhanced ({record.text_request().style})"
        )
    else:
        what = seed_text(record.seed)
    prompt = record.prompt if len(record.prompt) <= 60 else record.prompt[:59] + "…"
    return f"#{record.id}  {moment:%Y-%m-%d %H:%M}  {record.state:<9} {cost:>7}  {what}  {prompt}"


def _numbers(unfinished: list[Record]) -> str:
    if not unfinished:
        return "nothing waits"
    shown = ", ".join(str(record.id) for record in unfinished[:10])
    return shown if len(unfinished) <= 10 else f"{shown} … ({plural(len(unfinished), 'row')})"
