"""Panel: controls beside a grid; every run adds to the grid, so that the grid is the prompt's history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Never

import ipywidgets
from traitlets import Bool, Int, TraitError, Unicode

from qwen_widgets import archive
from qwen_widgets.core import reading
from qwen_widgets.core.arguments import ModelsLike, SeedsLike
from qwen_widgets.core.errors import (
    BudgetError,
    InputError,
    KeyRefusedError,
    QwenError,
    SettingsError,
    StoppedError,
)
from qwen_widgets.core.models import MODELS, PRESETS, find_model
from qwen_widgets.core.reading import maybe, taking
from qwen_widgets.core.request import KEPT
from qwen_widgets.grid.describe import plural
from qwen_widgets.grid.export import row_in
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.recipe import literal, write_seeds, write_size
from qwen_widgets.panel.bridge import Bridge
from qwen_widgets.panel.controls import CUSTOM, LOCKABLE, MOST_SEEDS, drawn_seeds, seeds_from
from qwen_widgets.panel.editing import Editing
from qwen_widgets.panel.form import Form
from qwen_widgets.panel.given import check_names, first_values, without_defaults
from qwen_widgets.panel.heard import on_portal
from qwen_widgets.panel.host import attend
from qwen_widgets.panel.results import Results
from qwen_widgets.panel.rewording import Rewording
from qwen_widgets.panel.runs import Ask, Runs
from qwen_widgets.panel.steps import Steps
from qwen_widgets.panel.taking import Taking
from qwen_widgets.panel.words import as_magic, as_python, for_panel, in_words, limits, progress, remarks
from qwen_widgets.portal import portal
from qwen_widgets.studio import studio

#: Seconds without a change after which the line before the run is made anew, and between two of them while pictures come.
_PAUSE, _WHILE_RUNNING = 0.12, 1.0
#: Traits that a control shows, and those of which the line before the run depends.
_BOUND = ("prompt", "title", "style", "suggestion", "ratio", "model", "width", "height", "linked", "seed",
          "seed_locked", "count")  # fmt: skip
_LOOKED_AT = ("prompt", "title", "suggestion", "images", "fit", "size", "ratio", "seeds", "seed_locked", "model", "max_cost",
              "compact", "locked")  # fmt: skip
#: Refused before anything was bought, by the controls or settings as they were.
_REFUSALS = (InputError, BudgetError, KeyRefusedError, SettingsError)


class Panel(Taking):
    """Controls beside a grid, to explore a prompt without code and to leave with code.

    Every control is a trait: it can be set and observed from Python. Runs go on in the background; each one adds
    its rows and columns to the same grid, and buys only what is new.

    Parameters
    ----------
    prompt : str
        In the syntax of the cell: a blank line starts the next prompt, ``{a|b}`` makes variants.
    seeds : str, int or iterable of int, optional
        ``"1-4"``, ``7``; at most 16. Without, four seeds from a drawn one on.
    size : str
        ``"16:9"``, ``"1280x720"``; pixels.
    models : str or sequence of str, optional
        Short names or full ids; several are run side by side. Default ``qwen-image-2.0``.
    max_cost : float, optional
        US dollars that a run may cost, in place of the setting.
    images : object or sequence of object, optional
        What is edited, as in `generate`; without a model, the one that edits is taken.
    fit : bool
        Whether pictures outside of the model's limits are scaled.
    run : str, optional
        An earlier run's id, as in ``grid.run_id``: its grid is opened, and goes on.
    title : str
        Heading of the grid.
    locked : str or sequence of str
        What can't be changed in the page: ``prompt``, ``title``, ``size``, ``seeds``, ``model``, ``images``.
    compact : bool
        Only what a slide needs: the prompt, the line before the run, and the buttons.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The panel for a container of other widgets: ``VBox([label, panel.widget])``.

    Raises
    ------
    InputError
        One of them can't be used.
    """

    #: What a run would do and cost, or why it can't be done.
    line = Unicode(read_only=True)
    runnable = Bool(default_value=False, read_only=True)
    #: The last change of the controls that `line` knows of.
    looked = Int(0, read_only=True)
    #: Whether a run goes on or waits for its turn.
    busy = Bool(default_value=False, read_only=True)
    #: What went wrong last.
    message = Unicode(read_only=True)

    def __init__(
        self,
        prompt: str = "",
        *,
        seeds: SeedsLike | None = None,
        size: str | tuple[int, int] | None = None,
        models: ModelsLike | None = None,
        max_cost: float | None = None,
        images: object = (),
        fit: bool = False,
        run: str | None = None,
        title: str = "",
        locked: str | Sequence[str] = (),
        compact: bool = False,
        **unknown: Never,
    ) -> None:
        super().__init__()
        given = without_defaults(prompt=prompt, seeds=seeds, size=size, models=models, max_cost=max_cost, images=images,
                                 fit=fit, title=title, locked=locked, compact=compact)  # fmt: skip
        try:
            check_names(unknown)
            self._build(given, run)
        except (QwenError, TraitError) as error:
            # What was typed is wrong, and not the forty lines that have found it out.
            raise error.with_traceback(None) from None

    def _build(self, given: dict[str, Any], run: str | None) -> None:
        #: Changes of the controls so far.
        self._looks = 0
        self._pending: list[Future[None]] = []
        self._closed = False
        self._looked_at = 0.0
        self._last = ""
        #: The seeds after these ones, where they aren't kept.
        self._drawn = ("", "")
        #: What is told in the page, whether a control has been changed since, and whether the line has said the same.
        self._told = None
        self._changed_since = self._in_line = False
        self._rewording = Rewording(self)
        self._runs = Runs(self._perform, self._say, self._moved)
        self._first = first_values(given)
        self._editing = Editing()
        self.observe(self._read_images, names=["images", "fit"])
        for name, value in self._first.items():
            setattr(self, name, value)
        self._steps = Steps(self.prompt)
        self._results = Results(self)
        # With the limits and prices of the account's catalogue, where it has been asked for.
        offered = tuple(find_model(model.id) for model in MODELS)
        self._form = Form(self._press)
        self._form.offer(offered, self._models)
        # Before the dropdown shows it: models that are run together are an option of their own.
        self.observe(lambda _: self._form.offer(offered, self._models), names="model")
        self._form.offer_sizes(PRESETS)
        self._bridge = Bridge(names=self._form.names | {"roles": self._form.roles})
        self._bridge.on_press = self._pressed
        for name in _BOUND:
            self._form.bind(name, self, self._take)
        self._form.controls["slider"].observe(lambda change: self._take("seed", change["new"]), names="value")
        self._form.controls["files"].observe(self._files, names="value")
        self.widget: ipywidgets.DOMWidget = self._form.layout(self._results.box, self._bridge)
        self.observe(self._changed, names=list(_LOOKED_AT))
        if run is not None:
            self._open(reading.text("run", run), given)
        self._changed()

    # --- running ----------------------------------------------------------------------------------------

    @property
    def grid(self) -> Grid | None:
        """The grid of all runs so far; None before the first one."""
        return self._results.grid

    @property
    def _shown(self) -> Grid:
        if self.grid is None:
            raise InputError("panel: there is no grid yet; run() makes one.")
        return self.grid

    @on_portal
    def run(self) -> None:
        """Do what the controls say, in the background; where a run goes on already, after it.

        Raises
        ------
        InputError
            The prompt is empty or too long, or something else can't be used: nothing was bought.
        """
        self.seeds = self._coming
        plan = self._planned()
        # Pictures that are still fetched are waited for in the background.
        sweep = None if self._editing.reading else plan(self._editing.settled())
        self._steps.record(self.prompt)
        self._last = self.seeds
        self._say(None)
        self._runs.add(Ask(plan, sweep, self.title, self.max_cost))

    @property
    def _coming(self) -> str:
        """The seeds of the next run: where they aren't kept, new ones, which its price is of, too."""
        if self.seed_locked or self.seeds != self._last:
            return self.seeds
        if self._drawn[0] != self.seeds:
            self._drawn = self.seeds, write_seeds(drawn_seeds(self._models, self.count))
        return self._drawn[1]

    async def _perform(self, ask: Ask) -> None:
        if ask.sweep is None:
            await self._editing.ready()
            ask.sweep = ask.plan(self._editing.settled())
        while not ask.stop.is_set():
            grid = self.grid
            if grid is not None and not grid.done:
                # Somebody has extended it from a cell, or by a button in it.
                await asyncio.sleep(_PAUSE)
                continue
            sweep = self._rewording.noted(ask.sweep)
            job = await studio().plan_into(grid, sweep, max_cost=ask.max_cost, title=ask.title)
            job.stop = ask.stop
            if ask.stop.is_set() or not job.grid.done:
                continue
            job.grid.max_cost, job.grid.title = ask.max_cost, ask.title or job.grid.title
            if grid is None:
                self._results.open(job.grid)
            await studio().launch(job, self._results)
            return

    @on_portal
    def stop(self) -> None:
        """Buy nothing more: the run that goes on ends with what is paid for, and those that wait are dropped."""
        if dropped := self._runs.waiting:
            what = plural(dropped, "run")
            self._say(
                StoppedError(
                    f"stopped: {what} that waited will not be done; nothing of it was bought.", next_step=""
                )
            )
        self._runs.stop()
        self._rewording.stop()
        if self.grid is not None:
            # A run that was begun in the grid itself, too.
            self.grid.stop()
        self._moved()

    @taking(timeout=maybe(reading.seconds))
    def wait(self, timeout: float | None = None) -> Panel:
        """Wait for all runs to end.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        TimeoutError
        """
        self._runs.wait(timeout)
        return self

    @on_portal
    def close(self) -> None:
        """Take the panel out of the page; a run that goes on is not stopped, and its pictures stay in the ledger."""
        self._closed = True
        for look in tuple(self._pending):
            look.cancel()
        self.widget.close()

    # --- the other buttons ------------------------------------------------------------------------------

    @on_portal
    def draw(self) -> None:
        """Draw a new first seed."""
        self.seeds = write_seeds(drawn_seeds(self._models, self.count))

    @on_portal
    def use_last(self) -> None:
        """Take the seeds of the last run."""
        if self._last:
            self.seeds = self._last

    @on_portal
    def undo(self) -> None:
        """Put the prompt before this one back into the box."""
        self.prompt = self._steps.undo(self.prompt)

    @on_portal
    def redo(self) -> None:
        """Put the prompt after this one into the box."""
        self.prompt = self._steps.redo(self.prompt)

    @on_portal
    def reset(self) -> None:
        """Set all controls as they were at first, and begin an empty grid; the old one stays in the ledger."""
        if self.busy or (self.grid is not None and not self.grid.done):
            raise InputError("reset: a run goes on; stop it or let it end first.")
        old = self.grid
        for name, value in self._first.items():
            setattr(self, name, value)
        self._show_ratio()
        self._steps = Steps(self.prompt)
        self._last = ""
        self._say(None)
        self._results.clear()
        if old is not None:
            self._form.say("note", f'The grid before is kept: qw.Panel(run="{old.run_id}") opens it.')
        self._changed()

    @on_portal
    def take_row(self, row: int) -> None:
        """Put a row's prompt back into the box, with its pictures, model and size, as far as they aren't locked."""
        found = self._shown.sweep.rows[row_in(self._shown, row)]
        self._steps.record(self.prompt)
        if "images" not in self.locked and ("model" not in self.locked or self.edits or not found.images):
            self.images = tuple(f"{KEPT}{picture.sha256[:20]}" for picture in found.images)
        if "model" not in self.locked:
            self.model = found.model.name
        if found.model.takes_size and "size" not in self.locked:
            self.size = write_size(found.size, found.model)
            self._show_ratio()
        self.prompt = literal(found.prompt)
        self._steps.record(self.prompt)

    @on_portal
    def branch(self, row: int, column: int) -> None:
        """Start from a cell: its row, and its seed."""
        request = self._shown[row, column].request
        self.take_row(row)
        if request.seed is not None and "seeds" not in self.locked:
            self.seeds = str(request.seed)

    @on_portal
    def enhance(self) -> None:
        """Ask the enhancer for other words, in the background; they are the `suggestion`, and nothing is taken yet.

        Raises
        ------
        InputError
            The box holds several prompts, or none: nothing was asked.
        """
        text = self._rewording.one_prompt()
        self._say(None)
        self._runs.follow(portal.submit(self._suggest(text)))

    async def _suggest(self, text: str) -> None:
        try:
            asking = asyncio.create_task(self._rewording.ask(text))
            await asyncio.sleep(0)
            self._moved()
            await asking
        except Exception as error:  # noqa: BLE001
            self._say(error)
        finally:
            self._moved()

    @on_portal
    def accept(self) -> None:
        """Put the suggestion into the box; `undo` brings the prompt back."""
        text = self._rewording.accept()
        if text:
            self._steps.record(self.prompt)
            self.prompt = text
            self._steps.record(self.prompt)

    @on_portal
    def clear(self) -> None:
        """Make pictures of words alone again."""
        self.images = ()

    @on_portal
    def dismiss(self) -> None:
        """Drop the suggestion."""
        self._rewording.dismiss()

    def _read_images(self, _change: object) -> None:
        self.model = self._editing.models_for(self.images, self.model, self._models)
        self._editing.read(self.images, self._models, fit=self.fit)

    @on_portal
    def edit(self, row: int, column: int) -> None:
        """Edit a cell's picture: it is what the next run is made with, and the box is empty for what is to change."""
        cell = self._shown[row, column]
        self._steps.record(self.prompt)
        self.images, self.prompt = (cell,), ""

    def magic(self) -> str:
        """Return the `%%qwenimage` cell of what the controls say."""
        return as_magic(self.prompt, **self._said)

    def python(self) -> str:
        """Return the Python lines of what the controls say."""
        return as_python(self.prompt, **self._said)

    @property
    def _said(self) -> dict[str, Any]:
        return {"seeds": self.seeds, "size": self._asked_size, "models": self.models, "images": self._editing.taken, "title": self.title,
                "max_cost": self.max_cost}  # fmt: skip

    # --- what it says -----------------------------------------------------------------------------------

    @on_portal
    def _say(self, error: Exception | None) -> None:
        """Show an error where it belongs; None takes it away."""
        self._told, self._changed_since, self._in_line = error, False, False
        self.set_trait("message", self._form.tell(error))

    def _show_error(self, error: Exception) -> None:
        self._form.tell(error)

    @on_portal
    def _changed(self, change: object = None) -> None:
        """Have what depends on the controls brought up to date, on the portal."""
        if self._closed:
            return
        self._changed_since |= change is not None
        self._looks += 1
        self._pending = [one for one in self._pending if not one.done()]
        self._pending.append(portal.submit(self._look(self._looks)))

    def _arrange(self) -> None:
        """Show what can be done now."""
        form = self._form
        form.show("slider", self.seed)
        form.show("seed", self.seed)
        run_on = self._seeds == seeds_from(self.seed, self.count)
        form.say("seeds", "" if run_on else f"seeds {self.seeds.replace(',', ', ')}")
        form.unfold("custom", self.ratio == CUSTOM)
        form.say("sides", limits(self._sized))
        form.say("pictures", f"made from {self._editing.words()}" if self._editing.taken else "")
        form.disable("clear", not self.images or self.is_locked("clear"))
        form.unfold("suggested", bool(self.suggestion))
        form.write(form.places["changes"], value=self._rewording.changes())
        form.disable("enhance", self._rewording.asking or "prompt" in self.locked)
        no_seed = not any(model.takes_seed for model in self._models)
        for lock, names in LOCKABLE.items():
            for name in names:
                if name == "clear":
                    continue
                none = (lock == "size" and not self._asked_size) or (lock == "seeds" and no_seed)
                form.disable(name, none or self.is_locked(name))
        form.disable("die", no_seed or "seeds" in self.locked)
        form.disable("last", no_seed or "seeds" in self.locked or self._last in ("", self.seeds))
        form.disable("undo", "prompt" in self.locked or not self._steps.can_undo(self.prompt))
        form.disable("redo", "prompt" in self.locked or not self._steps.can_redo(self.prompt))
        (self.widget.add_class if self.compact else self.widget.remove_class)("qw-p-compact")
        form.write(self._bridge, magic=self.magic(), python=self.python(), fields=form.fields(self))

    async def _look(self, number: int) -> None:
        """Show what can be done now; once the controls rest, what it would cost; on the portal."""
        try:
            self._arrange()
            await self._editing.ready()
            self._arrange()
            await asyncio.sleep(_PAUSE)
            if number != self._looks:
                return
            self._looked_at = time.monotonic()
            line, why = await self._priced()
            if number != self._looks:
                return
            said = bool(why) and why == self.message
            if said:
                self._in_line = True
            elif isinstance(self._told, _REFUSALS) and (self._changed_since or (line and self._in_line)):
                # It was said of other controls, or of other settings.
                self._say(None)
            tail = f" · {self._runs.waiting} waiting" if self._runs.waiting else ""
            self._form.say("length", self._length())
            self._form.places["remarks"].value = self._remarks()
            # Said once: after a press it stands below the button.
            self._form.say("line", ("" if said else line or why) + tail, "" if line else "cannot")
            self.set_trait("line", line or why)
            self.set_trait("runnable", bool(line))
            self.set_trait("looked", number)
        except Exception as error:  # noqa: BLE001
            self._say(error)

    async def _priced(self) -> tuple[str, str]:
        """Return what a run would do and cost, or why it can't be done."""
        try:
            job = await studio().plan_into(
                self.grid,
                self._planned()(self._editing.settled()),
                max_cost=self.max_cost,
                title=self.title,
                priced=False,
            )
        except QwenError as error:
            return "", in_words(error)
        self._form.price_enhancer(free=job.grid.provider.offline)
        # What a run is fetching just now is nothing that a press would fetch.
        return job.line.replace("paid for, to fetch", "under way") if self._runs.busy else job.line, ""

    def _remarks(self) -> str:
        """Return as HTML what the prompt expands to, and what is to be said of it."""
        notes: tuple[str, ...] = ()
        with suppress(QwenError):
            notes = self._planned()(self._editing.taken).notes
        return remarks(self.prompt, self._prompts, [for_panel(note) for note in notes])

    @on_portal
    def _moved(self) -> None:
        """Say whether something runs."""
        busy = self._runs.busy or self._rewording.asking
        self._form.disable("stop", not busy)
        self._form.disable("reset", busy)
        self._changed()
        self.set_trait("busy", busy)

    @on_portal
    def progressed(self) -> None:
        """Say how far the run is, beside its Stop; what is here by now costs nothing any longer."""
        if self._closed:
            return
        self._form.say("progress", "" if self.grid is None else progress(self.grid))
        if time.monotonic() - self._looked_at > _WHILE_RUNNING:
            self._changed()

    def to_prompt(self) -> None:
        """Bring whoever has pressed something in the grid to the prompt box."""
        self._bridge.send({"type": "focus"})

    # --- shown ------------------------------------------------------------------------------------------

    def _open(self, run: str, given: Container[str]) -> None:
        """Open an earlier run; what was `given` beside it stays as it is."""
        grid = archive.grid(run)
        names = {"prompt": "prompt", "title": "title", "models": "model", "size": "size", "seeds": "seeds"}
        kept = {name: self._first[name] for option, name in names.items() if option in given}
        self._results.open(grid)
        self._last = write_seeds([seed for seed in grid.seeds if seed is not None])
        self.take_row(len(grid.sweep.rows) - 1)
        if self._last and len(grid.seeds) <= MOST_SEEDS:
            self.seeds = self._last
        self.title = grid.title
        for name, value in kept.items():
            setattr(self, name, value)
        self._first |= {name: getattr(self, name) for name in (*names.values(), "images")}
        self._steps = Steps(self.prompt)

    def __repr__(self) -> str:
        return f"<Panel {self.prompt!r}, {self.grid if self.grid is not None else 'no run yet'}>"

    def _ipython_display_(self) -> None:
        attend(self._changed)
        self._results.display(self.widget)
