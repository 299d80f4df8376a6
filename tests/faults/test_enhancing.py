"""Enhanced prompts in a run: what the line says, what is bought and when, and what is kept of the original."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from server import OPTIMIZER, Exchange, FaultServer, contract, edited, lose_answer, reply, with_data

import qwen_widgets as qw
from qwen_widgets import account, archive, making, studio, wording
from qwen_widgets.core import metadata
from qwen_widgets.core.enhancing import Enhanced
from qwen_widgets.core.errors import BudgetError, InputError, PredictionFailedError, QwenError, StoppedError
from qwen_widgets.core.pacing import Stop
from qwen_widgets.grid.describe import describe
from qwen_widgets.portal import portal
from qwen_widgets.studio import Studio


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


def test_a_prompt_is_enhanced_once(hosted: FaultServer, restart: Callable[[], Studio]) -> None:
    first = qw.enhance("a red fox", style="anime")
    assert first == Enhanced(
        "a red fox, anime, in fine detail", "a red fox", "anime", cost=0.0009, cached=False
    )
    assert f"{first}" == first.text
    restart()
    again = qw.enhance("a red fox", style="anime")
    assert (again.text, again.cost, again.cached) == (first.text, 0.0, True)
    assert models(hosted) == [OPTIMIZER]


async def test_it_can_be_awaited_from_any_loop_and_on_the_portal(hosted: FaultServer) -> None:
    here = studio.studio()
    mine, portals, module = await asyncio.gather(
        here.aenhance("a red fox"),
        asyncio.wrap_future(portal.submit(here.aenhance("a red fox"))),
        wording.aenhance("a red fox"),
    )
    assert mine.text == portals.text == module.text == "a red fox, default, in fine detail"
    assert len(hosted.submits) == 1


async def test_a_stop_while_the_price_is_asked_for_buys_no_text(hosted: FaultServer) -> None:
    stop = Stop()

    async def stopped_meanwhile(x: Exchange) -> None:
        stop.set()
        await contract(x)

    hosted.on("price", stopped_meanwhile)
    with pytest.raises(StoppedError) as caught:
        await studio.studio().aenhance("a red fox", stop=stop)
    assert caught.value.paid == "no"
    assert hosted.submits == []
    assert (await studio.studio().aenhance("a red fox", stop=Stop())).text.startswith("a red fox")


def test_an_enhancer_that_fails_says_why_and_costs_nothing(hosted: FaultServer) -> None:
    hosted.on_result(with_data(status="failed", error="no"), times=None)
    with pytest.raises(PredictionFailedError, match="could not make it: no") as caught:
        qw.enhance("a red fox")
    assert caught.value.paid == "no"


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("anmie", "there is no such style"),
        ("both", "there is no such style"),
        ("", "there is no such style"),
        (7, "style 7: it is one of default"),
    ],
)
def test_a_style_that_is_none_asks_nothing(style: object, words: str, hosted: FaultServer) -> None:
    with pytest.raises(InputError, match=words):
        qw.enhance("a red fox", style=style)  # type: ignore[arg-type]
    for prompt, said in (
        (" ", "^enhance:"),
        ("a \ud800 fox", "^prompt:"),
        ("x" * 10_001, "^enhance:"),
        (None, "^prompt"),
    ):
        with pytest.raises(InputError, match=said):
            qw.enhance(prompt)  # type: ignore[arg-type]
    assert hosted.submits == []


@pytest.mark.parametrize("wish", ["anmie", "both:anmie", "both:", "pretty", 7])
def test_a_wish_that_is_none_buys_nothing(wish: object, hosted: FaultServer) -> None:
    with pytest.raises(InputError, match=r"^enhance "):
        qw.generate("a red fox", seeds=1, sizes="256x256", enhance=wish)  # type: ignore[typeddict-item]
    assert hosted.seen == []


def test_the_line_names_the_enhancers_price_before_anything_is_bought(
    hosted: FaultServer, said: list[str]
) -> None:
    job = studio.studio().prepare("a {red|blue} fox", seeds="1-4", sizes="256x256", enhance=True)
    assert job.line.startswith(
        "2 prompts × 4 seeds = 8 images · enhancing 2 prompts $0.002 · 8 new · $0.218 · about "
    )
    assert hosted.submits == []
    both = studio.studio().prepare("a {red|blue} fox", seeds="1-2", sizes="256x256", enhance="both:anime")
    assert both.line.startswith(
        "2 prompts × original and enhanced × 2 seeds = 8 images · enhancing 2 prompts $0.002 · 8 new · "
    )
    assert hosted.submits == []


def test_enhanced_prompts_stand_in_place_of_the_originals(hosted: FaultServer, said: list[str]) -> None:
    grid = qw.generate("a {red|blue} fox", seeds="1-2", sizes="256x256", enhance="anime", title="foxes")
    texts = ["a red fox, anime, in fine detail", "a blue fox, anime, in fine detail"]
    assert list(grid.prompts) == texts
    assert {cell.state for cell in grid} == {"stored"}
    assert models(hosted).count(OPTIMIZER) == 2
    assert models(hosted)[:2] == [OPTIMIZER] * 2  # the texts come first
    assert sorted(seen.json["prompt"] for seen in hosted.submits[2:]) == sorted(texts * 2)
    assert said[-1] == "2 prompts enhanced (anime) · $0.002"


def test_both_compares_them_over_the_same_seeds(hosted: FaultServer, said: list[str]) -> None:
    grid = qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance="both")
    assert grid.shape == (2, 2)
    assert list(grid.prompts) == ["a red fox", "a red fox, default, in fine detail"]
    view = describe(grid)
    assert view.rows[1].original == "a red fox"
    assert view.rows[1].note == "enhanced (default)"
    assert view.rows[1].parts == (("same", "a red fox"), ("added", ", default, in fine detail"))
    assert view.rows[0].original == ""


def test_a_rerun_asks_nothing_and_costs_nothing(
    hosted: FaultServer, said: list[str], restart: Callable[[], Studio]
) -> None:
    qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance="both")
    sent = len(hosted.submits)
    restart()
    del said[:]
    again = qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance="both")
    assert said[0] == (
        "1 prompt × original and enhanced × 2 seeds = 4 images · 1 prompt enhanced before · 4 already here · "
        "nothing new · $0.00"
    )
    assert again.cost == 0
    assert len(hosted.submits) == sent


def test_original_and_enhanced_are_both_kept(
    hosted: FaultServer, said: list[str], restart: Callable[[], Studio], tmp_path: Path
) -> None:
    grid = qw.generate("a red fox", seeds=1, sizes="256x256", enhance="both:anime")
    table = grid.to_frame()
    assert list(table["enhanced_from"].fillna("")) == ["", "a red fox"]
    assert list(table["style"].fillna("")) == ["", "anime"]
    restart()
    again = qw.grid(grid.run_id)
    assert [row.original for row in again.sweep.rows] == ["", "a red fox"]
    assert [row.style for row in again.sweep.rows] == ["", "anime"]
    _, enhanced = again.save(tmp_path / "saved")
    assert metadata.read(enhanced.read_bytes()).prompt == "a red fox, anime, in fine detail"
    assert b'"enhanced_from": "a red fox"' in enhanced.read_bytes()
    # The history has the text as what it is: no picture.
    history = qw.history()
    texts = history[history["model"] == OPTIMIZER]
    assert list(texts["text"]) == ["a red fox, anime, in fine detail"]
    assert list(texts["path"].isna()) == [True]
    assert any("enhanced (anime)" in line for line in archive.history_lines("a red fox"))


def test_what_fails_leaves_the_original_and_says_so(hosted: FaultServer, said: list[str]) -> None:
    hosted.on_submit(reply(400, {"code": 400, "message": "text: too strange"}))
    grid = qw.generate("a {red|blue} fox", seeds=1, sizes="256x256", enhance="anime")
    refused = hosted.submits[0].json["text"]
    other = {"a red fox": "a blue fox", "a blue fox": "a red fox"}[refused]
    assert set(grid.prompts) == {refused, f"{other}, anime, in fine detail"}
    assert {cell.state for cell in grid} == {"stored"}
    [note] = [line for line in said if line.startswith("not enhanced")]
    assert note == (
        f"not enhanced, the original is used: {refused!r}: The API refused the request: text: too strange. "
        'qw.enhance("…", style="…", retry=True) buys it again.'
    )
    assert said[-1] == "1 prompt enhanced (anime) · $0.001"


def test_an_enhancer_that_is_down_leaves_all_and_the_run_goes_on(
    hosted: FaultServer, said: list[str]
) -> None:
    hosted.on_submit(*[reply(400, "no such model")] * 2)
    grid = qw.generate("a {red|blue} fox", seeds=1, sizes="256x256", enhance="both")
    assert list(grid.prompts) == ["a red fox", "a blue fox"]
    assert {cell.state for cell in grid} == {"stored"}
    assert sum(line.startswith("not enhanced") for line in said) == 1
    assert "= 2 images" in said[-1]  # less than the first line had said


def test_what_was_flagged_before_is_not_counted_as_new(hosted: FaultServer, said: list[str]) -> None:
    hosted.on_result(with_data(status="failed", code=1200, error="Content flagged as potentially sensitive."))
    qw.generate("a red fox", seeds=1, sizes="256x256", enhance=True)
    del said[:]
    qw.generate("a red fox", seeds=1, sizes="256x256", enhance=True)
    assert (
        said[0] == "1 prompt × 1 seed = 1 image · nothing to enhance · 1 already here · nothing new · $0.00"
    )
    assert said[1].startswith(
        "not enhanced, the original is used: 'a red fox': The service flagged the prompt."
    )
    assert models(hosted).count(OPTIMIZER) == 1


def test_too_long_is_said_before_any_picture_is_bought(hosted: FaultServer, said: list[str]) -> None:
    hosted.on_result(with_data(status="completed", outputs=["fox " * 228]))
    with pytest.raises(
        InputError,
        match=r"'a red fox': 911 characters, and qwen-image-2\.0 takes at most 800; no picture was bought, an enhanced "
        r"prompt was \(\$0\.0009\), kept for the next run: shorten it by hand",
    ):
        qw.generate("a red fox", seeds="1-4", sizes="256x256", enhance="anime")
    assert models(hosted) == [OPTIMIZER]
    # It is kept: the next run says so before anything is asked.
    with pytest.raises(InputError, match=r"911 characters.* at most 800; no picture was bought: shorten"):
        studio.studio().prepare("a red fox", seeds="1-4", sizes="256x256", enhance="anime")
    assert models(hosted) == [OPTIMIZER]
    assert len(qw.enhance("a red fox", style="anime").text) == 911


def test_the_limits_hold_with_the_enhancer_in(hosted: FaultServer, said: list[str]) -> None:
    # 2 pictures of $0.027 and a text of $0.0009.
    with pytest.raises(BudgetError, match=r"--max-cost 0\.06"):
        qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance=True, max_cost=0.054)
    studio.studio().set_budget(0.054)
    with pytest.raises(BudgetError, match="day's budget"):
        qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance=True)
    assert hosted.submits == []
    studio.studio().set_budget(0.0549)
    grid = qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance=True, max_cost=0.0549)
    assert {cell.state for cell in grid} == {"stored"}
    studio.studio().configure(max_cost=0.0)
    with pytest.raises(BudgetError):
        qw.enhance("a blue fox")


async def test_it_works_awaited(hosted: FaultServer, said: list[str]) -> None:
    grid = await qw.agenerate("a red fox", seeds=1, sizes="256x256", enhance=True)
    assert list(grid.prompts) == ["a red fox, default, in fine detail"]
    assert said[-1] == "1 prompt enhanced (default) · $0.001"


def test_a_lost_answer_is_found_and_the_run_goes_on(
    hosted: FaultServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = studio.studio().engine()
    engine.time_scale = 0.01
    hosted.on_submit(lose_answer)
    grid = qw.generate("a red fox", seeds=1, sizes="256x256", enhance=True)
    assert list(grid.prompts) == ["a red fox, default, in fine detail"]
    assert models(hosted).count(OPTIMIZER) == 1


def test_an_unknown_outcome_is_told_as_that_and_never_asked_again(
    hosted: FaultServer, said: list[str]
) -> None:
    engine, _ = studio.studio().engine()
    engine.time_scale = 0.001
    hosted.on_submit(lose_answer)
    hosted.on_history(reply(500), times=None)
    for _ in range(2):
        grid = qw.generate("a red fox", seeds=1, sizes="256x256", enhance=True)
        assert (list(grid.prompts), grid[0, 0].state) == (["a red fox"], "stored")
        [note] = [line for line in said if line.startswith("not enhanced")]
        assert 'It may be charged. qw.enhance("…"' in note
        del said[:]
    assert models(hosted).count(OPTIMIZER) == 1


def test_a_text_that_failed_for_good_is_bought_again_only_when_asked(
    hosted: FaultServer, said: list[str]
) -> None:
    hosted.on_result(with_data(status="deleted"))
    for _ in range(2):
        with pytest.raises(QwenError, match="has deleted") as caught:
            qw.enhance("a red fox")
        assert "retry=True" in caught.value.next_step
    qw.generate("a red fox", seeds=1, sizes="256x256", enhance=True)
    assert any("retry=True) buys it again" in line for line in said)
    assert models(hosted).count(OPTIMIZER) == 1
    again = qw.enhance("a red fox", retry=True)
    assert (again.text, again.cached) == ("a red fox, default, in fine detail", False)
    # What is here stays, whatever is asked.
    assert qw.enhance("a red fox", retry=True).cached
    assert models(hosted).count(OPTIMIZER) == 2


def test_a_text_that_was_given_up_can_be_bought_again(hosted: FaultServer) -> None:
    engine, _ = studio.studio().engine()
    engine.time_scale = 0.001
    hosted.on_submit(lose_answer)
    hosted.on_history(reply(500), times=None)
    with pytest.raises(QwenError, match="lost"):
        qw.enhance("a red fox")
    archive.forget("all")
    with pytest.raises(QwenError, match="lost") as caught:
        qw.enhance("a red fox")
    assert "retry=True" in caught.value.next_step
    assert qw.enhance("a red fox", retry=True).text == "a red fox, default, in fine detail"


def test_another_price_stops_until_a_limit_accepts_it(hosted: FaultServer) -> None:
    hosted.on(
        "price", edited(lambda answer: answer["data"].update(price=0.02, discounted_price=0.02)), times=2
    )
    with pytest.raises(BudgetError, match=r"asks \$0\.02 for a text of prompt-optimizer"):
        qw.enhance("a red fox")
    assert hosted.submits == []
    assert qw.enhance("a red fox", max_cost=0.05).cost == 0.02


def test_interrupted_while_it_enhances_it_buys_no_picture_and_loses_no_text(
    hosted: FaultServer, said: list[str], restart: Callable[[], Studio]
) -> None:
    restarted = threading.Event()

    async def hang_till_then(x: Exchange) -> None:
        await asyncio.to_thread(restarted.wait, 60)
        await x.fin()

    hosted.on_result(hang_till_then)
    main = threading.main_thread().ident

    def interrupt() -> None:
        asyncio.run(hosted.reached("result"))
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        qw.generate("a red fox", seeds="1-2", sizes="256x256", enhance=True)
    thread.join()
    assert models(hosted) == [OPTIMIZER]
    restart()
    assert archive.waiting() == 1
    # The interrupted run still asks for what is paid for: from here on either may be the one that gets it.
    restarted.set()
    archive.resume()
    assert archive.waiting() == 0
    assert qw.enhance("a red fox").cached
    assert models(hosted) == [OPTIMIZER]


def test_a_kernel_that_died_while_asking_has_its_text_fetched(
    hosted: FaultServer, said: list[str], restart: Callable[[], Studio], qwen_home: Path
) -> None:
    """The row of a dead kernel: sent, and no answer heard. It is looked for and never sent again on a guess."""
    assert qw.enhance("a red fox").text
    with sqlite3.connect(qwen_home / "ledger.sqlite3") as db:
        db.execute(
            "UPDATE purchase SET state = 'sending', prediction_id = NULL, outputs = NULL, text = NULL,"
            " owner = '999999:x:y', lease_until = 0"
        )
    here = restart()
    engine, _ = here.engine()
    engine.time_scale = 0.01
    assert archive.waiting() == 1
    assert [line for line in account.status_lines() if line.startswith("to fetch")]
    archive.resume()
    assert archive.waiting() == 0
    assert qw.enhance("a red fox").cached
    assert len(hosted.submits) == 1


def test_no_picture_is_taken_for_a_text(hosted: FaultServer, said: list[str]) -> None:
    qw.enhance("a red fox")
    grid = qw.generate("a red fox", seeds=1, sizes="256x256")
    assert grid[0, 0].image.size == (256, 256)
    assert json.loads(grid.sweep.to_json()).get("enhanced") is None
