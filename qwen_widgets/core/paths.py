"""Paths as a person gives them: with the home folder that a ``~`` stands for; and why a file there can't be had."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qwen_widgets.core.errors import InputError

#: Bytes of a file that is read whole; no picture has as many.
_LARGEST = 200_000_000


def expanded(path: str | Path, what: str) -> Path:
    """Return a path with its home folder written out.

    Parameters
    ----------
    what : str
        How the sentence begins that says that there is none.

    Raises
    ------
    InputError
    """
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"{what}: there is no home folder {path.parts[0]}.") from None


def read_file(path: Path, what: str) -> bytes:
    """Return the bytes of a file, or say in a sentence that begins with `what` why it can't be read.

    Raises
    ------
    InputError
        Also of what isn't a file: a device or a pipe would never end.
    """
    with told(what, "read"):
        found = os.stat(path)  # noqa: PTH116  (of what is opened next)
        if stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST:
            return path.read_bytes()
        problem = "is a folder" if stat.S_ISDIR(found.st_mode) else "is no file that a picture could be in"
    raise InputError(f"{what}: that {problem}.")


@contextmanager
def told(what: str, act: str) -> Iterator[None]:
    """Turn what the system says of a file or a folder into a sentence that begins with `what`.

    Parameters
    ----------
    act : str
        What can't be done with it: ``read``, ``written``.

    Raises
    ------
    InputError
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or "the system refuses it"
    except ValueError:
        why = "that can't be a name"
    else:
        return
    raise InputError(f"{what}: it can't be {act} ({why}).")
