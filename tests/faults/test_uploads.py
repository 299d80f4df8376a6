"""Uploads: a picture is brought to the service once, in the way that it takes, without the key."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import stamina
from contract import KEY, ContractServer, settings
from photos import encoded, photo, saved

import qwen_widgets as qw
from qwen_widgets.core.uploads import USED_FOR
from qwen_widgets.offline.service import API_PATH
from qwen_widgets.studio import Studio

# --- uploads ----------------------------------------------------------------------------------------------


def test_twenty_cells_upload_their_picture_once(contract: ContractServer) -> None:
    grid = qw.generate("a {red|blue} fox", seeds="1-10", images=photo())
    assert [cell.state for cell in grid] == ["stored"] * 20
    assert len(contract.uploads) == 1
    assert {tuple(submit.body["images"]) for submit in contract.submits} == {
        tuple(contract.submits[0].body["images"])
    }
    grid.add(prompts="a green fox")
    assert len(contract.uploads) == 1
    assert len(contract.submits) == 30


KERNEL = """
import sys, threading
import qwen_widgets as qw
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
grid = qw.generate(sys.argv[1], seeds="1-3", images=sys.argv[2], max_cost=5)
sys.stdout.write(" ".join(cell.state for cell in grid) + "\\n")
"""


def test_two_kernels_upload_a_picture_once(
    contract: ContractServer, tmp_path: Path, qwen_home: Path, child_env: Callable[..., dict[str, str]]
) -> None:
    path = saved(tmp_path)
    env = child_env(tmp_path, home=qwen_home, extra=contract.env())
    inner = contract.service.app

    def asked_for(what: str) -> int:
        return sum(asked.path == f"{API_PATH}/{what}" for asked in contract.asked)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT":
            # The first upload lasts until the other kernel's run has begun, and has had the time to ask for a ticket.
            with suppress(TimeoutError):
                async with asyncio.timeout(60):
                    while asked_for("model/price") < 2:
                        await asyncio.sleep(0.02)
                async with asyncio.timeout(2):
                    while asked_for("media/uploads") < 2:
                        await asyncio.sleep(0.02)
        await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", KERNEL, f"a {colour} fox", str(path)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for colour in ("red", "blue")
    ]
    try:
        for kernel in kernels:
            assert kernel.stdout is not None
            assert kernel.stdout.readline() == "ready\n"
        for kernel in kernels:
            assert kernel.stdin is not None
            kernel.stdin.write("go\n")
            kernel.stdin.flush()
        answers = [kernel.communicate(timeout=120)[0] for kernel in kernels]
    finally:
        for kernel in kernels:
            kernel.kill()
    assert answers == ["stored stored stored\n"] * 2
    assert len(contract.uploads) == 1
    assert asked_for("media/uploads") == 1
    assert len(contract.submits) == 6


def test_a_picture_is_put_without_the_key_and_under_no_name_of_its_owner(
    contract: ContractServer, tmp_path: Path
) -> None:
    path = saved(tmp_path, "my-secret-holiday.png")
    assert qw.generate("a fox", seeds=1, images=path)[0, 0].state == "stored"
    (put,) = [asked for asked in contract.asked if asked.method == "PUT"]
    assert "authorization" not in put.headers
    assert KEY.encode() not in put.data
    assert put.data == path.read_bytes()
    assert not any(b"holiday" in asked.data or "holiday" in asked.path for asked in contract.asked)


@pytest.mark.usefixtures("studio")
def test_where_there_are_no_tickets_the_form_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = ContractServer(settings(duration=0.05, tickets=False))
    try:
        for name, value in contract.env().items():
            monkeypatch.setenv(name, value)
        grid = qw.generate("a fox", seeds="1-3", images=photo())
        assert [cell.state for cell in grid] == ["stored"] * 3
        (upload,) = contract.uploads
        assert upload.path == f"{API_PATH}/media/upload/binary"
        assert upload.headers["authorization"] == f"Bearer {KEY}"
    finally:
        contract.stop()


@pytest.mark.parametrize(
    "ticket",
    [
        {"upload": {"method": "PUT", "url": "http://storage.example/x"}},
        {"upload": {"method": "PUT", "url": "https://10.0.0.1/x"}},
        {"upload": {"method": "POST", "url": "https://storage.example/x"}},
        {"upload": {"url": "file:///etc/passwd"}},
        {"upload": None},
        {},
        {"redirect": True},
        {"leak": True},
    ],
    ids=["plain http", "private", "post", "file", "null", "empty", "redirect", "leak"],
)
def test_a_ticket_that_cannot_be_used_leaves_the_form(
    contract: ContractServer, ticket: dict[str, Any]
) -> None:
    """What a ticket names is never trusted: not with plain http, not with the key, not with a redirect."""
    from starlette.responses import JSONResponse, RedirectResponse

    origin = contract.base_url.removesuffix(API_PATH)
    stray: list[dict[str, str]] = []
    inner = contract.service.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == f"{API_PATH}/media/uploads":
            upload = ticket.get("upload")
            if "redirect" in ticket or "leak" in ticket:
                headers = {"Authorization": "Bearer mine", "Cookie": "a=b", "X-Amz-Acl": "private"}
                upload = {"method": "PUT", "url": f"{origin}/elsewhere", "headers": headers}
            data = {"download_url": f"{origin}/uploads/x", "upload": upload}
            await JSONResponse({"code": 200, "message": "success", "data": data})(scope, receive, send)
        elif scope["path"] == "/elsewhere":
            stray.append({name.decode(): value.decode() for name, value in scope["headers"]})
            answer: Any = JSONResponse({}, 403)
            if "redirect" in ticket:
                answer = RedirectResponse(f"{origin}/stolen", 307)
            await answer(scope, receive, send)
        else:
            await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    grid = qw.generate("a fox", seeds=1, images=photo())
    assert [cell.state for cell in grid] == ["stored"]
    assert [asked.path for asked in contract.uploads if asked.method == "POST"] == [
        f"{API_PATH}/media/upload/binary"
    ]
    assert not any(asked.path == "/stolen" for asked in contract.asked)
    for headers in stray:
        assert "authorization" not in headers
        assert "cookie" not in headers
        assert headers["x-amz-acl"] == "private"


def test_an_upload_that_fails_is_the_cells_error_and_buys_nothing(contract: ContractServer) -> None:
    from starlette.responses import JSONResponse

    inner = contract.service.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if "/media/" in scope["path"]:
            await JSONResponse({"code": 400, "message": "no room"}, 400)(scope, receive, send)
        else:
            await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    grid = qw.generate("a fox", seeds="1-3", images=photo())
    assert [cell.state for cell in grid] == ["failed"] * 3
    for cell in grid:
        assert cell.error is not None
        assert cell.error.paid == "no"
        assert "no room" in cell.error.message
    assert contract.submits == []
    assert grid.cost == 0
    contract.service.app = inner
    grid.retry()
    assert [cell.state for cell in grid] == ["stored"] * 3


def test_a_storage_that_stumbles_is_asked_again(contract: ContractServer) -> None:
    from starlette.responses import JSONResponse

    inner = contract.service.app
    left = [503, 500]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT" and left:
            await JSONResponse({}, left.pop())(scope, receive, send)
        else:
            await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    grid = qw.generate("a fox", seeds=1, images=photo())
    assert [cell.state for cell in grid] == ["stored"]
    assert left == []
    assert len(contract.submits) == 1


def tickets_fail(contract: ContractServer, how: str, port: int, *, form: bool = True) -> Callable[[], int]:
    """Let each upload by ticket fail in one way, the form too where it isn't taken; how often the ticket was tried."""
    from starlette.responses import JSONResponse

    inner = contract.service.app
    tries = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal tries
        what = scope["path"].removeprefix(f"{API_PATH}/media/")
        tries += what == "uploads"
        if (scope["method"] == "PUT" and how == "storage 503") or (what == "uploads" and how == "ticket 500"):
            await JSONResponse({}, int(how.split()[1]))(scope, receive, send)
        elif what == "uploads" and how == "out of reach":
            away = f"http://127.0.0.1:{port}/x"
            data = {"download_url": away, "upload": {"method": "PUT", "url": away}}
            await JSONResponse({"code": 200, "message": "success", "data": data})(scope, receive, send)
        elif what == "upload/binary" and not form:
            await JSONResponse({"code": 404, "message": "no such call"}, 404)(scope, receive, send)
        else:
            await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    return lambda: tries


