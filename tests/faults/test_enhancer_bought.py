"""The Prompt Enhancer costs money: it is bought with the guarantees of a picture, and every form of answer is read."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from rig import CANARY, IN_TIME, check_invariants
from server import (
    OPTIMIZER,
    accepted,
    contract,
    edited,
    envelope,
    fin,
    hang,
    lose_answer,
    redirect,
    reply,
    reset,
    served,
    with_data,
)

from qwen_widgets.core.enhancer import TextRequest
from qwen_widgets.core.errors import TextError, UnknownOutcomeError
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.pacing import Stop

CHILD = Path(__file__).with_name("kernel_child.py")
TEXT = "a red fox, default, in fine detail"


async def test_the_same_text_and_style_is_asked_for_once(server, rig):
    first, again = await rig.enhance(), await rig.enhance()
    assert (first.state, first.record.text, first.cached) == ("stored", TEXT, False)
    assert (again.state, again.record.text, again.cached) == ("stored", TEXT, True)
    other = await rig.enhance(style="anime")
    assert other.record.text == "a red fox, anime, in fine detail"
    assert len(server.submits) == 2
    assert server.submits[0].json == {"text": "a red fox", "mode": "image", "style": "default"}
    assert server.submits[0].target == f"/api/v3/{OPTIMIZER}"
    assert float(first.record.spent) == 0.001
    assert server.requests("picture") == []


FORMS = {
    "text": "a fox\nin snow",
    "object": {"text": "a fox in snow"},
    "object in an object": {"output": {"prompt": "a fox in snow"}},
    "a response": {"response": "a fox in snow"},
    "a value": {"value": "a fox in snow"},
    "outputs in an object": {"outputs": ["a fox in snow"]},
    "outputs in an object in an object": {"data": {"outputs": ["a fox in snow", "a cat"]}},
    "JSON as text": json.dumps({"enhanced_prompt": "a fox in snow"}),
    "control characters": "a fox\x07\tin snow\x00",
    "quoted": '"a fox in snow"',
    "fenced": "```\na fox in snow\n```",
    "fenced JSON": '```json\n{"prompt": "a fox in snow"}\n```',
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("listed", [True, False], ids=["in a list", "alone"])
async def test_an_answer_as_text_and_as_an_object_is_read(name, listed, server, rig):
    said = FORMS[name]
    server.on_result(with_data(status="completed", outputs=[said] if listed else said), times=None)
    update = await rig.enhance()
    assert (update.state, update.record.text) == ("stored", "a fox in snow")


@pytest.mark.parametrize(
    "text", ["{red|blue} fox", "[a fox] in snow", '"OPEN" says the "sign"', "<b>fox</b>"]
)
async def test_a_text_that_only_looks_like_something_else_stays_as_it_is(text, server, rig):
    server.on_result(with_data(status="completed", outputs=[text]), times=None)
    assert (await rig.enhance()).record.text == text


@pytest.mark.parametrize("body", ["a fox in snow\n", "\ufeffa fox in snow", '{"text": "a fox in snow"}'])
async def test_the_address_of_a_text_file_is_followed_without_the_key(body, server, rig):
    server.on_result(with_data(status="completed", outputs=[server.text_url("t")]), times=None)
    server.on_picture(reply(500), served(body.encode(), content_type="text/plain"))
    update = await rig.enhance()
    assert (update.state, update.record.text) == ("stored", "a fox in snow")
    assert len(server.submits) == 1
    for seen in server.requests("picture"):
        assert CANARY not in seen.text


@pytest.mark.parametrize("again", ["an address", "the text"])
async def test_a_text_whose_address_has_expired_is_asked_for_afresh(again, server, rig):
    server.seconds = 0  # else the fresh answer is asked for before the prediction has ended
    server.on_result(with_data(status="completed", outputs=[server.origin + "/out/old.txt"]))
    if again == "an address":
        server.on_result(
            edited(lambda a: a["data"].update(status="completed", outputs=[server.text_url(a["data"]["id"])]))
        )
    server.on_picture(reply(410))
    update = await rig.enhance()
    assert (update.state, update.record.text) == ("stored", TEXT)
    assert len(server.submits) == 1


async def test_a_text_whose_fresh_address_does_not_work_either_is_left_to_the_next_run(server, rig):
    server.on_result(with_data(status="completed", outputs=[server.text_url("t")]), times=None)
    server.on_picture(reply(410), times=None)
    update = await rig.enhance()
    assert (update.state, update.error.prediction_id in server.predictions) == ("completed", True)
    server.forget("result")
    server.forget("picture")
    assert (await rig.enhance()).record.text == TEXT
    assert len(server.submits) == 1


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (served(b"x" * (64 << 10) + b"x"), "64 KB"),
        (served(b"\xff\xfe\x00a"), "UTF-8"),
        (served(b" \n "), "empty"),
        (served(b"<!DOCTYPE html><html><body>Sign in</body></html>", content_type="text/html"), "a web page"),
        (served(b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"), "a web page"),
        (served(b'{"error": {"code": 7}}'), "JSON that holds none"),
        (served(b"[7]"), "JSON that holds none"),
        (served(b"x" * 30_000), "30,000 characters"),
    ],
)
async def test_what_is_no_text_is_said_and_kept_as_paid(behaviour, words, server, rig):
    server.on_result(with_data(status="completed", outputs=[server.text_url("t")]), times=None)
    server.on_picture(behaviour, times=None)
    update = await rig.enhance()
    assert update.state == "completed"
    assert isinstance(update.error, TextError)
    assert words in update.error.message
    assert update.record.text is None


@pytest.mark.parametrize(
    "address",
    ["http://203.0.113.7/a.txt", "https://user:pw@example.com/a.txt", "https://example.com:8443/a.txt"],
)
async def test_a_text_from_an_unfit_address_is_not_fetched(address, server, rig):
    server.on_result(with_data(status="completed", outputs=[address]), times=None)
    update = await rig.enhance()
    assert update.state == "completed"
    assert "The text's address" in update.error.message


async def test_a_redirect_to_elsewhere_is_checked(server, foreign, rig):
    server.on_result(with_data(status="completed", outputs=[server.text_url("t")]), times=None)
    server.on_picture(redirect("http://203.0.113.7/a.txt"), times=None)
    assert (await rig.enhance()).state == "completed"


@pytest.mark.parametrize("lost", [reset, fin, reply(502, "bad gateway"), envelope({})])
@pytest.mark.parametrize("echo", [True, False], ids=["echoed", "not echoed"])
async def test_a_lost_answer_is_found_and_not_asked_for_again(lost, echo, server, rig):
    server.echo = echo
    server.on_submit(accepted(lost))
    update = await rig.enhance()
    assert (update.state, update.record.text) == ("stored", TEXT)
    assert len(server.submits) == 1


async def test_what_can_not_be_found_out_stays_unknown_and_counts_as_spent(server, rig):
    server.on_submit(lose_answer)
    server.on_history(reply(500), times=None)
    update = await rig.enhance()
    assert update.state == "unknown"
    assert isinstance(update.error, UnknownOutcomeError)
    assert float(update.record.spent) == 0.001
    assert (await rig.enhance()).state == "unknown"
    assert len(server.submits) == 1
    server.forget("history")
    assert (await rig.enhance()).record.text == TEXT
    assert len(server.submits) == 1


async def test_another_text_of_the_history_is_never_taken(server, rig):
    foreign = server.add(OPTIMIZER, TextRequest("a red fox", "anime").body())
    server.add(OPTIMIZER, TextRequest("a blue fox").body())
    server.on_submit(lose_answer)
    update = await rig.enhance()
    assert update.record.text == TEXT
    assert update.record.prediction_id != foreign.id


async def test_pictures_and_texts_share_a_run_of_bad_luck(server, rig):
    server.on_submit(lose_answer, lose_answer, lose_answer)
    texts, pictures = await asyncio.gather(rig.enhance(), rig.run(seeds="1-2"))
    assert texts.record.text == TEXT
    assert [update.state for update in pictures] == ["stored"] * 2
    assert len(server.submits) == 3


async def test_two_kernels_ask_once(server, make_rig, qwen_home):
    one, two = make_rig(), make_rig()
    other = Ledger(qwen_home)
    two.engine.ledger = other
    try:
        updates = await asyncio.gather(one.enhance(), two.enhance())
    finally:
        other.close()
    assert [update.record.text for update in updates] == [TEXT, TEXT]
    assert len(server.submits) == 1


@pytest.mark.parametrize("point", ["after_post", "before_commit_of_id", "before_stored_row"])
@pytest.mark.parametrize("nth", [1, 3])
async def test_killed_it_is_taken_up_again_and_nothing_is_asked_twice(
    point, nth, server, qwen_home, child_env, tmp_path
):
    texts = ["a fox", "a cat", "a boat", "a tree"]
    env = child_env(tmp_path, home=qwen_home, extra={"QWEN_TEST_TEXTS": "|".join(texts)})

    async def start(**more: str) -> tuple[int, bytes]:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, str(CHILD), str(qwen_home), server.base_url, ""),
            env=env | more,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await child.communicate()
        return child.returncode, out

    assert (await start(QWEN_TEST_KILL_AT=f"{point}:{nth}"))[0] == -signal.SIGKILL
    code, out = await start()
    assert (code, json.loads(out)["states"]) == (0, ["stored"] * 4)
    orders = [TextRequest(text) for text in texts]
    check_invariants(server, qwen_home, orders)
    assert sorted(server.paid) == sorted(order.key for order in orders)
    assert [len(ids) for ids in server.paid.values()] == [1] * 4


async def test_a_silent_enhancer_leaves_a_row_to_take_up(server, make_rig):
    rig = make_rig(IN_TIME)
    server.on_result(hang, times=None)
    server.on_submit(contract)
    task = asyncio.create_task(rig.enhance())
    await server.reached("result")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.forget("result")
    again = make_rig()
    again.stop = Stop()
    assert (await again.enhance()).record.text == TEXT
    assert len(server.submits) == 1


async def test_the_row_is_durable_before_the_money(server, rig, qwen_home):
    rows = []

    async def look(x):
        with sqlite3.connect(f"file:{qwen_home / 'ledger.sqlite3'}?mode=ro", uri=True) as db:
            rows.append(db.execute("SELECT state, model, prompt, inputs, price FROM purchase").fetchone())
        await contract(x)

    server.on_submit(look)
    await rig.enhance(style="anime")
    assert rows == [("sending", OPTIMIZER, "a red fox", '{"style": "anime"}', 1000)]
