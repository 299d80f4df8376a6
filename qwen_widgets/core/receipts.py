"""Receipts: a small file beside each stored picture or text that says of it what the ledger says; never the key.

Whatever becomes of the ledger, they tell a new one what is here. They are written before the row says `stored`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qwen_widgets.core.durable import write_durably

#: Columns of a row that mean something to the process that works on it, and to nobody else.
_PASSING = ("owner", "lease_until")


def receipt_path(folder: Path, row: Mapping[str, Any]) -> Path:
    """Return where the receipt of a stored row is: beside its picture, that of a text in a folder of its own.

    Equal bytes that were bought twice have a receipt each.
    """
    mark = hashlib.sha256(f"{row['provider']} {row['key']}".encode("utf-8", "replace")).hexdigest()[:12]
    if row["sha256"] is None:
        return folder / "texts" / mark[:2] / f"{mark}.json"
    sha256 = str(row["sha256"])
    return folder / "pictures" / sha256[:2] / f"{sha256[:20]}.{mark}.json"


def write_receipt(folder: Path, row: Mapping[str, Any], account: str) -> None:
    """Write the receipt of a row that is about to be stored, and the account it was sent with, durably.

    Raises
    ------
    OSError
    """
    path = receipt_path(folder, row)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {name: value for name, value in dict(row).items() if name not in _PASSING}
    write_durably(path, json.dumps({"version": 1, "row": values, "account": account}, default=str).encode())


def read_receipts(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the rows of all receipts that can be read, and their accounts, the earliest first."""
    found = []
    for path in (*folder.glob("pictures/??/*.json"), *folder.glob("texts/??/*.json")):
        try:
            values = json.loads(path.read_bytes())
            row = {**dict.fromkeys(_PASSING), **values["row"]}
            found.append((float(row["created_at"]), path.name, row, str(values["account"])))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue
    for _, _, row, account in sorted(found, key=lambda one: one[:2]):
        yield row, account
