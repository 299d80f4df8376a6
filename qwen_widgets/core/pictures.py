"""Pictures: check, store, thumbnail. The only importer of Pillow in the core."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from PIL import (
    Image,
    ImageChops,
    ImageFile,
    ImageFilter,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from qwen_widgets.core.durable import sync_folder
from qwen_widgets.core.errors import DamagedError, PictureError
from qwen_widgets.core.forks import in_child
from qwen_widgets.core.models import Size
from qwen_widgets.core.stamps import Stamps
from qwen_widgets.core.wholeness import CUT, fault_of, lengthened

#: Formats that are taken, by their first bytes, and their file suffix. Never by name or by Content-Type.
_FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
_OPENERS: dict[str, Callable[[Path | IO[bytes]], ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
#: A 0.24 MB PNG can hold 81 million pixels; the largest picture of any model has 17 million.
MOST_PIXELS = 40_000_000
THUMBNAIL_SIDE = 512
#: A kept file, or one that was being written when its kernel ended; any other is somebody else's.
_KEPT_NAME = re.compile(r"[0-9a-f]{20}\.(?:png|jpg|webp)|[0-9a-f]{20}\.[0-9a-f]{12}\.part|[0-9a-f]{32}\.part")
_NO_COLOURS = "holds values that are no colours; whole numbers go from 0 to 255, fractions from 0 to 1"
#: The camera's note of how a picture is held, its values that turn it at all, and those that lay it on its side.
_ORIENTATION, _TURNED, _ON_ITS_SIDE = 0x0112, range(2, 9), (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Cleared:
    """What became of the kept input pictures: how many files, and their bytes."""

    deleted: int = 0
    freed: int = 0
    left: int = 0
    left_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a picture file really is: its suffix by the bytes, and its pixel size."""

    suffix: str
    size: Size


def check(path: Path) -> Checked:
    """Read a picture's type and pixel size from its bytes, and see that it is whole and decodes.

    Of a PNG, damage anywhere is seen; of a JPEG and a WebP, which have no checksums, whatever is missing.

    Raises
    ------
    PictureError
        Not PNG, JPEG or WebP; more than 40 million pixels; broken.
    """
    data = path.read_bytes()
    kind = _kind(data)
    if kind is None:
        raise PictureError("What came is not a PNG, JPEG or WebP picture.")
    size, fault, _ = _look_through(data, kind)
    if size is not None and size.pixels > MOST_PIXELS:
        raise PictureError(f"The picture has {size} pixels, more than 40 million.")
    if size is None or fault is not None:
        raise PictureError(f"The picture can't be decoded{_because(fault)}.")
    return Checked(_FORMATS[kind], size)


def _because(fault: str | None) -> str:
    return f": {fault}" if fault else ""


def _look_through(data: bytes, kind: str) -> tuple[Size | None, str | None, bool]:
    """Return a picture's size, None where it doesn't open; what is wrong with it, perhaps nameless; and if it lies on its side."""
    size: Size | None = None
    # The plugin itself, not Image.open: that warns of large pictures, and silencing a warning isn't thread-safe.
    try:
        with _OPENERS[kind](io.BytesIO(data)) as image:
            size = Size(*image.size)
            if size.pixels > MOST_PIXELS:
                return size, "", False
            if fault := fault_of(data, kind):
                return size, fault, False
            with _strictly():
                image.load()
                if kind == "JPEG" and not _has_all(data, image):
                    return size, CUT, False
            return size, None, _is_on_its_side(image)
    except Exception:  # noqa: BLE001  (decoders raise many kinds: OSError, SyntaxError, struct.error …)
        return size, fault_of(data, kind), False


def _begin_anew() -> None:
    """Forget, in a forked process, the decoding of threads that are not there."""
    global _strict_lock, _strict_now, _was_lenient
    if _was_lenient:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
    _strict_lock, _strict_now, _was_lenient = threading.Lock(), 0, False


in_child(_begin_anew)


