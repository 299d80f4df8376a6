"""Edits of a picture whose scene is known, because it was painted here: the scene is changed and painted anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from qwen_widgets.offline.editing import tones
from qwen_widgets.offline.editing.instructions import NOT_CLEAR, Edit, Recolour, read_edit
from qwen_widgets.offline.origin import SURE, Origin, loss_of
from qwen_widgets.offline.painter import paint_scene
from qwen_widgets.offline.painting.band import band_height
from qwen_widgets.offline.painting.brush import RGB, mix, stream
from qwen_widgets.offline.painting.scene import Scene, Subject, read_scene
from qwen_widgets.offline.painting.subjects import WALKER

_MOST_SUBJECTS = 6
_MOST_STRANGE = 10
_DARK_SKIES = frozenset({"stars", "moon", "aurora", "meteor"})
_DARK_HOURS = frozenset({"night", "blue", "dusk"})
#: What can't be in the air together.
_AGAINST: dict[str, frozenset[str]] = {
    "clear": NOT_CLEAR,
    "sun": frozenset({"rain", "storm", "fog"}),
    "rain": frozenset({"clear", "snowfall"}),
    "storm": frozenset({"clear", "snowfall"}),
    "snowfall": frozenset({"clear", "rain", "storm"}),
    "fog": frozenset({"clear"}),
    "clouds": frozenset({"clear"}),
}
#: What a colour for the water or the ground is given to.
_WATER = frozenset({"lake", "river", "sea", "deep"})
_GROUND = frozenset({"field", "desert", "moonland"})
_TINTED = frozenset({"sky", "light", "moon", "mountain", "forest", "city", "street", "room", "space"})
#: Who wears what is not drawn by itself.
_DRESSED = frozenset({"person", "walker", "astronaut", "robot", "snowman"})
#: The side of what is compared at once, pixels, and the largest picture that is compared.
_BLOCK, _MOST_PIXELS = 8, 4096 * 4096


@dataclass(frozen=True, slots=True)
class Painting:
    """A scene with all that its picture depends on.

    Attributes
    ----------
    scene : Scene
    size : tuple of int
        Width and height in pixels.
    seed : int
        Of the composition.
    air : int
        The seed of the light and the weather.
    tones : frozenset of str
        How the painted picture is graded: warmer, mirrored …
    """

    scene: Scene
    size: tuple[int, int]
    seed: int
    air: int
    tones: frozenset[str] = frozenset()

    def paint(self) -> Image.Image:
        """Paint it, without its band."""
        picture = paint_scene(self.scene, self.size, self.seed, air=self.air, band=False)
        return tones.grade(picture, self.tones) if self.tones else picture


def painting_of(origin: Origin) -> Painting:
    """Return the painting that a picture says it is."""
    painting = Painting(read_scene(origin.prompt), origin.size, origin.seed, origin.seed)
    for words, seed in origin.edits:
        painting = edited(painting, read_edit(words), seed)
    return painting


def known(picture: Image.Image, origin: Origin) -> Painting | None:
    """Return the painting that a picture is, None where its pixels are no longer those that were painted."""
    above = picture.height - band_height(*picture.size)
    if (
        origin.size != picture.size
        or min(above, picture.width) < _BLOCK
        or picture.width * above > _MOST_PIXELS
    ):
        return None
    painting, loss = painting_of(origin), loss_of(picture)
    if loss == SURE:
        return painting
    wanted, seen = (
        np.asarray(one.convert("RGB"), dtype=np.int16)[:above] for one in (painting.paint(), picture)
    )
    away = np.abs(wanted - seen).mean(axis=2, dtype=np.float32)
    # What is over at the right and at the foot counts as its neighbours do.
    rows, columns = (-side % _BLOCK for side in away.shape)
    away = np.pad(away, ((0, rows), (0, columns)), mode="edge")
    rows, columns = (side // _BLOCK for side in away.shape)
    blocks = away.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3))
    return None if float(blocks.max()) > loss or float(away.mean()) > loss / 3 else painting


def edited(painting: Painting, words: Edit, seed: int) -> Painting:
    """Return a painting after an edit; what isn't about its scene or its tones is left out.

    What is new takes its place from the edit's seed, all the rest stays where it is. What isn't there can neither be
    removed nor get another colour.
    """
    scene = painting.scene
    if scene.setting == "street" and not scene.subjects and not scene.deserted:
        scene = replace(scene, subjects=(WALKER,))
    scene = _in_the_air(scene, words)
    for change in words.recolours:
        scene = _coloured(scene, change, seed, there=not words.strange)
    scene = _peopled(scene, words, seed)
    styles = tuple(dict.fromkeys((*scene.styles, *words.styles)))
    strange = tuple(dict.fromkeys((*scene.strange, *words.strange)))[-_MOST_STRANGE:]
    return replace(
        painting,
        scene=replace(scene, styles=styles, strange=strange, residue=words.residue),
        air=seed if words.repaints_the_air else painting.air,
        tones=painting.tones | words.tones,
    )


def _in_the_air(scene: Scene, words: Edit) -> Scene:
    weather = set(scene.weather)
    if words.hour:
        weather -= {"sun"} if words.hour in _DARK_HOURS else _DARK_SKIES
    if words.season not in {"", "winter"}:
        weather.discard("snowfall")
    for name in words.weather:
        weather -= _AGAINST.get(name, frozenset())
    kept = scene.tints
    if words.season:
        kept = tuple(tint for tint in kept if tint[0] not in {"leaves", "forest", "field"})
    if words.hour:
        kept = tuple(tint for tint in kept if tint[0] not in {"sky", "light"})
    return replace(
        scene,
        time=words.hour or scene.time,
        season=words.season or scene.season,
        weather=frozenset(weather) | words.weather,
        tints=kept,
        ambience=None if words.hour else scene.ambience,
    )


def _coloured(scene: Scene, change: Recolour, seed: int, *, there: bool) -> Scene:
    """Give something in a scene another colour; `there` tells whether all that the words name is understood."""
    colour = _about(change.colour, seed)
    target = change.target
    first = scene.subjects[0] if scene.subjects else None
    if first is not None and (
        (not target and (there or first.kind in _DRESSED))
        or (target == "umbrella" and first.kind == WALKER.kind)
    ):
        target = first.kind
    if any(_same(subject.kind, target) for subject in scene.subjects):
        return replace(
            scene,
            subjects=tuple(
                replace(one, colours=(colour, *one.colours[1:])) if _same(one.kind, target) else one
                for one in scene.subjects
            ),
        )
    names: Iterable[str] = ()
    if change.place in _TINTED:
        names = {change.place}
    elif target == "water":
        names = _WATER & scene.places
    elif target == "ground":
        # Under most places there is grass.
        names = _GROUND & scene.places or {"field"}
    elif target == "leaves":
        names = {"leaves", "forest"}
    elif target in _TINTED:
        names = {target}
    elif not target and there and first is None:
        return replace(scene, ambience=colour)
    return replace(scene, tints=tuple(sorted({**dict(scene.tints), **dict.fromkeys(names, colour)}.items())))


def _about(colour: RGB, seed: int) -> RGB:
    """Return a colour as another seed would have it: a little lighter or darker."""
    a = float(stream(seed, f"colour {colour}").random())
    return mix(colour, (255, 255, 255) if a < 0.5 else (0, 0, 0), abs(a - 0.5) * 0.16)


def _peopled(scene: Scene, words: Edit, seed: int) -> Scene:
    """Take out and put in what the words say."""
    subjects = list(scene.subjects)
    gone: Subject | None = None
    for kind in words.removed:
        wanted = kind or (subjects[0].kind if subjects else "")
        found = [one for one in subjects if _same(one.kind, wanted)]
        gone = gone or (found[0] if found else None)
        subjects = [one for one in subjects if one not in found]
    for added in words.added:
        if len(subjects) >= _MOST_SUBJECTS:
            break
        spot = f"{added.kind} {seed}" + "'" * sum(one.kind == added.kind for one in subjects)
        if gone is not None:
            # In the place of the other.
            spot, at = gone.spot or gone.kind, scene.subjects.index(gone)
            gone = None
        else:
            at = len(subjects)
        subjects.insert(min(at, len(subjects)), replace(added, spot=spot))
    riding = scene.riding and len(subjects) > 1
    return replace(scene, subjects=tuple(subjects), riding=riding, deserted=not subjects)


def _same(kind: str, other: str) -> bool:
    return kind == other or {kind, other} == {"person", WALKER.kind}


def rest_of(words: Edit) -> Edit:
    """Return what of an edit is about the pixels, and not about a scene."""
    return Edit(
        background=words.background,
        backdrop=words.backdrop,
        like_other=words.like_other,
        residue=words.residue,
    )
