"""Numbers in the API's answers that nobody can mean: nothing is bought at such a price, and what was bought isn't lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rig import a_request
from server import Exchange, envelope, reply

from qwen_widgets.core.errors import UnavailableError

#: As they stand in the answer's JSON.
ABSURD = [
    '"1e999999"', "1e999999", "1e308", "-1e308", "9" * 5000, '"' + "9" * 5000 + '"', "NaN", "Infinity", '"１２"', "-0.03",
    "1000.5", '{"amount": 0.03}', "[0.03]", "true", "null", "1e-30",
]  # fmt: skip


@pytest.mark.parametrize("number", ABSURD, ids=lambda text: text[:12])
async def test_an_absurd_price_is_no_amount(number, server, client):
    server.on("price", reply(200, f'{{"code": 200, "data": {{"price": {number}}}}}'.encode()))
    with pytest.raises(UnavailableError, match=r"names no amount|not JSON"):
        await client.price(a_request())


async def test_where_one_price_is_absurd_the_other_counts(server, client):
    server.on("price", envelope({"discounted_price": "1e999999", "price": "0.03"}))
    assert await client.price(a_request()) == Decimal("0.03")


@pytest.mark.parametrize("number", [*ABSURD[:9], *ABSURD[11:15]], ids=lambda text: text[:12])
async def test_an_absurd_balance_is_no_amount(number, server, client):
    server.on("balance", reply(200, f'{{"code": 200, "data": {{"balance": {number}}}}}'.encode()))
    with pytest.raises(UnavailableError, match="names no amount"):
        await client.balance()


@pytest.mark.parametrize("number", ABSURD, ids=lambda text: text[:12])
async def test_a_prediction_with_absurd_numbers_is_bought_once_and_stored(number, server, rig):
    async def absurd(x: Exchange) -> None:
        status, body, headers = x.contract()
        numbers = f'"executionTime": {number}, "created_at": {number}, "code": {number}, "timings": {{"inference": {number}}}, '
        await x.answer(status, body.replace(b'"id":', numbers.encode() + b'"id":', 1), headers)

    server.on_submit(absurd)
    server.on_result(absurd, times=None)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1
    assert update.record is not None
    assert update.record.seconds is None or 0 <= update.record.seconds < 3600
