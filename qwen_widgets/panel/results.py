"""The panel's right side: its grid in the viewer, and the snapshot that stays in the saved notebook."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import ipywidgets

from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.describe import EDIT, cell_actions, describe
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.show import Snapshot, connect, front_end
from qwen_widgets.grid.view import Action, GridView
from qwen_widgets.grid.viewer import Viewer
from qwen_widgets.studio import studio

if TYPE_CHECKING:
    from qwen_widgets.panel.panel import Panel

#: The way to go on from a cell that the panel adds to the grid's own, and those of the grid's that ask for other seeds.
_BRANCH = Action("start here", "", key="branch")
_EDIT = "edit"
_OTHER_SEEDS = ("more", "all")


class Results:
    """A `View` of the panel's grid, before there is one, too."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._lock = threading.RLock()
        self.grid: Grid | None = None
        self._snapshots: list[Snapshot] = []
        self.box = ipywidgets.Box()
        self.box.add_class("qw-p-results")
        self._viewer: Viewer | None = None
        self._show_nothing()

    def _show_nothing(self) -> None:
        nothing = ipywidgets.HTML("The pictures come here: a row for each prompt, a column for each seed.")
        nothing.add_class("qw-p-nothing")
        self.box.children = (nothing,)

    def _new_viewer(self, grid: Grid) -> Viewer:
        viewer = Viewer(self._describe(grid), grid.pictures, grid.choices)
        connect(viewer, grid)
        viewer.on_stop = self._panel.stop
        viewer.on_actions = self._offers
        viewer.on_act = self._act
        viewer.on_take = self._take
        self.box.children = (viewer,)
        return viewer

    def open(self, grid: Grid) -> None:
        """Show a grid from now on."""
        with self._lock:
            grid.marked_against = "previous"
            self.grid = grid
            self._viewer = self._new_viewer(grid)
            studio().watch(grid, self)
            self._renewed()

    def clear(self) -> None:
        """Show that there is no grid."""
        with self._lock:
            self.grid = None
            if self._viewer is not None:
                self._show_nothing()
                self._viewer.close()
                self._viewer = None
            self._renewed()

    def _renewed(self) -> None:
        for snapshot in self._snapshots:
            snapshot.show(self.grid)

    def display(self, widget: ipywidgets.Widget) -> None:
        """Show the panel where the code runs, and below it the snapshot, which the panel hides while it lives."""
        from IPython.display import display  # noqa: PLC0415

        if front_end() == "live":
            display(widget)
        self._snapshots.append(Snapshot(self.grid))

    # --- the grid's side (grid.show.View) ---------------------------------------------------------------

    def refresh(self) -> None:
        """Send what changed."""
        with self._lock:
            self._send()
            for snapshot in self._snapshots:
                snapshot.refresh()
        # Not under the lock: it waits for the portal, which may wait for this.
        self._panel.progressed()

    def finish(self) -> None:
        """Send the last of a run, and write the snapshot that is saved."""
        with self._lock:
            self._send()
            self._write()
        self._panel.progressed()

    def choose(self, choices: Choices) -> None:
        """Send the choices, and write them into what is saved."""
        with self._lock:
            if self._viewer is not None:
                self._viewer.choices = choices
            self._write()

    def _send(self) -> None:
        if self.grid is not None and self._viewer is not None:
            self._viewer.show(self._describe(self.grid), self.grid.pictures)

    def _write(self) -> None:
        for snapshot in self._snapshots:
            snapshot.update()

    # --- what the viewer's buttons do; what they raise is said in the viewer ---------------------------------

    def _take(self, row: int) -> None:
        if not self._panel.is_locked("prompt"):
            self._panel.take_row(row)
            self._panel.to_prompt()

    def _offers(self, row: int, column: int) -> tuple[Action, ...]:
        if self.grid is None:
            return ()
        found = tuple(
            Action(EDIT, "", key=_EDIT) if action.label == EDIT else action
            for action in cell_actions(self.grid, row, column)
        )
        locked = self._panel.is_locked
        if locked("seed"):
            found = tuple(action for action in found if action.key not in _OTHER_SEEDS)
        if locked("prompt") or locked("files"):
            found = tuple(action for action in found if action.key != _EDIT)
        return found if locked("prompt") or locked("seed") else (_BRANCH, *found)

    def _act(self, row: int, column: int, key: str) -> None:
        if self.grid is None or key not in [action.key for action in self._offers(row, column)]:
            return
        if key == _BRANCH.key:
            self._panel.branch(row, column)
            self._panel.to_prompt()
        elif key == _EDIT:
            self._panel.edit(row, column)
            self._panel.to_prompt()
        else:
            self.grid.max_cost = self._panel.max_cost
            self.grid.act(row, column, key)

    def described(self) -> GridView:
        """Return what is shown of the grid."""
        assert self.grid is not None
        return self._describe(self.grid)

    def _describe(self, grid: Grid) -> GridView:
        return replace(describe(grid), take="" if self._panel.is_locked("prompt") else "edit this prompt")