def _has_all(data: bytes, image: Image.Image) -> bool:
    """Whether a decoded JPEG used no more data than there is: its decoder fills in grey without a word."""
    longer = lengthened(data)
    if longer is None:
        return True
    with _OPENERS["JPEG"](io.BytesIO(longer)) as other:
        other.load()
        return ImageChops.difference(image, other).getbbox() is None


_strict_lock = threading.Lock()
_strict_now, _was_lenient = 0, False


@contextlib.contextmanager
def _strictly() -> Iterator[None]:
    """Have Pillow say what is missing, also where the notebook has told it not to (``LOAD_TRUNCATED_IMAGES``)."""
    global _strict_now, _was_lenient  # noqa: PLW0603  (Pillow's own setting is the process's)
    with _strict_lock:
        if _strict_now == 0 and (lenient := ImageFile.LOAD_TRUNCATED_IMAGES):
            ImageFile.LOAD_TRUNCATED_IMAGES, _was_lenient = False, lenient
        _strict_now += 1
    try:
        yield
    finally:
        with _strict_lock:
            _strict_now -= 1
            if _strict_now == 0 and _was_lenient:
                ImageFile.LOAD_TRUNCATED_IMAGES, _was_lenient = True, False


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
        ``pictures/``, ``thumbnails/`` and ``inputs/`` (what edits are made of) are made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.pictures = folder / "pictures"
        self.thumbnails = folder / "thumbnails"
        self.inputs = folder / "inputs"
        self._stamps = Stamps()

    def part(self, name: str) -> Path:
        """Return the place of a file that is still arriving."""
        self.pictures.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.pictures / f"{name}.part"

    def path(self, sha256: str, suffix: str) -> Path:
        """Return the place of a stored picture."""
        return self.pictures / sha256[:2] / f"{sha256[:20]}{suffix}"

    def keep(self, part: Path, sha256: str, suffix: str) -> Path:
        """Give a whole, fsynced file its name, durably; what is there and isn't the picture is set aside."""
        path = self.path(sha256, suffix)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and not self.intact(sha256, suffix):
            path.replace(path.with_suffix(f".{uuid.uuid4().hex[:12]}.bad"))
        part.replace(path)
        self._stamps.stamp(path, sha256)
        sync_folder(path.parent)
        sync_folder(self.pictures)  # where the name of a new folder is
        return path

    def keep_input(self, data: bytes, sha256: str, suffix: str) -> Path:
        """Keep an input picture's bytes, durably, so that what it was for can be taken up again."""
        path = self._input_path(sha256, suffix)
        if _is_file_of(data, path):
            with contextlib.suppress(OSError):
                path.touch()  # given anew: `clear_inputs` leaves it for a day
        else:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_suffix(f".{uuid.uuid4().hex[:12]}.part")
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        return path

    def read_input(self, sha256: str, suffix: str) -> bytes | None:
        """Return the bytes of an input picture, None where they are gone, or are no longer those that were given."""
        for path in (self._input_path(sha256, suffix), self.path(sha256, suffix)):
            with contextlib.suppress(OSError):
                data = path.read_bytes()
                if hashlib.sha256(data).hexdigest() == sha256:
                    return data
        return None

    def find_input(self, start: str) -> Path | None:
        """Return the one kept input picture whose hash begins so, None where there is none or several."""
        pattern = f"{start[:2]}/{start[:20]}*.[pjw]*"
        places = (self.inputs, self.pictures) if start.isalnum() else ()
        found = [path for place in places for path in place.glob(pattern) if path.suffix in _FORMATS.values()]
        # One that was made here can be there twice.
        return found[0] if len({path.name for path in found}) == 1 else None

    def clear_inputs(self, needed: Collection[str], *, before: float) -> Cleared:
        """Delete kept input pictures that nobody needs, or that are among the stored ones as well.

        Parameters
        ----------
        needed : collection of str
            Hashes of those that a run or a purchase was made with.
        before : float
            Those given later stay, seconds since the epoch: some kernel may be about to use them.
        """
        kept = {digest[:20] for digest in needed}
        deleted, left = [0, 0], [0, 0]
        for path in (*self.inputs.glob("??/*"), *self.inputs.glob("*.part")):
            try:
                found = path.lstat()
                ours = stat.S_ISREG(found.st_mode) and _KEPT_NAME.fullmatch(path.name)
                if not ours:
                    continue
                free = found.st_mtime < before and (path.stem not in kept or self._is_stored(path))
                if free:
                    path.unlink()
            except OSError:
                continue
            for count, amount in enumerate((1, found.st_size)):
                (deleted if free else left)[count] += amount
        return Cleared(*deleted, *left)

    def _is_stored(self, path: Path) -> bool:
        """Whether an input picture's bytes are those of a stored picture."""
        twin = self.pictures / path.parent.name / path.name
        return twin.is_file() and sha256_of(twin).startswith(path.stem)

    def _input_path(self, sha256: str, suffix: str) -> Path:
        return self.inputs / sha256[:2] / f"{sha256[:20]}{suffix}"

    def set_aside(self, part: Path) -> Path:
        """Keep a file that is no picture, under a name that nobody takes for one."""
        aside = part.with_suffix(".bad")
        part.replace(aside)
        return aside

    def thumbnail(
        self, sha256: str, suffix: str, *, side: int = THUMBNAIL_SIDE, blurred: bool = False
    ) -> bytes:
        """Return a JPEG of a stored or an input picture, its longer side at most `side` pixels; made once, then read.

        What was made of the right file stays right where that is damaged afterwards; `is_damaged` then tells.

        Parameters
        ----------
        blurred : bool
            A derivative on which nothing can be made out, for a picture that the service has flagged.

        Raises
        ------
        DamagedError
            There is none yet, and the file it would be made of is damaged or gone.
        """
        places = (self.path(sha256, suffix), self._input_path(sha256, suffix))
        source = next((path for path in places if self._holds(path, sha256)), None)

        def make() -> bytes:
            if source is None:
                raise self.damage(sha256, suffix)
            return make_thumbnail(source, side, blurred=blurred)

        return self._made_once(f"{sha256[:20]}-{side}{'-blurred' * blurred}.jpg", make)

    def miniature(self, sha256: str, suffix: str, *, side: int, quality: int, blurred: bool = False) -> bytes:
        """Return a thumbnail for a page that has to stay small, WebP or JPEG by which is smaller; as `thumbnail` else."""
        # Of the thumbnail that the viewer has: decoding the originals of a large grid takes many times as long.
        larger = self.thumbnail(sha256, suffix, blurred=blurred)
        name = f"{sha256[:20]}-{side}-{quality}{'-blurred' * blurred}.small"
        return self._made_once(name, lambda: make_miniature(larger, side, quality))

    def _made_once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return what is kept under a name among the thumbnails, made where it isn't there as it was made."""
        kept = self.thumbnails / name[:2] / name
        # It is made anew in place of being read through: it is small, and after a power cut it can be empty or short.
        if self._stamps.is_right(kept, name, lambda: False):
            return kept.read_bytes()
        data = make()
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = kept.with_suffix(f".{uuid.uuid4().hex[:12]}.part")  # two threads may be making it
        part.write_bytes(data)
        part.replace(kept)
        self._stamps.stamp(kept, name)
        return data

    def intact(self, sha256: str, suffix: str) -> bool:
        """Whether a stored picture's file is there and is the picture: by size and time, by its hash where they are others."""
        return self._holds(self.path(sha256, suffix), sha256)

    def is_damaged(self, sha256: str, suffix: str) -> bool:
        """Whether a stored picture's file was damaged or gone when it was last used; nothing is looked at now."""
        return self._stamps.is_known_wrong(self.path(sha256, suffix))

    def damage(self, sha256: str, suffix: str) -> DamagedError:
        """Return what there is to say of a stored picture's damaged file."""
        there = self.path(sha256, suffix).exists()
        return DamagedError(f"the stored picture's file {'was changed or cut' if there else 'is gone'}.")

    def read(self, sha256: str, suffix: str) -> bytes:
        """Return a stored picture's bytes, which are those that were stored: they themselves are hashed.

        Raises
        ------
        DamagedError
            The file is gone, or was changed or cut.
        """
        path = self.path(sha256, suffix)
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        self._stamps.note_wrong(path)
        raise self.damage(sha256, suffix)

    def _holds(self, path: Path, sha256: str) -> bool:
        return self._stamps.is_right(path, sha256, lambda: sha256_of(path) == sha256)


