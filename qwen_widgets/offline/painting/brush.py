"""The painter's brushes: seeded streams, noise, curves, and polygons rasterised the same on every machine.

Only additions, multiplications and table look-ups reach a pixel here. The shapes are filled by our own
scanline, not by Pillow's, so that neither a Pillow version nor a processor's libm moves an edge.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGB = tuple[float, float, float]
Box = tuple[int, int, int, int]
Points = NDArray[np.floating[Any]]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.uint8]

#: Corners are put on this grid, in parts of a pixel, so that an ulp of some libm cannot move an edge.
_GRID = 64.0
#: Coverage is added up in whole numbers, exactly and quickly: a level of a mask has this many binary places.
_PLACES = 10
#: What a whole pixel counts.
_WHOLE = float(255 << _PLACES)

_TURN = 48
_CIRCLE: Points = np.array(
    [
        (round(math.cos(math.tau * k / _TURN), 6), round(math.sin(math.tau * k / _TURN), 6))
        for k in range(_TURN)
    ],
)


def stream(seed: int, name: str) -> np.random.Generator:
    """Give the random stream of one element of a picture.

    Everything that is drawn takes its numbers from a stream of its own, so that another word in the
    prompt, which adds or drops an element, leaves the others where they are.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode("utf-8", "replace")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


# Colours ------------------------------------------------------------------------------------------------


def mix(one: RGB, other: RGB, share: float) -> RGB:
    """Mix two colours; `share` is the part of the other."""
    rest = 1.0 - share
    return (
        one[0] * rest + other[0] * share,
        one[1] * rest + other[1] * share,
        one[2] * rest + other[2] * share,
    )


def lit(colour: RGB, light: RGB) -> RGB:
    """Show a colour in a light; white light leaves it as it is."""
    return (colour[0] * light[0] / 255, colour[1] * light[1] / 255, colour[2] * light[2] / 255)


