"""What comes from the page: values and presses, each checked like any other, and what is locked stays."""

from __future__ import annotations

from typing import Any

from traitlets import TraitError

from qwen_widgets.core.errors import QwenError
from qwen_widgets.panel.bridge import Bridge, read_fields
from qwen_widgets.panel.controls import CUSTOM, LOCKABLE, Controls, stepped
from qwen_widgets.panel.editing import uploaded
from qwen_widgets.panel.form import Form
from qwen_widgets.panel.heard import shown

#: What the page can ask for by a button; ``fields`` brings what was typed and asks for nothing.
_PRESSES = ("clear", "enhance", "accept", "dismiss", "run", "stop", "die", "last", "undo", "redo", "reset",
            "fields")  # fmt: skip


class Taking(Controls):
    """Controls that a page sets and presses. What the buttons do has the names of the presses."""

    _form: Form
    _bridge: Bridge
    #: What is told in the page.
    _told: Exception | None

    @shown
    def _take(self, name: str, value: Any) -> None:
        """Take a control's value; what can't be is told at the control, which shows the old one again."""
        if (error := self._taken(name, value)) is not None:
            self._say(error)

    def _taken(self, name: str, value: Any) -> Exception | None:
        """Take a control's value, or return why it can't be one."""
        found: Exception | None = None
        if value == getattr(self, name):
            return None
        try:
            if not self.is_locked(name):
                with self._form.seen(name):
                    setattr(self, name, stepped(value) if name in ("width", "height") else value)
        except (QwenError, TraitError) as error:
            found = error
        if getattr(self, name) != value:
            self._form.show(name, getattr(self, name), again=True)
        return found

    @shown
    def _files(self, change: Any) -> None:
        """Take the files that the page has given."""
        given = uploaded(change["new"])
        if given and not self.is_locked("files"):
            self.images = given

    def is_locked(self, name: str) -> bool:
        """Whether the page may not change a control."""
        if "model" in self.locked and (name == "clear" or (name == "files" and not self.edits)):
            # The pictures choose the model.
            return True
        return any(name in LOCKABLE[lock] for lock in self.locked)

    def _pressed(self, what: str, fields: dict[str, Any]) -> None:
        """Take a press; the page, which has marked its button, is told when that is done."""
        self._do(what, fields)
        self._bridge.send({"type": "heard"})

    @shown
    def _do(self, what: str, fields: dict[str, Any]) -> None:
        """Take a press with the fields as they stood in the page; each is checked like any other value."""
        if what not in _PRESSES:
            return
        if what == "stop":
            # Whatever the fields hold.
            self._press(what)
            return
        wrong, before = None, self._told
        for name, value in read_fields(fields, self._form.options()).items():
            if name in ("width", "height") and self.ratio != CUSTOM:
                continue  # fields that nobody sees
            wrong = self._taken(name, value) or wrong
        # What can't be is told at its field, and nothing is bought with another value.
        heard = None if self._told is before else self._told
        if wrong is not None:
            self._say(wrong)
        elif what != "fields":
            self._press(what)
            if heard is not None and self._told is None:
                # An observer has raised it: the press is done all the same, and says nothing of its own.
                self._say(heard)

    @shown
    def _press(self, what: str) -> None:
        """Do what a button says, where that isn't locked."""
        guarded = {"run": "", "stop": "", "reset": "", "clear": "clear", "die": "seed", "last": "seed"}
        if not self.is_locked(guarded.get(what, "prompt")):
            getattr(self, {"die": "draw", "last": "use_last"}.get(what, what))()