def make_thumbnail(
    source: Path | bytes | Image.Image, side: int, *, quality: int = 80, blurred: bool = False
) -> bytes:
    """Return a JPEG of a picture, its longer side at most `side` pixels, without metadata."""
    out = io.BytesIO()
    _scaled_down(source, side, blurred=blurred).save(
        out, "JPEG", quality=quality, optimize=True, progressive=True
    )
    return out.getvalue()


def make_miniature(source: bytes, side: int, quality: int) -> bytes:
    """Return a picture as WebP or JPEG, whichever is smaller, its longer side at most `side` pixels."""
    image = _scaled_down(source, side)
    jpeg, webp = io.BytesIO(), io.BytesIO()
    image.save(jpeg, "JPEG", quality=quality, optimize=True, progressive=True)
    image.save(webp, "WEBP", quality=quality, method=4)
    return min(webp.getvalue(), jpeg.getvalue(), key=len)


def _scaled_down(source: Path | bytes | Image.Image, side: int, *, blurred: bool = False) -> Image.Image:
    """Return a picture in RGB, upright, its longer side at most `side` pixels."""
    if isinstance(source, Image.Image):
        image = source.copy()
    else:
        opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        opened.draft("RGB", (side, side))
        # A browser turns the original by the camera's note, and a thumbnail has none.
        image = ImageOps.exif_transpose(opened)
    image = eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if blurred:
        image = image.filter(ImageFilter.GaussianBlur(max(image.size) / 14))
    return image


