"""Options: the keyword arguments of generate, and what they say of a sweep."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from qwen_widgets.core.enhancer import read_wish
from qwen_widgets.core.errors import ArgumentError
from qwen_widgets.core.models import Model
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import (
    ModelsLike,
    PromptsLike,
    SeedsLike,
    SizesLike,
    Sweep,
    plan_sweep,
    read_models,
)


class GenerateOptions(TypedDict, total=False):
    """The keyword arguments of `generate` and `agenerate`."""

    seeds: SeedsLike | None
    count: int | None
    sizes: SizesLike | None
    models: ModelsLike | None
    images: object
    fit: bool
    output_format: str
    inputs: Mapping[str, object] | None
    lines: bool
    variables: Mapping[str, object] | None
    fresh: bool
    max_cost: float | None
    title: str
    enhance: str | bool | None


def check_names(options: GenerateOptions) -> None:
    """Raise ArgumentError with a hint for an unknown keyword."""
    known = GenerateOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise ArgumentError(f"generate() has no argument {name!r}; {hint}")


def images_of(options: GenerateOptions) -> tuple[list[object], tuple[Model, ...], bool]:
    """Return the input pictures as they were given, the models that get them, and whether they may be scaled."""
    given = options.get("images")
    images = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    models = read_models(options.get("models"), editing=True) if images else ()
    return images, models, options.get("fit", False)


def read_options(
    prompts: PromptsLike, options: GenerateOptions, images: Sequence[InputPicture]
) -> tuple[Sweep, dict[str, Any]]:
    """Return the sweep that was asked for, and what else a run is prepared with."""
    sweep = plan_sweep(
        prompts,
        seeds=options.get("seeds"),
        count=options.get("count"),
        sizes=options.get("sizes"),
        models=options.get("models"),
        images=images,
        output_format=options.get("output_format", ""),
        inputs=options.get("inputs"),
        lines=options.get("lines", False),
        variables=options.get("variables"),
    )
    rest = {
        "fresh": options.get("fresh", False),
        "max_cost": options.get("max_cost"),
        "title": options.get("title", ""),
        "wish": read_wish(options.get("enhance")),
    }
    return sweep, rest
