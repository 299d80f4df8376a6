"""A passing cause makes no final state: what the service did once is over a moment later, and nothing is ordered again."""

from __future__ import annotations

import ast
import sqlite3
from pathlib import Path

import pytest
import stamina
from rig import CANARY, a_request
from server import FaultServer, as_bytes, edited, picture, redirect, reply, served, with_data

import qwen_widgets as qw
from qwen_widgets import archive
from qwen_widgets.core import states
from qwen_widgets.core.errors import (
    ExpiredError,
    RejectedError,
    SettingsError,
    StillRunningError,
    UnknownOutcomeError,
)
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.records import dump_error
from qwen_widgets.core.states import ENDS, OPEN, TABLE, Heard

# --- the table --------------------------------------------------------------------------------------------


def test_every_end_has_its_proof_and_nothing_else_needs_one() -> None:
    for (state, heard), rule in TABLE.items():
        assert bool(rule.proof) == (rule.to in ENDS), (state, heard)
    assert {rule.to for rule in TABLE.values()} | {"planned"} == {*OPEN, *ENDS}


def test_from_every_open_state_the_picture_can_still_come() -> None:
    leads = {state: {rule.to for (at, _), rule in TABLE.items() if at == state} for state in OPEN}
    for state in OPEN:
        reached = {state}
        while more := set().union(*(leads.get(at, set()) for at in reached)) - reached:
            reached |= more
        assert "stored" in reached


def test_what_is_heard_of_is_in_the_table() -> None:
    assert {heard for _, heard in TABLE} == set(Heard)
    with pytest.raises(KeyError):
        states.after("stored", Heard.GONE)


# --- pictures and texts -----------------------------------------------------------------------------------

PNG = picture()
PAGE = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
PASSING = {
    "a truncated PNG": served(PNG[:-400]),
    "a gateway's page": served(PAGE, content_type="text/html"),
    "nothing": served(b""),
    "404": reply(404, "not here yet"),
    "403": reply(403, PAGE),
    "410": reply(410),
    "a foreign compression": reply(200, PNG, content_encoding="gzip"),
}


@pytest.mark.parametrize("name", PASSING)
async def test_what_comes_in_place_of_a_picture_once_is_fetched_again_in_the_same_run(name, server, rig):
    server.on_picture(PASSING[name])
    update = await rig.one()
    assert update.state == "stored"
    assert len(server.submits) == 1


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("how", ["the cell again", "retry", "resume"])
async def test_what_comes_for_a_whole_run_is_fetched_by_the_next_one(name, how, server, rig):
    server.on_picture(PASSING[name], times=None)
    update = await rig.one()
    assert (update.state, update.error.paid, update.error.may_retry) == ("completed", "yes", True)
    server.forget("picture")
    if how == "resume":
        waiting = rig.engine.ledger.wait(lambda db: db.unfinished(rig.engine.provider))
        [record] = await rig.engine.fetch_rows([row.id for row in waiting], rig.stop)
        assert record.state == "stored"
    else:
        assert (await rig.one(retry=how == "retry")).state == "stored"
        rig.resends = 0
    assert len(server.submits) == 1


async def test_why_it_is_not_here_is_still_known_when_the_grid_is_opened_again(server, rig):
    server.on_picture(served(PAGE), times=None)
    update = await rig.one()
    again = await rig.engine.plan_orders(rig.requests)
    [recalled] = [told async for told in rig.engine.recall(again)]
    assert (recalled.state, recalled.error.message) == (update.state, update.error.message)
    server.forget("picture")
    await rig.one()
    again = await rig.engine.plan_orders(rig.requests)
    [recalled] = [told async for told in rig.engine.recall(again)]
    assert (recalled.state, recalled.error) == ("stored", None)


async def test_a_picture_that_does_not_come_holds_no_other_up(server, rig):
    """More of them than are downloaded together, and one that comes."""

    async def some(x):
        made = server.predictions[x.seen.target.removeprefix("/out/").partition(".")[0]]
        await (served(picture()) if made.inputs["seed"] == 9 else served(PAGE))(x)

    server.on_picture(some, times=None)
    rig.requests = [a_request(seed=seed) for seed in range(1, 10)]
    plan = await rig.engine.plan_orders(rig.requests)
    with stamina.set_testing(False):
        # Real pauses, of minutes in the scale of the tests: the one comes while the others wait.
        ended = [
            (update.record.seed, update.state)
            async for update in rig.engine.run(plan, rig.stop)
            if update.state == "stored" or update.error is not None
        ]
    assert ended[0] == (9, "stored")
    assert sorted(ended[1:]) == [(seed, "completed") for seed in range(1, 9)]


