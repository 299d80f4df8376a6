"""Paths as a person gives them: with the home folder that a ``~`` stands for."""

from __future__ import annotations

from pathlib import Path

from qwen_widgets.core.errors import InputError


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
