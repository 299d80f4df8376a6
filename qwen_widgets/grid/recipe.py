"""The recipe: a sweep written back as the `%%qwenimage` cell that makes it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_widgets.core.model_schema import Scalar
from qwen_widgets.core.models import (
    DEFAULT_EDIT_MODEL,
    DEFAULT_MODEL,
    DEFAULT_RATIO,
    SHELF,
    Model,
    Size,
)
from qwen_widgets.core.request import KEPT, ImageRequest, InputPicture
from qwen_widgets.core.sweep import Row, Sweep


def write_cell(sweep: Sweep, *, title: str = "") -> str:
    """Return a cell that asks for exactly this sweep, with its seeds resolved and its prompts literal."""
    seeds = _seeds(sweep.seeds)
    options = [f"--seeds {write_seeds(seeds)}"] if seeds else []
    by_prompt: dict[str, list[Row]] = {}
    for row in sweep.rows:
        by_prompt.setdefault(row.prompt, []).append(row)
    images = sweep.rows[0].images if sweep.rows else ()
    common = _common_sizes(sweep.rows)
    sizes = common or tuple(dict.fromkeys(filter(None, map(_size_text, sweep.rows))))[:1]
    # Without a size, one of a picture follows the picture.
    if sizes and (images or sizes != (DEFAULT_RATIO,)):
        options.append("--size " + ",".join(sizes))
    if sweep.models != (DEFAULT_EDIT_MODEL if images else DEFAULT_MODEL,):
        options.append("--model " + ",".join(model.name for model in sweep.models))
    options += [f"--image {write_source(picture)}" for picture in images]
    chosen = (row.output_format for row in sweep.rows if row.output_format not in row.model.formats[:1])
    if output_format := next(filter(None, chosen), ""):
        options.append(f"--format {output_format}")
    extra = sweep.rows[0].extra if sweep.rows else ()
    options += [f"--input {quoted(f'{name}={write_value(value)}')}" for name, value in extra]
    if title:
        options.append(write_title(title))
    prompts = []
    for r, row in enumerate(sweep.rows):
        if by_prompt[row.prompt][0] is not row and common is not None:
            continue
        flags = ""
        own = _seeds([seed for c, seed in enumerate(sweep.seeds) if (r, c) in sweep.requests])
        if common is None and row.model.takes_size:
            flags += f" --ar {_size_text(row)}"
        if own != seeds and row.model.takes_seed:
            flags += f" --seed {write_seeds(own)}"
        prompts.append(literal(row.prompt) + flags)
    return f"%%qwenimage {' '.join(options)}".rstrip() + "\n" + "\n\n".join(dict.fromkeys(prompts))


def write_value(value: Scalar) -> str:
    """Return a further input's value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_edit(request: ImageRequest, source: str, size: Size | None) -> tuple[str, Model] | None:
    """Return the beginning of a cell that edits a request's picture, and its model; None where no model can.

    The change is left to be written: run as it is, the cell says so and buys nothing.
    """
    asked = request.model
    model = (
        asked if asked.takes_images else SHELF.find(f"{asked.name}-edit") or SHELF.find(DEFAULT_EDIT_MODEL.id)
    )
    if model is None or size is None:
        return None
    options = [f"--image {source}"]
    if request.seed is not None and model.takes_seed:
        options.append(f"--seeds {request.seed}")
    if model != DEFAULT_EDIT_MODEL:
        options.append(f"--model {model.name}")
    if not model.takes_picture(size):
        options.append("--fit")
    return f"%%qwenimage {' '.join(options)}\n# write below what is to change in the picture\n", model


def _seeds(columns: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(seed for seed in columns if seed is not None)


def _common_sizes(rows: Sequence[Row]) -> tuple[str, ...] | None:
    """Return the sizes that every prompt has with every model that takes one, None where they differ."""
    found: dict[tuple[str, Model], dict[str, None]] = {}
    for row in rows:
        if row.model.takes_size:
            found.setdefault((row.prompt, row.model), {})[_size_text(row)] = None
    sizes = {tuple(texts) for texts in found.values()}
    return next(iter(sizes), ()) if len(sizes) <= 1 else None


def _size_text(row: Row) -> str:
    return write_size(row.size, row.model) if row.model.takes_size else ""


def seed_text(seed: int | None) -> str:
    """Return ``seed 7``, or ``no seed`` for a model that takes none."""
    return "no seed" if seed is None else f"seed {seed}"


def write_source(picture: InputPicture) -> str:
    """Return how a cell's ``-i`` names an input picture, in quotes where it needs them."""
    source = picture.source or f"{KEPT}{picture.sha256[:20]}"
    if not re.search(r"[\s'\"]", source):
        return source
    quote = "'" if '"' in source else '"'
    # With both kinds of quotes in its name it can't be written; the kept copy can.
    return f"{KEPT}{picture.sha256[:20]}" if quote in source else f"{quote}{source}{quote}"


def write_seeds(seeds: Sequence[int]) -> str:
    """Return seeds in the shortest form that reads back as the same: ``1-4,7``."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def write_size(size: Size, model: Model = DEFAULT_MODEL) -> str:
    """Return ``16:9`` for a preset of the model, ``1280x700`` otherwise."""
    return model.ratio(size) or f"{size.width}x{size.height}"


def literal(prompt: str) -> str:
    """Escape what the syntax of the cell would read in a prompt."""
    return re.sub(r"([\\{}|])", r"\\\1", prompt) if re.search(r"[{}|]|\\[\\{}|]", prompt) else prompt


def write_title(title: str) -> str:
    """Return a heading as an option; one that begins as an option does must hang on its name."""
    return f"--title{'=' if title.startswith('-') else ' '}{quoted(title)}"


def quoted(text: str) -> str:
    """Return a text as a value of an option; with both kinds of quotes in it, its double ones made single."""
    if '"' in text and "'" not in text:
        return f"'{text}'"
    return '"' + text.replace('"', "'") + '"'
