"""Pictures are judged whole: what is cut off, changed or missing is seen, and what is whole is never refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFile, PngImagePlugin

from qwen_widgets.core.errors import PictureError
from qwen_widgets.core.pictures import check, check_input

KINDS = ("PNG", "JPEG", "WEBP")


@cache
def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def is_whole(data: bytes, folder: Path) -> bool:
    """Both doors say the same."""
    path = folder / "x.part"
    path.write_bytes(data)
    said = []
    for door in (lambda: check(path), lambda: check_input(data)):
        try:
            door()
            said.append(True)
        except PictureError:
            said.append(False)
    assert said[0] == said[1]
    return said[0]


def pixels(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def test_any_bit_that_is_turned_in_a_png_is_seen(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "a red fox")
    notes.add_itxt("made", "by a test", zip=True)
    whole = encoded("PNG", size=(20, 15), pnginfo=notes, icc_profile=b"profile" * 20, dpi=(72, 72))
    assert is_whole(whole, tmp_path)
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        assert not is_whole(bytes(data), tmp_path), f"byte {at}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_any_length_is_seen(kind: str, tmp_path: Path) -> None:
    whole = encoded(kind)
    for length in {*range(0, len(whole), 7), *range(len(whole) - 20, len(whole))}:
        assert not is_whole(whole[:length], tmp_path), length


def test_a_piece_that_was_dropped_from_a_pngs_middle_is_seen(tmp_path: Path) -> None:
    whole = encoded("PNG")
    for start in range(33, len(whole) - 20, 97):
        assert not is_whole(whole[:start] + whole[start + 8 :], tmp_path), start


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


@pytest.mark.parametrize("missing", [b"IHDR", b"PLTE", b"IDAT", b"IEND"])
def test_a_png_without_what_it_needs_is_not_taken(missing: bytes, tmp_path: Path) -> None:
    whole = encoded("PNG", "P")
    kept = b"".join(chunk(kind, data) for kind, data in chunks(whole) if kind != missing)
    assert is_whole(whole, tmp_path)
    assert not is_whole(whole[:8] + kept, tmp_path)


JPEGS: dict[str, dict[str, object]] = {
    "baseline": {"quality": 90},
    "small": {"quality": 20},
    "restarts": {"restart_marker_blocks": 3},
    "full colour": {"subsampling": 0},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS.keys())
def test_a_jpeg_whose_data_run_out_before_its_end_is_seen(options: dict[str, object], tmp_path: Path) -> None:
    whole = encoded("JPEG", size=(96, 72), **options)
    assert is_whole(whole, tmp_path)
    tried = 0
    for cut in range(1, len(whole) // 2, 5):
        # The decoder shows grey in place of what is missing, and says nothing.
        data = whole[: -2 - cut] + b"\xff\xd9"
        if ImageChops.difference(pixels(data), pixels(whole)).getbbox() is not None:
            tried += 1
            assert not is_whole(data, tmp_path), cut
    assert tried > 20


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_webp_whose_length_was_mended_after_a_cut_is_seen(cut: int, tmp_path: Path) -> None:
    data = bytearray(encoded("WEBP")[:-cut])
    data[4:8] = struct.pack("<I", len(data) - 8)
    assert not is_whole(bytes(data), tmp_path)
    data[16:20] = struct.pack("<I", len(data) - 20)
    assert not is_whole(bytes(data), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_end_of_a_picture_is_let_be(kind: str, tmp_path: Path) -> None:
    for more in (b"\n", b"\0" * 1000, encoded(kind)):
        assert is_whole(encoded(kind) + more, tmp_path)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"progressive": True, "restart_marker_blocks": 2}),
        ("JPEG", "RGB", {"restart_marker_rows": 1, "comment": b"\xff\xd9\xff\xd0"}),
        ("PNG", "P", {"interlace": 1}),
        ("PNG", "RGBA", {"compress_level": 0}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGBA", {"exif": b"Exif\0\0" + b"\0" * 51}),
        ("WEBP", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (40, 30))]}),
        ("PNG", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (40, 30))]}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_what_is_whole_is_taken(kind: str, mode: str, options: dict[str, object], tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert(mode).save(out, kind, **options)  # type: ignore[arg-type]
    assert is_whole(out.getvalue(), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_that_opens_truncated_pictures_is_told_all_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = encoded(kind, size=(200, 150))
    assert is_whole(whole, tmp_path)
    assert not is_whole(whole[: len(whole) // 2], tmp_path)
    if kind == "PNG":
        # Each chunk is right by itself, and there is not enough in them.
        rows = zlib.compress(
            zlib.decompress(b"".join(data for name, data in chunks(whole) if name == b"IDAT"))[:9000]
        )
        short = whole[:33] + chunk(b"IDAT", rows) + chunk(b"IEND")
        assert not is_whole(short, tmp_path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_it_is_said_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.part"
    whole = encoded("PNG")

    def said(check_it: Callable[[], object]) -> str:
        with pytest.raises(PictureError) as caught:
            check_it()
        return caught.value.message

    path.write_bytes(whole[:-30])
    assert said(lambda: check(path)) == "The picture can't be decoded: its file is cut short."
    assert said(lambda: check_input(whole[:-30])) == "can't be decoded: its file is cut short"
    path.write_bytes(whole[:60] + b"?" + whole[61:])
    assert said(lambda: check(path)) == "The picture can't be decoded: its file is damaged."