def load(data: bytes) -> Image.Image:
    """Return a stored picture, decoded."""
    with Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as image:
        image.load()
        return image.copy()


# --- input pictures -----------------------------------------------------------------------------------------


def check_input(data: bytes) -> Checked:
    """Read an input picture's type and its size as it is shown, and see that it is whole and decodes.

    Raises
    ------
    PictureError
        What is wrong with it, to be read behind its name: ``is not a PNG, JPEG or WebP picture``.
    """
    kind = _kind(data)
    if kind is None:
        raise PictureError("is not a PNG, JPEG or WebP picture")
    size, fault, turned = _look_through(data, kind)
    if size is not None and size.pixels > MOST_PIXELS:
        raise PictureError(f"has {size} pixels, more than the 40 million that are opened")
    if size is None or fault is not None:
        raise PictureError(f"can't be decoded{_because(fault)}")
    return Checked(_FORMATS[kind], Size(size.height, size.width) if turned else size)


def _is_on_its_side(image: Image.Image) -> bool:
    return _orientation(image) in _ON_ITS_SIDE


def _orientation(image: Image.Image) -> object:
    with contextlib.suppress(Exception):  # notes that can't be read are none
        return image.getexif().get(_ORIENTATION)
    return None


def upright(data: bytes) -> bytes:
    """Return a checked picture as it is shown, without the camera's note of how it was held; the same bytes without one.

    Who edits a picture may not heed that note, and what lies on its side would be paid for all the same.
    """
    with Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as opened:
        if _orientation(opened) not in _TURNED:
            return data
        image = _plain(ImageOps.exif_transpose(opened))
        return _encoded(image, "JPEG" if opened.format == "JPEG" else "PNG")


def scaled(data: bytes, lowest: int, highest: int) -> bytes:
    """Return a checked picture with both sides within limits, scaled as little as can be; the same bytes where it fits.

    Raises
    ------
    PictureError
        It is too narrow for the limits.
    """
    with Image.open(io.BytesIO(data), formats=tuple(_FORMATS)) as opened:
        size = Size(*opened.size)
        if all(lowest <= side <= highest for side in size):
            return data
        low, high = lowest / min(size), highest / max(size)
        if low > high:
            raise PictureError(f"is {size}, too narrow to be scaled into {lowest} to {highest} pixels a side")
        scale = min(max(1.0, low), high)
        image = ImageOps.exif_transpose(opened)
        sides = (min(max(round(side * scale), lowest), highest) for side in image.size)
        smaller = _plain(image).resize(Size(*sides), Image.Resampling.LANCZOS)
        return _encoded(smaller, "JPEG" if opened.format == "JPEG" else "PNG")