BAD_TEXTS = {
    "a page": served(PAGE, content_type="text/html"),
    "nothing": served(b" \n"),
    "a wrong encoding": served(b"\xff\xfe\x00a"),
    "404": reply(404),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
@pytest.mark.parametrize("often", [1, None], ids=["once", "a whole run"])
async def test_an_enhanced_text_that_did_not_come_is_fetched_again(name, often, server, rig):
    server.on_result(
        edited(lambda a: a["data"].update(outputs=[server.text_url(a["data"]["id"])])), times=None
    )
    server.on_picture(BAD_TEXTS[name], times=often)
    update = await rig.enhance()
    if often is None:
        assert update.state == "completed"
        server.forget("picture")
        update = await rig.enhance()
    assert update.record.text == "a red fox, default, in fine detail"
    assert len(server.submits) == 1


async def test_a_text_in_the_answer_itself_that_is_a_page_is_asked_for_again(server, rig):
    server.seconds = 0
    server.on_result(with_data(outputs=[PAGE.decode()]))
    assert (await rig.enhance()).record.text == "a red fox, default, in fine detail"
    assert len(server.submits) == 1


# --- the prediction ---------------------------------------------------------------------------------------


async def test_one_404_of_a_prediction_that_was_seen_alive_means_nothing(server, rig, monkeypatch):
    monkeypatch.setattr("qwen_widgets.core.purchase._FRESH", 0.0)
    server.seconds = 0.2
    server.on_result(with_data(status="processing", outputs=[]), reply(404, {"error": "task not found"}))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_completed_without_a_result_is_asked_for_again(server, rig):
    server.on_result(with_data(status="completed", outputs=[]), with_data(status="completed", outputs=None))
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_completed_without_a_result_for_ever_is_left_open(server, rig, monkeypatch):
    monkeypatch.setattr("qwen_widgets.core.pacing.deadline", lambda *_args, **_options: 0.2)
    server.on_result(with_data(status="completed", outputs=[]), times=None)
    update = await rig.one()
    assert (update.state, type(update.error)) == ("submitted", StillRunningError)
    assert "where the result is" in update.error.message
    server.forget("result")
    assert (await rig.one(retry=True)).state == "stored"
    rig.resends = 0
    assert len(server.submits) == 1


async def test_a_wrong_clock_of_this_machine_expires_nothing(server, rig, monkeypatch):
    import time

    from qwen_widgets.core.pacing import Clock

    server.on_picture(reply(404), times=None)
    assert (await rig.one()).state == "completed"
    server.on_result(reply(404), times=None)
    rig.engine.clock = Clock(wall=lambda: time.time() + 30 * 24 * 3600)
    assert (await rig.one()).state == "completed"
    server.forget("result")
    server.forget("picture")
    rig.engine.clock = Clock()
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


# --- the order --------------------------------------------------------------------------------------------

GATEWAY = {
    "302": redirect("https://example.org/login"),
    "404, a page": reply(404, PAGE, content_type="text/html"),
    "404, its own JSON": reply(404, {"message": "no Route matched with those values"}),
    "405": reply(405, "method not allowed"),
    "413": reply(413, PAGE),
    "400, a page": reply(400, PAGE),
    "an envelope of an error at the service": reply(200, {"code": 500, "message": "try later", "data": None}),
    "a business code of the service": reply(200, {"code": 5003, "message": "overloaded", "data": None}),
}


@pytest.mark.parametrize("name", GATEWAY)
async def test_what_a_gateway_said_of_an_order_is_tried_again_by_the_next_run(name, server, rig, make_rig):
    server.on_submit(GATEWAY[name])
    update = await rig.one()
    assert (update.state, update.error.paid, update.error.may_retry) == ("rejected", "no", True)
    assert server.predictions == {}
    assert (await make_rig().one()).state == "stored"
    assert len(server.submits) == 2


OWN_WORD = {
    "a parameter": reply(400, {"code": 400, "message": "size must be at least 256"}),
    "a model": reply(404, {"code": 404, "message": "Model not found"}),
    "a business code": reply(200, {"code": 1400, "message": "bad parameter", "data": None}),
    "the other shape": reply(422, {"error": "seed must be an integer"}),
}


@pytest.mark.parametrize("name", OWN_WORD)
async def test_the_services_own_word_about_a_request_is_kept(name, server, rig):
    server.on_submit(OWN_WORD[name])
    first = await rig.one()
    assert (first.state, type(first.error)) == ("rejected", RejectedError)
    assert (await rig.one()).error.message == first.error.message
    assert len(server.submits) == 1


# --- what an earlier version has ended --------------------------------------------------------------------


def as_before(
    home: Path, request, provider: str, *, state: str, error=None, prediction: str | None, outputs="[]"
) -> None:
    """Write a row as schema 3 had it."""
    ledger = Ledger(home)
    ledger.wait(lambda db: db.claim(provider, request, "run", request.model.price, after=99))
    ledger.close()
    with sqlite3.connect(home / "ledger.sqlite3") as db:
        db.execute(
            "UPDATE purchase SET state = ?, error = ?, prediction_id = ?, outputs = ?, owner = NULL, lease_until = NULL,"
            " sent_at = created_at, server_at = created_at WHERE id = (SELECT max(id) FROM purchase)",
            (state, dump_error(error) if error else None, prediction, outputs),
        )
    db.close()


def downgrade(home: Path) -> None:
    db = sqlite3.connect(home / "ledger.sqlite3")
    db.execute("ALTER TABLE purchase DROP COLUMN missed_at")
    db.execute("PRAGMA user_version = 3")
    db.commit()
    db.close()


@pytest.fixture
def old_home(server: FaultServer, qwen_home: Path, restart, monkeypatch: pytest.MonkeyPatch):
    """A home that an earlier version has left, the server's prediction for its one request, and today's start."""
    monkeypatch.setenv("QWEN_WIDGETS_BASE_URL", server.base_url)
    monkeypatch.setenv("WAVESPEED_API_KEY", CANARY)
    request = a_request()
    made = server.add(request.model.id, {"prompt": request.prompt, "size": "256*256", "seed": 7})

    def start():
        downgrade(qwen_home)
        restart()

    return server, qwen_home, request, made, start


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("invalid_output", None),
        ("expired", ExpiredError("The picture's address no longer works (HTTP 404).")),
    ],
)
@pytest.mark.parametrize("outputs", [True, False], ids=["completed", "never seen completed"])
def test_what_an_earlier_version_has_ended_without_proof_is_taken_up_again(
    state, error, outputs, old_home
) -> None:
    server, home, request, made, start = old_home
    told = as_bytes([server.picture_url(made.id)]).decode() if outputs else "[]"
    as_before(home, request, server.origin, state=state, error=error, prediction=made.id, outputs=told)
    start()
    assert archive.waiting() == 1
    grid = qw.generate("a red fox", seeds=7, sizes="256x256")
    assert (grid[0, 0].state, grid[0, 0].prediction_id) == ("stored", made.id)
    assert server.submits == []


