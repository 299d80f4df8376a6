"""Showing a grid: the viewer beside the snapshot in a notebook, a line and the paths elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from qwen_widgets.core import reading
from qwen_widgets.core.forks import in_child
from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.describe import cell_actions, describe, plural, seconds_text
from qwen_widgets.grid.export import page
from qwen_widgets.grid.files import look_at_files
from qwen_widgets.grid.miniatures import snapshot_pictures
from qwen_widgets.grid.recipe import seed_text
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.grid.view import NOTHING
from qwen_widgets.grid.viewer import Viewer

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Grid

#: `live`: a notebook whose page shows widgets. `static`: one that is executed without a page (nbclient, nbconvert,
#: papermill). `terminal`: IPython in a terminal. `script`: no IPython.
FrontEnd = Literal["live", "static", "terminal", "script"]

#: Seconds between snapshots while a run goes on: whoever saves in mid-run has most of it.
_SNAPSHOT_EVERY = 10.0


def front_end() -> FrontEnd:
    """Return what kind of front end the running code has."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # What a process that was forked from a kernel displays, the kernel's page knows nothing of.
    if shell is None or shell is _parents_shell:
        return "script"
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    # Voilà executes a notebook without anyone to type, and shows widgets all the same.
    if any(name.startswith("VOILA_") for name in os.environ) or "voila" in os.environ.get(
        "SERVER_SOFTWARE", ""
    ):
        return "live"
    # A page can be asked for input; nbclient and what builds on it say that it can't.
    parent = kernel.get_parent() if hasattr(kernel, "get_parent") else {}
    content = parent.get("content", {}) if isinstance(parent, dict) else {}
    return "live" if content.get("allow_stdin", True) else "static"


_parents_shell: object = None


def _note_shell() -> None:
    global _parents_shell  # noqa: PLW0603  (there is one shell a process)
    ipython = sys.modules.get("IPython")
    _parents_shell = ipython.get_ipython() if ipython is not None else None


in_child(_note_shell)


def front_end_named(name: str, value: object) -> FrontEnd:
    """Read the name of a kind of front end."""
    return reading.choice(name, value, get_args(FrontEnd))


@runtime_checkable
class View(Protocol):
    """One showing of a grid."""

    def refresh(self) -> None:
        """Bring it up to date; called at most ten times a second, on any thread."""

    def finish(self) -> None:
        """Bring it to its last state."""

    def choose(self, choices: Choices) -> None:
        """Show what was said of the pictures."""


def open_view(grid: Grid, *, kind: FrontEnd | None = None) -> View:
    """Show a grid where the code runs; to be called from the cell whose output it becomes.

    Parameters
    ----------
    kind : FrontEnd, optional
        In place of what is found.
    """
    look_at_files(grid)
    kind = kind or front_end()
    if kind == "live":
        return LiveView(grid)
    if kind == "static":
        return StaticView(grid)
    return TextView(grid, paths=kind == "terminal")


def connect(viewer: Viewer, grid: Grid) -> None:
    """Let a viewer's hooks be answered by a grid, each of which may be set to something else afterwards."""

    def chosen(*_what: object) -> None:
        # The viewer has checked the message and taken it up; from here on it is the grid's.
        grid.choices = viewer.choices

    viewer.on_stop = grid.stop
    viewer.on_original = grid.original
    viewer.on_actions = lambda row, column: cell_actions(grid, row, column)
    viewer.on_act = grid.act
    viewer.on_choice = chosen
    viewer.on_vote = chosen
    viewer.on_page = lambda: page(grid)


class LiveView:
    """The viewer, and in an output of its own below it the snapshot, which the viewer hides while it lives."""

    def __init__(self, grid: Grid) -> None:
        from IPython.display import display  # noqa: PLC0415

        self._grid = grid
        self._lock = threading.Lock()
        #: The widget; its hooks may be set anew by whoever shows more around it.
        self.viewer = Viewer(describe(grid), grid.pictures, grid.choices)
        connect(self.viewer, grid)
        display(self.viewer)
        self._snapshot = Snapshot(grid)

    def choose(self, choices: Choices) -> None:
        """Send the choices, and write them into what is saved."""
        with self._lock:
            self.viewer.choices = choices
            self._snapshot.update()

    def refresh(self) -> None:
        """Send what changed."""
        with self._lock:
            self.viewer.show(describe(self._grid), self._grid.pictures)
            self._snapshot.refresh()

    def finish(self) -> None:
        """Send the last of it, and write the snapshot that is saved."""
        with self._lock:
            self.viewer.show(describe(self._grid), self._grid.pictures)
            self._snapshot.update()


