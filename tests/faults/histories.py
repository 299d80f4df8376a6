"""Odd histories and odd clocks of the service, for the fault server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
import server as server_module
from rig import a_request
from server import Behaviour, Exchange, FaultServer, Made, edited, reset

from qwen_widgets.core.models import DEFAULT_MODEL

#: Well before any order of a test, and within what the service keeps; seconds.
HOUR = 3600.0


def fill(
    server: FaultServer,
    count: int,
    *,
    ago: float = 0.0,
    step: float = 1.0,
    model: str = DEFAULT_MODEL.id,
    first: int = 1000,
) -> list[Made]:
    """Let predictions of other seeds exist, some seconds apart; the newest is `ago` seconds old."""
    newest = time.time() - ago
    return [
        server.add(model, {**a_request().body(), "seed": first + i}, created=newest - step * (count - 1 - i))
        for i in range(count)
    ]


def lost_behind(count: int, *, step: float = 0.0) -> Behaviour:
    """The order is taken and its answer lost; so many predictions are made elsewhere before anybody looks."""

    async def behave(x: Exchange) -> None:
        x.accept()
        fill(x.server, count, step=step)
        await x.reset()

    return behave


def lost_before(count: int, *, step: float = 0.0) -> Behaviour:
    """The order never arrives; so many predictions are made elsewhere before anybody looks."""

    async def behave(x: Exchange) -> None:
        fill(x.server, count, step=step)
        await reset(x)

    return behave


def items(edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Behaviour:
    """The history's page with its entries changed."""
    return edited(lambda answer: answer["data"].update(items=edit(answer["data"]["items"])))


def ignoring(**fixed: Any) -> Behaviour:
    """A history that takes no notice of some of what it is asked: these are taken in their place, None for nothing."""

    async def behave(x: Exchange) -> None:
        asked = {**x.seen.json, **fixed}
        data = x.server._history({name: value for name, value in asked.items() if value is not None})
        status, body, headers = x.server._told(data)
        await x.answer(status, body, headers)

    return behave


def page_only(number: int, behaviour: Behaviour) -> Behaviour:
    """This behaviour for one page, the contract for the others."""

    async def behave(x: Exchange) -> None:
        if x.seen.json["page"] == number:
            await behaviour(x)
        else:
            await x.answer(*x.contract())

    return behave


async def oldest_first(x: Exchange) -> None:
    """A history that is sorted the other way round."""
    asked = x.seen.json
    everything = x.server._history({**asked, "page": 1, "page_size": 10_000})["items"]
    size = min(asked["page_size"], x.server.page_cap)
    start = (asked["page"] - 1) * size
    page = {"page": asked["page"], "items": everything[::-1][start : start + size]}
    status, body, headers = x.server._told(page)
    await x.answer(status, body, headers)


def with_newcomers(count: int) -> Behaviour:
    """So many new predictions come in before each page, and push the others back."""

    async def behave(x: Exchange) -> None:
        fill(x.server, count, step=0.0, first=10_000 + len(x.server.predictions))
        await x.answer(*x.contract())

    return behave


def dated(moment: float | None) -> Behaviour:
    """The contract's answer with another Date, or with none that can be read."""

    async def behave(x: Exchange) -> None:
        status, body, headers = x.contract()
        date = "some day" if moment is None else formatdate(moment, usegmt=True)
        await x.answer(status, body, {**headers, "Date": date})

    return behave


def at_the_service_it_is_later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """From now on all answers carry a Date that is so many seconds on."""
    monkeypatch.setattr(
        server_module, "formatdate", lambda **options: formatdate(time.time() + seconds, **options)
    )


def pages(server: FaultServer) -> list[int]:
    """The pages of the history that were asked for."""
    return [json.loads(seen.body)["page"] for seen in server.requests("history")]
