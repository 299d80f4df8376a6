"""Editing on real sockets: what is sent for each model, what is refused before anything is, and one upload a picture."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from contract import KEY, ContractServer, settings
from PIL import Image

import qwen_widgets as qw
from qwen_widgets.core import metadata
from qwen_widgets.core.download import Downloads
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Model, Size
from qwen_widgets.core.uploads import KEPT
from qwen_widgets.grid.describe import describe
from qwen_widgets.offline.service import API_PATH
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio

#: The inputs of each model's schema, from the table of the API reference.
INPUTS = {
    "qwen-image-2.0": {"prompt", "size", "seed"},
    "qwen-image-2.0-pro": {"prompt", "size", "seed"},
    "qwen-image-2.0-edit": {"prompt", "images", "seed"},
    "qwen-image-2.0-pro-edit": {"prompt", "images", "seed"},
    "qwen-image-edit-plus": {"prompt", "images", "seed", "output_format"},
    "seedream-5-lite": {"prompt", "size", "output_format"},
    "seedream-5-lite-edit": {"prompt", "size", "output_format", "images"},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContractServer]:
    server = ContractServer(settings(duration=0.05))
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    studio = Studio(Settings(offline_seconds=0.05, max_cost=5))
    monkeypatch.setattr("qwen_widgets.studio._default", studio)
    return studio


def photo(width: int = 640, height: int = 480, colour: str = "teal") -> Image.Image:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste(colour, (0, 0, width // 2, height // 2))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def saved(folder: Path, name: str = "photo.png", image: Image.Image | None = None) -> Path:
    path = folder / name
    path.write_bytes(encoded(image or photo(), "JPEG" if name.endswith("jpg") else "PNG"))
    return path


def nothing_left(server: ContractServer) -> bool:
    return server.submits == [] and server.uploads == [] and server.service.uploads.kept == ()


# --- each model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_each_model_is_sent_exactly_the_inputs_of_its_schema(
    server: ContractServer, model: Model, tmp_path: Path
) -> None:
    images = {"images": [saved(tmp_path)]} if model.takes_images else {}
    grid = qw.generate("a fox at night", seeds=7, models=model.name, **images)  # type: ignore[arg-type]
    assert [cell.state for cell in grid] == ["stored"]
    assert len(grid) == 1
    (submit,) = server.submits
    assert submit.path == f"{API_PATH}/{model.id}"
    assert set(submit.body) == INPUTS[model.name]
    assert submit.body["prompt"] == "a fox at night"
    assert submit.body.get("seed", 7) == 7
    assert submit.headers["authorization"] == f"Bearer {KEY}"
    (prediction,) = server.service.predictions.values()
    assert prediction.ignored == ()
    if model.takes_images:
        (address,) = submit.body["images"]
        kept = server.service.uploads.find(address.rpartition("/")[2])
        assert kept is not None
        assert kept.data == (tmp_path / "photo.png").read_bytes()
    assert grid.cost == pytest.approx(float(model.price))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_run_of_each_model_comes_back_from_the_ledger(
    server: ContractServer, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"images": [saved(tmp_path)]} if model.takes_images else {}
    grid = qw.generate("a fox", seeds="1-2", models=model.name, **images)  # type: ignore[arg-type]
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(max_cost=5)))
    again = qw.grid(grid.run_id)
    assert again.sweep == grid.sweep
    assert {cell.state for cell in again} == {"stored"}
    assert [cell.prediction_id for cell in again] == [cell.prediction_id for cell in grid]
    bought = len(server.submits)
    once_more = qw.generate("a fox", seeds="1-2", models=model.name, **images)  # type: ignore[arg-type]
    assert all(cell.cached for cell in once_more)
    assert len(server.submits) == bought
    path = grid[0, 0].path
    assert path is not None
    told = qw.read(path)
    assert (told.model, told.images) == (model, grid[0, 0].request.images)


def test_a_format_is_sent_and_comes_back(server: ContractServer, tmp_path: Path) -> None:
    grid = qw.generate(
        "a fox", seeds=1, images=saved(tmp_path), models="qwen-image-edit-plus", output_format="webp"
    )
    assert server.submits[0].body["output_format"] == "webp"
    assert grid[0, 0].path is not None
    assert grid[0, 0].path.suffix == ".webp"


def test_several_models_stand_below_each_other(
    server: ContractServer, studio: Studio, tmp_path: Path
) -> None:
    grid = qw.generate("a fox", seeds="1-2", models="qwen-image-2.0,seedream-5-lite", sizes="16:9")
    view = describe(grid)
    # Two seeds of the one and the one picture of the other are no product.
    line = studio.prepare("a fox", seeds="1-2", models="qwen-image-2.0,seedream-5-lite").line
    assert line.startswith("1 prompt × 2 seeds × 2 models · 3 images · ")
    assert [row.note for row in view.rows] == ["Qwen Image 2.0", "Seedream V5.0 Lite"]
    assert view.facts[:2] == ("1 prompt × 2 seeds × 2 models", "16:9")
    assert [column.label for column in view.columns] == ["seed 1", "seed 2", "no seed"]
    assert [(cell.row, cell.column) for cell in grid] == [(0, 0), (0, 1), (1, 2)]
    assert not any(cell.warning for cell in view.cells)
    names = [path.name for path in grid.save(tmp_path / "out")]
    assert names == ["01-01-a-fox-seed-1.png", "01-02-a-fox-seed-2.png", "02-03-a-fox.jpg"]
    assert grid.sheet().width > 0
    assert list(grid.to_frame()["seed"].isna()) == [False, False, True]
    assert "no seed" in repr(grid[1, 2])
    grid.add(prompts="a cat", seeds=3)
    assert grid.seeds == (1, 2, None, 3)
    assert len(grid) == 8
    assert {cell.state for cell in grid} == {"stored"}


def test_a_picture_of_a_model_without_a_seed_is_made_anew_by_fresh(server: ContractServer) -> None:
    first = qw.generate("a fox", models="seedream-5-lite")
    with pytest.raises(InputError, match="takes no seed"):
        first.add(seeds="1-4")
    again = qw.generate("a fox", models="seedream-5-lite")
    anew = qw.generate("a fox", models="seedream-5-lite", fresh=True)
    assert again[0, 0].cached
    assert not anew[0, 0].cached
    assert anew[0, 0].prediction_id != first[0, 0].prediction_id


# --- what can be given ------------------------------------------------------------------------------------


def test_whatever_holds_a_picture_can_be_given(server: ContractServer, tmp_path: Path) -> None:
    path = saved(tmp_path, "photo.jpg")
    address = f"{server.base_url.removesuffix(API_PATH)}/uploads/"
    address += server.service.uploads.add(path.read_bytes(), content_type="image/jpeg").name
    array = np.asarray(photo())
    grid = qw.generate("a red fox", seeds=1, sizes="512x512")
    for given in (path, str(path), address, photo(), array, array / 255, array[:, :, 0], grid[0, 0], grid):
        edit = qw.generate(f"edit of {type(given).__name__}", seeds=1, images=given)
        assert [cell.state for cell in edit] == ["stored"], given
        assert edit[0, 0].error is None
    # The bytes of a file are sent as they are, from a path and from an address alike.
    sent = {kept.data for kept in server.service.uploads.kept}
    assert path.read_bytes() in sent
    # Equal pictures are one upload: the PIL image and its array, in whole numbers and in fractions.
    assert len(server.uploads) == 4


def test_an_array_is_sent_as_it_looks(server: ContractServer) -> None:
    array = np.zeros((400, 500, 4), np.uint8)
    array[:, :250] = (255, 0, 0, 255)
    qw.generate("a fox", seeds=1, images=array)
    (kept,) = server.service.uploads.kept
    assert kept.data is not None
    image = Image.open(io.BytesIO(kept.data))
    assert (image.size, image.mode) == ((500, 400), "RGBA")
    assert np.array_equal(np.asarray(image), array)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_held_on_its_side_is_sent_upright(server: ContractServer, kind: str, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    turned[0x010E] = "where I live"
    path = tmp_path / "side.picture"
    path.write_bytes(encoded(photo(800, 400), kind, exif=turned))
    grid = qw.generate("a fox", seeds=1, images=path)
    assert grid[0, 0].request.size == Size(400, 800)
    qw.generate("a fox", seeds=1, images=Image.open(path))
    sent = [kept.data or b"" for kept in server.service.uploads.kept]
    for data in sent:
        # Whoever looks at the pixels alone sees what a person sees.
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (400, 800)
            assert image.getexif().get(0x0112) is None
            # Its left half was teal: held so, it is the upper one.
            assert image.convert("RGB").getpixel((200, 100)) == pytest.approx((15, 120, 120), abs=25)
        assert b"where I live" not in data
    assert grid[0, 0].request.images[0].source == str(path)
    assert qw.generate("a fox", seeds=1, images=path)[0, 0].cached


@pytest.mark.parametrize("deep", ["I;16", "I", "F of 1", "F of 255"])
def test_a_picture_of_deep_greys_is_sent_as_it_looks(server: ContractServer, deep: str) -> None:
    mode, _, top = deep.partition(" of ")
    ramp = np.linspace(0, float(top or 65535), 500).reshape(1, 500).repeat(400, axis=0)
    kinds = {"I;16": "uint16", "I": "int32", "F": "float32"}
    image = Image.fromarray(ramp.astype(kinds[mode]))
    assert image.mode == mode
    qw.generate("a fox", seeds=1, images=image)
    (kept,) = server.service.uploads.kept
    sent = np.asarray(Image.open(io.BytesIO(kept.data or b"")).convert("L"))[0].astype(int)
    assert (sent[0], sent[-1]) == (0, 255)
    assert sent[250] == pytest.approx(127, abs=2)


def test_deep_values_that_are_no_greys_are_one_sentence(server: ContractServer) -> None:
    for values in (-1.0, 300.0, np.nan):
        image = Image.fromarray(np.full((400, 500), values, "float32"))
        with pytest.raises(InputError, match=r"image 1: it holds values that are no colours; .*\.$"):
            qw.generate("a fox", seeds=1, images=image)
    assert nothing_left(server)


def test_a_picture_is_scaled_only_when_asked(server: ContractServer) -> None:
    small, large = photo(300, 200), photo(4000, 1000)
    for image in (small, large):
        with pytest.raises(InputError, match=r"384 to 3072 pixels; --fit scales it"):
            qw.generate("a fox", seeds=1, images=image)
    assert nothing_left(server)
    assert qw.generate("a fox", seeds=1, images=small, fit=True)[0, 0].request.size == Size(576, 384)
    assert qw.generate("a fox", seeds=1, images=large, fit=True)[0, 0].request.size == Size(3072, 768)
    with pytest.raises(InputError, match="too narrow"):
        qw.generate("a fox", seeds=1, images=photo(2000, 100), fit=True)
    fits = photo()
    plain, fitted = (qw.generate("a fox", seeds=1, images=fits, fit=fit) for fit in (False, True))
    assert fitted[0, 0].request.key == plain[0, 0].request.key


# --- what is refused --------------------------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG of 9000 × 9000 pixels in 80 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 9001 * 9000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


CUT_OFF = encoded(photo(), "JPEG")[:4000]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><html><script>alert(1)</script></html>"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("fox.svg", SVG, "is not a PNG, JPEG or WebP picture"),
        ("fox.png", SVG, "is not a PNG, JPEG or WebP picture"),
        ("fox.png", HTML, "is not a PNG, JPEG or WebP picture"),
        ("fox.png", b"", "is not a PNG, JPEG or WebP picture"),
        ("fox.gif", b"GIF89a" + bytes(100), "is not a PNG, JPEG or WebP picture"),
        ("fox.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "can't be decoded"),
        ("fox.png", bomb(), "has 9000×9000 pixels, more than the 40 million"),
        (
            "fox.png",
            encoded(photo(300, 300)),
            r"it is 300×300, and qwen-image-2\.0-edit takes .* 384 to 3072",
        ),
        ("fox.jpg", CUT_OFF, "can't be decoded"),
    ],
    ids=["svg", "svg named png", "html", "empty", "gif", "broken", "81 megapixels", "300×300", "cut off"],
)
def test_a_hostile_or_wrong_file_is_one_sentence(
    server: ContractServer, tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        qw.generate("a fox", seeds=1, images=path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.paid == "no"
    assert server.asked == []
    assert nothing_left(server)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nothing.png", "there is no such file"),
        ("photo", "no variable and no file of that name"),
        ("file:///etc/passwd", "file: is not opened"),
        ("file:/etc/passwd", "file: is not opened"),
        ("ftp://example.com/a.png", "ftp: is not opened"),
        ("data:image/png;base64,iVBORw0KGgo=", "data: is not opened"),
        ("http://example.com/a.png", "not https on port 443"),
        ("https://example.com:8443/a.png", "not https on port 443"),
        ("https://user:secret@example.com/a.png", "carries a user name"),
        ("https://10.0.0.1/a.png", "leads into a private network"),
        ("https://192.168.1.1/a.png", "leads into a private network"),
        ("https://169.254.169.254/latest/meta-data", "leads into a private network"),
        ("https://[::ffff:10.0.0.1]/a.png", "leads into a private network"),
        ("https://[fd00::1]/a.png", "leads into a private network"),
        ("/", "not a file"),
        ("/dev/zero", "not a file"),
        ("a\0b.png", "can't be the name of a file"),
        ("", "it is empty"),
        ("kept:0123456789", "no such picture among those kept"),
        ("kept:../../ledger", "no such picture among those kept"),
        ("0123456789ab[0,0]", "the ledger has no such run"),
        (7, "of the type int"),
        (np.zeros((400, 400, 7)), "an array of 400 × 400 × 7"),
        (np.full((400, 400), np.nan), "values that are no colours"),
        (np.full((400, 400), 300), "values that are no colours"),
        (np.full((400, 400), "x"), "values that are no colours"),
        ([photo()] * 7, "7 were given, and qwen-image-2.0-edit takes at most 6"),
    ],
)
def test_what_cannot_be_given_is_one_sentence(server: ContractServer, given: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        qw.generate("a fox", seeds=1, images=given)
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message
    assert server.asked == []
    assert nothing_left(server)


@pytest.mark.parametrize(
    ("model", "images", "words"),
    [
        ("qwen-image-2.0", True, "qwen-image-2.0-edit takes pictures"),
        ("qwen-image-2.0-pro,qwen-image-2.0-edit", True, "qwen-image-2.0-pro-edit takes pictures"),
        ("qwen-image-2.0-edit", False, "give one with -i"),
        ("seedream-5-lite-edit", False, "or use seedream-5-lite, which makes one of words"),
    ],
)
def test_a_model_for_something_else_names_the_right_one(
    server: ContractServer, model: str, images: bool, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        qw.generate("a fox", seeds=1, models=model, images=photo() if images else None)
    assert server.asked == []


def test_a_name_that_leads_home_is_met_before_anything_is_sent(
    server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Offline not even loopback is allowed, whatever DNS says of a public name.
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **more: real("127.0.0.1", *rest, **more))
    # Only https on port 443 may be opened, where no test can listen; the address itself is beyond suspicion here.
    monkeypatch.setattr(Downloads, "_check_url", lambda _self, address, _what="": httpx.URL(address))
    port = server.base_url.rpartition(":")[2].partition("/")[0]
    with pytest.raises(InputError, match="leads into a private network"):
        qw.generate("a fox", seeds=1, images=f"http://rebind.example:{port}/a.png")
    assert server.asked == []


def test_a_page_at_an_address_is_no_picture(server: ContractServer) -> None:
    upload = server.service.uploads.add(HTML, content_type="image/png")
    address = f"{server.base_url.removesuffix(API_PATH)}/uploads/{upload.name}"
    with pytest.raises(InputError, match="is not a PNG, JPEG or WebP picture"):
        qw.generate("a fox", seeds=1, images=address)
    with pytest.raises(InputError, match="no longer works"):
        qw.generate("a fox", seeds=1, images=address + "x")
    assert server.submits == []
    assert server.uploads == []


# --- uploads ----------------------------------------------------------------------------------------------


def test_twenty_cells_upload_their_picture_once(server: ContractServer) -> None:
    grid = qw.generate("a {red|blue} fox", seeds="1-10", images=photo())
    assert [cell.state for cell in grid] == ["stored"] * 20
    assert len(server.uploads) == 1
    assert {tuple(submit.body["images"]) for submit in server.submits} == {
        tuple(server.submits[0].body["images"])
    }
    grid.add(prompts="a green fox")
    assert len(server.uploads) == 1
    assert len(server.submits) == 30


KERNEL = """
import sys, threading
import qwen_widgets as qw
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
grid = qw.generate(sys.argv[1], seeds="1-3", images=sys.argv[2], max_cost=5)
sys.stdout.write(" ".join(cell.state for cell in grid) + "\\n")
"""


def test_two_kernels_upload_a_picture_once(
    server: ContractServer, tmp_path: Path, qwen_home: Path, child_env: Callable[..., dict[str, str]]
) -> None:
    path = saved(tmp_path)
    env = child_env(tmp_path, home=qwen_home, extra=server.env())
    inner = server.service.app

    def asked_for(what: str) -> int:
        return sum(asked.path == f"{API_PATH}/{what}" for asked in server.asked)

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

    server.service.app = app  # type: ignore[assignment]
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
    assert len(server.uploads) == 1
    assert asked_for("media/uploads") == 1
    assert len(server.submits) == 6


def test_a_picture_is_put_without_the_key_and_under_no_name_of_its_owner(
    server: ContractServer, tmp_path: Path
) -> None:
    path = saved(tmp_path, "my-secret-holiday.png")
    assert qw.generate("a fox", seeds=1, images=path)[0, 0].state == "stored"
    (put,) = [asked for asked in server.asked if asked.method == "PUT"]
    assert "authorization" not in put.headers
    assert KEY.encode() not in put.data
    assert put.data == path.read_bytes()
    assert not any(b"holiday" in asked.data or "holiday" in asked.path for asked in server.asked)


def test_where_there_are_no_tickets_the_form_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ContractServer(settings(duration=0.05, tickets=False))
    try:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        grid = qw.generate("a fox", seeds="1-3", images=photo())
        assert [cell.state for cell in grid] == ["stored"] * 3
        (upload,) = server.uploads
        assert upload.path == f"{API_PATH}/media/upload/binary"
        assert upload.headers["authorization"] == f"Bearer {KEY}"
    finally:
        server.stop()


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
def test_a_ticket_that_cannot_be_used_leaves_the_form(server: ContractServer, ticket: dict[str, Any]) -> None:
    """What a ticket names is never trusted: not with plain http, not with the key, not with a redirect."""
    from starlette.responses import JSONResponse, RedirectResponse

    origin = server.base_url.removesuffix(API_PATH)
    stray: list[dict[str, str]] = []
    inner = server.service.app

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

    server.service.app = app  # type: ignore[assignment]
    grid = qw.generate("a fox", seeds=1, images=photo())
    assert [cell.state for cell in grid] == ["stored"]
    assert [asked.path for asked in server.uploads if asked.method == "POST"] == [
        f"{API_PATH}/media/upload/binary"
    ]
    assert not any(asked.path == "/stolen" for asked in server.asked)
    for headers in stray:
        assert "authorization" not in headers
        assert "cookie" not in headers
        assert headers["x-amz-acl"] == "private"


def test_an_upload_that_fails_is_the_cells_error_and_buys_nothing(server: ContractServer) -> None:
    from starlette.responses import JSONResponse

    inner = server.service.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if "/media/" in scope["path"]:
            await JSONResponse({"code": 400, "message": "no room"}, 400)(scope, receive, send)
        else:
            await inner(scope, receive, send)

    server.service.app = app  # type: ignore[assignment]
    grid = qw.generate("a fox", seeds="1-3", images=photo())
    assert [cell.state for cell in grid] == ["failed"] * 3
    for cell in grid:
        assert cell.error is not None
        assert cell.error.paid == "no"
        assert "no room" in cell.error.message
    assert server.submits == []
    assert grid.cost == 0
    server.service.app = inner
    grid.retry()
    assert [cell.state for cell in grid] == ["stored"] * 3


def test_a_storage_that_stumbles_is_asked_again(server: ContractServer) -> None:
    from starlette.responses import JSONResponse

    inner = server.service.app
    left = [503, 500]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "PUT" and left:
            await JSONResponse({}, left.pop())(scope, receive, send)
        else:
            await inner(scope, receive, send)

    server.service.app = app  # type: ignore[assignment]
    grid = qw.generate("a fox", seeds=1, images=photo())
    assert [cell.state for cell in grid] == ["stored"]
    assert left == []
    assert len(server.submits) == 1


def test_an_address_is_remembered_until_it_expires_and_then_uploaded_anew(
    server: ContractServer, studio: Studio
) -> None:
    path = photo()
    first = qw.generate("a fox", seeds=1, images=path)[0, 0].request.images[0]
    qw.generate("a cat", seeds=1, images=path)
    assert len(server.uploads) == 1
    ledger = studio.ledger()
    row = ledger.wait(lambda db: db._db.execute("SELECT * FROM upload").fetchone())
    assert row["sha256"] == first.sha256
    assert 6 * 24 * 3600 < KEPT < 7 * 24 * 3600
    ledger.wait(lambda db: db._db.execute("UPDATE upload SET expires_at = ?", (db._clock() - 1,)))
    qw.generate("a dog", seeds=1, images=path)
    assert len(server.uploads) == 2
    assert server.submits[2].body["images"] != server.submits[0].body["images"]


def test_an_upload_whose_kernel_died_is_taken_over(server: ContractServer, studio: Studio) -> None:
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
    assert len(server.uploads) == 1


def test_a_picture_that_the_service_no_longer_finds_is_uploaded_anew(
    server: ContractServer, studio: Studio
) -> None:
    qw.generate("a fox", seeds=1, images=photo())
    with server.service.uploads._lock:
        server.service.uploads._kept.clear()
    lost = qw.generate("a cat", seeds=1, images=photo())
    assert [cell.state for cell in lost] != ["stored"]
    again = qw.generate("a cat", seeds=1, images=photo())
    assert [cell.state for cell in again] == ["stored"]
    assert len(server.uploads) == 2


# --- lineage ----------------------------------------------------------------------------------------------


def test_an_edit_says_which_cell_it_was_made_from_and_with_which_words(
    server: ContractServer, tmp_path: Path, studio: Studio
) -> None:
    fox = qw.generate("a {red|blue} fox", seeds="4-5", sizes="512x512")
    night = qw.generate("make it night", seeds=1, images=fox[1, 0])
    made = night[0, 0].made_from
    assert made is not None
    assert (made.run_id, made.row, made.column) == (fox.run_id, 1, 0)
    assert (made.prompt, made.seed, made.key) == ("a blue fox", 4, fox[1, 0].request.key)
    (line,) = night.to_frame().to_dict("records")
    assert line["made_from"] == f"{fox.run_id}[1,0]"
    assert (line["made_from_prompt"], line["made_from_seed"]) == ("a blue fox", 4)
    assert fox[0, 0].made_from is None
    # In the ledger, so that another kernel knows it …
    (kept,) = studio.ledger().wait(lambda db: db.history(text="make it night"))
    assert json.loads(kept.inputs)["images"][0]["made_from"]["prompt"] == "a blue fox"
    again = qw.grid(night.run_id)
    assert again[0, 0].made_from == made
    # … and in the picture, without a path of this machine.
    (copy,) = night.save(tmp_path / "out")
    told = metadata.read(copy.read_bytes())
    assert told == night[0, 0].request
    assert told is not None
    assert told.images[0].made_from == made
    assert b"kept:" not in copy.read_bytes()
    assert str(tmp_path).encode() not in copy.read_bytes()


def test_the_picture_before_stands_beside_the_ones_after(server: ContractServer, tmp_path: Path) -> None:
    fox = qw.generate("a fox", seeds=1, sizes="512x512")
    grid = qw.generate("make it night\n\nmake it red", seeds="1-2", images=fox[0, 0])
    view = describe(grid)
    assert [column.label for column in view.columns] == ["seed 1", "seed 2", "before"]
    assert (view.done, view.total) == (4, 4)
    before = [cell for cell in view.cells if cell.column == 2]
    assert [(cell.state, cell.width, cell.alt) for cell in before] == [("stored", 512, "before: a fox")] * 2
    pictures = grid.pictures
    assert set(pictures) == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)}
    path = fox[0, 0].path
    assert path is not None
    assert grid.original(0, 2) == path.read_bytes()
    assert grid.to_html(tmp_path / "night.html").read_text(encoding="utf-8").count("base64,/9j/") == 6
    # Nothing of it is a cell of the grid.
    assert len(grid) == 4
    with pytest.raises(IndexError):
        grid[0, 2]


def test_the_recipe_of_an_edit_makes_the_same_requests(server: ContractServer) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    fox = qw.generate("a fox", seeds=1, sizes="512x512")
    grid = qw.generate("make it night", seeds="1-2", images=[fox[0, 0], photo()])
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "qwen_widgets")
        first, _, body = grid.magic().partition("\n")
        shell.run_cell_magic("qwenimage", first.removeprefix("%%qwenimage") + " -o again", body)
        again = shell.user_ns["again"]
    finally:
        shell.run_line_magic("unload_ext", "qwen_widgets")
        InteractiveShell.clear_instance()
    assert again.sweep == grid.sweep
    assert again[0, 0].made_from == grid[0, 0].made_from
    assert all(cell.cached for cell in again)
    assert len(server.submits) == 3
