"""Sendings: when this process sent which order, on clocks that nobody can set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from qwen_widgets.core.ledger import Ledger, Store


class Sendings:
    """The orders that this process has sent.

    Parameters
    ----------
    monotonic : callable
        Seconds on a clock that nobody sets.
    service_now : callable
        The service's time, seconds since the epoch; None while no answer has told it.
    """

    def __init__(
        self, ledger: Ledger, monotonic: Callable[[], float], service_now: Callable[[], float | None]
    ) -> None:
        self._ledger = ledger
        self._monotonic = monotonic
        self._service_now = service_now
        self._sent: dict[int, float] = {}
        #: Rows that were sent before any answer had told the service's time.
        self._undated: set[int] = set()

    def note(self, row_id: int, *, dated: bool) -> None:
        """Note that a row is sent now; `dated` where the ledger has the service's time of that."""
        self._sent[row_id] = self._monotonic()
        if dated:
            self._undated.discard(row_id)
        else:
            self._undated.add(row_id)

    def seconds_since(self, row_id: int) -> float | None:
        """Return the seconds since this process has sent a row; None where another did."""
        sent = self._sent.get(row_id)
        return None if sent is None else self._monotonic() - sent

    def date(self) -> None:
        """Keep when the undated rows were sent, now that the service's time is known."""
        now = self._service_now()
        if now is None:
            return
        while self._undated:
            row_id = self._undated.pop()
            server_at = now - (self._monotonic() - self._sent[row_id])
            # What is heard after the ledger was closed is heard by nobody.
            with contextlib.suppress(RuntimeError):
                self._ledger.do(partial(Store.date, row_id=row_id, server_at=server_at))

    def slept(self) -> None:
        """Take it that the monotonic clock has stood still: a later Date doesn't tell when the undated were sent."""
        self._undated.clear()
