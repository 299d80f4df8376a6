"""Grid and Cell: what a run gives back. Select, extend, retry, export."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from qwen_widgets.core import pictures, reading
from qwen_widgets.core.arguments import PromptsLike, SeedsLike
from qwen_widgets.core.engine import CellState, CellUpdate, Plan
from qwen_widgets.core.errors import InputError, QwenError
from qwen_widgets.core.forks import in_child
from qwen_widgets.core.inputs import Given, from_cell
from qwen_widgets.core.models import Size
from qwen_widgets.core.pacing import time_left
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.reading import Checked, bounded, maybe, of, taking
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import ImageRequest, MadeFrom
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid import export, files
from qwen_widgets.grid.choices import Choices, Standing, Verdict, Vote, win_table
from qwen_widgets.grid.recipe import seed_text, write_cell

if TYPE_CHECKING:
    from PIL.Image import Image

    from qwen_widgets.grid.show import View

#: States in which nothing more will happen by itself.
_ENDED = ("stored", "unknown", "rejected", "failed", "expired", "stopped")
#: Pixels of the longer side of a single cell's picture in a notebook.
_SHOWN_SIDE = 768
Against = Literal["first", "previous"]
#: A row or a column, as an argument.
INDEX = bounded(-(10**6), 10**6)
_FAILED = ("rejected", "failed", "expired")
#: States in which a cell that is not worked on any more is still to be fetched; its error says why.
_LEFT = ("submitted", "completed")


@dataclass(frozen=True, slots=True)
class Provider:
    """Who makes the pictures: the ledger's name for it, the name people read, and whether it is the embedded one."""

    name: str
    title: str
    offline: bool


class Runner(Protocol):
    """What a grid asks of the studio: to run more into it."""

    def extend(self, grid: Grid, sweep: Sweep) -> None:
        """Run a larger sweep into the grid."""

    def retry(self, grid: Grid) -> None:
        """Buy again what failed."""

    def act(self, grid: Grid, row: int, column: int, key: str) -> None:
        """Do in the background what a cell offers; what it doesn't offer is ignored."""

    def show(self, grid: Grid) -> None:
        """Show the grid in the front end."""

    def chosen(self, grid: Grid, before: Choices) -> Choices:
        """Keep the grid's choices, which were others `before`; return them with those of other grids of its run."""

    def wait(self, running: Future[None], timeout: float | None) -> None:
        """Wait for a run to end, so many seconds, on whichever thread; TimeoutError."""


