"""A run whose prompts could not be enhanced: what is said of the money, and no picture with the original words."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

import pytest
from server import OPTIMIZER, Behaviour, FaultServer, contract, edited, hang, reply, with_data

import qwen_widgets as qw
from qwen_widgets import making, studio
from qwen_widgets.core.errors import (
    BudgetError,
    InputError,
    KeyRefusedError,
    NoCreditError,
    QwenError,
    StoppedError,
)
from qwen_widgets.grid.grid import Grid
from qwen_widgets.studio import Job, Studio

NO_CREDIT = reply(400, {"code": 400, "message": "Insufficient credits. Please top up."})
ASKED = {"seeds": "1-2", "sizes": "256x256", "enhance": "anime"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a person was told."""
    lines: list[str] = []
    monkeypatch.setattr(studio, "say", lines.append)
    monkeypatch.setattr(making, "say", lines.append)
    return lines


def models(server: FaultServer) -> list[str]:
    """The models of what was bought, in order."""
    return [seen.target.removeprefix("/api/v3/") for seen in server.submits]


def costs(dollars: float) -> Behaviour:
    """Answer that a picture costs so much, and a text what it did."""

    def ask(answer: dict) -> None:
        if answer["data"]["model_id"] != OPTIMIZER:
            answer["data"].update(price=dollars, discounted_price=dollars)

    return edited(ask)


def planned(prompt: str = "a {red|blue} fox") -> Job:
    return studio.studio().prepare(prompt, **ASKED)


def assert_buys_nothing(grid: Grid, server: FaultServer, words: str) -> None:
    """Each cell says why it is empty, and no way leads to a picture with the original words."""
    sent = len(server.submits)
    assert grid.done
    assert {cell.state for cell in grid} == {"stopped"}
    assert all(words in cell.error.message for cell in grid)
    assert {cell.error.next_step for cell in grid} == {"Run the cell again: it enhances the prompts first."}
    for ask in (grid.retry, lambda: grid.add(seeds="3")):
        with pytest.raises(InputError, match="run its cell again, which enhances them first"):
            ask()
    studio.studio().act(grid, 0, 0, "again")
    grid._running.result(10)
    assert "to be enhanced" in grid.message
    assert len(server.submits) == sent


def test_a_price_that_changes_behind_the_text_is_told_with_what_was_bought(
    hosted: FaultServer, said: list[str]
) -> None:
    job = planned("a red fox")
    hosted.on("price", costs(0.05), times=None)
    with pytest.raises(BudgetError, match=r"asks \$0\.05 for a picture") as caught:
        studio.studio().run(job)
    assert caught.value.message.endswith(
        "; no picture was bought, an enhanced prompt was ($0.0009), kept for the next run."
    )
    assert "--max-cost 0.10" in caught.value.next_step
    assert_buys_nothing(job.grid, hosted, "asks $0.05 for a picture")
    grid = qw.generate("a red fox", **ASKED, max_cost=0.1)
    assert list(grid.prompts) == ["a red fox, anime, in fine detail"]
    assert models(hosted).count(OPTIMIZER) == 1


def test_a_limit_that_is_passed_behind_the_text_is_told_with_what_was_bought(
    hosted: FaultServer, said: list[str]
) -> None:
    studio.studio().configure(max_cost=0.06)
    job = planned("a red fox")
    hosted.on("price", costs(0.033), times=None)
    with pytest.raises(BudgetError, match=r"a run may cost \$0\.06") as caught:
        studio.studio().run(job)
    assert caught.value.next_step == (
        "No picture was bought, an enhanced prompt was ($0.0009), kept for the next run."
    )
    assert models(hosted) == [OPTIMIZER]


@pytest.mark.parametrize(
    ("answer", "kind", "next_step"),
    [
        (NO_CREDIT, NoCreditError, "Top up the account"),
        (reply(401, "no"), KeyRefusedError, "Set WAVESPEED_API_KEY"),
    ],
)
def test_what_ends_the_run_at_the_enhancer_is_told_and_no_original_is_used(
    answer: Behaviour, kind: type[QwenError], next_step: str, hosted: FaultServer, said: list[str]
) -> None:
    hosted.on_submit(answer, times=None)
    job = planned()
    with pytest.raises(kind) as caught:
        studio.studio().run(job)
    assert caught.value.message.endswith("; no picture was bought.")
    assert caught.value.next_step.startswith(next_step)
    assert said == []
    hosted.forget("submit")
    assert_buys_nothing(job.grid, hosted, "no picture was bought")
    grid = qw.generate("a {red|blue} fox", **ASKED)
    assert {cell.state for cell in grid} == {"stored"}
    assert all("anime" in prompt for prompt in grid.prompts)


def test_a_text_that_was_bought_before_the_credit_ended_is_told_and_kept(
    hosted: FaultServer, said: list[str]
) -> None:
    hosted.on_submit(contract, NO_CREDIT)
    with pytest.raises(NoCreditError) as caught:
        studio.studio().run(planned())
    assert caught.value.message.endswith(
        "; no picture was bought, an enhanced prompt was ($0.0009), kept for the next run."
    )
    assert len(hosted.submits) == 2
    qw.generate("a {red|blue} fox", **ASKED)
    assert models(hosted).count(OPTIMIZER) == 3


def test_a_days_budget_that_is_used_up_at_the_enhancer_is_told(hosted: FaultServer, said: list[str]) -> None:
    job = planned("a red fox")
    studio.studio().set_budget(0.0001)
    with pytest.raises(StoppedError, match="the day's budget") as caught:
        studio.studio().run(job)
    assert caught.value.message.endswith("; no picture was bought.")
    assert "%qwen budget" in caught.value.next_step
    assert hosted.submits == []
    assert_buys_nothing(job.grid, hosted, "the day's budget")


def test_the_grid_of_a_text_that_is_too_long_buys_no_originals(hosted: FaultServer, said: list[str]) -> None:
    hosted.on_result(with_data(status="completed", outputs=["fox " * 228]))
    job = planned("a red fox")
    with pytest.raises(InputError, match="911 characters"):
        studio.studio().run(job)
    assert_buys_nothing(job.grid, hosted, "911 characters")
    assert models(hosted) == [OPTIMIZER]


def test_the_grid_of_a_run_that_was_interrupted_while_it_enhanced_buys_no_originals(
    hosted: FaultServer, said: list[str], restart: Callable[[], Studio]
) -> None:
    hosted.on_result(hang)
    main = threading.main_thread().ident

    def interrupt() -> None:
        asyncio.run(hosted.reached("result"))
        signal.pthread_kill(main, signal.SIGINT)

    job = planned("a red fox")
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        studio.studio().run(job)
    thread.join()
    assert_buys_nothing(job.grid, hosted, "stopped while its prompt was being enhanced")
    assert models(hosted) == [OPTIMIZER]


def test_a_grid_whose_prompts_were_enhanced_goes_on_as_any(hosted: FaultServer, said: list[str]) -> None:
    hosted.on_submit(contract, reply(400, "no"))
    grid = qw.generate("a red fox", seeds=1, sizes="256x256", enhance="anime")
    assert grid[0, 0].state == "rejected"
    grid.retry()
    assert grid[0, 0].state == "stored"
    grid.add(seeds="2")
    assert list(grid.prompts) == ["a red fox, anime, in fine detail"]
