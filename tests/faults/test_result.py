"""The calls that are free to repeat: a result in all the forms it comes in, the history, the balance, the price."""

from __future__ import annotations

import re
import time
from decimal import Decimal

import pytest
from rig import CANARY, IMPATIENT, IN_TIME, PATIENT, a_request, full_traceback
from server import (
    FaultServer,
    announced,
    chunked,
    contract,
    contract_then,
    edited,
    envelope,
    fin,
    gzipped,
    hang,
    head_only,
    raw,
    redirect,
    reply,
    reset,
    trickled,
    truncated,
    until_close,
    with_data,
)

from qwen_widgets.core import history, pacing, purchase
from qwen_widgets.core.answers import BadAnswerError
from qwen_widgets.core.errors import (
    ExpiredError,
    KeyRefusedError,
    ModeratedError,
    PredictionFailedError,
    QwenError,
    RateLimitedError,
    RejectedError,
    SettingsError,
    StillRunningError,
    UnavailableError,
)
from qwen_widgets.core.models import DEFAULT_MODEL, MODELS

BODY = a_request().body()


def without(name: str):
    """The contract's answer without one field of its data."""
    return edited(lambda answer: {**answer, "data": {k: v for k, v in answer["data"].items() if k != name}})


@pytest.fixture
def done(server: FaultServer) -> str:
    """The id of a prediction that is completed."""
    return server.add(DEFAULT_MODEL.id, BODY, created=time.time() - 60).id


async def test_a_completed_prediction_by_the_contract(server, client, done):
    prediction = await client.result(done)
    assert prediction.id == done
    assert prediction.completed
    assert prediction.outputs == (server.picture_url(done),)
    assert prediction.input == BODY
    assert prediction.seconds == pytest.approx(0.03)
    assert prediction.created_at.microsecond == 123456
    assert [seen.target for seen in server.seen] == [f"/api/v3/predictions/{done}/result"]


@pytest.mark.parametrize(
    ("status", "completed", "failed"),
    [
        ("created", False, False),
        ("pending", False, False),
        ("processing", False, False),
        ("dreaming", False, False),
        ("", False, False),
        (None, False, False),
        (7, False, False),
        ([], False, False),
        ("completed", True, False),
        (" Completed ", True, False),
        ("succeeded", True, False),
        ("failed", False, True),
        ("FAILED", False, True),
        ("cancelled", False, True),
        ("canceled", False, True),
        ("timeout", False, True),
        ("deleted", False, True),
    ],
)
async def test_statuses(status, completed, failed, server, client, done):
    server.on_result(with_data(status=status))
    prediction = await client.result(done)
    assert (prediction.completed, prediction.failed) == (completed, failed)


URL = "https://cdn.example/a.png"


@pytest.mark.parametrize(
    ("outputs", "read"),
    [
        ([URL], (URL,)),
        ([URL, URL + "2"], (URL, URL + "2")),
        (URL, (URL,)),
        ({"url": URL}, (URL,)),
        ([{"url": URL}], (URL,)),
        ([{"image_url": URL, "width": 3}], (URL,)),
        ([None, "", 7, URL], (URL,)),
        (["iVBORw0KGgo="], ("iVBORw0KGgo=",)),
        ([], ()),
        (None, ()),
        ("", ()),
        ({}, ()),
        (7, ()),
        ({"url": None}, ()),
        ([[[URL]]], ()),
    ],
)
async def test_outputs(outputs, read, server, client, done):
    server.on_result(with_data(outputs=outputs))
    prediction = await client.result(done)
    assert prediction.outputs == read
    assert (prediction.failed, prediction.empty) == (False, not read)


@pytest.mark.parametrize(
    ("value", "flagged"),
    [
        ([False], False),
        ([True], True),
        ([False, True], True),
        ([], False),
        (None, False),
        (True, True),
        ("x", False),
    ],
)
async def test_the_mark_of_unsafe_contents(value, flagged, server, client, done):
    server.on_result(with_data(has_nsfw_contents=value))
    assert (await client.result(done)).flagged is flagged


