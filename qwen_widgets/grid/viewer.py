"""The live view: one anywidget whose whole state is synced, so that a reloaded page and a second view see it all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anywidget

from qwen_widgets.grid.marks import brief
from qwen_widgets.grid.view import CellView, GridView

_STATIC = Path(__file__).parent / "static"
_NONE: Mapping[tuple[int, int], bytes] = MappingProxyType({})


class Viewer(anywidget.AnyWidget):
    """A grid that fills while a run goes on.

    What the front end sees is ``head`` (everything but the cells), ``c0`` … (one cell each, which says its own
    row and column) and ``p0`` … (its thumbnail, as binary). A place keeps its number when the grid grows, so
    that only what changed travels.

    These names are synced state without being traits: the page can read and never write them, `show` may come
    from any thread (traitlets' ``hold_sync`` may not), and a grid that grows needs no new class, and one message
    where ``add_traits`` sends one a name. Custom messages would not do: the page loads the module after the comm
    opens, and a reloaded page is not told what was said before.

    Parameters
    ----------
    view : GridView
        What to show first.
    pictures : mapping of (row, column) to bytes
        Thumbnails at hand.

    Attributes
    ----------
    on_stop : callable or None
        Called when the user presses Stop, on a thread that depends on the kernel's version; hand the work on
        and return.
    """

    # Paths and not text: with ANYWIDGET_HMR=1, and only then, anywidget watches them.
    _esm = _STATIC / "viewer.js"
    _css = _STATIC / "viewer.css"

    def __init__(self, view: GridView, pictures: Mapping[tuple[int, int], bytes] = _NONE) -> None:
        self.on_stop: Callable[[], None] | None = None
        self._showing = threading.RLock()
        self._places: dict[tuple[int, int], int] = {}
        self._cells: dict[int, CellView] = {}
        self._shown: dict[str, Any] = {}
        self._take(view, pictures)
        super().__init__()
        self.on_msg(self._receive)

    def show(self, view: GridView, pictures: Mapping[tuple[int, int], bytes] = _NONE) -> None:
        """Show what changed, in one message; nothing where nothing did. Callable from any thread.

        Parameters
        ----------
        view : GridView
            The grid as it is now; it may have grown.
        pictures : mapping of (row, column) to bytes
            Thumbnails; those of earlier calls stay as long as their cell is stored.
        """
        with self._showing:
            changed = self._take(view, pictures)
            if changed:
                self.send_state(changed)

    def get_state(
        self, key: str | Iterable[str] | None = None, drop_defaults: bool = False
    ) -> dict[str, Any]:
        """Return the synced state: the traits, the head, the cells and the pictures."""
        with self._showing:
            if key is None:
                return {**super().get_state(None, drop_defaults), **self._shown}
            keys = [key] if isinstance(key, str) else list(key)
            traits = super().get_state([name for name in keys if name not in self._shown], drop_defaults)
            return {**traits, **{name: self._shown[name] for name in keys if name in self._shown}}

    def _take(self, view: GridView, pictures: Mapping[tuple[int, int], bytes]) -> list[str]:
        """Take over a view and return the names of what changed."""
        changed: dict[str, Any] = {}
        for cell in view.cells:
            at = (cell.row, cell.column)
            number = self._places.setdefault(at, len(self._places))
            if self._cells.get(number) != cell:
                self._cells[number] = cell
                changed[f"c{number}"] = asdict(cell)
            picture = pictures.get(at) if cell.state == "stored" else b""
            if picture is not None and picture != self._shown.get(f"p{number}", b""):
                changed[f"p{number}"] = picture
        head = _head(view, len(self._places))
        if head != self._shown.get("head"):
            changed["head"] = head
        self._shown.update(changed)
        return list(changed)

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        """Take a message of the page; whatever isn't exactly a known one is ignored."""
        if content == {"type": "stop"} and self.on_stop is not None and self._shown["head"]["running"]:
            self.on_stop()

    def __repr__(self) -> str:
        head = self._shown["head"]
        return f"Viewer({head['title']!r}, {head['done']} of {head['total']})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Add an empty fallback: where the widget isn't shown, the snapshot in the next output speaks."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/plain": "", "text/html": "<span></span>"}, metadata


def _head(view: GridView, places: int) -> dict[str, Any]:
    """Return what the page needs beside the cells; long prompts are cut to their marks, as in the snapshot."""
    head = asdict(replace(view, cells=()))
    del head["cells"], head["magic"]
    for row, shown in zip(head["rows"], view.rows, strict=True):
        row["parts"] = brief(shown.parts or (("same", shown.prompt),))
    return {**head, "places": places}
