"""The recipe: a sweep written back as the `%%qwenimage` cell that makes it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_widgets.core.models import DEFAULT_MODEL, DEFAULT_RATIO, PRESETS, Size
from qwen_widgets.core.sweep import Row, Sweep


def write_cell(sweep: Sweep, *, title: str = "") -> str:
    """Return a cell that asks for exactly this sweep, with its seeds resolved and its prompts literal."""
    options = [f"--seeds {write_seeds(sweep.seeds)}"]
    by_prompt: dict[str, list[Row]] = {}
    for row in sweep.rows:
        by_prompt.setdefault(row.prompt, []).append(row)
    common = _common_sizes(by_prompt)
    sizes = common or (sweep.sizes[0],)
    if sizes != (PRESETS[DEFAULT_RATIO],):
        options.append("--size " + ",".join(map(write_size, sizes)))
    if sweep.models != (DEFAULT_MODEL,):
        options.append("--model " + ",".join(model.name for model in sweep.models))
    if title:
        options.append(f"--title {quoted(title)}")
    prompts = []
    for r, row in enumerate(sweep.rows):
        if by_prompt[row.prompt][0] is not row and common is not None:
            continue
        flags = ""
        own = tuple(seed for c, seed in enumerate(sweep.seeds) if (r, c) in sweep.requests)
        if common is None:
            flags += f" --ar {write_size(row.size)}"
        if own != sweep.seeds:
            flags += f" --seed {write_seeds(own)}"
        prompts.append(literal(row.prompt) + flags)
    return f"%%qwenimage {' '.join(options)}\n" + "\n\n".join(dict.fromkeys(prompts))


def _common_sizes(by_prompt: dict[str, list[Row]]) -> tuple[Size, ...] | None:
    """Return the sizes that every prompt has, None where they differ."""
    found = {tuple(dict.fromkeys(row.size for row in rows)) for rows in by_prompt.values()}
    return next(iter(found)) if len(found) == 1 else None


def write_seeds(seeds: Sequence[int]) -> str:
    """Return seeds in the shortest form that reads back as the same: ``1-4,7``."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def write_size(size: Size) -> str:
    """Return ``16:9`` for a preset, ``1280x700`` otherwise."""
    return size.ratio or f"{size.width}x{size.height}"


def literal(prompt: str) -> str:
    """Escape what the syntax of the cell would read in a prompt."""
    return re.sub(r"([\\{}|])", r"\\\1", prompt) if re.search(r"[{}|]|\\[\\{}|]", prompt) else prompt


def quoted(text: str) -> str:
    """Return a text as a value of an option, its own quotes made single."""
    return '"' + text.replace('"', "'") + '"'
