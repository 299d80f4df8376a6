"""Sendings: how long ago an order was sent, on clocks that nobody can set: a monotonic one, and the service's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.records import Record


class Sendings:
    """When orders were sent, by this process and by others.

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
        #: When this process has first looked for an order that another had sent.
        self._looked: dict[int, float] = {}
        #: Rows that were sent before any answer had told the service's time.
        self._undated: set[int] = set()

    def note(self, row_id: int, *, dated: bool) -> None:
        """Note that a row is sent now; `dated` where the ledger has the service's time of that."""
        self._sent[row_id] = self._monotonic()
        if dated:
            self._undated.discard(row_id)
        else:
            self._undated.add(row_id)

    def is_ours(self, row_id: int) -> bool:
        """Whether this process has sent it."""
        return row_id in self._sent

    def looked(self, row_id: int) -> None:
        """Note that a row is looked for now: it has been sent by then."""
        self._looked.setdefault(row_id, self._monotonic())

    def known_for(self, row_id: int) -> float:
        """Return the seconds since this process sent a row, or first looked for it."""
        now = self._monotonic()
        return now - self._sent.get(row_id, self._looked.get(row_id, now))

    def by_dates(self, record: Record) -> float | None:
        """Return the seconds since a row was sent by the service's dates; None where they don't tell."""
        now = self._service_now()
        return None if now is None or record.server_at is None else now - record.server_at

    def age(self, record: Record) -> float:
        """Return the seconds that have certainly passed since a row was sent."""
        known_for = self.known_for(record.id)
        return known_for if self.is_ours(record.id) else max(known_for, self.by_dates(record) or 0.0)

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
