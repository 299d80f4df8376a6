"""A `%%qwenimage` cell and a comparison grid for Qwen Image 2.0 in Jupyter.

The names are looked up when they are first used: importing the package costs next to nothing, prints
nothing and patches nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qwen_widgets._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from qwen_widgets import grid
    from qwen_widgets.account import usage
    from qwen_widgets.archive import accept_ledger, history, read
    from qwen_widgets.core.errors import QwenError
    from qwen_widgets.core.request import ImageRequest
    from qwen_widgets.grid.grid import Cell, Grid
    from qwen_widgets.making import agenerate, generate
    from qwen_widgets.panel import Panel
    from qwen_widgets.studio import Studio
    from qwen_widgets.wording import aenhance, enhance

__all__ = [
    "Cell",
    "Grid",
    "ImageRequest",
    "Panel",
    "QwenError",
    "Studio",
    "__version__",
    "accept_ledger",
    "aenhance",
    "agenerate",
    "enhance",
    "generate",
    "grid",
    "history",
    "load_ipython_extension",
    "read",
    "unload_ipython_extension",
    "usage",
]

_HOMES = {
    "Cell": "qwen_widgets.grid.grid",
    "Grid": "qwen_widgets.grid.grid",
    "ImageRequest": "qwen_widgets.core.request",
    "Panel": "qwen_widgets.panel",
    "QwenError": "qwen_widgets.core.errors",
    "Studio": "qwen_widgets.studio",
    "accept_ledger": "qwen_widgets.archive",
    "aenhance": "qwen_widgets.wording",
    "agenerate": "qwen_widgets.making",
    "enhance": "qwen_widgets.wording",
    "generate": "qwen_widgets.making",
    "history": "qwen_widgets.archive",
    "read": "qwen_widgets.archive",
    "usage": "qwen_widgets.account",
}


def __getattr__(name: str) -> Any:
    if name == "grid":
        return importlib.import_module("qwen_widgets.grid")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics (``%load_ext qwen_widgets``)."""
    from qwen_widgets.magic import load  # noqa: PLC0415

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away again (``%unload_ext qwen_widgets``)."""
    from qwen_widgets.magic import unload  # noqa: PLC0415

    unload(shell)
