"""What a panel is made with: its keyword arguments, checked by name, and the values its controls begin with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from qwen_widgets.core.errors import ArgumentError
from qwen_widgets.core.models import DEFAULT_RATIO
from qwen_widgets.core.sweep import drawing, read_models, read_seeds
from qwen_widgets.grid.recipe import write_seeds
from qwen_widgets.panel.controls import drawn_seeds

#: What a panel takes.
NAMES = (
    "prompt",
    "seeds",
    "size",
    "models",
    "max_cost",
    "images",
    "fit",
    "run",
    "title",
    "locked",
    "compact",
)
#: Columns of a panel that nothing else was asked of.
_SEEDS = 4


def without_defaults(**options: object) -> dict[str, Any]:
    """Return what was really given; nothing, an empty text and no pictures are not."""
    empty = (None, "", (), False)
    return {name: value for name, value in options.items() if not any(value is nothing for nothing in empty)}


def check_names(unknown: Iterable[str]) -> None:
    """Raise ArgumentError with a hint for an unknown keyword."""
    for name in unknown:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}."
        raise ArgumentError(f"Panel() has no argument {name!r}; {hint}")


def first_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controls' first values, in the order in which they can be set.

    Raises
    ------
    InputError
        The seeds or models can't be read; the rest is checked by the traits.
    """
    seeds, images = options.get("seeds"), options.get("images", ())
    size, locked = options.get("size", DEFAULT_RATIO), options.get("locked", ())
    if isinstance(size, tuple | list) and len(size) == 2:
        size = f"{size[0]}x{size[1]}"
    models = read_models(options.get("models"))
    drawn = drawn_seeds(models, _SEEDS)
    return {
        "prompt": options.get("prompt", ""),
        "title": options.get("title", ""),
        "model": ",".join(model.name for model in models),
        "size": size,
        "seeds": seeds
        if isinstance(seeds, str)
        else write_seeds(drawn if seeds is None else read_seeds(seeds, None, draw=drawing(models))[0]),
        "max_cost": options.get("max_cost"),
        "fit": options.get("fit", False),
        "images": tuple(images) if isinstance(images, list | tuple) else () if images is None else (images,),
        "locked": (locked,) if isinstance(locked, str) else tuple(locked),
        "compact": options.get("compact", False),
        "seed_locked": True,
        "linked": False,
    }