FAILURES = ["storage 503", "ticket 500", "out of reach"]


@pytest.mark.parametrize("how", FAILURES)
def test_a_storage_that_never_works_leaves_the_form(
    contract: ContractServer, how: str, closed_port: int
) -> None:
    tries = tickets_fail(contract, how, closed_port)
    with stamina.set_testing(True, attempts=4):
        grid = qw.generate("a fox", seeds="1-2", images=photo())
    assert [cell.state for cell in grid] == ["stored"] * 2
    assert tries() == 4
    assert len(contract.service.uploads.kept) == 1
    assert len([asked for asked in contract.asked if asked.path.endswith("/upload/binary")]) == 1


@pytest.mark.parametrize("how", FAILURES)
def test_where_nothing_takes_a_picture_nothing_was_bought_and_it_says_so(
    contract: ContractServer, how: str, closed_port: int
) -> None:
    tickets_fail(contract, how, closed_port, form=False)
    with stamina.set_testing(True, attempts=4):
        grid = qw.generate("a fox", seeds="1-2", images=photo())
    for cell in grid:
        assert cell.error is not None
        assert "no such call" not in cell.error.message
        assert cell.error.sentence.endswith("Nothing was bought; run the cell again.")
        assert cell.error.paid == "no"
    assert contract.submits == []


