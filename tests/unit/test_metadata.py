"""What a picture was asked with, in the picture itself, without touching a pixel."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import qwen_widgets as qw
from qwen_widgets.core import metadata
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Size
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio

REQUEST = ImageRequest('一只猫, {a|b} "quoted", 50%', 2**31 - 1, Size(1280, 720), MODELS[1])


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_request_comes_back_and_the_pixels_stay(kind: str) -> None:
    before = picture(kind)
    after = metadata.embed(before, REQUEST, {"prediction_id": "p-1"})
    assert metadata.read(after) == REQUEST
    assert metadata.read(before) is None
    assert after.endswith(before[40:])
    assert Image.open(io.BytesIO(after)).tobytes() == Image.open(io.BytesIO(before)).tobytes()


def test_other_tools_find_the_parameters() -> None:
    image = Image.open(io.BytesIO(metadata.embed(picture("PNG"), REQUEST, {})))
    image.load()
    prompt, line = image.text["parameters"].splitlines()  # type: ignore[attr-defined]
    assert prompt == REQUEST.prompt
    assert line.startswith("Seed: 2147483647, Size: 1280x720, Model: qwen-image-2.0-pro")


def test_webp_stays_as_it_is() -> None:
    data = picture("WEBP")
    assert metadata.embed(data, REQUEST, {}) == data


@given(st.binary(max_size=400), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b""]))
def test_no_bytes_make_reading_fail(data: bytes, head: bytes) -> None:
    assert metadata.read(head + data) is None


@given(st.data())
def test_a_damaged_picture_says_nothing_or_the_truth(data: st.DataObject) -> None:
    whole = bytearray(metadata.embed(picture("PNG"), REQUEST, {}))
    at = data.draw(st.integers(0, len(whole) - 1))
    metadata.read(bytes(whole[:at]))
    whole[at] ^= 0xFF
    metadata.read(bytes(whole))


def test_saved_copies_and_stored_originals_say_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.05)))
    grid = qw.generate("a red fox", seeds=4, sizes="256x256")
    (copy,) = grid.save(tmp_path / "out")
    original = grid[0, 0].path
    assert original is not None
    assert copy.read_bytes() != original.read_bytes()
    assert qw.read(copy) == qw.read(original) == grid[0, 0].request
    stranger = tmp_path / "stranger.png"
    stranger.write_bytes(picture("PNG"))
    with pytest.raises(InputError, match="neither the picture nor this ledger"):
        qw.read(stranger)
    with pytest.raises(InputError, match="can't be read"):
        qw.read(tmp_path / "nothing.png")
