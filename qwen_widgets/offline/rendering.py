"""Draws and encodes what a prediction asked for, off the event loop, and keeps the last few pictures."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from qwen_widgets.core.models import HIGHEST_SEED, Size
from qwen_widgets.offline.catalogue import OFFERS
from qwen_widgets.offline.predictions import Prediction

if TYPE_CHECKING:
    from PIL.Image import Image

    from qwen_widgets.offline.origin import Origin

Painter = Callable[[str, tuple[int, int], int], "Image"]
Editor = Callable[[str, "Sequence[Image]", tuple[int, int] | None, int], "Image"]

PICTURES_KEPT = 32
PICTURE_BYTES_KEPT = 64 << 20
ORIGINS_KEPT = 512
PAINTERS_AT_ONCE = min(4, os.cpu_count() or 1)
# Measured with a drawn 1024×1024: half the time of the default level 6 (0.03 s), for a fifth more bytes.
_SAVING: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 3},
    "jpeg": {"format": "JPEG", "quality": 93, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 92, "method": 2},
}
# anyio's limiters belong to one event loop; a run variable is anyio's own way of having one for each.
_painters: RunVar[CapacityLimiter] = RunVar("qwen_widgets_offline_painters")


class Renderer:
    """Turns predictions into encoded pictures.

    Parameters
    ----------
    painter : callable, optional
        Draws a picture from a prompt, a size (width, height; pixels) and a seed; it runs in a worker thread.
    editor : callable, optional
        Changes pictures by a prompt, to a size or their own, with a seed; it runs in a worker thread.
    """

    def __init__(self, painter: Painter | None = None, editor: Editor | None = None) -> None:
        self._paint = painter or _paint_offline
        self._edit = editor or _edit_offline
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._origins: OrderedDict[bytes, Origin] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many pictures are in memory."""
        return len(self._kept)

    async def draw(self, prediction: Prediction, sources: Sequence[bytes]) -> bytes:
        """Return the picture of a prediction, encoded."""
        digests = tuple(hashlib.sha256(source).hexdigest() for source in sources)
        order = prediction.order
        key = (order.model.id, order.prompt, order.size, prediction.seed, order.output_format, digests)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        limiter = _painters.get(None)
        if limiter is None:
            limiter = CapacityLimiter(PAINTERS_AT_ONCE)
            _painters.set(limiter)
        data = await anyio.to_thread.run_sync(
            self._make, prediction, sources, abandon_on_cancel=True, limiter=limiter
        )
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > PICTURES_KEPT or sum(map(len, self._kept.values())) > PICTURE_BYTES_KEPT:
                self._kept.popitem(last=False)
        return data

    def _make(self, prediction: Prediction, sources: Sequence[bytes]) -> bytes:
        """Draw and encode a picture, in a worker thread."""
        order, seed = prediction.order, _own_seed(prediction)
        if sources:
            pictures = [self._decoded(source) for source in sources]
            image = self._edit(order.prompt, pictures, order.size, seed)
        else:
            image = self._paint(order.prompt, order.size or Size(1024, 1024), seed)
        buffer = io.BytesIO()
        image.save(buffer, **_SAVING[order.output_format])
        return self._with_origin(buffer.getvalue(), image, order.output_format)

    def _decoded(self, source: bytes) -> Image:
        """Open a picture. One that went through other hands without its notes is known by its pixels."""
        from qwen_widgets.offline.editor import open_picture  # noqa: PLC0415 - numpy and Pillow, as below
        from qwen_widgets.offline.origin import SURE, note  # noqa: PLC0415 - as below

        picture = open_picture(source)
        with self._lock:
            origin = self._origins.get(hashlib.sha256(picture.tobytes()).digest())
        if origin is not None:
            note(picture, origin, SURE)
        return picture

    def _with_origin(self, data: bytes, image: Image, output_format: str) -> bytes:
        """Write into a file where its picture comes from, and remember its pixels."""
        from qwen_widgets.offline.editor import open_picture  # noqa: PLC0415 - as below
        from qwen_widgets.offline.origin import embed, noted  # noqa: PLC0415 - as below

        origin = noted(image)
        if origin is None:
            return data
        shown = image if output_format == "png" else open_picture(data)
        digest = hashlib.sha256(shown.tobytes()).digest()
        with self._lock:
            self._origins[digest] = origin
            self._origins.move_to_end(digest)
            while len(self._origins) > ORIGINS_KEPT:
                self._origins.popitem(last=False)
        return embed(data, origin)


def _own_seed(prediction: Prediction) -> int:
    """Return the seed for the painter: another model makes another picture of the same prompt and seed."""
    if prediction.model == OFFERS[0]:
        return prediction.seed
    digest = hashlib.sha256(f"{prediction.model.id}\n{prediction.seed}".encode()).digest()
    return int.from_bytes(digest[:8]) % (HIGHEST_SEED + 1)


def _edit_offline(prompt: str, pictures: Sequence[Image], size: tuple[int, int] | None, seed: int) -> Image:
    from qwen_widgets.offline.editor import edit  # noqa: PLC0415 - as below

    return edit(prompt, pictures, size, seed)


def _paint_offline(prompt: str, size: tuple[int, int], seed: int) -> Image:
    from qwen_widgets.offline.origin import Origin, note  # noqa: PLC0415 - as below
    from qwen_widgets.offline.painter import paint  # noqa: PLC0415 - numpy and Pillow, once there is a picture to draw

    picture = paint(prompt, size, seed)
    note(picture, Origin(prompt, (size[0], size[1]), seed))
    return picture
