"""Pictures: what is taken for one, where it is kept, its thumbnail."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import struct
import threading
import warnings
import zlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from qwen_widgets.core import pictures
from qwen_widgets.core.errors import PictureError
from qwen_widgets.core.models import Size
from qwen_widgets.core.pictures import Checked, PictureStore, check, load, make_thumbnail, sha256_of

SUFFIX = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "JPEG": ["L", "RGB", "CMYK"],
    "WEBP": ["RGB", "RGBA"],
}


@cache
def encoded(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options) -> bytes:
    image = (
        Image.effect_noise(size, 50).convert("I").convert("I;16")
        if mode == "I;16"
        else Image.effect_noise(size, 50).convert(mode)
    )
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def file(tmp_path):
    def write(data: bytes):
        path = tmp_path / "0-abc.part"
        path.write_bytes(data)
        return path

    return write


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_says(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(b"\0" * ((width + 7) // 8 + 1) * min(height, 10))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# --- check ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_what_is_taken(kind, mode, file):
    assert check(file(encoded(kind, (40, 30), mode))) == Checked(SUFFIX[kind], Size(40, 30))


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 5}, {"exif": b"Exif\0\0" + b"\0" * 50}]
)
def test_jpegs_of_all_sorts(options, file):
    assert check(file(encoded("JPEG", **options))).suffix == ".jpg"


def test_a_jpeg_of_several_pictures_is_a_jpeg(file):
    out = io.BytesIO()
    first, second = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "red")
    first.save(out, "MPO", save_all=True, append_images=[second])
    assert check(file(out.getvalue())) == Checked(".jpg", Size(8, 8))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PDF", "JPEG2000"])
def test_other_formats_are_not_taken(kind, file):
    with pytest.raises(PictureError, match="PNG, JPEG or WebP"):
        check(file(encoded(kind)))


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"<svg/>", b"<html>", b"RIFF0000WAVE", b"RIFF", b"\xff\xd8", b"{}", b"\0" * 100]
)
def test_other_bytes_are_not_taken(data, file):
    with pytest.raises(PictureError, match="PNG, JPEG or WebP"):
        check(file(data))


@pytest.mark.parametrize("kind", SUFFIX)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9])
def test_a_piece_is_not_taken(kind, part, file):
    data = encoded(kind, (200, 200))
    with pytest.raises(PictureError, match="decoded"):
        check(file(data[: max(16, int(len(data) * part))]))


@pytest.mark.parametrize("claimed", SUFFIX)
@pytest.mark.parametrize("real", SUFFIX)
def test_a_wrong_beginning_is_not_taken(claimed, real, file):
    if claimed != real:
        with pytest.raises(PictureError):
            check(file(encoded(claimed)[:12] + encoded(real)[12:]))


@pytest.mark.parametrize(
    ("width", "height"), [(6325, 6325), (9000, 9000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_bomb_is_not_decoded(width, height, file, monkeypatch):
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda _image: pytest.fail("it was decoded"))
    data = png_that_says(min(width, 10), height)[:16] + struct.pack(">II", width, height)
    head = data[12:24] + b"\x01\0\0\0\0"
    data = data[:12] + head + struct.pack(">I", zlib.crc32(head)) + png_that_says(8, 8)[33:]
    with pytest.raises(PictureError, match="40 million"):
        check(file(data))


def test_no_warning_and_no_filter_of_warnings(file):
    """Silencing warnings isn't thread-safe, and these checks run on many threads."""
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError):
            check(file(png_that_says(12_000, 12_000)))
    assert warnings.filters == before


def test_a_header_of_zero_pixels(file):
    with pytest.raises(PictureError):
        check(file(png_that_says(0, 0)))


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_damaged_files_are_pictures_or_picture_errors(tmp_path, data):
    kind = data.draw(st.sampled_from([*SUFFIX]))
    whole = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.part"
    path.write_bytes(whole)
    with contextlib.suppress(PictureError):
        assert check(path).suffix in SUFFIX.values()


# --- the store --------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return PictureStore(tmp_path / "home")


def keep(store, data: bytes, name: str = "1-abc"):
    part = store.part(name)
    part.write_bytes(data)
    sha256 = sha256_of(part)
    return sha256, store.keep(part, sha256, ".png")


