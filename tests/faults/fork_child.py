"""What a process and the one that it forks do, for tests/faults/test_fork.py: prints one line of JSON.

    python fork_child.py CASE

The embedded service makes the pictures; QWEN_WIDGETS_HOME is the home of both.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import qwen_widgets as qw
from qwen_widgets import studio as studios
from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.owner import is_dead
from qwen_widgets.grid.grid import Grid

FORK = multiprocessing.get_context("fork")
#: Seconds after which a child counts as hanging.
LONGEST = 60


def in_child(work: Callable[[], Any]) -> Any:
    """Return what some work gives in a forked process; what it raises is a sentence."""
    answers = FORK.SimpleQueue()

    def told() -> None:
        try:
            answers.put(work())
        except Exception as error:  # noqa: BLE001
            answers.put(f"{type(error).__name__}: {error}")

    child = FORK.Process(target=told)
    child.start()
    child.join(LONGEST)
    if child.is_alive():
        os.kill(child.pid or 0, signal.SIGKILL)
        return "it hangs"
    return answers.get() if not answers.empty() else f"it ended with {child.exitcode}"


def made(prompt: str = "a fox", seeds: str = "1-2") -> Grid:
    return qw.generate(prompt, seeds=seeds, sizes="256x256")


def states(grid: Grid) -> list[str]:
    return [cell.state for cell in grid]


def idle() -> Any:
    """The parent has made pictures and rests."""
    grid = made()

    def child() -> Any:
        known = [grid[0, 0].image.size[0], len(qw.history()), states(qw.grid(grid.run_id))]
        grid.wait()
        grid.choices = grid.choices.with_stars(0, 0, 4)
        grid.add(seeds="3")
        grid.retry()
        again = made(seeds="1-4")
        return [*known, states(grid), states(again), [cell.cached for cell in again]]

    return [in_child(child), states(made(seeds="4-5")), len(qw.history())]


def fresh() -> Any:
    """Nothing was done yet."""
    return [in_child(lambda: states(made())), states(made())]


def running() -> Any:
    """A run of the parent goes on."""
    studios.studio().configure(offline_seconds=2.0)
    here = studios.studio()
    job = here.prepare("a fox", seeds="1-3", sizes="256x256")
    here._begin(job, "script")
    grid = job.grid
    while not any(state == "submitted" for state in states(grid)):
        time.sleep(0.01)

    def child() -> Any:
        said = []
        for ask in (grid.wait, lambda: grid.add(seeds="9"), grid.retry, lambda: grid[0, 0].image):
            try:
                ask()
                said.append("")
            except QwenError as error:
                said.append(str(error))
        grid.stop()
        studios.studio().configure(offline_seconds=0.05)
        # Others are made here, and those that are under way are waited for and not made twice.
        return [said, grid.done, states(made("a cat")), states(made(seeds="1-3"))]

    answer = in_child(child)
    grid.wait()
    rows = [row for row in here.ledger().wait(lambda db: db.history()) if row.prompt == "a fox"]
    return [answer, states(grid), len(rows)]


def locked() -> Any:
    """Other threads hold what they can hold, and a transaction goes on, at the moment of the fork."""
    grid = made()
    here = studios.studio()
    begun, go = threading.Event(), threading.Event()

    def hold() -> None:
        with here._lock, studios._default_lock, grid._lock, studios.portal._lock:
            begun.set()
            go.wait()

    def work(db: Any) -> None:
        db.write_setting("half", "1")
        writing.set()
        time.sleep(0.5)
        db.write_setting("half", "2")

    writing = threading.Event()
    threading.Thread(target=hold, daemon=True).start()
    begun.wait()
    ledger = next(iter(here._ledgers.values()))
    ended = ledger.do(work)
    writing.wait()

    def child() -> Any:
        seen = studios.studio().ledger().wait(lambda db: db.setting("half"))
        return [seen, states(grid.add(seeds="3")), states(made("a cat"))]

    answer = in_child(child)
    go.set()
    ended.result()
    return [answer, ledger.wait(lambda db: db.setting("half")), states(made("a dog"))]


def several() -> Any:
    """Children of children, and many at once: each is a process of its own to the ledger."""
    made(seeds="1")

    def owner() -> str:
        return studios.studio().ledger().wait(lambda db: db.owner)

    mine = owner()
    theirs = in_child(lambda: [owner(), in_child(owner)])
    with FORK.Pool(4) as pool:
        pooled = pool.map_async(pooled_states, range(8)).get(LONGEST)
    distinct = len({mine, theirs[0], theirs[1]})
    return [distinct, is_dead(mine), is_dead(theirs[0]), pooled, len(qw.history())]


def pooled_states(number: int) -> list[str]:
    return states(made(f"a fox, number {number % 4}", seeds="1"))


def ends() -> Any:
    """A child that ends as a program does, with all that ends then, leaves the parent's connections as they are."""
    grid = made()
    child = os.fork()
    if child == 0:
        made("a cat")
        sys.exit(0)
    for _ in range(LONGEST * 20):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        return "it hangs"
    return [status, states(made("a dog")), states(grid.add(seeds="3"))]


if __name__ == "__main__":
    # Python 3.12 and newer warn of a fork beside threads, which is what is tried here.
    warnings.simplefilter("ignore", DeprecationWarning)
    print(json.dumps(globals()[sys.argv[1]]()))  # noqa: T201
    sys.stdout.flush()
    # The parent's own end is not what is tried.
    os._exit(0)
