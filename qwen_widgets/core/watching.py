"""Watch: how the predictions of one account stand, asked one by one or, where many are open, by one page for all."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.pacing import Clock, PollBudget, Rhythm
from qwen_widgets.core.wavespeed import WaveSpeed

#: So many open predictions are looked at together: polled apart, each would wait for half a second and longer.
_MANY = 10
#: Of so many looks at all of them, one asks for a single prediction in its place: it shows whether the page lags.
_APART = 4
_YOUNG = 4
#: Seconds for which the page isn't asked for where it is of no use; doubled each time.
_NO_USE, _LONGEST_NO_USE = 5.0, 300.0


class Watch:
    """Asks how predictions stand, within the budget of polls.

    A page of the history tells of a hundred predictions at once, for the price of one poll. It only ever brings news
    of what is completed: whatever else it says (or leaves out) is asked of the prediction itself.

    Parameters
    ----------
    rhythm : callable
        The rhythm of the present.
    """

    def __init__(self, client: WaveSpeed, clock: Clock, rhythm: Callable[[], Rhythm]) -> None:
        self._client = client
        self._now = clock.monotonic
        self._rhythm = rhythm
        self._budget = PollBudget(clock.monotonic)
        #: Who sleeps until the next look, by prediction; the sleep ends early with news, or with None.
        self._resting: dict[str, asyncio.Future[Prediction | None]] = {}
        #: Predictions that are being polled now, of all runs.
        self.open = 0
        self._page: asyncio.Task[dict[str, Prediction]] | None = None
        self._page_at = -math.inf
        self._pages = 0
        #: Predictions of which a single poll has said that they are completed.
        self._completed: deque[str] = deque(maxlen=100)
        self._apart_until = -math.inf
        self._no_use = _NO_USE

    # --- looking ------------------------------------------------------------------------------------------

    @property
    def apart(self) -> int:
        """How many predictions share the budget of polls: all that are open, or one where a page tells of all."""
        return 1 if self._together() else self.open

    def _together(self) -> bool:
        return self.open >= _MANY and self._now() >= self._apart_until

    def wake(self) -> None:
        """End every sleep: the machine itself has slept, and every answer is overdue."""
        for rest in self._resting.values():
            if not rest.done():
                rest.set_result(None)

    async def look(self, prediction_id: str, delay: float) -> Prediction | None:
        """Sleep for some seconds, or until there is news, and say how a prediction stands; errors as in `result`."""
        if (news := await self._rest(prediction_id, delay)) is not None:
            return news
        if self._together() and (news := await self._look_at_all(prediction_id, delay)) is not None:
            return news
        while (wait := self._budget.wait(self._rhythm())) > 0:
            if (news := await self._rest(prediction_id, wait)) is not None:
                return news
        self._budget.spend()
        found = await self._client.result(prediction_id)
        if found is not None and found.completed:
            self._completed.append(prediction_id)
        return found

    async def _rest(self, prediction_id: str, seconds: float) -> Prediction | None:
        rest: asyncio.Future[Prediction | None] = asyncio.get_running_loop().create_future()
        self._resting[prediction_id] = rest
        try:
            await asyncio.wait((rest,), timeout=seconds)
        finally:
            del self._resting[prediction_id]
        return rest.result() if rest.done() else None

    async def _look_at_all(self, prediction_id: str, delay: float) -> Prediction | None:
        """Return what a page says of a prediction; None where that has to be asked of the prediction itself.

        A page that is young beside the delay between two looks is as good as a new one.
        """
        if self._now() - self._page_at >= max(self._rhythm().shortest, delay / _YOUNG):
            self._pages += 1
            if self._pages % _APART == 0 or self._budget.wait(self._rhythm()) > 0:
                self._page_at = self._now()
                return None
            self._page_at = self._now()
            self._budget.spend()
            self._page = asyncio.create_task(self._read_page())
        if self._page is None:
            return None
        found = (await asyncio.shield(self._page)).get(prediction_id)
        return None if found is None or found.failed or found.empty else found

    async def _read_page(self) -> dict[str, Prediction]:
        # What ended while the page was on its way may be missing in it.
        ended = tuple(self._completed)
        try:
            page = {found.id: found for found in (await self._client.history_page(1)).entries}
        except QwenError:
            page = {}
        lags = any(known in page and not page[known].completed for known in ended)
        if lags or not page or (self._resting and page.keys().isdisjoint(self._resting)):
            self._apart_until = self._now() + self._no_use
            self._no_use = min(_LONGEST_NO_USE, 2 * self._no_use)
            return {}
        for prediction_id, rest in self._resting.items():
            found = page.get(prediction_id)
            if found is not None and found.completed and not rest.done():
                rest.set_result(found)
        return page