class Cell:
    """One place in the grid."""

    __slots__ = ("_grid", "column", "request", "row")

    def __init__(self, grid: Grid, row: int, column: int, request: ImageRequest) -> None:
        self._grid = grid
        self.row = row
        self.column = column
        self.request = request

    @property
    def grid(self) -> Grid:
        """The grid that it belongs to."""
        return self._grid

    @property
    def _update(self) -> CellUpdate | None:
        return self._grid._updates.get(self.request.key)  # noqa: SLF001  (grid and cell are one)

    @property
    def state(self) -> CellState:
        """How far it is: `planned`, `sending`, `submitted`, `completed`, `stored`; `stopped`; `failed` and its kin."""
        update = self._update
        return update.state if update is not None else "planned"

    @property
    def error(self) -> QwenError | None:
        """Why there is no picture, with `.paid` and `.next_step`; None where nothing is wrong."""
        if self._file is not None and self.damaged:
            return self._grid._store.damage(*self._file)  # noqa: SLF001
        return self._update.error if self._update is not None else None

    @property
    def damaged(self) -> bool:
        """Whether the stored picture's file was changed, cut or gone when it was last used."""
        return self._file is not None and self._grid._store.is_damaged(*self._file)  # noqa: SLF001

    @property
    def left_open(self) -> bool:
        """Whether it is paid for and still at the service: the next run fetches it, at no cost."""
        return self.state in _LEFT and self.error is not None

    @property
    def _record(self) -> Record | None:
        update = self._update
        return update.record if update is not None else None

    @property
    def cost(self) -> float:
        """US dollars that this grid spent on the cell: 0 where the picture was here already."""
        update = self._update
        if update is None or update.record is None or update.cached:
            return 0.0
        return float(_spent(update))

    @property
    def cached(self) -> bool:
        """Whether the picture was here before the run."""
        update = self._update
        return update is not None and update.cached

    @property
    def made_from(self) -> MadeFrom | None:
        """The cell that its first input picture was, and the words it was made with; None where it was none."""
        return next((picture.made_from for picture in self.request.images if picture.made_from), None)

    @property
    def prediction_id(self) -> str | None:
        """The service's id of the job."""
        return self._record.prediction_id if self._record is not None else None

    @property
    def seconds(self) -> float | None:
        """Seconds from submit to completion."""
        return self._record.seconds if self._record is not None else None

    @property
    def size(self) -> Size | None:
        """The pixel size that the stored picture really has."""
        return self._record.got if self._record is not None else None

    @property
    def flagged(self) -> bool:
        """Whether the service's moderation marked the picture."""
        return self._record is not None and self._record.flagged

    @property
    def rating(self) -> int:
        """Stars, 1 to 5; 0 where none were given. Can be set."""
        return self._grid.choices[self.row, self.column].stars

    @rating.setter
    def rating(self, stars: int) -> None:
        self._grid.choices = self._grid.choices.with_stars(self.row, self.column, stars)

    @property
    def mark(self) -> Verdict:
        """`keep`, `reject`, or empty. Can be set."""
        return self._grid.choices[self.row, self.column].mark

    @mark.setter
    def mark(self, verdict: Verdict) -> None:
        self._grid.choices = self._grid.choices.with_mark(self.row, self.column, verdict)

    @property
    def since(self) -> float:
        """Seconds since the epoch at which the request was sent; 0 before."""
        return (self._record.sent_at or 0.0) if self._record is not None else 0.0

    @property
    def path(self) -> Path | None:
        """Where the stored picture's file is, with the service's own bytes; None while there is none.

        `image` and all exports check what is in it.
        """
        return self._grid._store.path(*self._file) if self._file is not None else None  # noqa: SLF001

    @property
    def _file(self) -> tuple[str, str] | None:
        """Hash and suffix of the stored picture."""
        record = self._record
        if self.state != "stored" or record is None or record.sha256 is None or record.suffix is None:
            return None
        return record.sha256, record.suffix

    def as_input(self) -> Given:
        """Return the picture as what another one can be made of (``images=cell``), and where it comes from."""
        if self.path is None:
            raise InputError(
                f"image [{self.row},{self.column}]: there is no picture there, it is {self.state}."
            )
        place = (self.row, self.column)
        return from_cell(self.path, self.request, self._grid.run_id, place, flagged=self.flagged)

    @property
    def image(self) -> Image:
        """The picture.

        Raises
        ------
        QwenError
            There is none; says why and what to do.
        """
        if self._file is None:
            if self.error is not None:
                raise self.error
            raise QwenError(
                f"cell [{self.row}, {self.column}]: there is no picture yet, it is {self.state}.",
                next_step="grid.wait() waits for it.",
            )
        return pictures.load(files.read_cell(self))

    def __repr__(self) -> str:
        words = seed_text(self.request.seed)
        state = "damaged" if self.damaged else self.state
        return f"<Cell [{self.row}, {self.column}] {state}, {words}: {self.request.prompt!r}>"

    def _repr_jpeg_(self) -> bytes | None:
        """Show the picture in a notebook: a JPEG of 768 pixels, so that the notebook stays small."""
        if self._file is None or not self._grid._store.intact(*self._file):  # noqa: SLF001
            return None
        return self._grid._store.thumbnail(  # noqa: SLF001
            *self._file, side=_SHOWN_SIDE, blurred=self.flagged
        )


