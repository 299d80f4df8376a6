"""Whether a file is still what it was when it was last read through: told by its size and time, without reading it.

A file that was found right gets a time whose fraction of a second is made of its name and its size; the second stays
as it was. A program that writes to it, cuts it, or puts another in its place gives it another time, or brings the
fraction of another name. So any process sees it with one look, and no list of sizes and times has to be kept true
beside the files. Where a file system keeps no fractions, this process remembers what it has read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

_SECOND = 1_000_000_000
#: Windows keeps times in units of 100 ns.
_UNIT = 100

#: Size, time and the file itself: what changes with the bytes.
_Look = tuple[int, int, int]


class Stamps:
    """What a process knows of files of which each has one right content."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[_Look | None, bool]] = {}

    def is_right(self, path: Path, name: str, read: Callable[[], bool]) -> bool:
        """Whether a file holds what it should; where its size or its time is another, it is read.

        Parameters
        ----------
        name : str
            What its right content is known by.
        read : callable
            Reads the file and says whether it is right; may raise OSError.
        """
        look = _look(path)
        if look is None:
            self._read[path] = (None, False)
            return False
        known = self._read.get(path)
        if known is not None and known[0] == look:
            return known[1]
        right = look[1] % _SECOND == _fraction(name, look[0])
        if not right:
            with contextlib.suppress(OSError):
                right = read()
            # Written to while it was read: the next look reads it again.
            if _look(path) != look:
                return right
            if right:
                self.stamp(path, name)
                return True
        self._read[path] = (look, right)
        return right

    def stamp(self, path: Path, name: str) -> None:
        """Take it that a file holds what it should, from now on and in every process."""
        look = _look(path)
        if look is None:
            return
        size, time, _ = look
        with contextlib.suppress(OSError):  # somebody else's file, on a shared disk
            os.utime(path, ns=(time, time // _SECOND * _SECOND + _fraction(name, size)))
        self._read[path] = (_look(path), True)

    def note_wrong(self, path: Path) -> None:
        """Take it that a file doesn't hold what it should, whatever its size and time say: a disk can lose bits."""
        if (look := _look(path)) is not None:
            with contextlib.suppress(OSError):
                os.utime(path, ns=(look[1], look[1] // _SECOND * _SECOND))
        self._read[path] = (_look(path), False)

    def is_known_wrong(self, path: Path) -> bool:
        """Whether the file was gone, or wrong, when it was last looked at; nothing is looked at now."""
        return not self._read.get(path, (None, True))[1]


def _look(path: Path) -> _Look | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino
    return None


def _fraction(name: str, size: int) -> int:
    digest = hashlib.sha256(f"{name} {size}".encode()).digest()
    return int.from_bytes(digest[:8]) % (_SECOND // _UNIT) * _UNIT