def test_what_was_bought_again_since_keeps_its_place_and_the_first_one_is_fetched_too(old_home) -> None:
    server, home, request, made, start = old_home
    as_before(home, request, server.origin, state="invalid_output", prediction=made.id)
    as_before(home, request, server.origin, state="failed", prediction="another")
    with sqlite3.connect(home / "ledger.sqlite3") as db:
        # Its file is not the matter here.
        db.execute("UPDATE purchase SET state = 'stored', sha256 = 'ab', suffix = '.png' WHERE id = 2")
    db.close()
    start()
    [record] = archive.studio().ledger().wait(lambda db: db.unfinished(server.origin))
    assert (record.unassigned, record.prediction_id, record.state) == (True, made.id, "submitted")


@pytest.mark.parametrize(
    "error", [RejectedError("The API refused the request: HTTP 404"), SettingsError("a redirect")]
)
def test_what_a_gateway_had_refused_is_asked_for_again(error, old_home) -> None:
    server, home, request, _, start = old_home
    as_before(home, request, server.origin, state="rejected", error=error, prediction=None)
    start()
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].state == "stored"
    assert len(server.submits) == 1


@pytest.mark.parametrize("error", [None, UnknownOutcomeError("The answer was lost.")])
def test_what_a_user_gave_up_stays_given_up(error, old_home) -> None:
    server, home, request, made, start = old_home
    as_before(home, request, server.origin, state="expired", error=error, prediction=made.id)
    start()
    assert archive.waiting() == 0
    assert qw.generate("a red fox", seeds=7, sizes="256x256")[0, 0].state == "expired"
    assert server.submits == []


def test_a_row_changes_its_state_by_the_table_alone() -> None:
    package = Path(qw.__file__).parent
    movers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "move"
    }
    assert movers == {"core/ledger.py"}
