"""What a cell's ``-i`` names: a variable with a picture, a cell of a grid, or whatever the core can read by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.inputs import Given, Offering
from qwen_widgets.grid.grid import Grid

_PLACE = re.compile(r"([^\W\d]\w*)\[\s*(-?\d{1,9})\s*(?:,\s*(-?\d{1,9})\s*)?\]")


def given_by_name(text: str, names: Mapping[str, object]) -> object:
    """Return what a word of a cell stands for.

    Parameters
    ----------
    text : str
        ``fox[0,2]``, ``photos[1]``, ``photo``; anything else, and what is no variable, comes back as it is.
    names : mapping
        The notebook's variables.

    Raises
    ------
    InputError
        The variable has no such place, or its place holds no picture.
    """
    word = text.strip()
    place = _PLACE.fullmatch(word)
    if place is not None and place[1] in names:
        held = names[place[1]]
        first, second = int(place[2]), place[3]
        try:
            found = held[first, int(second)] if second is not None else held[first]  # type: ignore[index]
        except (IndexError, KeyError, TypeError) as error:
            said = str(error) if isinstance(held, Grid) else "the variable has no such place"
            raise InputError(f"image {word!r}: {said.rstrip('.')}.") from None
    elif word.isidentifier() and word in names:
        found = names[word]
    else:
        return text
    if isinstance(found, str | Path | Offering):
        return found
    return Given(found, name=repr(word))
