"""The ledger's rows about itself: what became of the one before it, and the time of which it knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from qwen_widgets.core.errors import UnknownOutcomeError
from qwen_widgets.core.ledger_file import GAPS, RESTORED
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import Order
from qwen_widgets.core.restored import Gap, Restored, dump_gaps, load_gaps
from qwen_widgets.core.states import Heard


class GapRows:
    """The statements about these; a part of `Store`, on the ledger's own thread."""

    _db: Any
    _clock: Callable[[], float]
    _event: Callable[..., None]
    accept: Callable[..., None]
    claim: Callable[..., tuple[Record, bool]]
    step: Callable[..., None]
    release: Callable[[int], None]
    setting: Callable[[str], str | None]
    write_setting: Callable[[str, str | None], None]

    def restored(self) -> Restored | None:
        """Return how this ledger came to be made anew, as long as that is to be told."""
        return Restored.from_json(self.setting(RESTORED))

    def forget_restored(self) -> None:
        """Tell of it no more."""
        self.write_setting(RESTORED, None)

    def gaps(self) -> tuple[Gap, ...]:
        """Return the times of which nothing is known."""
        return load_gaps(self.setting(GAPS), now=self._clock())

    def write_gaps(self, gaps: tuple[Gap, ...]) -> None:
        """Keep these times."""
        self.write_setting(GAPS, dump_gaps(gaps) if gaps else None)

    def last_account(self, provider: str) -> str:
        """Return the account that was last ordered with at a provider; empty where that isn't known."""
        row = self._db.execute(
            "SELECT event.note FROM event JOIN purchase ON purchase.id = event.purchase_id"
            " WHERE event.state = 'sending' AND purchase.provider = ? ORDER BY event.id DESC LIMIT 1",
            (provider,),
        ).fetchone()
        return "" if row is None else str(row[0])

    def recover(
        self, provider: str, order: Order, run_id: str, price: Decimal, prediction_id: str, *, sent_at: float,
        account: str,
    ) -> bool:  # fmt: skip
        """Write down an order that this ledger has lost and the account's history has; False where its key is taken.

        It was paid for from here, so that it counts as spent.
        """
        newest = self._db.execute("SELECT max(id) FROM purchase").fetchone()[0] or 0
        record, mine = self.claim(provider, order, run_id, price, after=newest)
        if not mine or record.state not in ("planned", "unknown"):
            return False
        lost = UnknownOutcomeError("The ledger was lost after the order was sent.")
        self.step(record.id, Heard.LOST, error=lost, sent_at=sent_at, server_at=sent_at)
        self.accept(record.id, prediction_id, note="found in the history")
        self._event(record.id, "adopted", account)
        self.release(record.id)
        if (told := self.restored()) is not None:
            self.write_setting(RESTORED, replace(told, found=told.found + 1).to_json())
        return True