def test_a_picture_is_kept_under_its_hash(store):
    data = encoded()
    sha256, path = keep(store, data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data
    assert path == store.path(sha256, ".png")
    assert sha256.startswith(path.stem)
    assert not store.part("1-abc").exists()
    assert store.intact(sha256, ".png")


def test_the_folder_is_private(store):
    _, path = keep(store, encoded())
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_new_name_is_durable_with_its_folder(store, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os,
        "fsync",
        lambda number: (synced.append(str(Path(f"/proc/self/fd/{number}").readlink())), real(number)),
    )
    _, path = keep(store, encoded())
    assert synced == [str(path.parent), str(path.parent.parent)]


def test_the_same_picture_twice_is_one_file(store):
    assert keep(store, encoded(size=(9, 9), mode="1"), "1-a")[1].exists()
    data = png_that_says(8, 8)
    assert keep(store, data, "2-a")[1] == keep(store, data, "3-a")[1]


def test_what_is_missing_or_empty_is_not_intact(store):
    sha256, path = keep(store, encoded())
    path.write_bytes(b"")
    assert not store.intact(sha256, ".png")
    path.unlink()
    assert not store.intact(sha256, ".png")


def test_what_is_no_picture_is_set_aside(store):
    part = store.part("1-abc")
    part.write_bytes(b"<svg/>")
    aside = store.set_aside(part)
    assert aside.name == "1-abc.bad"
    assert not part.exists()


# --- thumbnails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_thumbnails_of_every_mode(kind, mode):
    with Image.open(io.BytesIO(make_thumbnail(encoded(kind, (300, 100), mode), 60))) as image:
        assert image.format == "JPEG"
        assert image.size == (60, 20)
        assert image.mode == "RGB"


def test_a_thumbnail_of_sixteen_bits_shows_its_greys():
    out = io.BytesIO()
    Image.new("I;16", (300, 100), 30_000).save(out, "PNG")
    with Image.open(io.BytesIO(make_thumbnail(out.getvalue(), 60))) as image:
        assert image.getpixel((30, 10)) == pytest.approx((117, 117, 117), abs=3)


def test_a_thumbnail_is_not_larger_than_the_picture():
    with Image.open(io.BytesIO(make_thumbnail(encoded(size=(30, 20)), 500))) as image:
        assert image.size == (30, 20)


def test_transparency_is_shown_on_white():
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    with Image.open(io.BytesIO(make_thumbnail(image, 20))) as shown:
        assert all(value > 250 for value in shown.getpixel((10, 10)))


def test_a_thumbnail_carries_no_metadata():
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = encoded("JPEG", exif=exif.tobytes())
    assert b"where I live" in data
    assert b"where I live" not in make_thumbnail(data, 20)


def test_a_thumbnail_is_made_once(store, monkeypatch):
    sha256, _ = keep(store, encoded(size=(90, 60)))
    first = store.thumbnail(sha256, ".png", side=30)
    monkeypatch.setattr(pictures, "make_thumbnail", lambda *_: pytest.fail("it was made again"))
    assert store.thumbnail(sha256, ".png", side=30) == first


@pytest.mark.parametrize("spoil", [b"", b"\xff\xd8\xff half of it"])
def test_a_thumbnail_that_a_power_cut_has_spoilt_is_made_again(spoil, store):
    sha256, _ = keep(store, encoded(size=(90, 60)))
    first = store.thumbnail(sha256, ".png", side=30)
    [path] = [path for path in store.thumbnails.rglob("*") if path.is_file()]
    path.write_bytes(spoil)
    assert store.thumbnail(sha256, ".png", side=30) == first
    assert path.read_bytes() == first


def test_many_threads_may_want_the_same_thumbnail(store):
    sha256, _ = keep(store, encoded(size=(400, 400)))
    got, start = [], threading.Barrier(8)

    def want():
        start.wait()
        got.append(store.thumbnail(sha256, ".png", side=200))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(got)) == 1
    assert [path.suffix for path in store.thumbnails.rglob("*") if path.is_file()] == [".jpg"]


def test_load_gives_the_pixels(store):
    sha256, path = keep(store, encoded(size=(7, 5)))
    assert load(path.read_bytes()).size == (7, 5)
    assert sha256_of(path) == sha256