def encode(given: object) -> bytes | None:
    """Return a PIL image or an array as a PNG file, None for anything else.

    An array is height × width, or × 1, 3 or 4 channels: whole numbers from 0 to 255, or fractions from 0 to 1.

    Raises
    ------
    PictureError
        What is wrong with it, to be read behind its name.
    """
    if issubclass(type(given), Image.Image):
        assert isinstance(given, Image.Image)
        if given.width * given.height > MOST_PIXELS:
            raise PictureError(f"has {Size(*given.size)} pixels, more than the 40 million that are opened")
        image = given
    else:
        array = None
        # Whatever calls itself an array can be of any shape, and its attributes can raise anything.
        try:
            array = _from_array(given) if hasattr(given, "__array_interface__") else None
        except PictureError:
            raise
        except Exception:  # noqa: BLE001
            raise PictureError("can't be read as an array") from None
        if array is None:
            return None
        image = array
    try:
        return _encoded(_plain(ImageOps.exif_transpose(image)), "PNG")
    except PictureError:
        raise
    except Exception:  # noqa: BLE001, S110  (one that is opened lazily can be broken in as many ways as there are decoders)
        pass
    raise PictureError("can't be decoded")


def _from_array(array: Any) -> Image.Image:
    """Return an array as an image; numpy itself is not imported, the array does it all."""
    shape = tuple(array.shape)
    if len(shape) == 3 and shape[2] == 1:
        array, shape = array[:, :, 0], shape[:2]
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or 0 in shape:
        told = " × ".join(map(str, shape)) or "a single number"
        raise PictureError(f"is an array of {told}; a picture is height × width, or × 3 or 4 channels")
    if shape[0] * shape[1] > MOST_PIXELS:
        raise PictureError(f"has {Size(shape[1], shape[0])} pixels, more than the 40 million that are opened")
    kind = array.dtype.kind
    top = {"b": 1, "f": 1, "u": 255, "i": 255}.get(kind)
    # A value that is no number is neither below the top nor above zero.
    if top is None or not bool(((array >= 0) & (array <= top)).all()):
        raise PictureError(_NO_COLOURS)
    if top == 1:
        array = array * 255 + (0.5 if kind == "f" else 0)
    return Image.fromarray(array.astype("uint8"))


def eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of deep grey values (16 bits, fractions) as one of 8 bits; any other as it is.

    Pillow's own conversion cuts off whatever is above 255: a scan would be white.

    Raises
    ------
    PictureError
        Its values are no greys of any kind.
    """
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 257 + 0.5).convert("L")
    if image.mode not in ("I", "F"):
        return image
    # One band has two numbers, whatever the type says.
    low, high = cast("tuple[float, float]", image.getextrema())
    top = next((top for top in (1, 255, 65_535) if low >= 0 and high <= top), None)
    if image.mode == "I" and top == 1:
        top = 255
    if top is None or (image.mode == "F" and top == 65_535):
        raise PictureError(_NO_COLOURS)
    return image.point(lambda value: value * (255 / top) + 0.5).convert("L")


def _plain(image: Image.Image) -> Image.Image:
    """Return an image as the formats hold it, its transparency kept."""
    image = eight_bits(image)
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    return image.convert("RGBA" if clear else "RGB")


def _encoded(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    # Nothing of the camera's notes goes along: where a photo was taken is nobody else's business.
    image.info.clear()
    image.convert("RGB" if kind == "JPEG" else image.mode).save(out, kind, quality=95, compress_level=3)
    return out.getvalue()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_file_of(data: bytes, path: Path) -> bool:
    """Whether a file holds these bytes and no others."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