def test_an_address_is_remembered_until_it_expires_and_then_uploaded_anew(
    contract: ContractServer, studio: Studio
) -> None:
    path = photo()
    first = qw.generate("a fox", seeds=1, images=path)[0, 0].request.images[0]
    qw.generate("a cat", seeds=1, images=path)
    assert len(contract.uploads) == 1
    ledger = studio.ledger()
    row = ledger.wait(lambda db: db._db.execute("SELECT * FROM upload").fetchone())
    assert row["sha256"] == first.sha256
    assert 6 * 24 * 3600 < USED_FOR < 7 * 24 * 3600
    ledger.wait(lambda db: db._db.execute("UPDATE upload SET expires_at = ?", (db._clock() - 1,)))
    qw.generate("a dog", seeds=1, images=path)
    assert len(contract.uploads) == 2
    assert contract.submits[2].body["images"] != contract.submits[0].body["images"]


def test_an_upload_whose_kernel_died_is_taken_over(contract: ContractServer, studio: Studio) -> None:
    import hashlib

    data = encoded(photo())
    digest = hashlib.sha256(data).hexdigest()
    _, provider = studio.engine()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    def leave(db: Any) -> None:
        claim = (
            provider.name,
            digest,
            db.owner.replace(str(os.getpid()), str(dead.pid), 1),
            db._clock() + 3600,
        )
        db._db.execute("INSERT INTO upload (provider, sha256, owner, lease_until) VALUES (?, ?, ?, ?)", claim)

    studio.ledger().wait(leave)
    assert qw.generate("a fox", seeds=1, images=data)[0, 0].state == "stored"
    assert len(contract.uploads) == 1


def test_a_picture_that_the_service_no_longer_finds_is_uploaded_anew(
    contract: ContractServer, studio: Studio
) -> None:
    qw.generate("a fox", seeds=1, images=photo())
    with contract.service.uploads._lock:
        contract.service.uploads._kept.clear()
    lost = qw.generate("a cat", seeds=1, images=photo())
    assert [cell.state for cell in lost] != ["stored"]
    again = qw.generate("a cat", seeds=1, images=photo())
    assert [cell.state for cell in again] == ["stored"]
    assert len(contract.uploads) == 2
