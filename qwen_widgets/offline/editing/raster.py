"""Fields and pictures as arrays: blurs, masks that keep to edges, regions that hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from qwen_widgets.offline.painting.brush import bytes_of

Field = NDArray[np.float32]
Flags = NDArray[np.bool_]
RGB = tuple[float, float, float]


def field(values: NDArray[Any]) -> Field:
    """Give values as a field."""
    return np.asarray(values, dtype=np.float32)


def pixels_of(picture: Image.Image) -> Field:
    """Give the pixels of an RGB picture, rows × columns × 3, 0 to 255."""
    return np.asarray(picture, dtype=np.float32)


def picture_of(pixels: NDArray[Any]) -> Image.Image:
    """Round pixels to a picture."""
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def tone(colour: RGB) -> Field:
    """Give a colour as an array, for the pixels' last axis."""
    return np.array(colour, dtype=np.float32)


def luma_of(pixels: Field) -> Field:
    """Give the brightness of pixels, 0 to 255."""
    grey: Field = pixels[..., 0] * np.float32(0.3)
    grey += pixels[..., 1] * np.float32(0.59)
    grey += pixels[..., 2] * np.float32(0.11)
    return grey


def mask_of(share: Field) -> Image.Image:
    """Give a field of 0 to 1 as a mask."""
    return Image.fromarray(bytes_of(share))


def resized(share: Field, size: tuple[int, int]) -> Field:
    """Bring a field of 0 to 1 to a size (columns, rows)."""
    smooth = Image.fromarray(share.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(smooth, dtype=np.float32)


def blurred(values: Field, reach: float) -> Field:
    """Blur a field by a box, `reach` pixels to each side."""
    # Pillow blurs bytes only: good enough for what is soft, and quick.
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        return field(values)
    as_bytes = bytes_of((values - low) / (high - low))
    soft = Image.fromarray(as_bytes).filter(ImageFilter.BoxBlur(reach))
    result: Field = np.asarray(soft, dtype=np.float32) * np.float32((high - low) / 255.0) + np.float32(low)
    return result


def box_mean(values: Field, reach: int) -> Field:
    """Give the mean around each place, `reach` to each side, exactly; the edges are repeated."""
    padded = np.pad(values, ((reach + 1, reach), (reach + 1, reach)), mode="edge").astype(np.float64)
    sums = padded.cumsum(axis=0).cumsum(axis=1)
    side = 2 * reach + 1
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return field(total / (side * side))


def along_edges(mask: Field, small_guide: Field, guide: Field, reach: int = 4, calm: float = 30.0) -> Field:
    """Bring a coarse mask up to the size of a picture so that it follows the picture's edges.

    The fast guided filter (He and Sun, https://arxiv.org/abs/1505.00996): within each window the mask is a line over
    the brightness.

    Parameters
    ----------
    mask, small_guide : array
        The coarse mask, 0 to 1, and the brightness at its size.
    guide : array
        The brightness at full size.
    reach : int
        Half a window, in coarse pixels.
    calm : float
        Differences of brightness below this are no edges.
    """
    mean_i, mean_p = box_mean(small_guide, reach), box_mean(mask, reach)
    spread = box_mean(small_guide * small_guide, reach) - mean_i * mean_i
    both = box_mean(small_guide * mask, reach) - mean_i * mean_p
    slope = field(both / (spread + np.float32(calm)))
    shift = field(mean_p - slope * mean_i)
    size = (guide.shape[1], guide.shape[0])
    fine = resized(box_mean(slope, reach), size) * guide + resized(box_mean(shift, reach), size)
    result: Field = np.clip(fine, 0.0, 1.0)
    return result


def grown(flags: Flags, steps: int = 1) -> Flags:
    """Let a region grow by a pixel to its four sides, some times over."""
    for _ in range(steps):
        more = flags.copy()
        more[1:] |= flags[:-1]
        more[:-1] |= flags[1:]
        more[:, 1:] |= flags[:, :-1]
        more[:, :-1] |= flags[:, 1:]
        flags = more
    return flags


def reached(start: Flags, within: Flags) -> Flags:
    """Give the part of a region that hangs together with a start."""
    found = start & within
    while True:
        more = grown(found, 2) & grown(found & within, 1) & within
        if int(more.sum()) == int(found.sum()):
            return found
        found = more


def pieces(flags: Flags, most: int = 24) -> list[Flags]:
    """Cut a region into the parts that hang together, in reading order."""
    left = flags.copy()
    found: list[Flags] = []
    while left.any() and len(found) < most:
        start = np.zeros_like(left)
        start.flat[int(np.argmax(left))] = True
        piece = reached(start, left)
        found.append(piece)
        left &= ~piece
    return found
