"""Options: the keyword arguments of generate, and what they say of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from qwen_widgets.core.enhancer import read_wish
from qwen_widgets.core.sweep import ModelsLike, PromptsLike, SeedsLike, SizesLike, Sweep, plan_sweep


class GenerateOptions(TypedDict, total=False):
    """The keyword arguments of `generate` and `agenerate`."""

    seeds: SeedsLike | None
    count: int | None
    sizes: SizesLike | None
    models: ModelsLike | None
    output_format: str
    lines: bool
    variables: Mapping[str, object] | None
    fresh: bool
    max_cost: float | None
    title: str
    enhance: str | bool | None


def read_options(prompts: PromptsLike, options: GenerateOptions) -> tuple[Sweep, dict[str, Any]]:
    """Lay out what was asked for; an unknown keyword gets a hint."""
    known = GenerateOptions.__annotations__
    for name in options:
        if name not in known:
            import difflib  # noqa: PLC0415

            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise TypeError(f"generate() has no argument {name!r}; {hint}")
    sweep = plan_sweep(
        prompts,
        seeds=options.get("seeds"),
        count=options.get("count"),
        sizes=options.get("sizes"),
        models=options.get("models"),
        output_format=options.get("output_format", ""),
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
