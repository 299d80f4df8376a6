"""The account: its balance, what was spent, and what was made elsewhere in the last seven days."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from server import OPTIMIZER, FaultServer, edited, lose_answer, reply, with_data

import qwen_widgets as qw
from qwen_widgets import account, archive
from qwen_widgets.core.errors import ExpiredError, InputError, QwenError
from qwen_widgets.core.models import DEFAULT_MODEL

FOX = {"prompt": "a red fox", "size": "256*256", "seed": 7}


def test_the_balance_is_told(hosted: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = account.balance_lines()
    assert ": $12.50 left" in line
    hosted.on("balance", reply(500, "no"))
    with pytest.raises(QwenError, match="HTTP 500") as caught:
        account.balance_lines()
    assert caught.value.next_step == "Nothing was bought; ask again in a moment."
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    assert account.balance_lines() == [
        "The embedded service costs nothing and has no balance; with a key this is the account's."
    ]


@pytest.mark.parametrize("code", [400, 404])
def test_a_balance_that_is_not_told_asks_for_no_change_of_a_request(code: int, hosted: FaultServer) -> None:
    hosted.on("balance", reply(code, "no"))
    with pytest.raises(QwenError) as caught:
        account.balance_lines()
    assert caught.value.next_step == "Nothing was bought; the service does not tell it here."


def test_what_was_spent_is_told_by_day_and_model(hosted: FaultServer) -> None:
    assert account.usage_lines() == ["This ledger has spent nothing."]
    qw.generate("a red fox", seeds="1-2", sizes="256x256")
    qw.generate("a red fox", seeds="1-2", sizes="256x256")
    qw.enhance("a red fox")
    hosted.on_submit(reply(400, "no"))
    qw.generate("a red fox", seeds="3", sizes="256x256")
    engine, _ = archive.studio().engine()
    engine.time_scale = 0.001
    hosted.on_submit(lose_answer)
    hosted.on_history(reply(500), times=None)
    qw.generate("a red fox", seeds="4", sizes="256x256")
    lines = account.usage_lines()
    today = f"{time.strftime('%Y-%m-%d')}  "
    assert [line.split() for line in lines[:2]] == [
        [today.strip(), "qwen-image-2.0", "3", "pictures", "$0.081"],
        [today.strip(), "prompt-optimizer", "1", "text", "$0.001"],
    ]
    # In columns, whatever the names are.
    assert len(set(map(len, lines[:2]))) == 1
    assert lines[2] == "$0.082 in all, $0.027 of it with an unknown outcome."
    table = qw.usage()
    assert list(table["count"]) == [3, 1]
    assert list(table["model"]) == [DEFAULT_MODEL.id, OPTIMIZER]


def test_what_the_ledger_does_not_know_is_listed(hosted: FaultServer) -> None:
    nothing = ["The account's last seven days hold nothing that this ledger doesn't have."]
    qw.generate("a red fox", seeds=1, sizes="256x256")
    assert account.remote_lines() == nothing
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.add(DEFAULT_MODEL.id, FOX, created=time.time() - 8 * 24 * 3600)
    line, last = account.remote_lines()
    assert line.startswith(made.id)
    assert line.endswith(" qwen-image-2.0  seed 7  a red fox")
    assert last.startswith("1 prediction that this ledger doesn't have")


def test_an_adopted_picture_stands_for_its_request(
    hosted: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    (row,) = account.adopt(made.id)
    assert (row.state, row.prompt, row.seed, row.size, row.spent) == ("stored", "a red fox", 7, (256, 256), 0)
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert grid[0, 0].cached
    assert hosted.submits == []
    assert account.remote_lines()[0].startswith("The account's last seven days hold nothing")
    with pytest.raises(InputError, match="in this ledger already"):
        account.adopt(made.id)
    assert account.adopt_lines("all") == [
        "There is nothing to adopt: %qwen history --remote lists what this ledger doesn't have."
    ]


def test_a_picture_that_is_here_is_not_replaced_by_an_adopted_one(hosted: FaultServer) -> None:
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    (row,) = account.adopt(made.id)
    assert (row.state, row.unassigned, row.prompt) == ("stored", True, "a red fox")
    again = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert again[0, 0].prediction_id == grid[0, 0].prediction_id != made.id


def rejected(hosted: FaultServer) -> None:
    hosted.on_submit(reply(400, {"code": 400, "message": "Insufficient credits. Please top up."}))


def failed(hosted: FaultServer) -> None:
    hosted.on_result(with_data(status="failed", error="no"))


def expired(hosted: FaultServer) -> None:
    """Missing at a service whose dates say that it was ordered more than a week ago."""
    archive.studio().engine()[0].time_scale = 0.001
    late = formatdate(time.time() + 8 * 24 * 3600, usegmt=True)
    hosted.on_result(reply(404, date=late), times=None)


@pytest.mark.parametrize(
    ("end", "state"),
    [(rejected, "rejected"), (failed, "failed"), (expired, "expired")],
)
def test_an_adopted_picture_stands_for_a_request_that_ended_without_one(
    end: Callable[[FaultServer], None], state: str, hosted: FaultServer
) -> None:
    end(hosted)
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].state == state
    hosted.forget("result")
    sent = len(hosted.submits)
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    account.adopt(made.id)
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert (grid[0, 0].prediction_id, grid[0, 0].cached) == (made.id, True)
    grid.retry()
    assert len(hosted.submits) == sent


def test_what_was_given_up_and_is_adopted_stands_for_its_request(hosted: FaultServer) -> None:
    engine, _ = archive.studio().engine()
    engine.time_scale = 0.001
    hosted.on_submit(lose_answer)
    hosted.on_history(reply(500), times=None)
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].state == "unknown"
    hosted.forget("history")
    archive.forget("all")
    account.adopt("all")
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert grid[0, 0].cached
    grid.retry()
    assert len(hosted.submits) == 1
    # What it cost is counted with the order, once.
    assert list(qw.usage()["cost"]) == [0.027]


def test_one_that_failed_elsewhere_stands_for_nothing(hosted: FaultServer) -> None:
    """What may have been charged would be bought again unasked."""
    hosted.on_result(with_data(status="deleted"))
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert (grid[0, 0].state, type(grid[0, 0].error)) == ("failed", ExpiredError)
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_history(edited(lambda answer: answer["data"]["items"][0].update(status="failed")), times=None)
    hosted.on_result(with_data(status="failed", error="no"), times=None)
    (row,) = account.adopt(made.id)
    assert (row.state, row.unassigned) == ("failed", True)
    again = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert again[0, 0].prediction_id == grid[0, 0].prediction_id
    assert len(hosted.submits) == 1


@pytest.mark.parametrize("which", ["all", "id"])
def test_an_order_that_was_taken_for_gone_is_opened_again(which: str, hosted: FaultServer) -> None:
    expired(hosted)
    gone = qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0]
    assert gone.state == "expired"
    hosted.forget("result")
    account.balance_lines()  # the service's date is today's again
    assert account.remote_lines()[0].startswith(str(gone.prediction_id))
    (row,) = account.adopt("all" if which == "all" else str(gone.prediction_id))
    assert (row.id, row.state, float(row.spent)) == (1, "stored", 0.027)
    assert account.adopt("all") == []
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].cached
    assert len(hosted.submits) == 1


def test_what_was_bought_again_stays_when_the_first_one_comes_to_light(hosted: FaultServer) -> None:
    expired(hosted)
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    hosted.forget("result")
    grid.retry()
    mine = grid[0, 0].prediction_id
    (row,) = account.adopt("all")
    assert (row.id, row.state, row.unassigned) == (1, "stored", True)
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].prediction_id == mine
    assert len(hosted.submits) == 2


@pytest.mark.parametrize(
    "inputs",
    [
        {**FOX, "seed": -1},
        {"prompt": "a red fox"},
        {"size": "256*256", "seed": 7},
        {**FOX, "size": "256x256"},
        {**FOX, "prompt": "x" * 900},
        {**FOX, "prompt": None, "seed": "seven", "size": 7},
    ],
)
def test_what_is_not_told_is_not_made_up(inputs: dict[str, Any], hosted: FaultServer) -> None:
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_history(edited(lambda answer: answer["data"]["items"][0].update(input=inputs)), times=None)
    hosted.on_result(edited(lambda answer: answer["data"].update(input=inputs)), times=None)
    (row,) = account.adopt(made.id)
    assert row.state == "stored"
    assert row.unassigned
    assert row.seed == (7 if inputs.get("seed") == 7 else None)
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert not grid[0, 0].cached
    assert any("#1 " in line for line in archive.history_lines(""))


def test_all_are_adopted_but_for_failed_ones_and_other_models(hosted: FaultServer) -> None:
    for seed in range(5):
        hosted.add(DEFAULT_MODEL.id, {**FOX, "seed": seed})
    hosted.add(OPTIMIZER, {"text": "a fox", "mode": "image", "style": "anime"})
    hosted.add("maker/video/text-to-video", {"prompt": "a fox"})
    failed = hosted.add(DEFAULT_MODEL.id, {**FOX, "seed": 99})

    def fail(answer: Any) -> None:
        for item in answer["data"]["items"]:
            item["status"] = "failed" if item["id"] == failed.id else "completed"

    hosted.on_history(edited(fail), times=None)
    assert account.adopt_lines("all") == [
        "6 of 6 are here now; qw.history() says where; fetching them cost nothing."
    ]
    assert qw.enhance("a fox", style="anime").cached
    assert len(account.remote_lines()) == 3
    assert hosted.submits == []


def test_what_is_no_picture_is_said(hosted: FaultServer) -> None:
    made = hosted.add("maker/video/text-to-video", {"prompt": "a fox"})
    hosted.on_picture(reply(200, b"\x00\x00\x00\x18ftypmp42"))
    hosted.forget("picture")
    archive.studio().engine()[0].time_scale = 0.001
    hosted.on_picture(reply(200, b"\x00\x00\x00\x18ftypmp42"), times=None)
    lines = account.adopt_lines(made.id)
    assert lines[0].startswith("0 of 1 are here now")
    assert "not a PNG, JPEG or WebP" in lines[1]


def test_one_that_failed_costs_nothing_and_is_said(hosted: FaultServer) -> None:
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_result(with_data(status="failed", error="no"), times=None)
    assert "could not make it: no" in account.adopt_lines(made.id)[1]
    assert account.usage_lines() == ["This ledger has spent nothing."]


@pytest.mark.parametrize(
    ("which", "words"), [("../../balance", "no prediction's id"), ("f" * 32, "knows no such prediction")]
)
def test_an_id_that_is_none_is_one_sentence(which: str, words: str, hosted: FaultServer) -> None:
    with pytest.raises(InputError, match=words):
        account.adopt(which)


def test_a_lost_answer_is_not_adopted_from_under_its_row(
    hosted: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = archive.studio().engine()
    engine.time_scale = 0.001
    hosted.on_submit(lose_answer)
    hosted.on_history(reply(500), times=None)
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert grid[0, 0].state == "unknown"
    hosted.forget("history")
    assert account.adopt("all") == []
    archive.resume()
    again = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert again[0, 0].cached
    assert len(hosted.submits) == 1


def test_entries_that_can_not_be_read_hide_no_others(hosted: FaultServer) -> None:
    hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_history(edited(lambda answer: answer["data"]["items"].insert(0, {"id": "../x"})))
    assert len(account.remote_lines()) == 2


def test_of_a_long_history_the_newest_are_listed_and_any_one_is_fetched_by_its_id(
    hosted: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_widgets.core.history._MOST_PAGES", 3)
    hosted.page_cap = 1
    made = [hosted.add(DEFAULT_MODEL.id, {**FOX, "seed": seed}) for seed in range(5)]
    note = "Only the newest 3 predictions of the account were looked at: %qwen adopt ID fetches an older one."
    lines = account.remote_lines()
    assert [line.split()[0] for line in lines[:-2]] == [one.id for one in reversed(made[2:])]
    assert lines[-1] == note
    assert account.adopt_lines(made[0].id) == [
        "1 of 1 are here now; qw.history() says where; fetching them cost nothing."
    ]
    assert account.adopt_lines("all")[0].startswith("3 of 3 are here now")
    assert account.remote_lines() == [
        "The account's newest predictions hold nothing that this ledger doesn't have.",
        note,
    ]
    assert account.adopt_lines("all")[1:] == [note]


def test_an_id_is_asked_for_itself_where_the_history_is_down(hosted: FaultServer) -> None:
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_history(reply(500, "no"), times=None)
    account.adopt(made.id)
    # Nor is it needed where the result doesn't tell the input: then it is told nowhere.
    other = hosted.add(DEFAULT_MODEL.id, {**FOX, "seed": 8})
    hosted.on_result(edited(lambda answer: answer["data"].update(input=None)), times=None)
    account.adopt(other.id)
    grid = qw.generate("a red fox", seeds="7-8", sizes="256x256")
    assert [cell.cached for cell in grid] == [True, False]


def test_what_an_id_was_asked_with_is_told_by_the_history_where_the_result_is_silent(
    hosted: FaultServer,
) -> None:
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_result(edited(lambda answer: answer["data"].update(input=None)), times=None)
    account.adopt(made.id)
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].cached


def test_a_ring_of_foreign_words_stays_on_its_line(hosted: FaultServer) -> None:
    hosted.add(DEFAULT_MODEL.id, {**FOX, "prompt": "a\nb\x1b[2J" + "x" * 500})
    line, _ = account.remote_lines()
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 250
