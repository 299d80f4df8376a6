"""The notebook around a panel: its magics, which a copied cell needs, and when one of its cells has run."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

#: What is called after each cell, for as long as its panel lives.
_WORK: list[weakref.WeakMethod[Callable[[], None]]] = []


def attend(work: Callable[[], None]) -> None:
    """Do something after each cell that the notebook runs: a key, a setting or a price may be another one.

    The magics are loaded as well, where nobody has: the panel offers cells that need them.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return
    if "qwen_widgets" not in shell.extension_manager.loaded:
        shell.extension_manager.load_extension("qwen_widgets")
    if not any(one() == work for one in _WORK):
        _WORK.append(weakref.WeakMethod(work))
    if _cell_has_run not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _cell_has_run)


def _cell_has_run(_result: object) -> None:
    _WORK[:] = [one for one in _WORK if one() is not None]
    for one in tuple(_WORK):
        if (work := one()) is not None:
            work()
