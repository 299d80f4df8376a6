"""Damage to the files of a home while no kernel lives: the ledger, its copies, the stored pictures."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

_PAGE = 4096


def copies(home: Path) -> list[Path]:
    """Return the automatic copies of the ledger that there are."""
    return sorted(
        path
        for path in home.glob("ledger*")
        if path.is_file()
        and path.name != "ledger.sqlite3"
        and not path.name.startswith("ledger.corrupt-")
        and not path.name.endswith(("-journal", "-wal", "-shm"))
    )


def damage_ledger(home: Path, rnd: random.Random) -> str:
    """Damage the ledger in one way of seven; says which."""
    path = home / "ledger.sqlite3"
    return _damage(path, rnd) if path.exists() else "there is none"


def damage_copies(home: Path, rnd: random.Random) -> str:
    """Damage each copy of the ledger in some way; says which."""
    return ", ".join(f"{path.name} {_damage(path, rnd)}" for path in copies(home)) or "there are none"


def _damage(path: Path, rnd: random.Random) -> str:
    data = path.read_bytes()
    how = rnd.choice(("header", "middle", "cut", "emptied", "deleted", "journal", "page of zeros"))
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
    found = sorted(home.glob("pictures/??/*"))
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
