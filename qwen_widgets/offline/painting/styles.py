"""What a named style does to a finished picture: watercolour, oil, pixels, pencil, woodblock, neon, grey, ink, sepia."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

from qwen_widgets.offline.painting.brush import Mask, bytes_of, cloud_noise, stream, wash

_PAPER = (250, 246, 236)


def apply_styles(picture: Image.Image, styles: tuple[str, ...], seed: int, unit: float) -> Image.Image:
    """Paint a picture over in the styles that are named, one after the other."""
    for style in styles:
        picture = _STYLES[style](picture, seed, unit)
    return picture


def _scaled(size: tuple[int, int], part: int) -> tuple[int, int]:
    return max(16, size[0] // part), max(16, size[1] // part)


def _field(size: tuple[int, int], seed: int, name: str, periods: float, octaves: int, part: int) -> Mask:
    """Give a field of noise of a size (columns, rows), computed at a part of it."""
    small = (max(8, size[1] // part), max(8, size[0] // part))
    noise = bytes_of(cloud_noise(stream(seed, name), small, (periods * size[1] / size[0], periods), octaves))
    if part == 1 and small == size[::-1]:
        return noise
    return np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR))


def _aside(field: Mask, reach: float) -> NDArray[np.int32]:
    steps = field.astype(np.int32)
    steps -= 128
    steps *= int(reach * 512)
    steps >>= 16
    return steps


def _bent(size: tuple[int, int], seed: int, reach: float, periods: float, part: int = 3) -> NDArray[np.intp]:
    """Tell for every pixel which one takes its place, a little aside along a field of noise, as a brush does."""
    wide, high = size
    across, down = (_aside(_field(size, seed, f"brush {axis}", periods, 2, part), reach) for axis in "xy")
    across += np.arange(wide, dtype=np.int32)
    down += np.arange(high, dtype=np.int32)[:, None]
    np.clip(across, 0, wide - 1, out=across)
    np.clip(down, 0, high - 1, out=down)
    down *= wide
    down += across
    return down.astype(np.intp)


def _packed(picture: Image.Image) -> NDArray[np.uint32]:
    """Give the pixels of an RGB picture as one number each."""
    packed: NDArray[np.uint32] = np.frombuffer(picture.tobytes("raw", "RGBX"), np.uint32)
    return packed


def _unpacked(pixels: NDArray[np.uint32], size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("RGB", size, pixels.tobytes(), "raw", "RGBX")


def _bend(picture: Image.Image, seed: int, reach: float, periods: float) -> Image.Image:
    """Move every pixel a little, along a field of noise."""
    index = _bent(picture.size, seed, reach, periods)
    if picture.mode == "L":
        return Image.fromarray(np.take(np.asarray(picture).reshape(-1), index, mode="clip"))
    return _unpacked(np.take(_packed(picture), index, mode="clip"), picture.size)


def _dabs(picture: Image.Image, reach: int = 2) -> Image.Image:
    """Put a picture together from dabs of one colour with sharp edges (Kuwahara's filter).

    Each pixel takes the mean of that quarter of its surroundings, `reach` pixels far, in which the tones differ
    least. `reach` is even.
    """
    wide, high = picture.size
    sheet = Image.new(picture.mode, (wide + 2 * reach, high + 2 * reach))
    sheet.paste(picture.resize(sheet.size, Image.Resampling.NEAREST), (0, 0))
    sheet.paste(picture, (reach, reach))
    grey = np.asarray(sheet.convert("L")).astype(np.int32)
    side = reach + 1
    total, squares = _windows(grey, side), _windows(grey * grey, side)
    spread = squares * (side * side) - total * total
    # One colour for each window, by the middle pixel of it.
    means = sheet.filter(ImageFilter.BoxBlur(reach // 2))
    pitch = sheet.width
    best = spread[:high, :wide].copy()
    middle = np.full((high, wide), (reach // 2) * (pitch + 1), np.intp)
    for down, across in ((0, reach), (reach, 0), (reach, reach)):
        other = spread[down : down + high, across : across + wide]
        calmer = other < best
        np.copyto(best, other, where=calmer)
        middle[calmer] = (down + reach // 2) * pitch + across + reach // 2
    middle += np.arange(wide)
    middle += np.arange(high)[:, None] * pitch
    if picture.mode == "L":
        return Image.fromarray(np.take(np.asarray(means).reshape(-1), middle, mode="clip"))
    return _unpacked(np.take(_packed(means), middle, mode="clip"), picture.size)


def _windows(field: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """Give the sums of all windows of `side` by `side`, by their upper left corners."""
    rows = field[: len(field) - side + 1].copy()
    for k in range(1, side):
        rows += field[k : len(field) - side + 1 + k]
    last = rows.shape[1] - side + 1
    sums = rows[:, :last].copy()
    for k in range(1, side):
        sums += rows[:, k : last + k]
    return sums


def _edges(grey: Image.Image, thick: int) -> Image.Image:
    """Give the outlines of a grey picture, bright on black."""
    soft = grey.filter(ImageFilter.BoxBlur(thick * 0.5))
    moved = [
        ImageChops.difference(soft, ImageChops.offset(soft, dx, dy)) for dx, dy in ((thick, 0), (0, thick))
    ]
    return ImageChops.lighter(*moved)


def _tones(picture: Image.Image, tone: Callable[[int], float]) -> Image.Image:
    table = [min(255, max(0, int(tone(v)))) for v in range(256)]
    return picture.point(table * len(picture.getbands()))


def _watercolour(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    # All of it is soft: a third of the size will do.
    size = _scaled(picture.size, 3)
    small = _bend(picture.resize(size, Image.Resampling.BOX), seed, unit * 0.004, 26)
    flat = _dabs(small)
    pale = Image.blend(flat, Image.new("RGB", size, _PAPER), 0.24)
    pools = Image.fromarray(_field(size, seed, "pools", 7, 5, 2))
    pale.paste(
        Image.new("RGB", size, _PAPER),
        (0, 0),
        _tones(pools, lambda v: 0.34 * min(255, max(0, (v - 128) * 1.5 + 96))),
    )
    edges = _tones(_edges(flat.convert("L"), max(1, int(unit * 0.001))), lambda v: min(190, v * 6))
    pale.paste(ImageChops.multiply(pale, Image.new("RGB", size, (176, 170, 186))), (0, 0), edges)
    # The paper stays white at a torn edge.
    x, y = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in size)
    border = np.minimum(x, y[:, None]) * (3.0 / unit)
    ragged = _field(size, seed, "border", 12, 4, 2) / 255.0
    inside = bytes_of((border - 0.008 - 0.045 * ragged) * 90.0)
    sheet = Image.new("RGB", size, _PAPER)
    sheet.paste(pale.filter(ImageFilter.BoxBlur(0.35)), (0, 0), Image.fromarray(inside))
    return sheet.resize(picture.size, Image.Resampling.BICUBIC)


def _oil(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    part = 2
    size = _scaled(picture.size, part)
    small = _bend(picture.resize(size, Image.Resampling.BOX), seed, unit * 0.014 / part, 40)
    dabs = _dabs(small, 4).resize(picture.size, Image.Resampling.BILINEAR)
    # Ridges of paint: long in one direction, lit from above.
    size = _scaled(picture.size, 3)
    noise = cloud_noise(stream(seed, "ridges"), size[::-1], (110 * picture.height / picture.width, 34), 2)
    field = bytes_of(0.5 + (noise - np.concatenate((noise[1:], noise[-1:]))) * 1.5)
    coarse = Image.fromarray(field).resize(_scaled(picture.size, 2), Image.Resampling.BICUBIC)
    relief = _bend(coarse, seed + 2, unit * 0.05 / 2, 9).resize(picture.size, Image.Resampling.BILINEAR)
    # Half as strong, on a warm grey.
    tinted = [relief.point([(v + grey) // 2 for v in range(256)]) for grey in (132, 130, 126)]
    return ImageChops.overlay(dabs, Image.merge("RGB", tinted))


def _pixel(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    del seed
    block = max(3, round(unit / 112))
    small = picture.resize(
        (max(8, picture.width // block), max(8, picture.height // block)), Image.Resampling.BOX
    )
    few = small.quantize(40, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(picture.size, Image.Resampling.NEAREST)


def _sketch(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    bent = _bend(picture.convert("L"), seed, unit * 0.004, 30)
    # Only real edges: below this, it is the banding of a gradient or a blade of grass.
    lines = _tones(_edges(bent, max(1, round(unit * 0.002))), lambda v: min(235, max(0, v - 7) * 9))
    step = max(5, round(unit * 0.0095))
    tone = ImageOps.autocontrast(bent, cutoff=1).filter(ImageFilter.BoxBlur(max(1, int(unit * 0.004))))
    light = np.array(_tones(tone, lambda v: 247 - (255 - v) // 14))
    # The darker the tone, the broader the stroke.
    place = (np.arange(picture.width + picture.height - 1) % step * 256 // step).astype(np.uint8)
    strokes = np.lib.stride_tricks.sliding_window_view(place, picture.width)
    for hatch, wide in (
        (strokes, _tones(tone, lambda v: (226 - v) * 7 // 8)),
        (strokes[::-1], _tones(tone, lambda v: 140 - v)),
    ):
        light -= (hatch < np.asarray(wide)) * np.uint8(78)
    sheet = Image.fromarray(light).filter(ImageFilter.BoxBlur(0.6))
    sheet.paste(50, (0, 0), lines)
    return ImageOps.colorize(sheet, (44, 42, 50), _PAPER)


def _print(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    size = picture.size
    flat = ImageOps.posterize(_dabs(picture.resize(_scaled(size, 2), Image.Resampling.BOX)), 3)
    warm = ImageChops.multiply(
        ImageOps.autocontrast(flat, cutoff=1), Image.new("RGB", flat.size, (246, 232, 204))
    ).resize(size, Image.Resampling.BICUBIC)
    lines = _tones(
        _edges(picture.convert("L").filter(ImageFilter.BoxBlur(1)), max(1, int(unit * 0.003))),
        lambda v: 0 if v < 9 else min(255, (v - 9) * 12),
    )
    wash(warm, (34, 44, 78), (0, 0, *size), lines)
    rows = _field(size, seed, "wood", 4, 2, 6).astype(np.int16)
    rows += (np.arange(size[1], dtype=np.int16) * 2)[:, None]
    rows //= max(2, int(unit * 0.01))
    rows &= 1
    wash(warm, (250, 240, 216), (0, 0, *size), Image.fromarray(rows.astype(np.uint8) * np.uint8(16)))
    return warm


def _neon(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    del seed
    grey = picture.convert("L")
    duo = ImageOps.colorize(grey, (10, 6, 34), (150, 244, 255), (186, 36, 150), 0, 255, 112)
    mixed = Image.blend(picture, duo, 0.4)
    small = mixed.resize(
        (max(8, picture.width // 8), max(8, picture.height // 8)), Image.Resampling.BOX
    ).point([max(0, int((v - 110) * 1.1)) for v in range(256)] * 3)
    bloom = small.filter(ImageFilter.BoxBlur(max(1, int(unit / 8 * 0.012)))).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    return ImageChops.screen(mixed, bloom)


def _grey(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    del seed, unit
    table = [min(255, max(0, int(v + (v - 118) * 0.22))) for v in range(256)]
    return picture.convert("L").point(table).convert("RGB")


def _ink(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    bent = _bend(picture, seed, unit * 0.02, 22)
    grey = ImageOps.autocontrast(
        bent.resize(_scaled(picture.size, 3), Image.Resampling.BOX).convert("L"), cutoff=2
    )
    soft = _tones(_dabs(grey), lambda v: min(255, 70 + 190 * round((v / 255) ** 0.5, 6)))
    tint = ImageOps.colorize(
        soft.resize(picture.size, Image.Resampling.BICUBIC), (26, 30, 40), (248, 244, 232)
    )
    lines = _tones(_edges(bent.convert("L"), max(1, int(unit * 0.004))), lambda v: min(210, v * 4))
    wash(tint, (26, 28, 36), (0, 0, *tint.size), lines)
    # A trace of the colours is left, as of a seal or a wash.
    return Image.blend(tint, ImageChops.multiply(tint, bent), 0.3)


def _sepia(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    del seed, unit
    return ImageOps.colorize(picture.convert("L"), (44, 28, 20), (255, 240, 208), (160, 118, 80))


_STYLES: dict[str, Callable[[Image.Image, int, float], Image.Image]] = {
    "watercolour": _watercolour,
    "oil": _oil,
    "pixel": _pixel,
    "sketch": _sketch,
    "print": _print,
    "neon": _neon,
    "grey": _grey,
    "ink": _ink,
    "sepia": _sepia,
}
