"""The figures that are noted in noted.json, and whether one of a run is worse: every benchmark says so and ends with 1.

What is noted is a ratio or a bound where that is possible, since machines differ; `tolerance` is the part by which a
figure may be above the noted one (below it, where more is better).
"""

from __future__ import annotations

import atexit
import json
import os
from pathlib import Path

NOTED = Path(__file__).parent / "noted.json"
_worse: list[str] = []


def compare(name: str, figure: float, *, noted: Path = NOTED) -> bool:
    """Say so where a figure is worse than the noted one; whether it is.

    Raises
    ------
    KeyError
        Nothing is noted under that name.
    """
    entry = json.loads(noted.read_text(encoding="utf-8"))[name]
    best, tolerance = entry["figure"], entry["tolerance"]
    more_is_better = entry.get("more_is_better", False)
    worse = figure < best * (1 - tolerance) if more_is_better else figure > best * (1 + tolerance)
    if worse:
        print(f"worse than noted: {name} is {figure:.3g}, and {best:.3g} was noted (±{tolerance:.0%})")
        if not _worse:
            atexit.register(_end_with_1)
        _worse.append(name)
    return worse


def _end_with_1() -> None:
    print(flush=True)
    os._exit(1)
