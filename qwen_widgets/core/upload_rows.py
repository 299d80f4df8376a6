"""The ledger's rows about uploads: where a provider keeps an input picture, and who is bringing it there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from qwen_widgets.core.owner import is_dead, lease_holds

#: Seconds that a claim on an upload holds without being renewed.
UPLOAD_LEASE = 30.0
#: An input picture in a run's or a purchase's JSON, however that is built.
_HASH = re.compile(r'"sha256": ?"([0-9a-f]{64})"')


class UploadRows:
    """The statements about uploads; a part of `Store`, on the ledger's own thread."""

    _db: Any
    _clock: Callable[[], float]
    owner: str

    def claim_upload(self, provider: str, sha256: str) -> tuple[str | None, bool]:
        """Find an input picture's address, or claim to bring it there.

        Returns
        -------
        str or None
            The address, where it still works.
        bool
            Whether it is this process's to upload. False and no address: somebody else is at it.
        """
        now = self._clock()
        row = self._db.execute(
            "SELECT * FROM upload WHERE provider = ? AND sha256 = ?", (provider, sha256)
        ).fetchone()
        if row is not None and row["address"] and (row["expires_at"] or 0.0) > now:
            return str(row["address"]), False
        taken = (
            row is not None
            and row["owner"] is not None
            and lease_holds(row["lease_until"] or 0.0, now, UPLOAD_LEASE)
        )
        if taken and not is_dead(row["owner"]):
            return None, False
        self._db.execute(
            "INSERT OR REPLACE INTO upload (provider, sha256, owner, lease_until) VALUES (?, ?, ?, ?)",
            (provider, sha256, self.owner, now + UPLOAD_LEASE),
        )
        return None, True

    def renew_upload(self, provider: str, sha256: str) -> None:
        """Hold a claim for another `UPLOAD_LEASE` seconds."""
        self._db.execute(
            "UPDATE upload SET lease_until = ? WHERE provider = ? AND sha256 = ? AND owner = ?",
            (self._clock() + UPLOAD_LEASE, provider, sha256, self.owner),
        )

    def write_upload(self, provider: str, sha256: str, address: str, expires_at: float) -> None:
        """Keep an address until it expires, seconds since the epoch, whoever has brought the picture there."""
        self._db.execute(
            "INSERT OR REPLACE INTO upload (provider, sha256, address, expires_at) VALUES (?, ?, ?, ?)",
            (provider, sha256, address, expires_at),
        )

    def inputs_in_use(self) -> set[str]:
        """Return the hashes of the input pictures of all runs and purchases, so that these can be done again."""
        rows = self._db.execute(
            "SELECT sweep FROM run WHERE sweep LIKE '%\"sha256\"%'"
            " UNION ALL SELECT inputs FROM purchase WHERE inputs LIKE '%\"sha256\"%'"
        )
        return {digest for row in rows for digest in _HASH.findall(row[0])}

    def forget_upload(self, provider: str, sha256: str, address: str | None = None) -> None:
        """Give a claim up, or drop an address that doesn't work; a newer one stays."""
        self._db.execute(
            "DELETE FROM upload WHERE provider = ? AND sha256 = ? AND address IS ? AND (owner IS NULL OR owner = ?)",
            (provider, sha256, address, self.owner),
        )
