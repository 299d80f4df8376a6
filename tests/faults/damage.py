"""Damage to the files of a home while no kernel lives: the ledger, its copies, the stored pictures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

_PAGE = 4096
_WAYS = ("header", "middle", "cut", "emptied", "page of zeros")


def copies(home: Path) -> list[Path]:
    """Return what else than the ledger itself tells of purchases in one file: the copy, the log of orders."""
    return sorted(
        path
        for path in home.glob("ledger*")
        if path.is_file()
        and path.name != "ledger.sqlite3"
        and not path.name.startswith("ledger.corrupt-")
        and not path.name.endswith(("-journal", "-wal", "-shm", ".lock"))
    )


def damage_ledger(home: Path, rnd: random.Random) -> str:
    """Damage the ledger in one of several ways; says in which."""
    path = home / "ledger.sqlite3"
    if not path.exists():
        return "there is none"
    return _damage(path, rnd, (*_WAYS, "deleted", "journal"))


def damage_copies(home: Path, rnd: random.Random) -> str:
    """Damage each copy of the ledger; says how. A trace stays: a home without any is a new one."""
    return ", ".join(f"{path.name} {_damage(path, rnd, _WAYS)}" for path in copies(home)) or "there are none"


def damage_receipts(home: Path, rnd: random.Random) -> str:
    """Cut what is written beside the pictures and texts; says of how many."""
    found = sorted(path for path in home.rglob("*.json") if path.is_file())
    for path in found:
        path.write_bytes(path.read_bytes()[: rnd.randint(0, 40)])
    return str(len(found))


def _damage(path: Path, rnd: random.Random, ways: Sequence[str]) -> str:
    data = path.read_bytes()
    how = rnd.choice(ways)
    if how == "header":
        path.write_bytes(rnd.randbytes(100) + data[100:])
    elif how == "middle":
        # Whole pages: what is changed within a page's free room does no harm.
        first = rnd.randrange(1, max(2, len(data) // _PAGE)) * _PAGE
        path.write_bytes(data[:first] + rnd.randbytes(_PAGE) + data[first + _PAGE :])
    elif how == "page of zeros":
        path.write_bytes(data[:_PAGE] + bytes(_PAGE) + data[2 * _PAGE :])
    elif how == "cut":
        path.write_bytes(data[: rnd.randrange(1, max(2, len(data)))])
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "deleted":
        path.unlink()
    else:
        path.unlink()
        path.with_name(path.name + "-journal").write_bytes(data[: 3 * _PAGE])
    return how


def damage_pictures(home: Path, rnd: random.Random) -> str:
    """Cut, overwrite, replace or delete a stored picture or two; says what was done."""
    found = sorted(path for path in home.glob("pictures/??/*") if path.suffix in (".png", ".jpg", ".webp"))
    done = []
    for path in rnd.sample(found, min(len(found), rnd.randint(1, 2))):
        data = path.read_bytes()
        how = rnd.choice(("cut", "overwritten", "replaced", "emptied", "deleted"))
        if how == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif how == "overwritten":
            at = rnd.randrange(50, len(data) - 20)
            path.write_bytes(data[:at] + rnd.randbytes(16) + data[at + 16 :])
        elif how == "replaced":
            Image.new("RGB", (256, 256), rnd.choice(("red", "blue"))).save(path)
        elif how == "emptied":
            path.write_bytes(b"")
        else:
            path.unlink()
        done.append(f"{path.name} {how}")
    return ", ".join(done) or "there are none"
