"""Changes given pictures by the words of a prompt: offline, and the same every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageOps

from qwen_widgets.core.pictures import eight_bits
from qwen_widgets.offline.editing import compose, repaint, tones
from qwen_widgets.offline.editing.instructions import Edit, read_edit
from qwen_widgets.offline.editing.regions import View, look_at
from qwen_widgets.offline.editing.relight import glitter, relight, stage_for
from qwen_widgets.offline.editing.seasons import dress, fall
from qwen_widgets.offline.origin import EXACT, LOSSY, note, noted, read
from qwen_widgets.offline.painter import mark_strange
from qwen_widgets.offline.painting.band import add_band, band_height, has_band
from qwen_widgets.offline.painting.brush import stream
from qwen_widgets.offline.painting.outdoors import Spots
from qwen_widgets.offline.painting.scene import Scene
from qwen_widgets.offline.painting.styles import apply_styles

#: The longest side of a result whose size nobody named, pixels.
_LONGEST = 1536
#: More pixels than this are not worked on: the result is brought up to its size at the end.
_MOST_PIXELS = 1536 * 1024
_SMALLEST = 32

__all__ = ["Edit", "edit", "open_picture", "read_edit"]


def open_picture(data: bytes) -> Image.Image:
    """Decode an input picture, upright and no larger than a result can be."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
        picture.draft("RGB", (_LONGEST, _LONGEST))
        picture.load()
        loss = LOSSY if picture.format == "JPEG" else EXACT
        upright = eight_bits(ImageOps.exif_transpose(picture))
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        paper = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(paper, clear)
    opened = upright.convert("RGB")
    opened.info.clear()
    if (origin := read(data)) is not None:
        note(opened, origin, loss)
    return opened


def edit(
    prompt: str, pictures: Sequence[Image.Image], size: tuple[int, int] | None, seed: int
) -> Image.Image:
    """Change a picture.

    The first picture is the one that is changed; what the others show is brought into it, or only their tones where
    the words say so. A picture that was painted here and is as it was painted is painted anew, with its scene changed.
    Of any other everything is read from the pixels, as well as pixels tell: where the sky is, the water, the thing that
    stands out.

    Parameters
    ----------
    prompt : str
        Any text. What it asks for is done as far as it is understood, in English or Chinese; every word that isn't
        leaves a small mark. Nothing is ever refused.
    pictures : sequence of PIL.Image.Image
        One or more, RGB.
    size : tuple of int or None
        Width and height in pixels; None gives the first picture's own, up to 1536 a side.
    seed : int
        Any whole number: it moves what is new in the picture.

    Returns
    -------
    PIL.Image.Image
        An RGB picture with a slim band at the bottom that says that it is an offline preview.
    """
    words = read_edit(prompt)
    origin = noted(pictures[0])
    painting = None if origin is None else repaint.known(pictures[0], origin)
    size = size or _own(pictures[0].size)
    others = [_without_band(other) for other in pictures[1:]]
    rest = words
    if painting is None:
        base = _without_band(pictures[0])
    else:
        # What is asked for once more is done to the pixels: warmer than warm.
        if not words.is_empty and not words.tones & painting.tones:
            # What is to be put in is in the other pictures.
            told = replace(words, added=()) if others and not words.like_other else words
            painting, rest = repaint.edited(painting, told, seed), repaint.rest_of(words)
        base = painting.paint()
    if others or not rest.is_empty or words.is_empty:
        changed = _change(ImageOps.fit(base, _inner(size), Image.Resampling.LANCZOS), rest, others, seed)
        if changed.size != size:
            changed = changed.resize(size, Image.Resampling.BICUBIC)
    elif painting is not None and origin is not None and size == painting.size:
        changed = base
        note(changed, origin.then(prompt, seed))
    else:
        changed = ImageOps.fit(base, size, Image.Resampling.LANCZOS)
    add_band(changed, words.residue)
    return changed


def _own(size: tuple[int, int]) -> tuple[int, int]:
    """Give the size of a result whose size nobody named."""
    scale = min(1.0, _LONGEST / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _inner(size: tuple[int, int]) -> tuple[int, int]:
    """Give the size that is worked at."""
    scale = min(1.0, (_MOST_PIXELS / (size[0] * size[1])) ** 0.5)
    return max(_SMALLEST, round(size[0] * scale)), max(_SMALLEST, round(size[1] * scale))


def _without_band(picture: Image.Image) -> Image.Image:
    """Take off the band of a picture that is an offline preview itself, by mirroring what lies above it."""
    high = band_height(*picture.size)
    if picture.height < 4 * high or not has_band(picture):
        return picture
    top = picture.height - high
    clean = picture.copy()
    clean.paste(ImageOps.flip(picture.crop((0, top - high, picture.width, top))), (0, top))
    return clean


def _change(picture: Image.Image, words: Edit, others: Sequence[Image.Image], seed: int) -> Image.Image:
    if others and words.like_other:
        picture = tones.toned_like(picture, others[0])
    view = look_at(picture)
    instead = None
    for kind in words.removed:
        place, gap = compose.found_to_remove(view, kind)
        instead = place if instead is None else instead
        picture = compose.remove(picture, gap)
        view = look_at(picture)
    for change in words.recolours:
        picture = tones.recolour(view, change)
        view = _seen_again(view, picture)
    if words.background == "blur":
        picture = compose.blurred_background(view, picture)
        view = _seen_again(view, picture)
    scene = Scene(frozenset({"field"}), words.hour or view.hour, words.season, words.weather)
    if words.repaints_the_air:
        view = dress(view, words.season, seed)
        picture = relight(view, scene, seed)
        stage = stage_for(view, picture, scene, seed)
        picture = glitter(view, picture, stage)
    if others and not words.like_other:
        # What is to be put in is in the other pictures.
        picture = compose.bring_in(view, picture.copy(), others, seed)
    elif words.added:
        picture = compose.add(view, picture.copy(), scene, words.added, seed, instead)
    if words.repaints_the_air:
        stage = stage_for(view, picture, scene, seed)
        picture = fall(stage)
    picture = tones.grade(picture, words.tones)
    if words.background == "remove":
        picture = compose.without_background(look_at(picture), picture, words.backdrop)
    picture = apply_styles(picture, words.styles, seed, min(picture.height, picture.width * 1.15))
    nothing = words.is_empty and not others
    if nothing or words.strange:
        picture = _touched(view, picture, words, scene, seed, much=nothing)
    return picture


def _seen_again(view: View, picture: Image.Image) -> View:
    """Look at a picture whose light and regions are as they were."""
    pixels = np.asarray(picture, dtype=np.float32)
    small = np.asarray(
        picture.resize((view.small.shape[1], view.small.shape[0]), Image.Resampling.BOX), dtype=np.float32
    )
    return view.with_pixels(pixels, small)


def _touched(
    view: View, picture: Image.Image, words: Edit, scene: Scene, seed: int, *, much: bool
) -> Image.Image:
    """Leave a mark for each word that isn't understood; where none was, a touch of another tone that the seed chooses."""
    if much:
        names = ("warm", "cold", "bright", "contrast", "vivid", "muted")
        name = names[int(stream(seed, f"touch {words.residue}").random() * len(names))]
        picture = Image.blend(picture, tones.grade(picture, frozenset({name})), 0.6)
    stage = stage_for(view, picture.copy(), scene, seed)
    top = min(view.horizon if view.has_sky else picture.height * 0.4, picture.height * 0.6)
    mark_strange(stage, Spots(ground=(0.0, 1.0), water=None, sky=(0.0, top)), words.strange)
    return stage.picture
