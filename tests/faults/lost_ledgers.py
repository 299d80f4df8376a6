"""Ways in which a ledger's file is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

NAME, COPY, LOG = "ledger.sqlite3", "ledger.copy.sqlite3", "ledger.sent"


def header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:100] = os.urandom(100)
    path.write_bytes(data)


def middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    half = len(data) // 2 // 4096 * 4096
    data[half - 4096 : half + 4096] = os.urandom(8192)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


def without_tables(path: Path) -> None:
    path.unlink()
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 0")
        db.execute("VACUUM")


WAYS: tuple[Callable[[Path], None], ...] = (header, middle, cut, emptied, deleted, without_tables)
