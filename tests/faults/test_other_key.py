"""Another API key: its account knows nothing of what the first one has bought, and that ends nothing paid for."""

from __future__ import annotations

from typing import Any

import pytest
from histories import at_the_service_it_is_later
from rig import CANARY
from server import FaultServer, edited, reply

import qwen_widgets as qw
from qwen_widgets import account, archive
from qwen_widgets.core.errors import ExpiredError, OtherKeyError
from qwen_widgets.core.models import DEFAULT_MODEL
from qwen_widgets.core.states import KEPT

FOX = {"prompt": "a red fox", "size": "256*256", "seed": 7}
SECOND = f"{CANARY}-2"
GONE = reply(404, {"error": "task not found"})


def left_to_the_second_key(server: FaultServer) -> None:
    """Let the service know nothing, as the second key's account does."""
    server.forget("result")
    server.forget("picture")
    server.on_result(GONE, times=None)
    server.on_picture(GONE, times=None)


def at_its_address(server: FaultServer, data: dict[str, Any]) -> None:
    data.update(status="completed", outputs=[server.text_url(data["id"])])


def back_to_the_first_key(server: FaultServer) -> None:
    server.forget("result")
    server.forget("picture")


def quick() -> None:
    """Let the engine of the present key wait for nothing."""
    engine, _ = archive.studio().engine()
    engine.time_scale = 0.001


@pytest.mark.parametrize("state", ["submitted", "completed"])
async def test_what_the_second_key_does_not_find_the_first_one_fetches(state, server, rig, make_rig):
    if state == "submitted":
        server.on_result(reply(401, "no"))
    else:
        server.on_picture(reply(500), times=None)
    assert (await rig.one()).state == state
    left_to_the_second_key(server)
    for _ in range(2):
        update = await make_rig(key=SECOND).one()
        assert (update.state, type(update.error), update.error.paid) == (state, OtherKeyError, "yes")
        assert "another API key" in update.error.message
        assert "the key it was bought with" in update.error.next_step
    back_to_the_first_key(server)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


@pytest.mark.parametrize("address", [False, True], ids=["in the answer", "at an address"])
async def test_a_text_of_the_first_key_is_kept_too(address, server, rig, make_rig):
    if address:
        server.on_result(edited(lambda answer: at_its_address(server, answer["data"])))
        server.on_picture(reply(500), times=None)
    else:
        server.on_result(reply(401, "no"))
    state = (await rig.enhance()).state
    assert state == ("completed" if address else "submitted")
    left_to_the_second_key(server)
    update = await make_rig(key=SECOND).enhance()
    assert (update.state, type(update.error)) == (state, OtherKeyError)
    back_to_the_first_key(server)
    assert (await rig.enhance()).record.text == "a red fox, default, in fine detail"
    assert len(server.submits) == 1


@pytest.mark.parametrize("state", ["submitted", "completed"])
async def test_after_a_week_it_is_gone_with_any_key(state, server, rig, make_rig, monkeypatch):
    if state == "submitted":
        server.on_result(reply(401, "no"))
    else:
        server.on_picture(reply(500), times=None)
    await rig.one()
    left_to_the_second_key(server)
    at_the_service_it_is_later(monkeypatch, KEPT + 60)
    update = await make_rig(key=SECOND).one()
    assert (update.state, type(update.error)) == ("expired", ExpiredError)
    assert len(server.submits) == 1


async def test_a_service_that_knows_it_answers_the_second_key(server, rig, make_rig):
    """A new key of the same account."""
    server.on_result(reply(401, "no"))
    await rig.one()
    assert (await make_rig(key=SECOND).one()).state == "stored"
    assert len(server.submits) == 1


def test_what_was_adopted_with_the_first_key_waits_for_it(
    hosted: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick()
    made = hosted.add(DEFAULT_MODEL.id, FOX)
    hosted.on_picture(reply(500), times=None)
    [row] = account.adopt(made.id)
    assert row.state == "completed"
    left_to_the_second_key(hosted)
    monkeypatch.setenv("WAVESPEED_API_KEY", SECOND)
    quick()
    archive.resume()
    assert archive.waiting() == 1
    back_to_the_first_key(hosted)
    monkeypatch.setenv("WAVESPEED_API_KEY", CANARY)
    archive.resume()
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].cached
    assert hosted.submits == []
