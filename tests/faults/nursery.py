"""The nursery of the kill test: a process that has imported everything, and forks a kernel for each run of a cell.

    python nursery.py

It reads a JSON object a line (`Cell`), forks a kernel that runs it, and says ``{"pid": …}`` and, when the kernel has
ended and left nothing behind, ``{"ended": …}``. A kernel writes to the file `report` what its user gets to see.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any


class SettableClock:
    """The wall clock of this process, which somebody may set; the monotonic one goes on as ever."""

    def __init__(self) -> None:
        self._true = time.time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._true() + self.ahead

    def set_later(self, after: float, ahead: float) -> None:
        """Set it in so many seconds, as a time server does with a machine that has slept."""

        def set_it() -> None:
            self.ahead = ahead

        timer = threading.Timer(after, set_it)
        timer.daemon = True
        timer.start()


CLOCK = SettableClock()
# Before the package is imported, which holds on to the function that it finds.
time.time = CLOCK

from kernel_child import arm  # noqa: E402
from weather import colours  # noqa: E402

import qwen_widgets.studio  # noqa: E402
from qwen_widgets import QwenError, enhance, generate, history  # noqa: E402
from qwen_widgets.core import pacing  # noqa: E402
from qwen_widgets.core.key import ApiKey  # noqa: E402
from qwen_widgets.core.transport import Timeouts  # noqa: E402
from qwen_widgets.settings import Settings  # noqa: E402

# What the package loads at its first use: a kernel here is to die of the test, not to spend its life importing.
for _late in ("anyio._backends._asyncio", "httpcore", "h11", "pandas"):
    with suppress(ImportError):
        import_module(_late)

#: What the documented times are multiplied with.
SCALE = 0.01


@dataclass(frozen=True)
class Cell:
    """A run of a notebook's cell by a fresh kernel.

    Attributes
    ----------
    texts : list of str
        Prompts that are enhanced before the pictures are asked for.
    kill_at : str
        ``point:n``, as `kernel_child` names them; empty for none.
    ahead : float
        Seconds by which the machine's clock is wrong.
    set_after, set_to : float
        Seconds after which the clock is set anew, and by how many it is wrong then; 0 for never.
    accept : bool
        Whether the user first says that what a lost ledger may have bought may be bought again.
    """

    home: str
    base_url: str
    report: str
    prompt: str
    seeds: str
    texts: list[str]
    kill_at: str = ""
    ahead: float = 0.0
    set_after: float = 0.0
    set_to: float = 0.0
    accept: bool = False

    @property
    def line(self) -> str:
        """What the nursery reads."""
        return json.dumps(asdict(self))


def _prepare(cell: Cell) -> None:
    """Put a studio on the fault server behind the public names, in scaled time."""
    pacing.DEFAULT_RETRY = 2.0
    here = qwen_widgets.studio
    here.Engine = partial(here.Engine, usual=0.03, time_scale=SCALE)
    patience = Timeouts(connect=5, read=1.5, whole_call=3, whole_download=5)
    here.WaveSpeed = partial(here.WaveSpeed, timeouts=patience)
    studio = here.Studio(Settings(base_url=cell.base_url, home=Path(cell.home), provider="wavespeed"))
    studio._login = ApiKey("canary-5f0e9b7c1d-key")
    here._default = studio


def _seen(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {
        "kind": type(error).__name__,
        "message": str(error),
        "next": getattr(error, "next_step", ""),
        "paid": getattr(error, "paid", ""),
    }


def _look(thumbnail: bytes | None) -> list[list[int]] | None:
    """Return the colours of what is shown, 4 × 4; None where nothing is."""
    return None if thumbnail is None else colours(thumbnail)


def _run(cell: Cell) -> dict[str, Any]:
    """Do the cell; what its user gets to see."""
    report: dict[str, Any] = {"texts": {}, "cells": {}, "raised": None}
    try:
        if cell.accept:
            qwen_widgets.accept_ledger()
        for text in cell.texts:
            try:
                report["texts"][text] = {"text": str(enhance(text))}
            except QwenError as error:
                report["texts"][text] = {"error": _seen(error)}
        grid = generate(cell.prompt, seeds=cell.seeds, sizes=(256, 256))
        for place in grid:
            shown: dict[str, Any] = {"state": place.state, "error": _seen(place.error)}
            if place.state == "stored":
                shown["sha256"] = hashlib.sha256(place.path.read_bytes()).hexdigest()
                shown["size"] = list(place.image.size)
                shown["thumbnail"] = _look(grid._updates[place.request.key].thumbnail)
            report["cells"][str(place.request.seed)] = shown
        report["history"] = len(history())
    except QwenError as error:
        report["raised"] = _seen(error)
    return report


def _live(cell: Cell) -> None:
    """Be a kernel: run the cell, write the report, end."""
    out = os.open(f"{cell.report}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    faulthandler.enable()
    _prepare(cell)
    CLOCK.ahead = cell.ahead
    if cell.set_after:
        CLOCK.set_later(cell.set_after, cell.set_to)
    if cell.kill_at:
        point, _, count = cell.kill_at.partition(":")
        arm(point, int(count))
    report = _run(cell)
    part = Path(f"{cell.report}.part")
    part.write_text(json.dumps(report), encoding="utf-8")
    part.replace(cell.report)


def _fork(cell: Cell) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _live(cell)
        status = 0
    except BaseException:  # noqa: BLE001  (told, and the nursery's own loop is not to go on in the child)
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(**what: int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fork a kernel for each line, one after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _say(ready=True)
    for line in sys.stdin:
        pid = _fork(Cell(**json.loads(line)))
        _say(pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