@pytest.mark.parametrize(
    ("fields", "kind", "words", "paid"),
    [
        ({"code": 1200, "error": "Content flagged"}, ModeratedError, "flagged", "no"),
        ({"error": "Content flagged as potentially sensitive."}, ModeratedError, "flagged", "no"),
        ({"code": 200, "error": "potentially Sensitive"}, ModeratedError, "flagged", "no"),
        ({"code": 1402, "error": "media not reachable"}, PredictionFailedError, "media not", "no"),
        ({"code": "5004", "error": "timed out"}, PredictionFailedError, "timed out", "no"),
        ({"error": None}, PredictionFailedError, "failed", "no"),
        ({"error": {"message": "out of memory"}}, PredictionFailedError, "out of memory", "no"),
        ({"error": {"message": {"message": 7}}}, PredictionFailedError, "failed", "no"),
        ({"error": "a\x1b[31mb\x00c\u202ed"}, PredictionFailedError, "ab c d", "no"),
        ({"error": "x" * 5000}, PredictionFailedError, "xxx", "no"),
        ({"status": "deleted"}, ExpiredError, "deleted", "yes"),
    ],
)
async def test_failures(fields, kind, words, paid, server, client, done):
    server.on_result(with_data(**{"status": "failed", **fields}))
    error = (await client.result(done)).failure()
    assert type(error) is kind
    assert words in error.message
    assert len(error.message) < 400
    assert error.paid == paid
    assert error.prediction_id == done


@pytest.mark.parametrize(
    "drop", ["id", "error", "has_nsfw_contents", "timings", "created_at", "urls", "input", "model"]
)
async def test_a_field_may_be_missing(drop, server, client, done):
    server.on_result(without(drop))
    prediction = await client.result(done)
    assert prediction.id == done
    assert prediction.completed


@pytest.mark.parametrize("wrong", ["0" * 32, "../../x", 7, {}, "a b"])
async def test_an_answer_about_another_prediction_is_not_taken(wrong, server, client, done):
    server.on_result(with_data(id=wrong))
    with pytest.raises(UnavailableError, match="another prediction"):
        await client.result(done)


@pytest.mark.parametrize("wrong", ["../../x", "", "a/b", "a\n", "a?b", "a%2e", "x" * 129, "ä"])
async def test_an_id_that_could_be_a_path_is_never_asked_for(wrong, server, client):
    with pytest.raises(BadAnswerError):
        await client.result(wrong)
    assert server.seen == []


NOT_THERE = [
    reply(404, {"error": "task not found"}),
    reply(404),
    envelope(None, code=404, message="not found"),
]


@pytest.mark.parametrize("does", NOT_THERE)
async def test_a_prediction_that_nobody_knows(does, server, client):
    server.on_result(does, does)
    assert await client.result("abc") is None
    assert [seen.target.rpartition("/predictions/")[2] for seen in server.seen] == ["abc/result", "abc"]


async def test_the_other_documented_path_is_tried(server, client, done):
    server.on_result(NOT_THERE[0], contract)
    assert (await client.result(done)).completed


BROKEN = {
    "reset": reset,
    "FIN": fin,
    "after the headers": head_only(fin),
    "RST after the headers": head_only(reset),
    "truncated": truncated(30),
    "one byte short": truncated(-1),
    "too long": announced(+9),
    "garbage": raw(b"\x00\x01\x02\r\n\r\n"),
    "bad chunk": chunked(spoil=True),
    "no last chunk": chunked(end=b""),
    "bad gzip": gzipped(spoil=True),
    "500": reply(500, "oops"),
    "502": reply(502, "<html>bad gateway</html>"),
    "408": reply(408),
    "not JSON": reply(200, "OK"),
    "nothing": reply(200),
    "null": reply(200, "null"),
    "null data": envelope(None),
    "no id, no status": envelope({}),
    "code 500": envelope(None, code=500, message="oops"),
    "code 1403": envelope({}, code=1403, message="oops"),
    "50 MB": reply(200, b"[" + b"1," * 25_000_000),
    "deep": reply(200, b"[" * 100_000),
}
SILENT = {"silence": hang, "silence after the headers": head_only(hang), "drops": trickled(0.02)}


@pytest.mark.parametrize("name", [*BROKEN, *SILENT])
async def test_no_usable_answer_may_be_asked_for_again(name, server, make_client, done):
    server.on_result({**BROKEN, **SILENT}[name])
    client = make_client(IMPATIENT if name in SILENT else PATIENT)
    with pytest.raises(UnavailableError) as caught:
        await client.result(done)
    assert caught.value.may_retry
    assert CANARY not in full_traceback(caught.value)
    assert len(server.seen) == 1
    assert (await client.result(done)).completed


@pytest.mark.parametrize(
    "does", [chunked(), chunked(extension=b';q="x"'), until_close(), gzipped(), contract_then(fin)]
)
async def test_odd_but_whole_answers(does, server, client, done):
    server.on_result(does)
    assert (await client.result(done)).completed
    assert (await client.result(done)).completed


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        (reply(401), KeyRefusedError),
        (reply(403, {"message": "insufficient role"}), KeyRefusedError),
        (reply(429, retry_after="2"), RateLimitedError),
        (reply(400, "no"), RejectedError),
        (envelope(None, code=401), KeyRefusedError),
        (redirect("/elsewhere"), SettingsError),
    ],
)
async def test_refusals_keep_their_kind(does, kind, server, client, done):
    server.on_result(does)
    with pytest.raises(kind):
        await client.result(done)