class StaticView:
    """The snapshot, once at the end, below a plain line and the paths."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        if grid.done:
            self.finish()

    def refresh(self) -> None:
        """Do nothing: there is nobody to see it."""

    def finish(self) -> None:
        """Write the line, the paths and the snapshot."""
        sys.stdout.write(summary(self._grid) + "\n")
        for line in path_lines(self._grid):
            sys.stdout.write(line + "\n")
        Snapshot(self._grid)

    def choose(self, choices: Choices) -> None:
        """Do nothing: a page that is saved already says what was known then."""


class TextView:
    """A progress line that rewrites itself, then the paths."""

    def __init__(self, grid: Grid, *, paths: bool) -> None:
        self._grid = grid
        self._paths = paths
        # A script's standard output is its user's own; progress goes beside it, and only to a person.
        self._stream = sys.stdout if paths else sys.stderr
        self._tty = bool(getattr(self._stream, "isatty", bool)())
        if grid.done and paths:
            self.finish()

    def refresh(self) -> None:
        """Rewrite the line."""
        if self._tty:
            self._stream.write("\r" + summary(self._grid).ljust(60))
            self._stream.flush()

    def finish(self) -> None:
        """Write the last line and the paths."""
        if not self._paths and not self._tty:
            return
        self._stream.write(("\r" if self._tty else "") + summary(self._grid).ljust(60 * self._tty) + "\n")
        for line in path_lines(self._grid) if self._paths else ():
            self._stream.write(line + "\n")
        self._stream.flush()

    def choose(self, choices: Choices) -> None:
        """Do nothing: a terminal shows no choices."""


class Snapshot:
    """The static view's output, displayed where it is made and updated in place.

    Parameters
    ----------
    grid : Grid or None
        None where there is nothing to show yet.
    """

    def __init__(self, grid: Grid | None) -> None:
        from IPython.display import display  # noqa: PLC0415

        self._grid = grid
        self._at = time.monotonic()
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)

    def _bundle(self) -> dict[str, str]:
        grid = self._grid
        if grid is None:
            return {"text/html": render_snapshot(NOTHING, {}), "text/plain": ""}
        # What is found of their files by making them is then told.
        pictures = snapshot_pictures(grid)
        html = render_snapshot(describe(grid), pictures, grid.choices)
        return {"text/html": html, "text/plain": repr(grid)}

    def show(self, grid: Grid | None) -> None:
        """Show another grid from now on."""
        self._grid = grid
        self.update()

    def update(self) -> None:
        """Write what is known now."""
        self._at = time.monotonic()
        if self._handle is not None:
            self._handle.update(self._bundle(), raw=True)

    def refresh(self) -> None:
        """Write what is known now, where the last time is a while ago."""
        if time.monotonic() - self._at >= _SNAPSHOT_EVERY:
            self.update()


def summary(grid: Grid) -> str:
    """Return the progress in a line: ``5 of 8 · 1 failed · 4.1 s``."""
    cells = list(grid)
    stored = sum(cell.state == "stored" for cell in cells)
    facts = [f"{stored} of {plural(len(cells), 'image')}"]
    if grid.failed:
        facts.append(f"{len(grid.failed)} failed")
    stopped = sum(cell.state == "stopped" for cell in cells)
    if stopped:
        facts.append(f"{stopped} stopped")
    facts.append(seconds_text(grid.seconds))
    return " · ".join(facts)


def path_lines(grid: Grid) -> list[str]:
    """Return a line per cell: its place, and its file or what is wrong."""
    lines = []
    for cell in grid:
        path = cell.path
        if path is not None and cell.error is None:
            what = short_path(path)
        elif cell.error is not None:
            what = " ".join(text for text in (cell.error.message, cell.error.next_step) if text)
        else:
            what = cell.state
        lines.append(f"  [{cell.row}, {cell.column}] {seed_text(cell.request.seed)}: {what}")
    return lines


def short_path(path: Path) -> str:
    """Return a path as its user would write it: from here, or from the home folder."""
    for root, sign in ((Path.cwd(), ""), (Path.home(), "~")):
        with contextlib.suppress(ValueError, OSError):
            return str(Path(sign) / path.relative_to(root)) if sign else str(path.relative_to(root))
    return str(path)


def cell_mark() -> object:
    """Return what names the notebook cell that is running, None outside of IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return None if shell is None else (id(shell), shell.execution_count)


def say(line: str) -> None:
    """Print a line for the person at the front end; a script's own output stays its own."""
    if front_end() != "script":
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
