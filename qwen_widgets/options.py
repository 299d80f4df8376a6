"""Options: the keyword arguments of generate, each read as a plain value, and what they say of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, cast

from qwen_widgets.core import arguments, reading
from qwen_widgets.core.arguments import ModelsLike, PromptsLike, SeedsLike, SizesLike
from qwen_widgets.core.enhancer import Wish, read_wish
from qwen_widgets.core.models import Model
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import Sweep, plan_sweep, read_models


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
    enhance: str | bool | Wish | None


#: How each of them is read, before anything else is done.
_READERS: Mapping[str, Callable[[str, object], object]] = {
    "seeds": arguments.seeds,
    "count": arguments.count,
    "sizes": arguments.sizes,
    "models": arguments.models,
    "images": arguments.images,
    "fit": reading.flag,
    "output_format": arguments.output_format,
    "inputs": arguments.inputs,
    "lines": reading.flag,
    "variables": arguments.variables,
    "fresh": reading.flag,
    "max_cost": reading.maybe(reading.dollars),
    "title": reading.title,
    "enhance": read_wish,
}


def plain_options(prompts: object, options: GenerateOptions) -> tuple[list[str], GenerateOptions]:
    """Return prompts and options as plain values, each of them read once: a generator gives nothing a second time.

    Raises
    ------
    ArgumentError
        There is no such option; with a hint.
    InputError
        One of them is nothing that can be used.
    """
    for name in options:
        if name not in GenerateOptions.__annotations__:
            reading.unknown_argument("generate", name, GenerateOptions.__annotations__)
    texts = arguments.prompts("prompts", prompts)
    read = {name: _READERS[name](name, value) for name, value in options.items()}
    return texts, cast("GenerateOptions", read)


def images_of(options: GenerateOptions) -> tuple[list[object], tuple[Model, ...], bool]:
    """Return the input pictures as they were given, the models that get them, and whether they may be scaled."""
    images = arguments.images("images", options.get("images"))
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
        "wish": options.get("enhance"),
    }
    return sweep, rest
