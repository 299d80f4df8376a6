"""What a panel is made with: its keyword arguments, checked by name, and the values its controls begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qwen_widgets.core import reading
from qwen_widgets.core.models import DEFAULT_RATIO
from qwen_widgets.core.sweep import read_models
from qwen_widgets.grid.recipe import write_seeds
from qwen_widgets.panel.controls import READERS, drawn_seeds

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
        reading.unknown_argument("Panel", name, NAMES)


def first_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controls' first values, in the order in which they can be set.

    Raises
    ------
    InputError
        One of them can't be read; what else is wrong with it is checked by the traits.
    """
    given: dict[str, Any] = {name: READERS[name](name, value) for name, value in options.items()}
    models = read_models(given.get("models"))
    return {
        "prompt": "",
        "title": "",
        "model": ",".join(model.name for model in models),
        "size": DEFAULT_RATIO,
        "seeds": write_seeds(drawn_seeds(models, _SEEDS)),
        "max_cost": None,
        "fit": False,
        "images": (),
        "locked": (),
        "compact": False,
        "seed_locked": True,
        "linked": False,
    } | {name: value for name, value in given.items() if name != "models"}
