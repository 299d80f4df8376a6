"""The account's history, read page by page, as far as somebody needs it: what came, and what is known to be missing.

Pages move while they are read: a new prediction pushes an entry onto the next page, where it comes again. So entries
count once, by their id. The history's `total` and the filters by time are not relied on: services get them wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import stamina

from qwen_widgets.core import retrying
from qwen_widgets.core.answers import HistoryPage, Prediction
from qwen_widgets.core.errors import QwenError

#: Pages at most: a service may give far fewer entries a page than it was asked for.
_MOST_PAGES = 300
#: Tries of one page, and the longest pause between two, seconds.
_TRIES, _LONGEST_PAUSE = 4, 4.0


class Pages(Protocol):
    """Who has the pages: the client."""

    async def history_page(self, number: int, *, model: str = "") -> HistoryPage:
        """Return a page, from 1, newest first."""


@dataclass(slots=True)
class Listing:
    """What has come of the history.

    Attributes
    ----------
    entries : dict of id to Prediction
        In the order of the pages.
    ended : bool
        Whether it was read to where no more came.
    gap : bool
        Whether something of it is known to be missing: an entry that can't be read, a page that came empty
        before one that didn't.
    total : int
        How many entries there are, as the history says; it may only be too few that came.
    trouble : QwenError or None
        Why a page could not be had.
    """

    entries: dict[str, Prediction] = field(default_factory=dict)
    ended: bool = False
    gap: bool = False
    total: int = 0
    trouble: QwenError | None = None

    def add(self, page: HistoryPage) -> bool:
        """Take a page in; whether anything in it is new."""
        before = len(self.entries)
        self.entries |= {entry.id: entry for entry in page.entries if entry.id not in self.entries}
        self.gap = self.gap or page.unreadable > 0
        self.total = max(self.total, page.total or 0)
        return len(self.entries) > before

    @property
    def whole(self) -> bool:
        """Whether it came to its end, and nothing speaks against that being all."""
        return self.ended and not self.gap and self.trouble is None and self.total <= len(self.entries)


async def _all_of_it(_: Listing) -> bool:
    return False


async def read(
    pages: Pages,
    *,
    model: str = "",
    enough: Callable[[Listing], Awaitable[bool]] = _all_of_it,
    scale: float = 1.0,
) -> Listing:
    """Read the history from its newest entry on, until it is enough and a page more, or ends.

    Parameters
    ----------
    model : str
        Id of the model whose predictions are asked for; empty for all.
    enough : callable
        Whether what has come suffices.
    scale : float
        What the pauses between tries are multiplied with; for tests.
    """
    listing = Listing()
    empty = stale = 0
    last = _MOST_PAGES
    for number in range(1, _MOST_PAGES + 1):
        try:
            # Whoever looks again begins with the first page, so that only the others are worth patience.
            page = await (
                pages.history_page(number, model=model)
                if number == 1
                else _patiently(pages, number, model, scale)
            )
        except QwenError as error:
            listing.trouble = error
            break
        news = listing.add(page)
        if page.count == 0:
            empty += 1
            # A page can get lost: only where the one behind it is empty, too, nothing more is to come.
            if number == 1 or empty == 2:
                listing.ended = True
                break
            continue
        listing.gap = listing.gap or empty > 0
        if number >= last:
            break
        if last == _MOST_PAGES and await enough(listing):
            # A service may sort no better than it pages: what is missing often stands just behind.
            last = number + 1
        # One page without news is one that was pushed back by new predictions; two are a service that ignores `page`.
        stale = 0 if news else stale + 1
        if stale == 2:
            break
    return listing


async def _patiently(pages: Pages, number: int, model: str, scale: float) -> HistoryPage:
    async for attempt in stamina.retry_context(
        on=retrying.worth_another_try,
        attempts=_TRIES,
        timeout=60,
        wait_initial=0.5 * scale,
        wait_max=_LONGEST_PAUSE * scale,
        wait_jitter=0.5 * scale,
    ):
        with attempt:
            return await pages.history_page(number, model=model)
    raise AssertionError("unreachable")
