"""The ledger's rows about lost answers: which orders wait for one, and which predictions are somebody's already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qwen_widgets.core.errors import UnknownOutcomeError
from qwen_widgets.core.records import UNASSIGNED, Record
from qwen_widgets.core.states import UNFINISHED, Heard


class LostRows:
    """The statements about these; a part of `Store`, on the ledger's own thread."""

    _db: Any
    _read: Callable[[Any], Record]
    get: Callable[[int], Record]
    step: Callable[..., None]
    accept: Callable[..., None]

    def lost(self, provider: str, model: str) -> list[Record]:
        """Return the rows to which a prediction without an owner could belong: sent, and no id was ever heard."""
        rows = self._db.execute(
            "SELECT * FROM purchase WHERE provider = ? AND model = ? AND sent_at IS NOT NULL"
            " AND prediction_id IS NULL AND state IN ('sending', 'unknown', 'expired')",
            (provider, model),
        )
        return [self._read(row) for row in rows.fetchall()]

    def prediction_ids(self, provider: str) -> set[str]:
        """Return the ids of all predictions that belong to a request.

        Without the unassigned ones: each of them may be the picture of a request whose answer was lost.
        """
        rows = self._db.execute(
            "SELECT prediction_id FROM purchase WHERE provider = ? AND prediction_id IS NOT NULL AND key NOT LIKE ?",
            (provider, f"{UNASSIGNED}%"),
        )
        return {str(row[0]) for row in rows.fetchall()}

    def dated_predictions(self, provider: str, model: str, account: str, since: float) -> dict[str, float]:
        """Return the predictions that an account has been sent for since a moment, and when, by the service's clock."""
        rows = self._db.execute(
            "SELECT p.prediction_id, p.server_at, e.note FROM event e JOIN purchase p ON p.id = e.purchase_id"
            " WHERE e.state = 'sending' AND p.provider = ? AND p.model = ? AND p.prediction_id IS NOT NULL"
            " AND p.server_at >= ? AND p.state != 'expired' ORDER BY e.id",
            (provider, model, since),
        )
        last = {row["prediction_id"]: (row["server_at"], row["note"]) for row in rows.fetchall()}
        return {name: at for name, (at, sent_with) in last.items() if sent_with in ("", account)}

    def date(self, row_id: int, server_at: float) -> None:
        """Note when a row was sent by the service's clock, which was not known yet when it was sent."""
        self._db.execute(
            "UPDATE purchase SET server_at = ? WHERE id = ? AND server_at IS NULL AND sent_at IS NOT NULL",
            (server_at, row_id),
        )

    def answered(self, row_id: int, prediction_id: str) -> None:
        """Write down the id that an order was answered with, unless another order was answered with it, too.

        One prediction can't be both: then neither has it, and the history says which of them it is.
        """
        record = self.get(row_id)
        rows = self._db.execute(
            "SELECT * FROM purchase WHERE provider = ? AND id != ? AND key NOT LIKE ?"
            " AND (prediction_id = ? OR state = 'unknown')",
            (record.provider, row_id, f"{UNASSIGNED}%", prediction_id),
        )
        others = [
            other
            for other in map(self._read, rows.fetchall())
            if other.state != "unknown"
            or (other.error is not None and other.error.prediction_id == prediction_id)
        ]
        if not others:
            self.accept(row_id, prediction_id)
            return
        lost = UnknownOutcomeError(
            "The service answered two orders with one id.", prediction_id=prediction_id
        )
        for one in (record, *others):
            if one.state in UNFINISHED:
                self.step(one.id, Heard.DOUBLED, error=lost, prediction_id=None, outputs=None)
