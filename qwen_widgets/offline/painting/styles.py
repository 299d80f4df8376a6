"""What a named style does to a finished picture: watercolour, oil, pixels, pencil, woodblock, neon, grey, ink, sepia."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from qwen_widgets.offline.painting.brush import bytes_of, cloud_noise, stream

_PAPER = (250, 246, 236)


def apply_styles(picture: Image.Image, styles: tuple[str, ...], seed: int, unit: float) -> Image.Image:
    """Paint a picture over in the styles that are named, one after the other."""
    for style in styles:
        picture = _STYLES[style](picture, seed, unit)
    return picture


def _field(
    picture: Image.Image, seed: int, name: str, periods: float, octaves: int, part: int = 6
) -> Image.Image:
    size = (max(8, picture.height // part), max(8, picture.width // part))
    noise = cloud_noise(
        stream(seed, name), size, (periods * picture.height / picture.width, periods), octaves
    )
    return Image.fromarray(bytes_of(noise)).resize(picture.size, Image.Resampling.BICUBIC)


def _edges(picture: Image.Image, thick: int) -> Image.Image:
    """Give the outlines of a picture, bright on black."""
    grey = picture.convert("L").filter(ImageFilter.BoxBlur(thick * 0.5))
    moved = [
        ImageChops.difference(grey, ImageChops.offset(grey, dx, dy)) for dx, dy in ((thick, 0), (0, thick))
    ]
    return ImageChops.lighter(*moved)


def _bend(picture: Image.Image, seed: int, reach: float, periods: float) -> Image.Image:
    """Move every pixel a little, along a field of noise, as a brush does."""
    across = np.asarray(_field(picture, seed, "brush x", periods, 2, 4)).astype(np.int32) - 128
    down = np.asarray(_field(picture, seed, "brush y", periods, 2, 4)).astype(np.int32) - 128
    by = int(reach * 512)
    x = np.clip(np.arange(picture.width, dtype=np.int32) + (across * by >> 16), 0, picture.width - 1)
    y = np.clip(np.arange(picture.height, dtype=np.int32)[:, None] + (down * by >> 16), 0, picture.height - 1)
    pixels = np.ascontiguousarray(np.asarray(picture.convert("RGBX"))).view(np.uint32)[:, :, 0]
    return Image.frombytes("RGBX", picture.size, pixels[y, x].tobytes()).convert("RGB")


def _watercolour(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    bent = _bend(picture, seed, unit * 0.012, 26)
    small = bent.resize((max(16, picture.width // 3), max(16, picture.height // 3)), Image.Resampling.BOX)
    wash = small.filter(ImageFilter.MedianFilter(5)).resize(picture.size, Image.Resampling.BICUBIC)
    pale = Image.blend(wash, Image.new("RGB", picture.size, _PAPER), 0.24)
    pools = _field(picture, seed, "pools", 7, 5).point(
        [min(255, max(0, int((v - 128) * 1.5 + 96))) for v in range(256)]
    )
    pale.paste(_PAPER, (0, 0), pools.point([int(v * 0.34) for v in range(256)]))
    edges = _edges(wash, max(1, int(unit * 0.003))).point([min(150, v * 3) for v in range(256)])
    dark = ImageChops.multiply(pale, Image.new("RGB", picture.size, (176, 170, 186)))
    pale.paste(dark, (0, 0), edges)
    # The paper stays white at a torn edge.
    border = np.minimum.outer(
        np.minimum(np.arange(picture.height), np.arange(picture.height)[::-1]),
        np.minimum(np.arange(picture.width), np.arange(picture.width)[::-1]),
    ).astype(np.float64)
    ragged = np.asarray(_field(picture, seed, "border", 12, 4)).astype(np.float64) / 255
    inside = bytes_of(np.clip((border / unit - 0.008 - 0.045 * ragged) * 90.0, 0, 1))
    sheet = Image.new("RGB", picture.size, _PAPER)
    sheet.paste(pale, (0, 0), Image.fromarray(inside))
    return sheet


def _oil(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    bent = _bend(picture, seed, unit * 0.014, 40)
    part = max(2, round(unit / 300))
    small = bent.resize(
        (max(16, picture.width // part), max(16, picture.height // part)), Image.Resampling.BOX
    )
    dabs = small.filter(ImageFilter.ModeFilter(5)).resize(picture.size, Image.Resampling.BICUBIC)
    strokes = _bend(dabs, seed + 1, unit * 0.008, 80)
    # Ridges of paint: long in one direction, lit from above.
    rows, columns = max(8, picture.height // 3), max(8, picture.width // 3)
    noise = cloud_noise(
        stream(seed, "ridges"), (rows, columns), (110 * picture.height / picture.width, 34), 2
    )
    field = bytes_of(0.5 + (noise - np.concatenate((noise[1:], noise[-1:]))) * 1.5)
    relief = _bend(
        Image.fromarray(field).resize(picture.size, Image.Resampling.BICUBIC).convert("RGB"),
        seed + 2,
        unit * 0.05,
        9,
    )
    return ImageChops.overlay(
        strokes, Image.blend(Image.new("RGB", picture.size, (132, 130, 126)), relief, 0.5)
    )


def _pixel(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    del seed
    block = max(3, round(unit / 112))
    small = picture.resize(
        (max(8, picture.width // block), max(8, picture.height // block)), Image.Resampling.BOX
    )
    few = small.quantize(40, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return few.resize(picture.size, Image.Resampling.NEAREST)


def _sketch(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    bent = _bend(picture, seed, unit * 0.004, 30)
    grey = ImageOps.autocontrast(bent.convert("L"), cutoff=1)
    # Only real edges: below this, it is the banding of a gradient or a blade of grass.
    lines = _edges(bent, max(1, round(unit * 0.002))).point([min(235, max(0, v - 7) * 9) for v in range(256)])
    step = max(5, round(unit * 0.0095))
    x, y = np.arange(picture.width), np.arange(picture.height)[:, None]
    tone = np.asarray(grey.filter(ImageFilter.BoxBlur(max(1, int(unit * 0.004))))).astype(np.int32)
    one = ((x + y) % step) * 256 // step
    two = ((x - y) % step) * 256 // step
    # The darker the tone, the broader the stroke.
    light = np.full(tone.shape, 247, np.int32)
    light -= np.where(one < (226 - tone) * 7 // 8, 78, 0)
    light -= np.where(two < (140 - tone), 78, 0)
    light -= (255 - tone) // 14
    sheet = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(0.6))
    sheet.paste(50, (0, 0), lines)
    return ImageOps.colorize(sheet, (44, 42, 50), _PAPER)


def _print(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    flat = picture.resize(
        (max(16, picture.width // 2), max(16, picture.height // 2)), Image.Resampling.BOX
    ).filter(ImageFilter.MedianFilter(5))
    flat = (
        ImageOps.posterize(flat, 3)
        .filter(ImageFilter.MedianFilter(3))
        .resize(picture.size, Image.Resampling.BICUBIC)
    )
    warm = ImageChops.multiply(
        ImageOps.autocontrast(flat, cutoff=1), Image.new("RGB", picture.size, (246, 232, 204))
    )
    lines = _edges(picture.filter(ImageFilter.BoxBlur(1)), max(1, int(unit * 0.003))).point(
        [0 if v < 9 else min(255, (v - 9) * 12) for v in range(256)]
    )
    warm.paste((34, 44, 78), (0, 0), lines)
    grain = _field(picture, seed, "wood", 4, 2)
    rows = np.asarray(grain).astype(np.int32)
    bands = ((np.arange(picture.height)[:, None] * 2 + rows) // max(2, int(unit * 0.01))) % 2
    warm.paste((250, 240, 216), (0, 0), Image.fromarray((bands * 16).astype(np.uint8)))
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
        picture.size, Image.Resampling.BICUBIC
    )
    return ImageChops.screen(mixed, bloom)


def _grey(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    del seed, unit
    table = [min(255, max(0, int(v + (v - 118) * 0.22))) for v in range(256)]
    return picture.convert("L").point(table).convert("RGB")


def _ink(picture: Image.Image, seed: int, unit: float) -> Image.Image:
    bent = _bend(picture, seed, unit * 0.02, 22)
    grey = ImageOps.autocontrast(
        bent.resize(
            (max(16, picture.width // 3), max(16, picture.height // 3)), Image.Resampling.BOX
        ).convert("L"),
        cutoff=2,
    )
    soft = grey.filter(ImageFilter.MedianFilter(5)).resize(picture.size, Image.Resampling.BICUBIC)
    wash = ImageOps.colorize(
        soft.point([min(255, int(70 + 190 * (v / 255) ** 0.5)) for v in range(256)]),
        (26, 30, 40),
        (248, 244, 232),
    )
    lines = _edges(bent, max(1, int(unit * 0.004))).point([min(210, v * 4) for v in range(256)])
    wash.paste((26, 28, 36), (0, 0), lines)
    # A trace of the colours is left, as of a seal or a wash.
    return Image.blend(wash, ImageChops.multiply(wash, bent), 0.3)


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
