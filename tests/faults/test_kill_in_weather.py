"""Killed, in a storm, with a clock that jumps and files that break: nothing is lost, paid twice or shown damaged.

Each round is drawn from its number: two to four kernels that die at random instants or named points while the service
loses, delays and spoils its answers, the machine's clock is set, and the ledger, its copies and the pictures are
damaged between two of them. Then the weather is fair, the cell is run again until all is here, and the truth of the
server is compared with what the ledger holds and the user was shown.

More rounds: pytest tests/faults/test_kill_in_weather.py --kill-rounds=200
Number 117 again: pytest tests/faults/test_kill_in_weather.py --kill-rounds=118 -k "[117]"
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from damage import copies, damage_copies, damage_ledger, damage_pictures, damage_receipts
from kernel_child import POINTS
from nursery import Cell
from rig import a_request, check_invariants
from server import FaultServer
from weather import Weather

from qwen_widgets.core.enhancer import TextRequest

NURSERY = Path(__file__).with_name("nursery.py")
PROMPT = "a red fox"
SEEDS = "1-6"
PICTURES = {str(seed): a_request(PROMPT, seed=seed) for seed in range(1, 7)}
MINUTE, DAY = 60.0, 86_400.0
JUMPS = (0.0, 0.0, 3 * MINUTE, 3 * MINUTE, -3 * MINUTE, DAY, -DAY, 10 * DAY, -10 * DAY)
#: Runs in fair weather after which everything has to be here.
_MOST_RUNS = 6
#: Seconds after which a kernel counts as hanging.
_LONGEST = 40.0
#: Rounds that run together: they wait most of the time.
_TOGETHER = 4


class Nursery:
    """The process that forks kernels, seen from the test."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(NURSERY)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=False,
            bufsize=0,
        )
        self._buffer = b""
        # It imports everything first, which takes its time on a busy machine.
        ready = self._read(120.0)
        assert ready == {"ready": True}, "the nursery does not come up"

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def start(self, cell: Cell) -> int:
        """Fork a kernel; returns its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(cell.line.encode() + b"\n")
        said = self._read(120.0)
        assert said is not None, "the nursery does not answer"
        return int(said["pid"])

    def ended(self, timeout: float) -> int | None:
        """Return the exit code of the kernel, None where it still lives after so many seconds."""
        said = self._read(timeout)
        return None if said is None else int(said["ended"])

    def _read(self, timeout: float) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            heard = os.read(self._process.stdout.fileno(), 4096)
            assert heard, "the nursery has ended"
            self._buffer += heard
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))


@dataclass
class Round:
    """One round: its kernels one after another, and what is between them."""

    number: int
    folder: Path
    nursery: Nursery
    server: FaultServer
    kernels: int = 0
    kills: int = 0
    #: Whether the ledger, its copies or the clock were touched: then events don't tell all.
    touched: bool = False
    reports: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.folder / "qwen"
        self.rnd = random.Random(self.number)
        self.weather = Weather(self.number, self.server, self.home)
        texts = self.rnd.choice(([], ["a cat"], ["a cat", "a dog"]))
        self.texts = {text: TextRequest(text) for text in texts}
        self.orders = [*PICTURES.values(), *self.texts.values()]

    # --- one kernel ---------------------------------------------------------------------------------------

    def run(self, *, kill: str = "", accept: bool = False, **clock: float) -> dict[str, Any] | None:
        """Run the cell in a fresh kernel; what its user saw, None where it was killed.

        Parameters
        ----------
        kill : str
            ``point:n`` of the kernel, or ``route:n:delay`` for so many seconds after the n-th request of a route;
            empty for a kernel that lives.
        accept : bool
            Whether the user says yes to buying what a lost ledger may have bought.
        """
        self.kernels += 1
        report = self.folder / f"report-{self.kernels}.json"
        at, _, rest = kill.partition(":")
        named = at in POINTS
        cell = Cell(
            home=str(self.home),
            base_url=self.server.base_url,
            report=str(report),
            prompt=PROMPT,
            seeds=SEEDS,
            texts=list(self.texts),
            kill_at=kill if named else "",
            accept=accept,
            **clock,
        )
        self.weather.note(
            f"== kernel {self.kernels}: {kill or 'lives'}, {clock or 'right time'}{', accepting' * accept}"
        )
        arrived: SimpleQueue[None] = SimpleQueue()
        left = 0
        if kill and not named:
            count, _, delay = rest.partition(":")
            left = int(count)

        def count_down(route: str) -> None:
            nonlocal left
            if route == at:
                left -= 1
                if left == 0:
                    arrived.put(None)

        self.weather.on_arrival = count_down
        pid = self.nursery.start(cell)
        code = None
        end = time.monotonic() + _LONGEST
        while code is None and time.monotonic() < end:
            code = self.nursery.ended(0.01 if kill and not named else 1.0)
            if code is None and not arrived.empty():
                code = self.nursery.ended(float(delay))
                if code is None:
                    os.kill(pid, signal.SIGKILL)
                    code = self.nursery.ended(10.0)
                break
        self.weather.on_arrival = lambda route: None
        if code is None:
            os.kill(pid, signal.SIGABRT)
            self.nursery.ended(10.0)
            raise AssertionError(f"I7: kernel {self.kernels} does not come to an end")
        self.weather.note(f"== kernel {self.kernels} ended with {code}")
        if code == -signal.SIGKILL:
            self.kills += 1
            return None
        assert code == 0, f"kernel {self.kernels} failed: {report.with_suffix('.json.log').read_text()}"
        seen = dict(json.loads(report.read_text()))
        self.reports.append(seen)
        self.weather.note(f"   saw {_short(seen)}")
        self.check_shown(seen)
        return seen

    # --- the story ----------------------------------------------------------------------------------------

    def play(self) -> None:
        """Storm, kills, damage; then fair weather until all is here; then everything is compared."""
        self.storm()
        self.weather.fair = True
        self.weather.note("** fair weather")
        asked = False
        for _ in range(_MOST_RUNS):
            seen = self.run(accept=asked)
            assert seen is not None
            self.hold()
            if self.is_here(seen):
                break
            if asked := _asks(seen):
                self.agree()
        else:
            raise AssertionError("I7: not all is here in fair weather")
        self.check_end()

    def storm(self) -> None:
        rnd = self.rnd
        wanted = rnd.randint(2, 4)
        asked = False
        for _ in range(wanted + 3):
            if self.kills == wanted:
                break
            clock: dict[str, float] = {}
            if (ahead := rnd.choice(JUMPS)) or rnd.random() < 0.3:
                clock["ahead"] = ahead
                if rnd.random() < 0.4:
                    clock |= {"set_after": rnd.uniform(0.02, 0.4), "set_to": rnd.choice(JUMPS)}
                self.touched = True
            seen = self.run(kill=self.draw_kill(), accept=asked, **clock)
            self.hold()
            self.break_things()
            if asked := seen is not None and _asks(seen) and rnd.random() < 0.3:
                self.agree()

    def draw_kill(self) -> str:
        rnd = self.rnd
        if rnd.random() < 0.4:
            return f"{rnd.choice(POINTS)}:{rnd.randint(1, 4)}"
        route = rnd.choice(("submit", "submit", "result", "picture", "history"))
        return (
            f"{route}:{rnd.randint(1, 8)}:{rnd.choice((0.0, rnd.uniform(0, 0.02), rnd.uniform(0, 0.3))):.3f}"
        )

    def break_things(self) -> None:
        """Damage files while no kernel lives."""
        rnd = self.rnd
        if rnd.random() < 0.35:
            self.touched = True
            self.weather.note(f"** the ledger: {damage_ledger(self.home, rnd)}")
            if rnd.random() < 0.3:
                self.weather.note(f"** its copies: {damage_copies(self.home, rnd)}")
                if rnd.random() < 0.3:
                    self.weather.note(f"** receipts: {damage_receipts(self.home, rnd)}")
        if rnd.random() < 0.3:
            self.weather.note(f"** pictures: {damage_pictures(self.home, rnd)}")

    def agree(self) -> None:
        """Let what isn't known to be here be bought once more: the user was asked and says yes."""
        # A kernel may have died between a file's name and what is written beside it: then nobody knows whose it is.
        receipts = "".join(path.read_text("utf-8", "replace") for path in self.home.rglob("*.json"))
        for order in self.orders:
            ids = self.server.paid[order.key]
            if ids and not any(id_ in receipts for id_ in ids):
                self.weather.agreed[order.key] = len(ids)

    # --- what has to hold ---------------------------------------------------------------------------------

    def hold(self) -> None:
        """Nothing may have been broken by an order."""
        assert not self.weather.broken, "; ".join(self.weather.broken)

    def check_shown(self, seen: dict[str, Any]) -> None:
        """What is shown as stored is a picture that the service made for this very request, whole."""
        for seed, cell in seen["cells"].items():
            if cell["state"] == "stored":
                true = self.weather.true_hashes(PICTURES[seed].key)
                assert cell["sha256"] in true, f"I4: what is shown of seed {seed} isn't what the service made"
                assert cell["size"] == [256, 256]
                assert cell["thumbnail"], f"I8: seed {seed} is stored and nothing is shown of it"
                off = _most_apart(cell["thumbnail"], self.weather.true_colours(PICTURES[seed].key))
                assert off < 40, f"I8: the thumbnail of seed {seed} is of another picture"
        for text, heard in seen["texts"].items():
            if "text" in heard:
                made = self.server.predictions[self.server.paid[self.texts[text].key][0]]
                assert heard["text"] == made.text, f"I4: the text of {text!r} isn't what the service made"

    def is_here(self, seen: dict[str, Any]) -> bool:
        states = [cell["state"] for cell in seen["cells"].values()]
        return states == ["stored"] * len(PICTURES) and all("text" in it for it in seen["texts"].values())

    def check_end(self) -> None:
        self.hold()
        assert {key for key, ids in self.server.paid.items() if ids} == {order.key for order in self.orders}
        for order in self.orders:
            bought = len(self.server.paid[order.key])
            assert bought <= 1 + self.weather.agreed[order.key], f"I1: {bought} predictions of {order.prompt}"
        agreed = max(self.weather.agreed.values(), default=0)
        check_invariants(
            self.server,
            self.home,
            self.orders,
            resends=agreed,
            told=not self.touched,
            texts=map(str, self.reports),
        )

    # --- what a failure tells -----------------------------------------------------------------------------

    def tell(self) -> str:
        """Return all that happened, to be understood without a second run."""
        lines = [f"round {self.number}; kept in {self.folder}", *self.weather.log]
        for path in (self.home / "ledger.sqlite3", *copies(self.home)):
            lines.append(f"-- {path.name}")
            try:
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                    lines += [
                        f"   row {row[0]} {row[1]} {row[2]} {row[3]}: {row[4]} ({row[5]})"
                        for row in db.execute(
                            "SELECT p.id, p.prompt, p.seed, coalesce(p.prediction_id, '-'), e.state, e.note"
                            " FROM event e JOIN purchase p ON p.id = e.purchase_id ORDER BY p.id, e.id"
                        )
                    ]
            except sqlite3.Error as error:
                lines.append(f"   {error}")
        lines += [
            f"-- {path.relative_to(self.home)}" for path in sorted(self.home.rglob("*")) if path.is_file()
        ]
        return "\n".join(lines)


