"""The live view: one anywidget whose whole state is synced, so that a reloaded page and a second view see it all."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import anywidget

from qwen_widgets.core.errors import clean
from qwen_widgets.grid.choices import MOST_STARS, VERDICTS, Choices, Vote, is_whole, read_vote
from qwen_widgets.grid.page import cell_of, head_of, render_viewer_page, words
from qwen_widgets.grid.styles import style_sheet
from qwen_widgets.grid.view import Action, CellView, GridView

_T = TypeVar("_T")
_STATIC = Path(__file__).parent / "static"
_NONE: Mapping[tuple[int, int], bytes] = MappingProxyType({})
_NO_CHOICES = Choices()
_LONGEST_KEY = 40


class Viewer(anywidget.AnyWidget):
    """A grid that fills while a run goes on.

    What the front end sees is ``head`` (everything but the cells), ``c0`` … (one cell each, which says its own
    row and column), ``p0`` … (its thumbnail, as binary), ``choices``, and ``words``, what the page says itself. A place keeps its number when the grid
    grows, so that only what changed travels.

    These names are synced state without being traits: the page can read and never write them, `show` may come
    from any thread (traitlets' ``hold_sync`` may not), and a grid that grows needs no new class, and one message
    where ``add_traits`` sends one a name. Custom messages would not do: the page loads the module after the comm
    opens, and a reloaded page is not told what was said before. They do for what one page asks for: an original,
    the ways to go on from a cell, the grid as a file.

    Parameters
    ----------
    view : GridView
        What to show first.
    pictures : mapping of (row, column) to bytes
        Thumbnails at hand.
    choices : Choices
        What was said of the pictures before.

    Attributes
    ----------
    on_stop : callable or None
        Called when the user presses Stop.
    on_original : callable or None
        ``(row, column) -> bytes or None``: the picture as it was stored.
    on_actions : callable or None
        ``(row, column) -> sequence of Action``: the ways to go on from a cell.
    on_act : callable or None
        ``(row, column, key)``: the user pressed the button of an `Action` with a key. The place is one of the grid;
        whether the key was offered is for the hook to say.
    on_take : callable or None
        ``(row)``: the user pressed the button in a row's header, the words of which are `GridView.take`.
    on_choice : callable or None
        ``(row, column, what, value)``: the user gave stars (``"stars"``, 0 to 5) or a mark (``"mark"``, keep,
        reject or empty). `choices` has it already.
    on_vote : callable or None
        ``(vote)``: the user decided a blind pair. `choices` has it already.
    on_page : callable or None
        ``() -> str``: the grid as one HTML file; without it, one is made of the thumbnails.

    All are called on a thread that depends on the kernel's version, with numbers that lie in the grid: answer
    quickly, or hand the work on and return. What they raise is shown in the page; where they were asked for
    something, it is the same as no answer.
    """

    # A path and not a text: with ANYWIDGET_HMR=1, and only then, anywidget watches it.
    _esm = _STATIC / "viewer.js"
    _css = style_sheet(_STATIC / "viewer.css")

    def __init__(
        self,
        view: GridView,
        pictures: Mapping[tuple[int, int], bytes] = _NONE,
        choices: Choices = _NO_CHOICES,
    ) -> None:
        self.on_stop: Callable[[], None] | None = None
        self.on_original: Callable[[int, int], bytes | None] | None = None
        self.on_actions: Callable[[int, int], Sequence[Action]] | None = None
        self.on_act: Callable[[int, int, str], None] | None = None
        self.on_take: Callable[[int], None] | None = None
        self.on_choice: Callable[[int, int, str, int | str], None] | None = None
        self.on_vote: Callable[[Vote], None] | None = None
        self.on_page: Callable[[], str] | None = None
        self._choices = choices
        self._view = view
        self._trouble = ""
        self._showing = threading.RLock()
        self._places: dict[tuple[int, int], int] = {}
        self._cells: dict[int, CellView] = {}
        self._shown: dict[str, Any] = {"choices": choices.to_json(), "words": words()}
        self._take(view, pictures)
        super().__init__()
        self.on_msg(self._receive)

    def show(self, view: GridView, pictures: Mapping[tuple[int, int], bytes] = _NONE) -> None:
        """Show what changed, in one message; nothing where nothing did. Callable from any thread.

        Parameters
        ----------
        view : GridView
            The grid as it is now; it may have grown, or be another one.
        pictures : mapping of (row, column) to bytes
            Thumbnails; those of earlier calls stay as long as their cell is stored.
        """
        with self._showing:
            changed = self._take(view, pictures)
            if changed:
                self.send_state(changed)

    def replace(
        self,
        view: GridView,
        pictures: Mapping[tuple[int, int], bytes] = _NONE,
        choices: Choices = _NO_CHOICES,
    ) -> None:
        """Show another grid, in one message: no picture, no mark and no place of the one before is left.

        Parameters
        ----------
        view : GridView
        pictures : mapping of (row, column) to bytes
            Thumbnails.
        choices : Choices
            What was said of its pictures before.
        """
        with self._showing:
            self._choices, self._shown["choices"], self._trouble = choices, choices.to_json(), ""
            changed = {*self._forget(), *self._take(view, pictures)}
            self.send_state([*changed, "choices"])

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
        before, self._view = self._view, view
        changed: dict[str, Any] = {}
        if before.run_id != view.run_id or not self._places.keys() <= {(c.row, c.column) for c in view.cells}:
            changed = self._forget()
        for cell in view.cells:
            at = (cell.row, cell.column)
            number = self._places.setdefault(at, len(self._places))
            if self._cells.get(number) != cell:
                self._cells[number] = cell
                changed[f"c{number}"] = cell_of(view, cell)
            picture = pictures.get(at) if cell.state == "stored" else b""
            if picture is not None and picture != self._shown.get(f"p{number}", b""):
                changed[f"p{number}"] = picture
        head = head_of(view, len(self._places))
        head["message"] = self._trouble or view.message
        if head != self._shown.get("head"):
            changed["head"] = head
        self._shown.update(changed)
        return list(changed)

    def _forget(self) -> dict[str, Any]:
        """Give every place's number back; the pictures that stood for them go, on the page, too."""
        gone = {name: b"" for name, value in self._shown.items() if name[0] == "p" and value}
        self._shown.update(gone)
        self._places, self._cells = {}, {}
        return dict(gone)

    @property
    def choices(self) -> Choices:
        """What was said of the pictures; setting it shows it, from any thread."""
        return self._choices

    @choices.setter
    def choices(self, choices: Choices) -> None:
        with self._showing:
            if choices != self._choices:
                self._choices = choices
                self._shown["choices"] = choices.to_json()
                self.send_state(["choices"])

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        """Take a message of the page; whatever isn't exactly a known one is ignored."""
        if not isinstance(content, dict):
            return
        kind = content.get("type")
        if content == {"type": "stop"}:
            if self.on_stop is not None and self._shown["head"]["running"]:
                self._do(self.on_stop)
        elif content == {"type": "page"}:
            self._answer(content, {}, _or_nothing(self._page))
        elif kind == "vote":
            columns = [column for column in self._view.columns if not column.before]
            vote = read_vote(content, len(self._view.rows), len(columns))
            if vote is not None:
                self.choices = self._choices.with_vote(vote)
                if self.on_vote is not None:
                    self._do(self.on_vote, vote)
        elif kind in ("original", "actions") and set(content) == {"type", "row", "column"}:
            row, column = content["row"], content["column"]
            if not self._is_place(row, column):
                return
            if kind == "original":
                hook = self.on_original
                self._answer(content, {}, _or_nothing(lambda: hook(row, column) if hook else None))
            else:
                asked = self.on_actions
                actions = _or_nothing(lambda: [asdict(one) for one in asked(row, column)] if asked else [])
                self._answer(content, {"actions": actions or []}, None)
        elif kind == "act" and set(content) == {"type", "row", "column", "key"}:
            row, column, key = content["row"], content["column"], content["key"]
            known = isinstance(key, str) and 0 < len(key) <= _LONGEST_KEY
            if self.on_act is not None and known and self._is_place(row, column):
                self._do(self.on_act, row, column, key)
        elif kind == "take" and set(content) == {"type", "row"}:
            row = content["row"]
            if self.on_take is not None and self._view.take and is_whole(row, len(self._view.rows) - 1):
                self._do(self.on_take, row)
        elif kind in ("stars", "mark") and set(content) == {"type", "row", "column", "value"}:
            row, column = content["row"], content["column"]
            # What was there before is nothing to choose among.
            if self._is_place(row, column) and not self._view.columns[column].before:
                self._choose(kind, row, column, content["value"])

    def _choose(self, what: str, row: int, column: int, value: object) -> None:
        known: int | str
        if what == "stars" and is_whole(value, MOST_STARS):
            known = value
            self.choices = self._choices.with_stars(row, column, value)
        elif (
            what == "mark" and (verdict := next((one for one in VERDICTS if one == value), None)) is not None
        ):
            known = verdict
            self.choices = self._choices.with_mark(row, column, verdict)
        else:
            return
        if self.on_choice is not None:
            self._do(self.on_choice, row, column, what, known)

    def _do(self, hook: Callable[..., None], *values: object) -> None:
        """Call a hook; what it raises is said in the page, because a message's handler has nobody to raise to."""
        trouble = ""
        try:
            hook(*values)
        except Exception as error:  # noqa: BLE001  (whatever it is, the person who pressed is told)
            trouble = clean(error) or type(error).__name__
        with self._showing:
            self._trouble = trouble
            message = trouble or self._view.message
            if message != self._shown["head"]["message"]:
                self._shown["head"] = {**self._shown["head"], "message": message}
                self.send_state(["head"])

    def _is_place(self, row: object, column: object) -> bool:
        rows, columns = len(self._view.rows), len(self._view.columns)
        return is_whole(row, rows - 1) and is_whole(column, columns - 1) and (row, column) in self._places

    def _page(self) -> bytes:
        if self.on_page is not None:
            return self.on_page().encode()
        with self._showing:
            places = self._places.items()
            pictures = {
                at: self._shown[f"p{number}"] for at, number in places if self._shown.get(f"p{number}")
            }
            view, choices = self._view, self._choices
        return render_viewer_page(view, pictures, choices).encode()

    def _answer(self, asked: dict[str, Any], more: dict[str, Any], data: bytes | None) -> None:
        """Answer the page with what it asked for; without data it does with what it has."""
        self.send({**asked, **more}, [data] if data else None)

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


def _or_nothing(make: Callable[[], _T]) -> _T | None:
    """Return what a hook gives; a message's handler has nobody to raise to, and the page does without."""
    with contextlib.suppress(Exception):
        return make()
    return None
