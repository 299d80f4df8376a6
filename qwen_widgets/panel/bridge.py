"""The panel's side in the page: one anywidget that keeps keys inside, names what is nameless, and copies texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
from traitlets import Dict, Unicode

from qwen_widgets.core.errors import InputError
from qwen_widgets.grid.styles import style_sheet

_STATIC = Path(__file__).parent / "static"
#: The fields that the page sends with a press, and the kind of each; a dropdown's is the place in its options.
_FIELDS = (
    ("prompt", str), ("title", str), ("suggestion", str), ("style", int), ("model", int), ("ratio", int),
    ("width", int), ("height", int), ("seed", int), ("count", int),
)  # fmt: skip


class Bridge(anywidget.AnyWidget):
    """What ipywidgets' controls can't do by themselves; it draws nothing.

    It stops keys at the panel's edge, gives controls the names and states that screen readers read, and copies.
    A press of Run brings the fields as the person sees them: ipywidgets holds a second change of a control back
    until the kernel has answered the first one, and a button's press would overtake it.

    Attributes
    ----------
    on_press : callable or None
        ``(what, fields)``: a button was pressed. Nothing of it has been checked.
    """

    _esm = _STATIC / "panel.js"
    _css = style_sheet(_STATIC / "panel.css")

    #: What Copy as magic and Copy as Python copy.
    magic = Unicode().tag(sync=True)
    python = Unicode().tag(sync=True)
    #: The fields that both texts were made of.
    fields = Dict().tag(sync=True)
    #: Accessible names of what ipywidgets leaves without one, by the class of the control.
    names = Dict().tag(sync=True)

    def __init__(self, **values: Any) -> None:
        self.on_press: Callable[[str, dict[str, Any]], None] | None = None
        super().__init__(**values)
        self.on_msg(self._receive)

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        if not isinstance(content, dict) or set(content) != {"type", "fields"}:
            return
        what, fields = content["type"], content["fields"]
        if isinstance(what, str) and isinstance(fields, dict) and self.on_press is not None:
            self.on_press(what, fields)


def read_fields(fields: Mapping[str, Any], options: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what the page said of the fields, in the order in which it is to be taken.

    Whether the values themselves will do is checked where they are taken.

    Parameters
    ----------
    options : mapping of str to sequence of str
        The values of each dropdown.

    Raises
    ------
    InputError
        A field is empty, or holds what it can't hold.
    """
    found: dict[str, Any] = {}
    for name, kind in _FIELDS:
        if name not in fields:
            continue
        value: Any = fields[name]
        if type(value) is not kind:  # a bool is no number
            raise InputError(f"{name}: give a {'text' if kind is str else 'whole number'}.")
        if name in options:
            if value not in range(len(options[name])):
                raise InputError(f"{name}: there is no such choice.")
            value = options[name][int(value)]
        found[name] = value
    return found
