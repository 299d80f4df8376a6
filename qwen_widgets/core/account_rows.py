"""The ledger's rows about the account: its catalogue, what was spent, and what was made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from qwen_widgets.core.records import LATEST, NO_SEED, UNASSIGNED, Record
from qwen_widgets.core.states import OPEN, Heard
from qwen_widgets.core.strays import Stray


class AccountRows:
    """The statements about these; a part of `Store`, on the ledger's own thread."""

    _db: Any
    _clock: Callable[[], float]
    latest: Callable[[str, Iterable[str]], dict[str, Record]]
    _event: Callable[..., None]
    reopen: Callable[..., bool]
    _read: Callable[[Any], Record]

    def write_catalogue(self, provider: str, models: str) -> None:
        """Keep an account's catalogue, as JSON, with its date."""
        self._db.execute(
            "INSERT OR REPLACE INTO catalogue (provider, models, at) VALUES (?, ?, ?)",
            (provider, models, self._clock()),
        )

    def read_catalogue(self, provider: str) -> tuple[str, float] | None:
        """Return a kept catalogue and when it was read, seconds since the epoch."""
        row = self._db.execute("SELECT models, at FROM catalogue WHERE provider = ?", (provider,)).fetchone()
        # A damaged one is as good as none: it can be read again.
        whole = row is not None and isinstance(row["models"], str) and isinstance(row["at"], int | float)
        return (row["models"], row["at"]) if whole and 0 <= row["at"] < LATEST else None

    def take_in(self, provider: str, stray: Stray, *, account: str = "") -> int | None:
        """Take up a prediction that was made elsewhere, so that its picture is fetched.

        Where all that it was asked with is known, and nothing here stands for that yet but what ended without a picture,
        it does from now on: the same request costs nothing then. Otherwise it is unassigned. It costs nothing here
        either way. A row of this very prediction that has expired is opened again.

        Parameters
        ----------
        account : str
            Whose history it is in, noted with the event.

        Returns
        -------
        int or None
            The row; None where the prediction is here already, or may be the answer that an open row waits for.
        """
        prediction, order = stray.prediction, stray.order
        if prediction.id in self.known_predictions(provider):
            return None
        if (again := self._revived(provider, prediction.id)) is not None:
            return again
        same = self.latest(provider, [order.key]).get(order.key) if order is not None else None
        if same is not None and same.state in OPEN:
            return None
        better = same is None or (same.state != "stored" and not prediction.failed)
        created = prediction.created_at.timestamp() if prediction.created_at is not None else None
        cursor = self._db.execute(
            "INSERT INTO purchase (provider, key, state, model, prompt, width, height, seed, run_id, price,"
            " prediction_id, created_at, sent_at, server_at, inputs)"
            " VALUES (?, ?, 'submitted', ?, ?, ?, ?, ?, '', 0, ?, ?, ?, ?, ?)",
            (
                provider, order.key if order is not None and better else f"{UNASSIGNED}{prediction.id}",
                prediction.model, order.prompt if order is not None else stray.prompt or "(unassigned)", *stray.size,
                NO_SEED if stray.seed is None else stray.seed,
                prediction.id, self._clock(), created, created, order.inputs if order is not None else "",
            ),
        )  # fmt: skip
        row_id = int(cursor.lastrowid or 0)
        self._event(row_id, "submitted", "adopted from the account's history")
        self._event(row_id, "adopted", account)
        return row_id

    def _revived(self, provider: str, prediction_id: str) -> int | None:
        """Open the row of a prediction again that was taken for gone, or given up."""
        row = self._db.execute(
            "SELECT * FROM purchase WHERE provider = ? AND prediction_id = ? ORDER BY key LIKE ?, id DESC LIMIT 1",
            (provider, prediction_id, f"{UNASSIGNED}%"),
        ).fetchone()
        if row is None:
            return None
        record = self._read(row)
        if self.latest(provider, [record.key])[record.key].state == "stored":
            # Bought again since: that picture stays where it is.
            self._db.execute(
                "UPDATE purchase SET key = ? WHERE id = ?", (f"{UNASSIGNED}{prediction_id}", record.id)
            )
        opened = self.reopen(record.id, Heard.FOUND, note="adopted from the account's history")
        return record.id if opened else None

    def known_predictions(self, provider: str) -> set[str]:
        """Return the ids of all predictions that this ledger has, the unassigned ones too, and not what has expired."""
        rows = self._db.execute(
            "SELECT prediction_id FROM purchase WHERE provider = ? AND prediction_id IS NOT NULL"
            " AND state != 'expired'",
            (provider,),
        )
        return {str(row[0]) for row in rows.fetchall()}

    def bought(self) -> list[Record]:
        """Return the rows that cost money when they were sent, oldest first."""
        rows = self._db.execute(
            "SELECT * FROM purchase WHERE price > 0 AND sent_at IS NOT NULL ORDER BY sent_at"
        )
        return [record for record in map(self._read, rows.fetchall()) if record.spent > 0]