class Grid:
    """Pictures of a sweep: rows are prompts, columns are seeds.

    ``grid[row, column]`` is a `Cell`; iterating gives every cell that was asked for, row by row. The grid fills
    while its run goes on, in the background too after an interrupt.
    """

    title = Checked(reading.title)
    #: US dollars that a further run may cost; None for the setting.
    max_cost = Checked(maybe(reading.dollars))
    #: What a row's prompt is marked against: the first row's, or (a prompt's history) the row's before it.
    marked_against: Checked[Against] = Checked(partial(reading.choice, choices=get_args(Against)))

    @taking(sweep=of(Sweep), plan=of(Plan))
    def __init__(
        self, sweep: Sweep, plan: Plan, *, title: str, provider: Provider, store: PictureStore, runner: Runner
    ) -> None:
        self._sweep = sweep
        self._plan = plan
        self.run_id = plan.run_id
        self.title = title
        self.provider = provider
        self._store = store
        self._runner = runner
        self._updates: dict[str, CellUpdate] = {}
        self._choices = Choices()
        self._began: float | None = None
        self._took = 0.0
        #: US dollars of pictures that were bought again since.
        self._spent_before = 0.0
        #: The run that fills the grid, while there is one, and what ends its buying.
        self._running: Future[None] | None = None
        self._halt: Callable[[], None] | None = None
        #: Whether a run is being prepared: there is one at a time.
        self._claimed = False
        #: What went wrong with the last run as a whole, for the views.
        self.message = ""
        #: Whether the page's Stop is heard: a kernel that runs a cell reads the page's messages after it.
        self.stoppable = False
        #: Whether the run that goes on was stopped: it buys nothing more.
        self.stopping = False
        self.max_cost = None
        self.marked_against = "first"
        #: Showings of the grid, and what names the notebook cell that has shown it last; the studio's.
        self._views: list[View] = []
        self._shown_in: object = None
        #: Called after each change, on the portal's thread.
        self._watchers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._left = False  # its run goes on in the process that this one was forked from
        in_child(self._renew)

    # --- selecting --------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._sweep.shape

    @property
    def sweep(self) -> Sweep:
        """The matrix of requests."""
        return self._sweep

    @property
    def prompts(self) -> tuple[str, ...]:
        """The different prompts, in the order of the rows."""
        return self._sweep.prompts

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The seeds, in the order of the columns; None where a model takes none."""
        return self._sweep.seeds

    def __getitem__(self, place: tuple[int, int]) -> Cell:
        """Return the cell of a row and a column; negative numbers count from the end."""
        row, column = export.place_in(self, place)
        return Cell(self, row, column, self._sweep.requests[row, column])

    def as_input(self) -> Given:
        """Return the picture of a grid of one cell; of several, one has to be named."""
        if len(self) != 1:
            raise InputError(f"image: the grid has {len(self)} cells; name one of them, such as [0, 1].")
        return next(iter(self)).as_input()

    def __iter__(self) -> Iterator[Cell]:
        for (row, column), request in sorted(self._sweep.requests.items()):
            yield Cell(self, row, column, request)

    def __len__(self) -> int:
        return len(self._sweep.requests)

    @property
    def failed(self) -> list[Cell]:
        """The cells that have no picture: what failed, what is `unknown`, and what is paid for and not here yet."""
        return [cell for cell in self if cell.state in (*_FAILED, "unknown") or cell.left_open]

    @property
    def kept(self) -> list[Cell]:
        """The cells that were marked as kept."""
        return [cell for cell in self if cell.mark == "keep"]

    @property
    def votes(self) -> tuple[Vote, ...]:
        """The blind pairs that were decided, each between two rows of one column."""
        return self._choices.votes

    @property
    def wins(self) -> tuple[Standing, ...]:
        """The win table of the votes, the best row first."""
        return win_table(self._choices.votes)

    @property
    def choices(self) -> Choices:
        """Stars, marks and votes, one value; setting it shows it in every view and keeps it in the ledger."""
        return self._choices

    @choices.setter
    @taking(choices=of(Choices))
    def choices(self, choices: Choices) -> None:
        if choices == self._choices:
            return
        before, self._choices = self._choices, choices
        self._choices = self._runner.chosen(self, before)
        for view in tuple(self._views):
            view.choose(self._choices)

    @property
    def cost(self) -> float:
        """US dollars that this grid spent; pictures that were here already cost nothing."""
        known = [self._updates.get(request.key) for request in self._sweep.unique]
        spent = sum((_spent(update) for update in known if update is not None and not update.cached), 0)
        return self._spent_before + float(spent)

    @property
    def done(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self._began is None and not self._claimed

    @property
    def seconds(self) -> float:
        """Seconds that the grid's runs took so far."""
        return self._took + (time.monotonic() - self._began if self._began is not None else 0.0)

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the running run's remaining time; None where nothing runs or nothing is known yet."""
        if self._began is None:
            return None
        took = time.monotonic() - self._began
        mine = [key for key, action in self._plan.actions.items() if action in ("buy", "fetch")]
        ended = sum(1 for key in mine if (update := self._updates.get(key)) and update.state in _ENDED)
        if not mine or ended == len(mine):
            return None
        return time_left(self._plan.seconds, took, ended, len(mine))

    @property
    def pictures(self) -> dict[tuple[int, int], bytes]:
        """A JPEG of each picture that has arrived, as the engine made it for the live view, by row and column.

        Of an edit also what it was made of, in the column behind those of the sweep.
        """
        return files.live_pictures(self)

    @taking(side=bounded(1, 10_000))
    def thumbnails(self, side: int) -> dict[tuple[int, int], bytes]:
        """Return a JPEG of each picture of a view, its longer side at most `side` pixels, by row and column."""
        return files.make_thumbnails(self, side)

    @taking(row=INDEX, column=INDEX)
    def original(self, row: int, column: int) -> bytes | None:
        """Return the stored picture at a place of a view; None while there is none, or where it is damaged."""
        return files.read_place(self, row, column)

    @taking(timeout=maybe(reading.seconds))
    def wait(self, timeout: float | None = None) -> Grid:
        """Wait for the run in the background to end; an interrupt leaves the wait.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        TimeoutError
        """
        self._check_left()
        if self._running is not None:
            self._runner.wait(self._running, timeout)
        return self

    # --- going on ---------------------------------------------------------------------------------------

    def add(self, prompts: PromptsLike | None = None, seeds: SeedsLike | None = None) -> Grid:
        """Add rows for prompts and columns for seeds, and ask only for the new cells.

        Parameters
        ----------
        prompts : str or sequence of str, optional
            In the syntax of the cell.
        seeds : str, int or iterable of int, optional
            ``"5-8"``

        Raises
        ------
        InputError, BudgetError, StoppedError
            Nothing was bought.
        """
        self._runner.extend(self, export.extended(self._sweep, prompts, seeds))
        return self

    def retry(self) -> Grid:
        """Ask again for the cells that failed, are unknown, or were stopped; this may spend money again."""
        self._runner.retry(self)
        return self

    @taking(row=INDEX, column=INDEX, key=reading.text)
    def act(self, row: int, column: int, key: str) -> None:
        """Do in the background what a cell offers (`Action.key`); what it doesn't offer is ignored.

        Returns at once; what goes wrong before anything is bought is the grid's `message`.
        """
        self._runner.act(self, row, column, key)

    def stop(self) -> None:
        """Buy nothing more in the run that goes on; what is paid for still arrives."""
        if self._halt is not None:
            self._halt()
            self.stopping = True
            self._changed()

    # --- leaving ----------------------------------------------------------------------------------------

    def magic(self) -> str:
        """Return the `%%qwenimage` cell that reproduces the grid, its seeds resolved."""
        return write_cell(self._sweep, title=self.title)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, a row per cell; without pandas a list of dicts.

        Sizes are in pixels, times in seconds, costs in US dollars. `rating` and `mark` are the cell's; `wins`, `ties`
        and `losses` are its row's in the blind votes, all seeds together.
        """
        return export.to_frame(self)

    @taking(folder=reading.path)
    def save(self, folder: str | Path) -> list[Path]:
        """Copy the stored pictures into a folder under readable names, with a manifest, a table and the page.

        A warning names those whose files are damaged: they are left out.

        Returns
        -------
        list of Path
            The pictures, in the order of the cells.
        """
        return export.save(self, Path(folder))

    @taking(path=reading.path)
    def to_zip(self, path: str | Path) -> Path:
        """Write what `save` writes into one ZIP file.

        Returns
        -------
        Path
            The file.
        """
        return export.to_zip(self, Path(path))

    @taking(scale=partial(reading.number, wanted="give a number from 0.25 to 4", least=0.25, most=4))
    def sheet(self, *, scale: float = 1.0) -> Image:
        """Return a contact sheet with labels, one picture.

        Parameters
        ----------
        scale : float
            1 makes tiles of 256 pixels on their longer side; 0.25 to 4.
        """
        from qwen_widgets.grid.sheet import draw_sheet  # noqa: PLC0415

        return draw_sheet(self, scale=scale)

    @taking(path=reading.path, embed=partial(reading.choice, choices=("thumbs", "full")))
    def to_html(self, path: str | Path, *, embed: Literal["thumbs", "full"] = "thumbs") -> Path:
        """Write the grid as one HTML file that needs no network, with the viewer in it.

        Parameters
        ----------
        embed : {"thumbs", "full"}
            Pictures of at most 512 pixels, or the stored originals.

        Returns
        -------
        Path
            The file.
        """
        return export.to_html(self, Path(path), embed=embed)

    # --- shown ------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        rows, columns = self.shape
        stored = sum(cell.state == "stored" for cell in self)
        name = f" {self.title!r}" if self.title else ""
        return f"<Grid{name} {rows} × {columns}, {stored} of {len(self)} stored>"

    def _ipython_display_(self) -> None:
        self._runner.show(self)

    # --- the run's side ---------------------------------------------------------------------------------

    def _apply(self, update: CellUpdate) -> None:
        """Take an event of the engine."""
        previous = self._updates.get(update.key)
        # A retried or extended grid meets its own stored pictures again: what was spent on them stays counted.
        if update.cached and previous is not None and previous.state == "stored":
            return
        self._updates[update.key] = update
        self._changed()

    def _claim(self, halt: Callable[[], None], *, stoppable: bool = False) -> bool:
        """Take the grid for one run, which `stop` ends from here on; False where it has one."""
        self._check_left()
        with self._lock:
            if not self.done:
                return False
            self._claimed, self.message = True, ""
            self._halt, self.stoppable = halt, stoppable
        self._changed()
        return True

    def _begin(self, sweep: Sweep, plan: Plan, halt: Callable[[], None], *, stoppable: bool = False) -> None:
        with self._lock:
            self._sweep, self._plan = sweep, plan
            self._halt, self.stoppable = halt, stoppable
            self._began = time.monotonic()
            for key, action in plan.actions.items():
                if action == "buy" and (update := self._updates.pop(key, None)) and not update.cached:
                    self._spent_before += float(_spent(update))
        self._changed()

    def _end(self, message: str = "") -> None:
        """End a run, begun or only claimed; `message` is why it could not be done."""
        with self._lock:
            self._took, self._began = self.seconds, None
            self._halt, self._claimed, self.stopping, self.message = None, False, False, message
        self._changed()

    def _renew(self) -> None:
        """Be, in a forked process, a grid that nobody fills and that is shown nowhere."""
        self._left = not self.done
        self._took, self._began, self._claimed = self.seconds, None, False
        self._lock, self._running, self._halt = threading.Lock(), None, None
        self._views, self._watchers = [], []

    def _check_left(self) -> None:
        if self._left:
            raise InputError(
                f"run {self.run_id}: it goes on in the process that this one was forked from; qw.grid({self.run_id!r}) opens here what arrives there."
            )

    def _changed(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


def _spent(update: CellUpdate) -> Any:
    return update.record.spent if update.record is not None else 0
