"""Metadata in pictures: what a picture was asked with, put in and read without decoding or re-encoding a pixel.

In a PNG two iTXt chunks, in a JPEG two comments: `parameters`, in the form that A1111's tools read, and
`qwen_widgets`, JSON. Other formats are left as they are.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from qwen_widgets._version import __version__
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import Size, find_model
from qwen_widgets.core.request import ImageRequest, InputPicture

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_OURS = "qwen_widgets"
#: Bytes of text that are read from a picture; a prompt has at most a few thousand.
_LARGEST = 1 << 20
#: A JPEG segment's length is 16 bits, its own two included.
_LARGEST_COMMENT = 65_533


def embed(picture: bytes, request: ImageRequest, facts: Mapping[str, Any]) -> bytes:
    """Return the picture with what it was asked with; its pixels stay byte for byte as they are.

    Parameters
    ----------
    picture : bytes
        A PNG or JPEG file; anything else comes back unchanged.
    facts : mapping
        What else is kept (provider, prediction, date), fit for JSON. Never the key.
    """
    return add_texts(picture, {"parameters": _parameters(request), _OURS: _as_json(request, facts)})


def add_texts(picture: bytes, texts: Mapping[str, str]) -> bytes:
    """Return a PNG or JPEG with texts in it, by their keywords; anything else comes back unchanged."""
    if picture.startswith(_PNG):
        # Behind IHDR, which is always the first chunk and 25 bytes long.
        head = len(_PNG) + 25
        chunks = b"".join(_itxt(keyword, text) for keyword, text in texts.items())
        return picture[:head] + chunks + picture[head:]
    if picture.startswith(_JPEG):
        comments = b"".join(_comment(f"{keyword}\0{text}") for keyword, text in texts.items())
        return picture[:2] + comments + picture[2:]
    return picture


def read(picture: bytes) -> ImageRequest | None:
    """Return what a picture was asked with, None where it doesn't say or can't be understood."""
    text = text_of(picture, _OURS)
    if text is None:
        return None
    try:
        values = json.loads(text)
        return ImageRequest(
            prompt=values["prompt"],
            seed=values["seed"],
            size=Size(int(values["width"]), int(values["height"])),
            model=find_model(values["model"]),
            images=tuple(map(InputPicture.from_json, values.get("images", ()))),
            output_format=values.get("output_format", ""),
            extra=tuple(sorted(values.get("extra", {}).items())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError):
        return None


def text_of(picture: bytes, keyword: str) -> str | None:
    """Return the text that a PNG or JPEG has under a keyword, None where it has none."""
    return next((text for name, text in _texts(picture) if name == keyword), None)


def _parameters(request: ImageRequest) -> str:
    width, height = request.size
    model = request.model.name
    seed = "" if request.seed is None else f"Seed: {request.seed}, "
    return f"{request.prompt}\n{seed}Size: {width}x{height}, Model: {model}, Version: {_OURS} {__version__}"


def _as_json(request: ImageRequest, facts: Mapping[str, Any]) -> str:
    width, height = request.size
    asked: dict[str, Any] = {
        "prompt": request.prompt,
        "seed": request.seed,
        "width": width,
        "height": height,
        "model": request.model.id,
    }
    if request.images:
        # Where a picture lies on this machine is nobody else's business; which cell it was is its lineage.
        asked["images"] = [
            {name: value for name, value in picture.to_json().items() if name != "source"}
            for picture in request.images
        ]
    if request.output_format:
        asked["output_format"] = request.output_format
    if request.extra:
        asked["extra"] = dict(request.extra)
    return json.dumps({"version": 1, **asked, **facts}, ensure_ascii=False)


def _itxt(keyword: str, text: str) -> bytes:
    body = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _comment(text: str) -> bytes:
    body = text.encode()[:_LARGEST_COMMENT]
    return b"\xff\xfe" + struct.pack(">H", len(body) + 2) + body


def _texts(picture: bytes) -> Iterator[tuple[str, str]]:
    parts = _png_texts(picture) if picture.startswith(_PNG) else _jpeg_texts(picture)
    for keyword, text in parts:
        yield keyword.decode("latin-1"), text.decode("utf-8", "replace")


def _png_texts(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 12 <= len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        body = picture[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IEND" or len(body) < length:
            return
        if kind != b"iTXt" or length > _LARGEST:
            continue
        keyword, _, rest = body.partition(b"\0")
        # Flag and method of compression, then language and translated keyword, each ended by a zero.
        if len(rest) < 2 or rest[0] != 0:
            continue
        _, _, rest = rest[2:].partition(b"\0")
        _, _, text = rest.partition(b"\0")
        yield keyword, text


def _jpeg_texts(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 2
    while picture.startswith(_JPEG) and at + 4 <= len(picture) and picture[at] == 0xFF:
        marker, length = struct.unpack_from(">xBH", picture, at)
        if marker == 0xDA:  # the picture itself begins
            return
        if marker == 0xFE:
            keyword, _, text = picture[at + 4 : at + 2 + length].partition(b"\0")
            yield keyword, text
        at += 2 + length
