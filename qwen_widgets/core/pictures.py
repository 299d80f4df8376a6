"""Pictures: check, store, thumbnail. The only importer of Pillow in the core."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile, ImageFilter, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from qwen_widgets.core.errors import PictureError
from qwen_widgets.core.models import Size

#: Formats that are taken, by their first bytes, and their file suffix. Never by name or by Content-Type.
_FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
_OPENERS: dict[str, Callable[[Path], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
#: A 0.24 MB PNG can hold 81 million pixels; the largest picture of any model has 17 million.
MOST_PIXELS = 40_000_000
THUMBNAIL_SIDE = 512


@dataclass(frozen=True, slots=True)
class Checked:
    """What a picture file really is: its suffix by the bytes, and its pixel size."""

    suffix: str
    size: Size


def check(path: Path) -> Checked:
    """Read a picture's type and pixel size from its bytes and decode it once.

    Raises
    ------
    PictureError
        Not PNG, JPEG or WebP; more than 40 million pixels; broken.
    """
    with path.open("rb") as file:
        head = file.read(16)
    kind = _kind(head)
    if kind is None:
        raise PictureError("What came is not a PNG, JPEG or WebP picture.")
    size: Size | None = None
    # The plugin itself, not Image.open: that warns of large pictures, and silencing a warning isn't thread-safe.
    try:
        with _OPENERS[kind](path) as image:
            size = Size(*image.size)
            if size.width * size.height <= MOST_PIXELS:
                image.load()
                return Checked(_FORMATS[kind], size)
    except Exception:  # noqa: BLE001, S110  (decoders raise many kinds: OSError, SyntaxError, struct.error …)
        pass
    if size is not None and size.width * size.height > MOST_PIXELS:
        raise PictureError(f"The picture has {size} pixels, more than 40 million.")
    raise PictureError("The picture can't be decoded.")


def _kind(head: bytes) -> str | None:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return None


class PictureStore:
    """The pictures of one folder, each under the first 20 hex digits of the sha256 of its bytes.

    Parameters
    ----------
    folder : Path
        ``pictures/`` and ``thumbnails/`` are made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.pictures = folder / "pictures"
        self.thumbnails = folder / "thumbnails"

    def part(self, name: str) -> Path:
        """Return the place of a file that is still arriving."""
        self.pictures.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.pictures / f"{name}.part"

    def path(self, sha256: str, suffix: str) -> Path:
        """Return the place of a stored picture."""
        return self.pictures / sha256[:2] / f"{sha256[:20]}{suffix}"

    def keep(self, part: Path, sha256: str, suffix: str) -> Path:
        """Give a whole, fsynced file its name, durably."""
        path = self.path(sha256, suffix)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.replace(path)
        _sync_folder(path.parent)
        _sync_folder(self.pictures)  # where the name of a new folder is
        return path

    def set_aside(self, part: Path) -> Path:
        """Keep a file that is no picture, under a name that nobody takes for one."""
        aside = part.with_suffix(".bad")
        part.replace(aside)
        return aside

    def thumbnail(
        self, sha256: str, suffix: str, *, side: int = THUMBNAIL_SIDE, blurred: bool = False
    ) -> bytes:
        """Return a JPEG of a stored picture, its longer side at most `side` pixels; made once, then read.

        Parameters
        ----------
        blurred : bool
            A derivative on which nothing can be made out, for a picture that the service has flagged.
        """
        kept = self.thumbnails / sha256[:2] / f"{sha256[:20]}-{side}{'-blurred' * blurred}.jpg"
        with contextlib.suppress(OSError):
            data = kept.read_bytes()
            # It was not fsynced: after a power cut it can be there and be empty or short.
            if data.endswith(b"\xff\xd9"):
                return data
        data = make_thumbnail(self.path(sha256, suffix), side, blurred=blurred)
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = kept.with_suffix(f".{uuid.uuid4().hex[:12]}.part")  # two threads may be making it
        part.write_bytes(data)
        part.replace(kept)
        return data

    def intact(self, sha256: str, suffix: str) -> bool:
        """Whether a stored picture's file is there and not empty."""
        try:
            return self.path(sha256, suffix).stat().st_size > 0
        except OSError:
            return False


def make_thumbnail(
    source: Path | bytes | Image.Image, side: int, *, quality: int = 80, blurred: bool = False
) -> bytes:
    """Return a JPEG of a picture, its longer side at most `side` pixels, without metadata."""
    if isinstance(source, Image.Image):
        image = source.copy()
    else:
        opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        opened.draft("RGB", (side, side))
        image = opened
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if blurred:
        image = image.filter(ImageFilter.GaussianBlur(max(image.size) / 14))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    return out.getvalue()


def load(path: Path) -> Image.Image:
    """Return a stored picture, decoded."""
    with Image.open(path, formats=tuple(_FORMATS)) as image:
        image.load()
        return image.copy()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows can't open a folder; its rename is journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
