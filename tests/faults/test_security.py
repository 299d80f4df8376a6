"""The key goes to the API's own origin and is nowhere else; foreign text does no harm."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import json
import logging
import pickle
import traceback

import httpx
import pytest
from rig import CANARY, IMPATIENT, PATIENT, Rig, a_request, check_invariants, full_traceback
from server import (
    accepted,
    contract,
    edited,
    envelope,
    fin,
    hang,
    head_only,
    lose_answer,
    picture,
    raw,
    redirect,
    reply,
    reset,
    served,
    truncated,
    with_data,
)

from qwen_widgets.core.errors import QwenError, SettingsError
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.wavespeed import WaveSpeed, _KeyAuth, check_base_url

# --- where the key goes -----------------------------------------------------------------------------------


async def test_the_key_goes_to_the_api_and_not_to_the_pictures(server, rig):
    await rig.run(seeds="1-3")
    for seen in server.seen:
        with_key = CANARY in seen.text
        assert with_key == (seen.route in ("submit", "result")), seen.route
        if with_key:
            assert seen.header("Authorization") == f"Bearer {CANARY}"
            assert seen.text.count(CANARY) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("route", ["submit", "result", "history", "balance", "price"])
async def test_no_call_of_the_api_follows_a_redirect(route, status, server, foreign, client):
    server.on(route, redirect(foreign.base_url + "/x", status))
    call = {
        "submit": lambda: client.submit(a_request()),
        "result": lambda: client.result("abc"),
        "history": lambda: client.history_page(1),
        "balance": client.balance,
        "price": lambda: client.price(a_request()),
    }[route]
    with pytest.raises(SettingsError, match=str(status)):
        await call()
    assert len(server.seen) == 1
    assert foreign.seen == []


async def test_an_address_that_the_answer_names_is_not_asked(server, foreign, client):
    server.on_submit(with_data(urls={"get": foreign.base_url + "/predictions/x/result"}))
    prediction = await client.submit(a_request())
    await client.result(prediction.id)
    assert foreign.seen == []


async def test_pictures_of_another_origin_see_no_credential(server, foreign, rig):
    foreign.on_picture(served(picture((256, 256), 5)), times=None)
    server.on_result(with_data(status="completed", outputs=[foreign.origin + "/out/a.png"]), times=None)
    assert (await rig.one()).state == "stored"
    assert [seen.route for seen in foreign.seen] == ["picture"]
    assert {name.lower() for name, _ in foreign.seen[0].headers} == {
        "host", "accept", "accept-encoding", "connection", "user-agent",
    }  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "https://api.example:444/x",
        "http://api.example/x",
        "https://api.example.evil/x",
        "https://evil.example/x",
        "https://sub.api.example/x",
        "https://api.example@evil.example/x",
    ],
)
def test_only_the_very_origin_gets_the_key(address):
    auth = _KeyAuth(ApiKey(CANARY), httpx.URL("https://api.example/api/v3"))
    request = next(auth.auth_flow(httpx.Request("GET", address)))
    assert "authorization" not in request.headers


@pytest.mark.parametrize("address", ["https://api.example/x", "https://API.example:443/y"])
def test_the_origin_is_known_in_every_spelling(address):
    auth = _KeyAuth(ApiKey(CANARY), httpx.URL("https://api.example/api/v3"))
    request = next(auth.auth_flow(httpx.Request("GET", address)))
    assert request.headers["authorization"] == f"Bearer {CANARY}"


# --- where the key is not ---------------------------------------------------------------------------------

FAULTS = {
    "reset": reset,
    "FIN": fin,
    "garbage": raw(b"garbage\r\n\r\n"),
    "truncated": truncated(10),
    "after the headers": head_only(reset),
    "401": reply(401, "no"),
    "500": reply(500, "oops"),
    "302": redirect("/elsewhere"),
    "400": reply(400, {"message": "bad size"}),
    "strange id": envelope({"id": "../../x"}),
    "length": reply(200, b"", content_length="9" * 5000),
    "silence": hang,
}


@pytest.mark.parametrize("route", ["submit", "result", "balance"])
@pytest.mark.parametrize("name", FAULTS)
async def test_the_key_is_in_no_traceback(name, route, server, make_client, caplog):
    """Neither in the error, nor in what its frames hold, nor in an error behind it, nor in a log."""
    caplog.set_level(logging.DEBUG)
    server.on(route, FAULTS[name], times=None)
    client = make_client(IMPATIENT if name == "silence" else PATIENT)
    call = {
        "submit": lambda: client.submit(a_request()),
        "result": lambda: client.result("a"),
        "balance": client.balance,
    }
    with pytest.raises(QwenError) as caught:
        await call[route]()
    assert CANARY not in full_traceback(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert CANARY not in caplog.text
    assert CANARY not in repr(client) + str(vars(client))


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Minimal"])
async def test_the_key_is_in_no_mode_of_ipythons_tracebacks(mode, server, client):
    from IPython.core.ultratb import AutoFormattedTB

    server.on_submit(lose_answer)
    out = io.StringIO()
    shown = AutoFormattedTB(mode=mode, ostream=out)
    with pytest.raises(QwenError) as caught:
        await client.submit(a_request())
    shown(type(caught.value), caught.value, caught.value.__traceback__)
    assert "UnknownOutcomeError" in out.getvalue()
    assert CANARY not in out.getvalue()


async def test_a_cancelled_call_shows_no_key(server, client):
    server.on_submit(accepted(head_only(hang)))
    server.on("balance", hang)
    for call in (client.submit(a_request()), client.balance()):
        task = asyncio.create_task(call)
        await server.reached(
            "submit" if not server.requests("balance") and "submit" in repr(call) else "balance"
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert CANARY not in full_traceback(caught.value)


async def test_nothing_with_the_key_is_left_in_memory_for_others(server, client):
    """Errors that were caught inside are gone: none of them waits in a reference to be shown later."""
    server.on_submit(reset)
    with pytest.raises(QwenError):
        await client.submit(a_request())
    gc.collect()
    kept = [each for each in gc.get_objects() if isinstance(each, httpx.HTTPError)]
    assert not [error for error in kept if CANARY in full_traceback(error)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_client_cannot_be_pickled(protocol, server):
    with pytest.raises(TypeError) as caught:
        pickle.dumps(WaveSpeed(server.base_url, ApiKey(CANARY)), protocol)
    assert CANARY not in str(caught.value)


def test_a_client_cannot_be_copied_deeply(server):
    with pytest.raises(TypeError):
        copy.deepcopy(WaveSpeed(server.base_url, ApiKey(CANARY)))


async def test_the_key_is_in_nothing_that_a_run_leaves_behind(server, rig, qwen_home, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    echo = {"message": f"key Bearer {CANARY[:6]}… refused"}
    server.on_submit(lose_answer, contract, reply(400, echo), reply(500, "x"))
    server.on_picture(truncated(100), reply(403))
    await rig.run(seeds="1-6")
    said = capfd.readouterr()
    check_invariants(
        server, qwen_home, rig.requests, texts=[caplog.text, said.out, said.err, repr(rig.engine)]
    )


@pytest.mark.parametrize("bad", ["canary 5f0e", "canary\n5f0e", "canary-5f0e\u200b", "canarÿ5f0e"])
def test_a_key_that_is_refused_is_not_shown(bad):
    def read() -> None:
        ApiKey(f"{bad}")

    with pytest.raises(SettingsError) as caught:
        read()
    frames = list(traceback.walk_tb(caught.value.__traceback__))[1:]
    shown = "".join(str(frame.f_locals) for frame, _ in frames if frame.f_code.co_name != "read")
    assert "5f0e" not in shown + str(caught.value)


def test_a_key_of_the_environment_that_is_refused_is_not_shown(monkeypatch):
    from qwen_widgets.studio import Studio

    monkeypatch.setenv("WAVESPEED_API_KEY", f"{CANARY} pasted")
    here = Studio()
    with pytest.raises(SettingsError) as caught:
        here.provider()
    assert CANARY not in full_traceback(caught.value)


# --- the address of the API -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example", "https://api.example/api/v3"),
        ("https://api.example/", "https://api.example/api/v3"),
        (" https://api.example/api/v3/ ", "https://api.example/api/v3"),
        ("https://api.example/other", "https://api.example/other"),
        ("https://api.example:8443/x", "https://api.example:8443/x"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v3"),
        ("http://localhost", "http://localhost/api/v3"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("http://127.8.8.8", "http://127.8.8.8/api/v3"),
    ],
)
def test_base_urls(text, url):
    assert str(check_base_url(text)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example",
        "ftp://api.example",
        "http://api.example",
        "http://127.0.0.1.nip.io",
        "http://localhost.evil.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "https://",
        "https://[",
        "https://user:s3cret@api.example",
        "https://s3cret@api.example",
        "ftp://user:s3cret@api.example",
        "https://user:s3cret@api.example/?a=b",
        "https://api.example/?key=s3cret",
        "https://api.example/#s3cret",
        "s3cret",
        "https:// s3cret",
        "https://api.example\n.evil",
        "https://a\x00b",
        "javascript:alert(1)",
        "file:///etc/passwd",
    ],
)
def test_base_urls_that_are_refused(text):
    with pytest.raises(SettingsError) as caught:
        WaveSpeed(text, None)
    if "s3cret" in text and text != "https:// s3cret":
        assert "s3cret" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.__context__ is None


# --- foreign text -----------------------------------------------------------------------------------------

NASTY = [
    "\x1b]0;owned\x07\x1b[31mred\x1b[0m",
    "a\r\nb\nc",
    "\x00\x08\x7f\x9b31m",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\x1b[2J\x1b[H",
    "x" * 100_000,
    "\ud800 half",
]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("status", [400, 500, 429, 401])
async def test_foreign_text_is_cleaned(text, status, server, client):
    server.on_submit(reply(status, json.dumps({"message": text})))
    with pytest.raises(QwenError) as caught:
        await client.submit(a_request())
    message = caught.value.message
    assert len(message) < 400
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u2069" for c in message)
    message.encode()  # could be stored and printed


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_foreign_text_can_be_written_down(text, server, rig):
    server.on_submit(reply(400, json.dumps({"message": text})), contract)
    server.on_result(with_data(status="failed", error=text), times=None)
    updates = await rig.run(seeds="1-2")
    assert sorted(update.state for update in updates) == ["failed", "rejected"]


@pytest.mark.parametrize("strange", ["../../x", "a/../../b", "x?y=z", "x#y", "%2e%2e%2fx", "x\r\nHost: evil"])
async def test_a_strange_id_goes_nowhere(strange, server, rig):
    server.on_submit(with_data(id=strange))
    server.on_history(reply(500), times=None)
    assert (await rig.one()).state == "unknown"
    assert {seen.route for seen in server.seen} <= {"submit", "history"}


async def test_outputs_that_are_too_many_are_not_all_kept(server, client):
    server.on_submit(
        edited(lambda answer: answer["data"].update(outputs=[f"https://a/{i}" for i in range(5000)]))
    )
    assert len((await client.submit(a_request())).outputs) == 64


def test_the_invariants_bite(server, rig: Rig, qwen_home):
    """The check itself: a key in a file, a prediction that nobody knows, a double purchase."""
    (qwen_home / "pictures").mkdir(exist_ok=True)
    (qwen_home / "pictures" / "leak.txt").write_text(CANARY)
    with pytest.raises(AssertionError, match="I5"):
        check_invariants(server, qwen_home, [])
    (qwen_home / "pictures" / "leak.txt").unlink()
    with pytest.raises(AssertionError, match="I5"):
        check_invariants(server, qwen_home, [], texts=[f"Bearer {CANARY}"])
    server.paid[a_request().key] = ["a"]
    with pytest.raises(AssertionError, match="I2"):
        check_invariants(server, qwen_home, [a_request()])
    server.paid[a_request().key] = ["a", "b"]
    with pytest.raises(AssertionError, match="I1"):
        check_invariants(server, qwen_home, [a_request()])
    server.paid.clear()
