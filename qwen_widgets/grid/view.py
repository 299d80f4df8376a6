"""GridView: everything that the snapshot, the viewer and the exports show, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: How a run of words stands against the first row's prompt.
Mark = Literal["same", "added", "dropped"]

#: The states that a person sees. `waiting`: not yet bought. `running`: at the service. `stored`: here.
#: `failed`: with an error. `unknown`: sent, answer lost. `stopped`: never bought. `blank`: not asked for.
Shown = Literal["waiting", "running", "stored", "failed", "unknown", "stopped", "blank"]


@dataclass(frozen=True, slots=True)
class RowView:
    """A row header: the prompt in marked runs of words, and one small line of what is known."""

    prompt: str
    parts: tuple[tuple[Mark, str], ...]
    #: What else tells this row from its neighbours (``16:9 · Qwen Image 2.0 Pro``); empty where nothing does.
    note: str
    #: ``4 of 4``, or ``3 of 4 · 1 failed``.
    tally: str
    #: The row's place on the axes beside the prompt: ``16:9`` and ``Qwen Image 2.0``.
    size: str = ""
    model: str = ""
    #: Pixels that its pictures were asked with, for boxes of one shape; 0 where that isn't known.
    width: int = 0
    height: int = 0
    #: The words that the enhancer was given, where it wrote the prompt: the marks are against these.
    original: str = ""


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column header."""

    label: str
    #: The seed by itself, for copying; empty where the column is something else.
    seed: str = ""
    #: Whether the column is no part of the sweep but what its pictures were made of, to compare with: always the last,
    #: so that a cell's place here is its place in the grid.
    before: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """One way to go on from a cell: a text to copy, a button that does it in place, or both; its price beside it."""

    label: str
    #: A whole `%%qwenimage` cell; empty where there is only the button.
    text: str
    #: ``$0.12``, ``no cost``, ``already here``.
    price: str = ""
    #: What the page says when it is to be done in place; empty where it can't be.
    key: str = ""


@dataclass(frozen=True, slots=True)
class CellView:
    """One place in the grid. Texts are plain; the views escape them."""

    row: int
    column: int
    state: Shown
    #: Pixels of the picture (or of the one asked for), for a placeholder of the right shape.
    width: int
    height: int
    #: Prompt, seed and state in one sentence.
    alt: str
    #: ``$0.03``, ``from cache``, or empty.
    cost: str = ""
    cached: bool = False
    #: Four short lines of a cell without a picture: what, why, what it cost, what next. Empty otherwise.
    title: str = ""
    reason: str = ""
    paid: str = ""
    next_step: str = ""
    #: Seconds since the epoch at which the request was submitted, for the elapsed time; 0 before.
    since: float = 0.0
    #: A mark on a stored picture that isn't quite what was asked (``640×640, asked 1024×1024``).
    warning: str = ""
    #: Whether the service's moderation marked the picture; it is shown blurred until someone asks for it.
    flagged: bool = False
    #: What a cell without a picture offers as buttons, each with a key.
    offers: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class GridView:
    """One grid, ready to be shown."""

    run_id: str
    title: str
    #: ``3 prompts × 4 seeds``, ``Qwen Image 2.0``, ``16:9``, ``10 of 12``, ``$0.30``, ``6 s left``.
    facts: tuple[str, ...]
    #: ``offline preview``, ``WaveSpeedAI``, or the address of another server.
    provider: str
    offline: bool
    done: int
    failed: int
    total: int
    running: bool
    rows: tuple[RowView, ...]
    columns: tuple[ColumnView, ...]
    #: Row by row, `len(rows) * len(columns)` of them.
    cells: tuple[CellView, ...]
    #: The `%%qwenimage` cell that reproduces the grid.
    magic: str = ""
    #: Whether a Stop in the page is heard while the run goes on: not while a cell blocks the kernel.
    stoppable: bool = True
    #: Whether a Stop was heard: nothing more is bought, and what is paid for still arrives.
    stopping: bool = False
    #: What went wrong with the grid as a whole, one sentence; empty where nothing did.
    message: str = ""
    #: The words of a button in every row's header (``edit this prompt``); none where empty.
    take: str = ""
    #: What a reader of the saved notebook wants to know: ``Qwen Image 2.0``, ``1280×720``, ``$0.30``, ``41 s``.
    foot: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the view as plain lists and dicts, fit for JSON."""
        return asdict(self)


#: How a run is stopped while the cell that started it keeps the kernel from hearing the page.
INTERRUPT = "interrupt the kernel to stop"

#: What is shown where nothing was run yet.
NOTHING = GridView(
    run_id="", title="", facts=("no picture yet",), provider="", offline=False, done=0, failed=0, total=0,
    running=False, rows=(), columns=(), cells=(),
)  # fmt: skip