# --- history, balance, price ------------------------------------------------------------------------------


def fill(server: FaultServer, count: int, *, model: str = DEFAULT_MODEL.id) -> list[str]:
    """Let predictions exist, a second apart; their ids, newest first."""
    now = int(time.time())
    made = [server.add(model, {**BODY, "seed": i}, created=now - count + i) for i in range(count)]
    return [each.id for each in reversed(made)]


async def ask(client):
    return await history.read(client, model=DEFAULT_MODEL.id, scale=0.01)


@pytest.mark.parametrize("total", [True, False], ids=["with total", "without total"])
@pytest.mark.parametrize(
    ("count", "cap"), [(0, 100), (1, 100), (99, 100), (100, 100), (101, 100), (60, 25), (50, 25)]
)
async def test_the_history_comes_whole(count, cap, total, server, client):
    server.page_cap, server.tells_total = cap, total
    ids = fill(server, count)
    listing = await ask(client)
    assert list(listing.entries) == ids
    assert listing.whole


async def test_a_history_that_goes_on_is_looked_at_and_proves_nothing(server, client, monkeypatch):
    monkeypatch.setattr("qwen_widgets.core.history._MOST_PAGES", 4)
    server.page_cap = 3
    ids = fill(server, 13)
    listing = await ask(client)
    assert (list(listing.entries), listing.ended, listing.whole) == (ids[:12], False, False)
    server.page_cap = 7
    assert (await ask(client)).whole


async def test_the_history_asks_for_one_model_and_its_largest_page(server, client):
    mine = fill(server, 2)
    fill(server, 2, model=MODELS[1].id)
    assert list((await ask(client)).entries) == mine
    assert server.seen[0].json == {"page": 1, "page_size": 100, "model": DEFAULT_MODEL.id}
    assert len((await history.read(client)).entries) == 4


@pytest.mark.parametrize("echo", [True, False])
async def test_the_history_may_tell_the_input(echo, server, client):
    server.echo = echo
    fill(server, 1)
    [prediction] = (await ask(client)).entries.values()
    assert (prediction.input is not None) == echo


HISTORY_FAULTS = {
    **{name: BROKEN[name] for name in ("reset", "truncated", "500", "null data", "code 500", "not JSON")},
    "no list": envelope({"items": None, "total": 0}),
    "a list alone": envelope([]),
    "an entry without id": envelope({"items": [{"status": "completed"}], "total": 1}),
    "an entry without id, no total": envelope({"items": [{"status": "completed"}]}),
    "an entry with a strange id": envelope({"items": [{"id": "../../x"}], "total": 0}),
    "an entry that is null": envelope({"items": [None], "total": 1}),
    "fewer than the total": envelope({"items": [], "total": 3}),
    "refused": reply(403, "no"),
    "no such call": reply(404, "no"),
}


@pytest.mark.parametrize("name", HISTORY_FAULTS)
async def test_a_history_that_is_not_whole_proves_nothing(name, server, client):
    fill(server, 3)
    server.on_history(HISTORY_FAULTS[name], times=None)
    assert not (await ask(client)).whole


async def test_a_second_page_that_fails_proves_nothing(server, client):
    server.page_cap = 2
    fill(server, 3)
    server.on_history(contract)
    server.on_history(reply(500), times=None)
    listing = await ask(client)
    assert not listing.whole
    assert isinstance(listing.trouble, UnavailableError)
    # What came before it is kept: the one that is looked for may be among it.
    assert len(listing.entries) == 2


async def test_a_page_that_fails_once_is_asked_for_again(server, client):
    server.page_cap = 2
    ids = fill(server, 3)
    server.on_history(contract, reply(500), reset)
    listing = await ask(client)
    assert listing.whole
    assert list(listing.entries) == ids


async def test_a_server_that_gives_the_same_page_for_ever_is_left(server, client):
    ids = fill(server, 3)
    first = without("total")

    async def same(x):
        object.__setattr__(x.seen, "body", re.sub(rb'"page": \d+', b'"page": 1', x.seen.body))
        await first(x)

    server.on_history(same, times=None)
    listing = await ask(client)
    assert list(listing.entries) == ids
    assert not listing.ended
    assert len(server.seen) == 3


async def test_balance_and_price(server, client):
    assert await client.balance() == Decimal("12.5")
    assert await client.price(a_request()) == Decimal("0.027")
    assert server.requests("price")[0].json == {"model_id": DEFAULT_MODEL.id, "inputs": BODY}


