"""Arguments: what a sweep is asked with in Python, of whatever types people have it, as plain values.

Each is read by ``(name, value)``, as the readers of `reading` are, and gives None where nothing was given. What they
return can be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qwen_widgets.core import reading
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import HIGHEST_SEED, LOWEST_SEED, Model, Size
from qwen_widgets.core.reading import guarded, wrong

PromptsLike = str | Iterable[str]
SeedsLike = str | int | Iterable[int]
SizesLike = str | Size | tuple[int, int] | Sequence[str | Size | tuple[int, int]]
ModelsLike = str | Model | Iterable[str | Model]

#: Entries that a list may have: no sweep holds more pictures.
MOST = 1000
#: Models, and pictures of one request: more than anybody names.
_MOST_NAMED = 100
#: A side of so many pixels is refused by every model, with what it takes.
_LARGEST_SIDE = 10**9
_SEEDS = f"give whole numbers from {LOWEST_SEED} to {HIGHEST_SEED}, or a text such as 1-4"
_SIZES = "give a text such as 16:9 or 1280x720, or width and height in pixels"
_MODELS = "name at least one, such as qwen-image-2.0"


def prompts(name: str, value: object) -> list[str]:
    """Return prompts as a list of texts."""
    return reading.texts(name, value, "give a text or a list of texts", most=MOST)


@guarded
def seeds(name: str, value: object, cap: int = MOST) -> str | list[int] | None:
    """Return seeds as a text or a list of whole numbers, -1 for one that is to be drawn."""
    if value is None:
        return None
    if isinstance(value, str):
        return reading.text(name, value)
    found = reading.items(name, value, _SEEDS, most=cap) if _is_several(value) else [value]
    if not found:
        raise InputError(f"{name}: give at least one, such as 1-4.")
    return [reading.whole(name, seed, least=-1, most=HIGHEST_SEED, wanted=_SEEDS) for seed in found]


def count(name: str, value: object, cap: int = MOST) -> int | None:
    """Return how many seeds are to be drawn."""
    return None if value is None else reading.whole(name, value, least=1, most=cap)


@guarded
def sizes(name: str, value: object) -> list[str] | None:
    """Return sizes as texts."""
    if value is None:
        return None
    if isinstance(value, str):
        return [reading.text(name, value)]
    found = reading.items(name, value, _SIZES, most=MOST)
    if len(found) == 2 and not any(isinstance(side, str) or _is_several(side) for side in found):
        found = [found]
    if not found:
        raise InputError(f"{name}: give at least one, such as 16:9.")
    return [_size(name, one) for one in found]


@guarded
def _size(name: str, value: object) -> str:
    if isinstance(value, str):
        return reading.text(name, value)
    sides = reading.items(name, value, _SIZES, most=MOST)
    if len(sides) != 2:
        raise wrong(name, value, _SIZES)
    width, height = (reading.whole(name, side, least=1, most=_LARGEST_SIDE, wanted=_SIZES) for side in sides)
    return f"{width}x{height}"


@guarded
def models(name: str, value: object) -> list[str | Model] | None:
    """Return models by their names, or as what they are."""
    if value is None:
        return None
    if isinstance(value, Model):
        return [value]
    found: list[Any] = (
        reading.text(name, value).split(",")
        if isinstance(value, str)
        else reading.items(name, value, _MODELS, most=_MOST_NAMED)
    )
    named = [one if isinstance(one, Model) else reading.text(name, one, _MODELS).strip() for one in found]
    if not any(named):
        raise InputError(f"{name}: {_MODELS}.")
    return [one for one in named if one]


def models_alone(name: str, value: object) -> tuple[Model, ...]:
    """Return models that are models already, none of them too."""
    wanted = "give models, as find_model returns them"
    found = reading.items(name, value, wanted, most=_MOST_NAMED)
    return tuple(reading.instance(name, one, Model, wanted) for one in found)


def output_format(name: str, value: object) -> str:
    """Return the name of a format; empty for none."""
    return "" if value is None else reading.text(name, value, "it is png, jpeg or webp")


def inputs(name: str, value: object) -> dict[str, Any] | None:
    """Return further inputs by their names."""
    return None if value is None else reading.mapping(name, value, 'give a dict, such as {"steps": 30}')


def variables(name: str, value: object) -> dict[str, Any] | None:
    """Return the values for ``{{name}}``."""
    return None if value is None else reading.mapping(name, value, 'give a dict, such as {"animal": "fox"}')


@guarded
def images(name: str, value: object) -> list[object]:
    """Return what is given as input pictures, each as it is; what isn't a list is one of them."""
    if value is None:
        return []
    if isinstance(value, list | tuple | Iterator):
        return reading.items(name, value, "give a list of pictures", most=_MOST_NAMED)
    return [value]


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and getattr(value, "ndim", None) != 0