def _asks(seen: dict[str, Any]) -> bool:
    """Whether the user is asked to say yes to what can't be known any more."""
    errors = [seen["raised"], *(cell["error"] for cell in seen["cells"].values())]
    errors += [heard.get("error") for heard in seen["texts"].values()]
    return any(error is not None and "accept_ledger" in error["next"] for error in errors)


def _most_apart(some: list[list[int]], others: list[list[int]]) -> int:
    return max(
        abs(a - b) for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)
    )


def _short(seen: dict[str, Any]) -> str:
    if seen["raised"] is not None:
        return f"an error: {seen['raised']}"
    cells = {
        seed: cell["state"]
        + (f" ({cell['error']['kind']}: {cell['error']['message']})" if cell["error"] else "")
        for seed, cell in seen["cells"].items()
    }
    return f"{cells}, {seen['texts']}" if seen["texts"] else str(cells)


# --- the rounds -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rounds(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    child_env: Callable[..., dict[str, str]],
) -> Iterator[Callable[[int], Future[str]]]:
    """Play the rounds that were asked for, a few at a time; each one's future gives what went wrong, or nothing."""
    wanted = [
        item.callspec.params["weather_round"]
        for item in request.session.items
        if item.path == request.path
        and "weather_round" in getattr(getattr(item, "callspec", None), "params", ())
    ]
    folder = tmp_path_factory.mktemp("weather")
    nurseries: SimpleQueue[Nursery] = SimpleQueue()
    for _ in range(_TOGETHER):
        nurseries.put(Nursery(child_env(folder)))

    def play(number: int) -> str:
        nursery, server = nurseries.get(), FaultServer()
        here = folder / f"round-{number}"
        here.mkdir()
        this = Round(number, here, nursery, server)
        try:
            this.play()
        except AssertionError as error:
            return f"{error}\n{this.tell()}"
        finally:
            server.stop()
            nurseries.put(nursery)
        return ""

    with ThreadPoolExecutor(_TOGETHER) as threads:
        futures = {number: threads.submit(play, number) for number in wanted}
        yield futures.__getitem__
        for future in futures.values():
            future.cancel()
    while not nurseries.empty():
        nurseries.get().close()


def test_what_is_paid_for_survives_kills_weather_clocks_and_damage(
    rounds: Callable[[int], Future[str]], weather_round: int
) -> None:
    """0 lost, 0 bought twice, 0 damaged pictures shown."""
    wrong = rounds(weather_round).result()
    assert not wrong, wrong
