"""Downloads on a real socket: whole, broken, resumed, too large; and through the engine."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import stat
import struct
import zlib
from dataclasses import replace

import pytest
from rig import CANARY, IMPATIENT, PATIENT, full_traceback
from server import (
    announced,
    chunked,
    contract,
    fin,
    gzipped,
    hang,
    head_only,
    picture,
    raw,
    reply,
    reset,
    served,
    trickled,
    truncated,
    until_close,
    with_data,
)

from qwen_widgets.core import download, pictures
from qwen_widgets.core.errors import AddressError, PictureError, UnavailableError
from qwen_widgets.core.models import Size

PNG = picture((256, 256), 1)


JPEG = picture((256, 256), 2, "JPEG")


WEBP = picture((256, 256), 3, "WEBP")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def ranges(server):
    return [seen.header("Range") for seen in server.requests("picture")]


# --- whole ------------------------------------------------------------------------------------------------

WHOLE = {"plain": served(PNG), "without a tag": served(PNG, etag=""), "a weak tag": served(PNG, etag='W/"a"')}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_picture_comes_whole(name, server, client, url, into):
    server.on_picture(WHOLE[name])
    done = await client.download(url, into)
    assert into.read_bytes() == PNG
    assert (done.path, done.length, done.sha256) == (into, len(PNG), hashlib.sha256(PNG).hexdigest())
    assert stat.S_IMODE(into.stat().st_mode) == 0o600
    [seen] = server.seen
    assert seen.header("Accept-Encoding") == "identity"
    assert seen.header("Authorization") is None
    assert seen.header("Range") is None


@pytest.mark.parametrize("spoil", [chunked(), chunked(extension=b";x"), until_close()])
async def test_other_ways_to_tell_the_end(spoil, server, client, url, into, monkeypatch):
    monkeypatch.setattr(server, "_contract", lambda x: (200, PNG, {}))
    server.on_picture(spoil)
    assert (await client.download(url, into)).length == len(PNG)
    assert into.read_bytes() == PNG


async def test_it_is_synced_before_it_is_said_to_be_here(server, client, url, into, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(os.fstat(number).st_size), real(number)))
    server.on_picture(served(PNG))
    await client.download(url, into)
    assert synced == [len(PNG)]


# --- broken -----------------------------------------------------------------------------------------------

BROKEN = {
    "reset": reset,
    "FIN": fin,
    "after the headers": head_only(fin),
    "truncated": truncated(3000),
    "RST in the middle": truncated(3000, reset),
    "one byte short": truncated(-1),
    "length too long": announced(+10),
    "no last chunk": chunked(end=b""),
    "bad chunk": chunked(spoil=True),
    "garbage": raw(b"\x89PNG\r\n\x1a\n\r\n\r\n"),
    "compressed": gzipped(),
    "500": reply(500, "oops"),
    "503": reply(503),
    "429": reply(429),
    "401": reply(401),
    "204": reply(204),
    "304": reply(304),
    "a redirect to nowhere": reply(302),
    "206 that nobody asked for": reply(206, PNG[10:], content_range=f"bytes 10-{len(PNG) - 1}/{len(PNG)}"),
    "206 without a range": reply(206, PNG),
    "206 of many parts": reply(206, PNG, content_type="multipart/byteranges; boundary=x"),
    "206 that ends early": reply(206, PNG[:100], content_range=f"bytes 0-99/{len(PNG)}"),
    "206 backwards": reply(206, b"", content_range="bytes 0--1/5"),
    "416": reply(416),
}


SILENT = {
    "silence": hang,
    "silence after the headers": head_only(hang),
    "slower than the least": trickled(0.02),
}


@pytest.mark.parametrize("name", [*BROKEN, *SILENT])
async def test_what_breaks_can_be_asked_for_again(name, server, make_client, url, into, monkeypatch):
    monkeypatch.setattr(server, "_contract", lambda x: (200, PNG, {"Content-Type": "image/png"}))
    server.on_picture({**BROKEN, **SILENT}[name])
    client = make_client(IMPATIENT if name in SILENT else PATIENT)
    with pytest.raises(UnavailableError) as caught:
        await client.download(url, into)
    assert caught.value.may_retry
    assert CANARY not in full_traceback(caught.value)
    server.on_picture(served(PNG), times=None)
    client = make_client(PATIENT)
    done = await client.download(url, into)
    assert into.read_bytes() == PNG
    assert done.sha256 == hashlib.sha256(PNG).hexdigest()


async def test_a_download_below_the_least_rate_is_given_up(server, make_client, url, into, monkeypatch):
    monkeypatch.setattr(server, "_contract", lambda x: (200, PNG, {}))
    server.on_picture(trickled(0.02, at_once=4))
    with pytest.raises(UnavailableError, match="too slowly"):
        await make_client(replace(PATIENT, grace=0.1)).download(url, into)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_address_that_does_not_work_may_be_another_one_a_moment_later(
    status, server, client, url, into
):
    server.on_picture(reply(status, "gone"))
    with pytest.raises(AddressError) as caught:
        await client.download(url, into)
    assert caught.value.may_retry
    assert not into.exists()


async def test_cancelled_it_ends_at_once(server, client, url, into):
    server.on_picture(hang)
    task = asyncio.create_task(client.download(url, into))
    await server.reached("picture")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- the rest of it ---------------------------------------------------------------------------------------


def breaking(data: bytes, at: int, **headers: str):
    """So many bytes of a picture and then FIN, with these headers."""

    async def behave(x):
        x.server_headers = headers
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await x.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n{text}\r\n".encode() + data[:at])
        await x.fin()

    return behave


TAG = '"' + hashlib.sha256(PNG).hexdigest()[:16] + '"'


async def begin(server, client, url, into, at=3000, **headers):
    server.on_picture(breaking(PNG, at, **headers))
    with pytest.raises(UnavailableError):
        await client.download(url, into)
    assert into.read_bytes() == PNG[:at]


@pytest.mark.parametrize("headers", [{"etag": TAG}, {}, {"last_modified": "Wed, 01 Jan 2025 00:00:00 GMT"}])
async def test_only_the_rest_is_fetched(headers, server, client, url, into):
    await begin(server, client, url, into, **headers)

    async def rest(x):
        assert x.seen.header("If-Range") == (headers.get("etag") or headers.get("last_modified"))
        await x.answer(206, PNG[3000:], {"Content-Range": f"bytes 3000-{len(PNG) - 1}/{len(PNG)}"})

    server.on_picture(rest)
    done = await client.download(url, into)
    assert ranges(server) == [None, "bytes=3000-"]
    assert into.read_bytes() == PNG
    assert done.sha256 == hashlib.sha256(PNG).hexdigest()
    assert done.length == len(PNG)


async def test_every_break_brings_it_further(server, client, url, into):
    at = [1000, 2000, 5000]
    await begin(server, client, url, into, at[0], etag=TAG)
    for had, until in itertools.pairwise(at):
        head = f"HTTP/1.1 206 x\r\nETag: {TAG}\r\nContent-Range: bytes {had}-{len(PNG) - 1}/{len(PNG)}\r\n"
        head += f"Content-Length: {len(PNG) - had}\r\n\r\n"
        server.on_picture(raw(head.encode() + PNG[had:until]))
        with pytest.raises(UnavailableError):
            await client.download(url, into)
        assert into.read_bytes() == PNG[:until]
    server.on_picture(served(PNG))
    await client.download(url, into)
    assert ranges(server) == [None, "bytes=1000-", "bytes=2000-", "bytes=5000-"]
    assert into.read_bytes() == PNG


async def test_another_file_is_never_joined_to_a_beginning(server, client, url, into):
    other = picture((256, 256), 77)
    await begin(server, client, url, into, etag=TAG)
    server.on_picture(served(other))  # another tag: If-Range makes it come whole
    await client.download(url, into)
    assert into.read_bytes() == other


async def test_a_server_that_ignores_ranges_sends_it_all(server, client, url, into):
    await begin(server, client, url, into, etag=TAG)
    server.on_picture(reply(200, PNG))
    await client.download(url, into)
    assert into.read_bytes() == PNG


@pytest.mark.parametrize(
    "content_range",
    [
        f"bytes 3001-{len(PNG) - 1}/{len(PNG)}",
        f"bytes 2999-{len(PNG) - 1}/{len(PNG)}",
        f"bytes 3000-{len(PNG) - 1}/{len(PNG) + 1}",
        "bytes 3000-2000/9",
        "pages 3-4/5",
        "",
    ],
)
async def test_a_part_that_does_not_fit_is_thrown_away(content_range, server, client, url, into):
    await begin(server, client, url, into, etag=TAG)
    server.on_picture(reply(206, PNG[3000:], content_range=content_range))
    with pytest.raises(UnavailableError):
        await client.download(url, into)
    assert not into.exists()
    server.on_picture(served(PNG))
    await client.download(url, into)
    assert ranges(server)[-1] is None
    assert into.read_bytes() == PNG


async def test_a_part_from_the_beginning_is_the_whole(server, client, url, into):
    await begin(server, client, url, into, etag=TAG)
    server.on_picture(reply(206, PNG, content_range=f"bytes 0-{len(PNG) - 1}/{len(PNG)}"))
    await client.download(url, into)
    assert into.read_bytes() == PNG


async def test_a_range_beyond_the_end_starts_over(server, client, url, into):
    await begin(server, client, url, into, etag=TAG)
    server.on_picture(reply(416, content_range=f"bytes */{len(PNG)}"), served(PNG))
    with pytest.raises(UnavailableError):
        await client.download(url, into)
    await client.download(url, into)
    assert into.read_bytes() == PNG


async def test_what_somebody_else_left_is_not_trusted(server, client, url, into):
    into.write_bytes(JPEG[:500])
    server.on_picture(served(PNG))
    await client.download(url, into)
    assert ranges(server) == [None]
    assert into.read_bytes() == PNG


async def test_another_address_starts_over(server, client, url, into):
    await begin(server, client, url, into)
    server.on_picture(served(JPEG))
    await client.download(server.origin + "/out/y.png", into)
    assert ranges(server) == [None, None]
    assert into.read_bytes() == JPEG


async def test_a_fresh_signature_of_the_same_address_goes_on(server, client, url, into):
    await begin(server, client, url + "?signature=1", into, etag=TAG)
    server.on_picture(served(PNG))
    await client.download(url + "?signature=2", into)
    assert ranges(server) == [None, "bytes=3000-"]
    assert into.read_bytes() == PNG


# --- the file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dangling", [True, False])
async def test_a_link_in_the_place_of_the_file_is_not_followed(dangling, server, client, url, into, tmp_path):
    target = tmp_path / "target"
    if not dangling:
        target.write_bytes(b"precious")
    into.symlink_to(target)
    server.on_picture(served(PNG))
    with pytest.raises(UnavailableError):
        await client.download(url, into)
    assert (not target.exists()) if dangling else target.read_bytes() == b"precious"
    assert ranges(server) == [None]


async def test_a_folder_that_is_gone_is_named(server, client, url, tmp_path):
    server.on_picture(served(PNG))
    with pytest.raises(UnavailableError, match="No such file"):
        await client.download(url, tmp_path / "missing" / "a.part")


# --- caps -------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(download, "LARGEST_PICTURE", 10_000)


async def test_an_announced_size_that_is_too_large_is_not_fetched(small, server, client, url, into):
    server.on_picture(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n", hang))
    with pytest.raises(PictureError, match="64 MB"):
        await client.download(url, into)
    assert not into.exists()


@pytest.mark.parametrize("spoil", [chunked(), until_close()])
async def test_a_size_that_was_not_announced_is_cut_off(spoil, small, server, client, url, into, monkeypatch):
    monkeypatch.setattr(server, "_contract", lambda x: (200, b"a" * 200_000, {}))
    server.on_picture(spoil)
    with pytest.raises(PictureError, match="64 MB"):
        await client.download(url, into)
    assert into.stat().st_size <= 10_000


async def test_a_range_must_not_grow_over_the_cap(small, server, client, url, into):
    server.on_picture(reply(206, b"a", content_range="bytes 0-0/999999999"))
    with pytest.raises(PictureError):
        await client.download(url, into)


async def test_a_length_of_5000_digits(server, client, url, into):
    server.on_picture(reply(200, b"a", content_length="9" * 5000))
    with pytest.raises((UnavailableError, PictureError)):
        await client.download(url, into)


# --- through the engine -----------------------------------------------------------------------------------


async def stored(rig):
    update = await rig.one()
    assert update.state == "stored", update.error
    return update


@pytest.mark.parametrize("name", [name for name in BROKEN if "chunk" not in name])
async def test_a_broken_download_is_tried_again(name, server, rig):
    server.on_picture(BROKEN[name])
    update = await stored(rig)
    assert update.thumbnail
    assert len(server.submits) == 1


async def test_seven_breaks_and_it_is_here(server, rig):
    server.on_picture(*[truncated(1000, fin), reset] * 3, truncated(5))
    await stored(rig)
    assert len(server.requests("picture")) == 8


async def test_after_eight_breaks_the_cell_is_not_called_failed(server, rig):
    server.on_picture(reset, times=8)
    assert (await rig.one()).state == "completed"


async def test_after_eight_breaks_it_stays_to_be_fetched(server, rig):
    server.on_picture(reset, times=8)
    update = await rig.one()
    assert isinstance(update.error, UnavailableError)
    assert await rig.state() == "completed"
    await stored(rig)
    assert len(server.submits) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_address_is_asked_for_afresh(status, server, rig):
    server.on_picture(reply(status))
    await stored(rig)
    assert len(server.requests("result")) >= 2
    assert len(server.submits) == 1


async def test_the_fresh_address_is_the_one_that_is_used(server, rig):
    server.seconds = 0  # else the fresh answer is asked for before the prediction has ended
    old = server.origin + "/out/old.png"
    server.on_result(with_data(status="completed", outputs=[old]))
    await stored(rig)
    assert next(seen.target for seen in server.requests("picture")) == "/out/old.png"
    assert len(server.requests("picture")) == 2


async def test_an_address_that_never_works_is_left_to_the_next_run(server, rig):
    server.on_picture(reply(410), times=None)
    update = await rig.one()
    assert update.state == "completed"
    assert isinstance(update.error, AddressError)
    assert update.error.prediction_id in server.predictions


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says that it is so many pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


NO_PICTURES = {
    "SVG": SVG,
    "HTML": b"<html><body>not found</body></html>",
    "JSON": b'{"error": "gone"}',
    "nothing": b"",
    "GIF": b"GIF89a" + b"\0" * 50,
    "a bomb of 81 MP": bomb(9000),
    "a bomb of 4 GP": bomb(65_000),
    "a PNG that ends early": PNG[:-400],
    "a PNG with a wrong byte": PNG[:2000] + bytes([PNG[2000] ^ 255]) + PNG[2001:],
    "a PNG's first bytes": PNG[:8],
    "a JPEG's first bytes": JPEG[:200],
    "a WebP's first bytes": WEBP[:30],
    "an SVG after a PNG's first bytes": PNG[:8] + SVG,
}


@pytest.mark.parametrize("content_type", ["image/png", "image/svg+xml"])
@pytest.mark.parametrize("name", NO_PICTURES)
async def test_what_is_no_picture_is_never_stored(name, content_type, server, rig, qwen_home):
    server.on_picture(served(NO_PICTURES[name], content_type=content_type), times=None)
    update = await rig.one()
    assert update.state == "completed"
    assert isinstance(update.error, PictureError)
    assert update.thumbnail is None
    kept = [path for path in (qwen_home / "pictures").rglob("*") if path.is_file()]
    assert [path.suffix for path in kept] == [".bad"]
    assert len(server.submits) == 1


@pytest.mark.parametrize(("data", "suffix"), [(PNG, ".png"), (JPEG, ".jpg"), (WEBP, ".webp")])
@pytest.mark.parametrize(
    "content_type", ["image/png", "image/webp", "text/html", "application/octet-stream", ""]
)
async def test_the_bytes_say_what_type_it_is(data, suffix, content_type, server, rig, qwen_home):
    server.on_picture(served(data, content_type=content_type))
    update = await stored(rig)
    assert update.record.suffix == suffix
    path = pictures.PictureStore(qwen_home).path(update.record.sha256, suffix)
    assert path.read_bytes() == data


@pytest.mark.parametrize("size", [(128, 256), (512, 512), (256, 255), (1, 1)])
async def test_a_wrong_size_is_kept_and_written_down(size, server, rig):
    server.on_picture(served(picture(size)))
    update = await stored(rig)
    assert update.record.got == Size(*size)
    assert update.record.got != update.record.size


async def test_nothing_of_a_download_is_left_behind(server, rig, qwen_home):
    server.on_picture(truncated(1000), contract)
    await stored(rig)
    left = [path.name for path in qwen_home.rglob("*") if path.suffix in (".part", ".bad")]
    assert left == []
