"""The portal: a private loop on its own thread, re-entrant, that patches nothing of anybody else."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from qwen_widgets.portal import Portal, outcome


@pytest.fixture
def portal() -> Iterator[Portal]:
    portal = Portal()
    yield portal
    portal.close()


def interrupt_when(begun: threading.Event, *, seen_by_another: bool = False) -> None:
    """Send SIGINT to the main thread, once the work has begun and that thread waits for it.

    A system may also give it to another thread, and then nothing wakes the main thread.
    """
    main = threading.main_thread().ident or 0

    def waits() -> bool:
        frame = sys._current_frames().get(main)
        while frame is not None:
            if frame.f_code.co_name == "wait" and "futures" in frame.f_code.co_filename:
                return True
            frame = frame.f_back
        return False

    def interrupt() -> None:
        begun.wait(5)
        while not waits():
            threading.Event().wait(0.001)
        signal.pthread_kill(threading.get_ident() if seen_by_another else main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()


def test_work_runs_on_the_portals_thread(portal: Portal) -> None:
    async def where() -> int:
        return threading.get_ident()

    assert portal.run(where()) != threading.get_ident()
    assert portal.run(where()) == portal.run(where())


def test_errors_come_back(portal: Portal) -> None:
    async def fail() -> None:
        raise ValueError("so it is")

    with pytest.raises(ValueError, match="so it is"):
        portal.run(fail())


def test_a_blocking_call_from_the_portal_itself_does_not_hang(portal: Portal) -> None:
    async def inner(n: int) -> int:
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            return n * 2

    async def outer(n: int) -> int:
        return portal.run(inner(n)) + 1

    async def many() -> list[int]:
        return await asyncio.gather(*(outer(n) for n in range(5)))

    assert portal.submit(many()).result(10) == [1, 3, 5, 7, 9]


def test_asyncio_stays_as_it_was(portal: Portal) -> None:
    def look() -> list[object]:
        loop = asyncio.SelectorEventLoop
        return [
            asyncio.run, asyncio.Task, asyncio.Future, asyncio.get_event_loop, loop.run_forever,
            loop.run_until_complete, loop._run_once, loop._check_running, hasattr(loop, "_nest_patched"),
        ]  # fmt: skip

    before = look()
    portal.run(asyncio.sleep(0))
    assert look() == before

    async def nested() -> None:
        work = asyncio.sleep(0)
        try:
            asyncio.get_running_loop().run_until_complete(work)
        finally:
            work.close()

    with pytest.raises(RuntimeError):
        asyncio.run(nested())


def test_context_variables_travel_with_the_work(portal: Portal) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="")

    async def read() -> str:
        return name.get()

    name.set("this cell")
    assert portal.run(read()) == "this cell"


def test_an_interrupt_cancels_and_waits_for_the_clean_up(portal: Portal) -> None:
    begun = threading.Event()
    cleaned = threading.Event()

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()

    interrupt_when(begun)
    with pytest.raises(KeyboardInterrupt):
        portal.run(slow())
    assert cleaned.is_set()


@pytest.mark.parametrize("seen_by_another", [False, True])
def test_waiting_for_submitted_work_leaves_it_running_when_interrupted(
    portal: Portal, seen_by_another: bool
) -> None:
    begun = threading.Event()
    told = threading.Event()

    async def slow() -> str:
        begun.set()
        while not told.is_set():
            await asyncio.sleep(0.01)
        return "done"

    future = portal.submit(slow())
    interrupt_when(begun, seen_by_another=seen_by_another)
    with pytest.raises(KeyboardInterrupt):
        portal.wait(future)
    assert not future.done()
    told.set()
    assert future.result(5) == "done"


def test_a_wait_ends_with_its_time_and_an_error_of_the_work_is_its_own(portal: Portal) -> None:
    release = asyncio.Event()

    async def slow() -> None:
        await release.wait()
        raise TimeoutError("the work's own")

    future = portal.submit(slow())
    with pytest.raises(TimeoutError, match=r"^$"):
        outcome(future, 0.01)
    assert not future.done()
    portal.loop.call_soon_threadsafe(release.set)
    with pytest.raises(TimeoutError, match="the work's own"):
        outcome(future, 60)