def luma(colour: RGB) -> float:
    """Give the brightness of a colour, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def solid(colour: RGB) -> tuple[int, int, int]:
    """Round a colour to what Pillow takes."""
    return (_byte(colour[0]), _byte(colour[1]), _byte(colour[2]))


def _byte(value: float) -> int:
    return min(255, max(0, int(value + 0.5)))


# Noise --------------------------------------------------------------------------------------------------


def _ease(t: Floats) -> Floats:
    return t * t * (3.0 - 2.0 * t)


def wave(rng: np.random.Generator, at: Floats, octaves: int = 4, *, sharp: bool = False) -> Floats:
    """Give one-dimensional fractal noise in about -1 to 1.

    Parameters
    ----------
    rng
        The stream.
    at : array
        Where, in periods of the lowest octave, ascending from 0.
    octaves
        How many; each is twice as fine and half as high.
    sharp
        Straight lines between the knots, as of rock, instead of soft ones.
    """
    total = np.zeros_like(at)
    height, scale = 0.55, 1.0
    for _ in range(octaves):
        place = at * scale
        knots = rng.random(int(place[-1]) + 3) * 2.0 - 1.0
        index = place.astype(np.int64)
        part = place - index
        if not sharp:
            part = _ease(part)
        total += height * (knots[index] * (1.0 - part) + knots[index + 1] * part)
        height, scale = height * 0.5, scale * 2.0
    return total


def lattice(rng: np.random.Generator, y: Floats, x: Floats) -> Floats:
    """Give value noise in 0 to 1 at the crossings of rows `y` and columns `x`, both from 0 upwards."""
    knots = rng.random((int(y.max()) + 2, int(x.max()) + 2))
    iy, ix = y.astype(np.int64), x.astype(np.int64)
    ty, tx = _ease(y - iy)[:, None], _ease(x - ix)
    lines = knots[iy] * (1.0 - ty) + knots[iy + 1] * ty
    noise: Floats = lines[:, ix] * (1.0 - tx) + lines[:, ix + 1] * tx
    return noise


def cloud_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    period: tuple[float, float],
    octaves: int = 4,
    fade: float = 0.5,
) -> Floats:
    """Give two-dimensional fractal value noise in 0 to 1, rows × columns.

    Parameters
    ----------
    rng
        The stream.
    shape
        Rows and columns.
    period
        How many cells of the lowest octave fit into the picture's height and width.
    octaves, fade
        How many octaves, and how much lower each is than the one before.
    """
    rows, columns = shape
    total = np.zeros(shape)
    height, most = 1.0, 0.0
    down, across = period
    for _ in range(octaves):
        total += height * lattice(
            rng, np.arange(rows) * (down / rows), np.arange(columns) * (across / columns)
        )
        most += height
        height, down, across = height * fade, down * 2.0, across * 2.0
    return total / most


# Curves: in units, y upwards, as subjects are drawn -----------------------------------------------------


def poly(*points: tuple[float, float]) -> Points:
    """Give a polygon with corners."""
    return np.array(points, dtype=np.float64)


def oval(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Points:
    """Give an ellipse; `turn` is in degrees, anticlockwise."""
    points = _CIRCLE * (rx, rx if ry is None else ry)
    return (rotate(points, turn) if turn else points) + (x, y)


def rotate(points: Points, degrees: float) -> Points:
    """Turn points about the origin, anticlockwise where y points up."""
    c, s = round(math.cos(math.radians(degrees)), 6), round(math.sin(math.radians(degrees)), 6)
    x, y = points[:, 0], points[:, 1]
    return np.stack((x * c - y * s, x * s + y * c), axis=1)


def arch(x: float, y: float, rx: float, ry: float, start: float, end: float, steps: int = 20) -> Points:
    """Give the points on a part of an ellipse, from one angle to another, in degrees."""
    turns = [math.radians(start + (end - start) * k / steps) for k in range(steps + 1)]
    return np.array([(x + rx * round(math.cos(t), 6), y + ry * round(math.sin(t), 6)) for t in turns])


def bend(*points: tuple[float, float], closed: bool = True, steps: int = 6) -> Points:
    """Give a smooth curve through the points (Catmull-Rom)."""
    knots = np.array(points, dtype=np.float64)
    before, after = np.roll(knots, 1, axis=0), np.roll(knots, -1, axis=0)
    beyond = np.roll(knots, -2, axis=0)
    if not closed:
        before[0], after[-1], beyond[-1] = knots[0], knots[-1], knots[-1]
        beyond[-2] = knots[-1]
    t = (np.arange(steps) / steps)[:, None, None]
    curve = 0.5 * (
        2.0 * knots
        + (after - before) * t
        + (2.0 * before - 5.0 * knots + 4.0 * after - beyond) * (t * t)
        + (3.0 * knots - before - 3.0 * after + beyond) * (t * t * t)
    )
    line: Points = np.swapaxes(curve, 0, 1).reshape(-1, 2)
    return line if closed else np.concatenate((line[: (len(knots) - 1) * steps], knots[-1:]))


def stroke(points: Points, start: float, end: float | None = None) -> Points:
    """Give the outline of a line that is `start` wide at first and `end` wide at last."""
    end = start if end is None else end
    along = np.concatenate((points[1:2] - points[:1], points[2:] - points[:-2], points[-1:] - points[-2:-1]))
    length = np.sqrt(along[:, 0] * along[:, 0] + along[:, 1] * along[:, 1])
    length[length == 0] = 1.0
    half = np.linspace(start / 2, end / 2, len(points)) / length
    aside = np.stack((-along[:, 1] * half, along[:, 0] * half), axis=1)
    return np.concatenate((points + aside, (points - aside)[::-1]))


def line(*points: tuple[float, float], wide: float, end: float | None = None, round_: bool = True) -> Points:
    """Give a stroke through the points, bent smoothly unless told not to."""
    path = bend(*points, closed=False) if round_ and len(points) > 2 else np.array(points, dtype=np.float64)
    return stroke(path, wide, end)


# Filling ------------------------------------------------------------------------------------------------


def coverage(polygons: Iterable[Points], box: Box) -> Mask:
    """Tell how much of each pixel of the box the polygons cover together, 0 to 255.

    Parameters
    ----------
    polygons
        Corners in pixels, y downwards: arrays of points × 2, or of polygons × points × 2 for many of a kind.
        Overlaps count once, whichever way round the corners go.
    box
        Left, top, right, bottom, in pixels.
    """
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    if wide <= 0 or high <= 0:
        return np.zeros((max(0, high), max(0, wide)), np.uint8)
    parts: list[Points] = []
    counts: list[int] = []
    for points in polygons:
        if points.ndim == 3:
            counts += [points.shape[1]] * points.shape[0]
        else:
            counts.append(len(points))
        parts.append(points.reshape(-1, 2))
    if not counts:
        return np.zeros((high, wide), np.uint8)
    a = np.concatenate(parts)
    a = np.floor(a * _GRID + 0.5) * (1.0 / _GRID) - (left, top)
    number = np.array(counts)
    last = np.cumsum(number) - 1
    first = last - number + 1
    follow = np.arange(1, len(a) + 1)
    follow[last] = first
    x0, y0 = a[:, 0], a[:, 1]
    x1, y1 = x0[follow], y0[follow]
    # Which way round each polygon goes: the corners' cross products say.
    turn = np.where(np.add.reduceat(x0 * y1 - x1 * y0, first) >= 0, _WHOLE, -_WHOLE)
    falls = y0 > y1
    low, far = np.clip(np.where(falls, y1, y0), 0, high), np.clip(np.where(falls, y0, y1), 0, high)
    slope = (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
    start = low.astype(np.int64)
    count = np.where(far > low, np.ceil(far).astype(np.int64) - start, 0)
    total = int(count.sum())
    if total == 0:
        return np.zeros((high, wide), np.uint8)
    # Each edge is cut at the pixels' rows …
    row = np.arange(total) + np.repeat(start - (np.cumsum(count) - count), count)
    edge = np.repeat(np.arange(len(a)), count)
    y = np.maximum(low[edge], row)
    tall = np.minimum(far[edge], row + 1) - y
    lean = slope[edge]
    x = x0[edge] + (y - y0[edge]) * lean
    reach = tall * lean
    near, away = np.minimum(x, x + reach), np.maximum(x, x + reach)
    weight = tall * (np.where(falls, 1.0, -1.0) * np.repeat(turn, number))[edge]
    # … and each piece at their columns; what is left or right of the box counts where it enters or not at all.
    column = np.floor(np.clip(near, -1, wide)).astype(np.int64)
    cells = np.maximum(np.ceil(np.clip(away, -1, wide + 1)).astype(np.int64) - column, 1)
    pitch = wide + 2
    row *= pitch
    pieces = int(cells.sum())
    if pieces > total:
        part = np.arange(pieces) - np.repeat(np.cumsum(cells) - cells, cells)
        piece = np.repeat(np.arange(total), cells)
        begin, stop = near[piece], away[piece]
        column, row = column[piece] + part, row[piece]
        across = stop - begin
        left_end = np.where(part == 0, begin, column)
        right_end = np.where(part == cells[piece] - 1, stop, column + 1)
        weight = weight[piece] * np.where(
            across > 0, (right_end - left_end) / np.where(across > 0, across, 1.0), 1.0
        )
        middle = (left_end + right_end) * 0.5
    else:
        middle = (near + away) * 0.5
    np.clip(column, 0, wide, out=column)
    row += column
    right_part = np.floor(weight * np.clip(middle - column, 0.0, 1.0) + 0.5)
    where = np.concatenate((row, row + 1))
    shares = np.concatenate((np.floor(weight + 0.5) - right_part, right_part))
    winding = np.bincount(where, shares, high * pitch).astype(np.int32).reshape(high, pitch)
    # A half is added once, in front of each row, so that the cut to whole levels rounds.
    winding[:, 0] += 1 << (_PLACES - 1)
    np.cumsum(winding, axis=1, out=winding)
    winding >>= _PLACES
    np.clip(winding, 0, 255, out=winding)
    return winding[:, :wide].astype(np.uint8)


def bounds(polygons: Sequence[Points], size: tuple[int, int]) -> Box:
    """Give the box of pixels that the polygons touch, cut to a picture of this size."""
    corners = np.concatenate([points.reshape(-1, 2) for points in polygons])
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    return (
        max(0, math.floor(left) - 1),
        max(0, math.floor(top) - 1),
        min(size[0], math.ceil(right) + 1),
        min(size[1], math.ceil(bottom) + 1),
    )


def fill(picture: Image.Image, polygons: Sequence[Points], colour: RGB, opacity: float = 1.0) -> None:
    """Fill polygons, in pixels, with a colour."""
    if not polygons:
        return
    box = bounds(polygons, picture.size)
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    lay(picture, coverage(polygons, box), box, colour, opacity)


def lay(picture: Image.Image, mask: Mask, box: Box, colour: RGB, opacity: float = 1.0) -> None:
    """Lay a colour through a mask onto the box of a picture."""
    stencil = Image.fromarray(mask)
    if opacity < 1.0:
        stencil = stencil.point(_faint(opacity))
    wash(picture, colour, box, stencil)


def wash(picture: Image.Image, colour: RGB, box: Box, mask: Image.Image) -> None:
    """Let a colour flow through a mask onto the box of a picture, only where there is something of it."""
    touched = mask.getbbox()
    if touched is None:
        return
    left, top, right, bottom = touched
    if right - left < mask.width or bottom - top < mask.height:
        mask = mask.crop(touched)
        box = (box[0] + left, box[1] + top, box[0] + right, box[1] + bottom)
    # Pillow pastes a picture of one colour in half the time that it takes for the colour.
    picture.paste(Image.new("RGB", mask.size, solid(colour)), box, mask)


@lru_cache(maxsize=256)
def _faint(opacity: float) -> tuple[int, ...]:
    return tuple(_byte(value * opacity) for value in range(256))


def bytes_of(field: Floats) -> Mask:
    """Round a field of 0 to 1 to bytes."""
    rounded: Mask = np.floor(np.clip(field, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return rounded


def rows_image(colours: Sequence[tuple[float, RGB]], size: tuple[int, int]) -> Image.Image:
    """Give a picture of rows of one colour each, from stops of (0 at the top … 1, colour)."""
    height = size[1]
    at = (np.arange(height) + 0.5) / max(1, height)
    places = [stop for stop, _ in colours]
    channels = [np.interp(at, places, [colour[c] for _, colour in colours]) for c in range(3)]
    column = np.floor(np.clip(np.round(np.stack(channels, axis=1), 4), 0, 255) + 0.5).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(column[:, None, :])).resize(size, Image.Resampling.NEAREST)


def rows_mask(stops: Sequence[tuple[float, float]], size: tuple[int, int]) -> Image.Image:
    """Give a mask of rows of one strength each, from stops of (0 at the top … 1, strength 0 to 1)."""
    height = size[1]
    at = (np.arange(height) + 0.5) / max(1, height)
    column = bytes_of(np.round(np.interp(at, [stop for stop, _ in stops], [share for _, share in stops]), 5))
    return Image.fromarray(np.ascontiguousarray(column[:, None])).resize(size, Image.Resampling.NEAREST)


def enlarge(small: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Bring a soft layer, made small, to the size of the picture."""
    return small.resize(size, Image.Resampling.BILINEAR)


def glow(
    picture: Image.Image, centre: tuple[float, float], radius: float, colour: RGB, opacity: float
) -> None:
    """Add a soft round light."""
    box = (
        max(0, int(centre[0] - radius)),
        max(0, int(centre[1] - radius)),
        min(picture.width, int(centre[0] + radius) + 1),
        min(picture.height, int(centre[1] + radius) + 1),
    )
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    step = max(1, int(radius / 24))
    wide, high = box[2] - box[0], box[3] - box[1]
    columns, lines = max(2, wide // step), max(2, high // step)
    x = (np.arange(columns) + 0.5) * (wide / columns) + box[0] - centre[0]
    y = (np.arange(lines) + 0.5) * (high / lines) + box[1] - centre[1]
    away = np.sqrt(x * x + (y * y)[:, None]) / radius
    near = np.clip(1.0 - away, 0.0, 1.0)
    strength = near * near * (opacity * 0.55) + near * near * near * near * near * (opacity * 0.45)
    light = Image.fromarray(bytes_of(np.round(strength, 6))).resize((wide, high), Image.Resampling.BILINEAR)
    wash(picture, colour, box, light)
