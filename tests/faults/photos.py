"""Pictures to edit, in memory and as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image


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