@pytest.mark.parametrize("value", ["12.50", 12.5, 0, -3])
async def test_amounts(value, server, client):
    server.on("balance", envelope({"balance": value}))
    assert await client.balance() == Decimal(str(value))


@pytest.mark.parametrize(
    "data", [None, {}, {"balance": None}, {"balance": "much"}, {"balance": True}, [], "NaN"]
)
async def test_an_amount_that_is_none(data, server, client):
    server.on("balance", envelope(data))
    with pytest.raises(UnavailableError):
        await client.balance()


NO_SUCH_CALL = {"404": reply(404, b"no"), "code 404": envelope(None, code=404, message="not found")}


@pytest.mark.parametrize("name", NO_SUCH_CALL)
async def test_where_a_call_is_not_known_the_older_one_is_asked(name, server, client):
    server.on("balance", NO_SUCH_CALL[name])
    server.on("older balance", envelope({"balance": 7.5}))
    assert await client.balance() == Decimal("7.5")
    server.on("price", NO_SUCH_CALL[name])
    server.on("older price", envelope({"unit_price": 0.028, "currency": "USD"}))
    assert await client.price(a_request()) == Decimal("0.028")
    assert [seen.target for seen in server.seen] == [
        "/api/v3/balance", "/api/v3/account/balance", "/api/v3/model/price", "/api/v3/model/pricing",
    ]  # fmt: skip
    assert server.requests("older price")[0].json == server.requests("price")[0].json


@pytest.mark.parametrize("answer", [reply(500, "no"), reply(401, "no"), envelope({"balance": "much"})])
async def test_any_other_answer_leaves_the_older_call_alone(answer, server, client):
    server.on("balance", answer)
    server.on("price", answer)
    for ask_for in (client.balance, lambda: client.price(a_request())):
        with pytest.raises(QwenError):
            await ask_for()
    assert {seen.route for seen in server.seen} == {"balance", "price"}


async def test_a_price_in_another_currency_is_none(server, client):
    server.on("price", reply(404))
    server.on("older price", envelope({"unit_price": 0.2, "currency": "CNY"}))
    with pytest.raises(UnavailableError, match="in CNY and not in US dollars"):
        await client.price(a_request())


# --- through the engine -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN)
async def test_an_error_of_a_poll_never_fails_a_prediction(name, server, rig):
    server.on_result(BROKEN[name], reset, contract)
    update = await rig.one()
    assert update.state == "stored", update.error
    assert len(server.submits) == 1


@pytest.mark.parametrize("does", [*NOT_THERE, reply(429, retry_after="1"), with_data(status="dreaming")])
async def test_not_yet_is_not_never(does, server, rig, monkeypatch):
    # Three polls can take longer on a busy machine than the scaled minute in which "unknown" is "not yet".
    monkeypatch.setattr(purchase, "_FRESH", 6000.0)
    server.on_result(does, times=3)
    assert (await rig.one()).state == "stored"


async def test_a_silent_poll_is_asked_again(server, make_rig, monkeypatch):
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 60.0)
    server.on_result(hang)
    assert (await make_rig(IN_TIME).one()).state == "stored"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": "failed", "code": 1200}, ModeratedError),
        ({"status": "failed", "error": "boom \ud800"}, PredictionFailedError),
        ({"status": "timeout"}, PredictionFailedError),
        ({"status": "deleted"}, ExpiredError),
    ],
)
async def test_a_failed_prediction_ends_failed(fields, kind, server, rig):
    server.on_result(with_data(**fields), times=None)
    update = await rig.one()
    assert update.state == "failed"
    assert isinstance(update.error, kind)
    assert len(server.submits) == 1


async def test_what_runs_too_long_is_left_open_and_fetched_later(server, rig, monkeypatch):
    monkeypatch.setattr(pacing, "deadline", lambda *_args, **_options: 0.1)
    server.on_result(with_data(status="processing", outputs=[]), times=None)
    update = await rig.one()
    assert update.state == "submitted"
    assert isinstance(update.error, StillRunningError)
    server.forget("result")
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_a_key_refused_under_way_leaves_the_prediction_open(server, rig):
    server.on_result(reply(401, "no"))
    update = await rig.one()
    assert update.state == "submitted"
    assert isinstance(update.error, KeyRefusedError)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_another_predictions_answer_is_never_stored(server, rig):
    other = server.add(DEFAULT_MODEL.id, {**BODY, "seed": 99}, created=time.time() - 60)

    async def mixed_up(x):
        await edited(
            lambda answer: answer["data"].update(id=other.id, outputs=[server.picture_url(other.id)])
        )(x)

    server.on_result(mixed_up)
    assert (await rig.one()).state == "stored"
    assert server.served == [next(iter(set(server.predictions) - {other.id}))]
