"""The runs of a panel: one after another on the portal, and a Stop for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.portal import outcome, portal


@dataclass(eq=False)
class Ask:
    """A run that waits for its turn, with the controls as they were."""

    plan: Callable[[Sequence[InputPicture]], Sweep]
    #: None while its pictures are being read.
    sweep: Sweep | None
    title: str
    max_cost: float | None
    stop: Stop = field(default_factory=Stop)


class Runs:
    """What a panel has been asked to do.

    Parameters
    ----------
    perform : callable
        Does one run, on the portal.
    failed : callable
        ``(error)``: a run has ended with it.
    moved : callable
        A run begins or ends.
    """

    def __init__(
        self,
        perform: Callable[[Ask], Awaitable[None]],
        failed: Callable[[Exception], None],
        moved: Callable[[], None],
    ) -> None:
        self._perform, self._failed, self._moved = perform, failed, moved
        self._turn: asyncio.Lock | None = None
        self._queue: list[Ask] = []
        #: The run whose turn it is.
        self._current: Ask | None = None
        self._futures: list[Future[None]] = []

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return sum(not ask.stop.is_set() for ask in tuple(self._queue))

    @property
    def busy(self) -> bool:
        """Whether one goes on or waits."""
        return self._current is not None or bool(self.waiting)

    def add(self, ask: Ask) -> None:
        """Do a run when those before it have ended."""
        self._queue.append(ask)
        self.follow(portal.submit(self._one(ask)))
        self._moved()

    def follow(self, future: Future[None]) -> None:
        """Have `wait` wait for something else, too."""
        self._futures = [one for one in self._futures if not one.done()]
        self._futures.append(future)

    async def _one(self, ask: Ask) -> None:
        if self._turn is None:
            self._turn = asyncio.Lock()
        try:
            async with self._turn:
                self._current = ask
                self._queue.remove(ask)
                await self._perform(ask)
        except Exception as error:  # noqa: BLE001
            self._failed(error)
        finally:
            self._current = None
            self._moved()

    def stop(self) -> None:
        """Have the one that goes on buy nothing more, and drop those that wait."""
        for ask in (*self._queue, self._current):
            if ask is not None:
                ask.stop.set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for all of them; errors as in `Panel.wait`."""
        if portal.here:
            raise QwenError(
                "panel.wait() would wait for itself: a run calls this code, and goes on behind it."
            )
        for future in tuple(self._futures):
            outcome(future, timeout)
