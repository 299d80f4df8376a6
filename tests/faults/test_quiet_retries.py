"""Calls that are repeated print nothing into the cell, and other packages' retries are logged as ever."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from contract import ContractServer
from photos import photo
from server import reply
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

import qwen_widgets as qw

LINE = "stamina.retry_scheduled"


@pytest.fixture(autouse=True)
def _hooks_of_its_own() -> Iterator[None]:
    """Let each test begin with stamina as it is imported."""
    before = get_on_retry_hooks()
    set_on_retry_hooks(None)
    yield
    set_on_retry_hooks(before)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("stamina")]


async def test_a_download_that_is_tried_again_logs_nothing(server, rig, caplog):
    caplog.set_level(logging.DEBUG)
    server.on_picture(reply(500), times=3)
    assert (await rig.one()).state == "stored"
    assert len(server.requests("picture")) == 4
    assert lines(caplog) == []


def test_an_upload_that_is_tried_again_logs_nothing(
    contract: ContractServer, caplog: pytest.LogCaptureFixture
) -> None:
    from starlette.responses import JSONResponse

    caplog.set_level(logging.DEBUG)
    inner, left = contract.service.app, [503]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT" and left:
            await JSONResponse({}, left.pop())(scope, receive, send)
        else:
            await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    with stamina.set_testing(True, attempts=4):
        grid = qw.generate("a fox", seeds=1, images=photo())
    assert (grid[0, 0].state, left) == ("stored", [])
    assert lines(caplog) == []


async def test_what_others_do_with_the_library_is_logged_as_ever(server, rig, caplog):
    server.on_picture(reply(500))
    await rig.one()
    for attempt in stamina.retry_context(on=ValueError, attempts=2):
        with attempt:
            if attempt.num == 1:
                raise ValueError
    assert lines(caplog) == [LINE]


async def test_hooks_that_a_user_has_set_stay(server, rig, caplog):
    told = []

    def mine(details):
        told.append(details.retry_num)

    set_on_retry_hooks([mine])
    server.on_picture(reply(500))
    await rig.one()
    assert get_on_retry_hooks() == (mine,)
    assert told == [1]
