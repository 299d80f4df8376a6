"""Light and colour: what an hour, a season and a weather do to everything in the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qwen_widgets.offline.painting.brush import RGB, lit, luma, mix
from qwen_widgets.offline.painting.scene import Scene


@dataclass(frozen=True, slots=True)
class Mood:
    """The light of a picture.

    Attributes
    ----------
    sky : tuple of RGB
        Four colours, from the top of the sky to the horizon.
    sun : RGB
        The disc of the sun or the moon.
    halo : RGB
        The light around it, and the rim of what it shines on.
    haze : RGB
        The air in front of far things.
    light : RGB
        What falls on near things; 255 is full white light.
    shadow : RGB
        The colour of shadows.
    cloud, cloud_shade : RGB
        The lit and the shaded side of a cloud.
    height : float
        How high the sun or the moon stands: 0 on the horizon, 1 at the top.
    stars : float
        How many stars are out, 0 to 1.
    halo_strength : float
        How strong the light around the sun is.
    moon : bool
        Whether it is the moon that shines.
    rim : float
        How strong the rim light is.
    """

    sky: tuple[RGB, RGB, RGB, RGB]
    sun: RGB
    halo: RGB
    haze: RGB
    light: RGB
    shadow: RGB
    cloud: RGB
    cloud_shade: RGB
    height: float
    stars: float = 0.0
    halo_strength: float = 0.5
    moon: bool = False
    rim: float = 0.0

    @property
    def dark(self) -> bool:
        """Whether lamps are on."""
        return luma(self.light) < 165

    def snow(self, shade: float) -> RGB:
        """Give the colour of snow: warm where the sun falls on it, blue in the shade (0 to 1)."""
        grey = luma(self.light)
        light = mix(self.light, (grey, grey, grey), 0.6)
        sunny = mix(lit((252, 252, 255), light), self.halo, 0.1 + 0.12 * self.rim)
        blue = lit((184, 204, 244), mix(light, self.light, 0.3))
        return mix(sunny, blue, shade)

    def far(self, colour: RGB, depth: float) -> RGB:
        """Show a colour in this light, `depth` of it taken by the air: 0 is here, 1 is the horizon."""
        return mix(lit(colour, self.light), self.haze, depth)


#: The light of each hour.
MOODS: dict[str, Mood] = {
    "dawn": Mood(
        sky=((92, 122, 184), (164, 156, 200), (244, 184, 176), (255, 222, 178)),
        sun=(255, 246, 220), halo=(255, 206, 158), haze=(240, 190, 182), light=(226, 196, 206), shadow=(88, 80, 128),
        cloud=(255, 226, 208), cloud_shade=(206, 164, 192), height=0.14, halo_strength=0.62, rim=0.55, stars=0.05,
    ),
    "morning": Mood(
        sky=((84, 156, 216), (142, 196, 230), (202, 226, 234), (250, 238, 212)),
        sun=(255, 252, 232), halo=(255, 240, 200), haze=(214, 226, 226), light=(252, 246, 232), shadow=(84, 108, 142),
        cloud=(255, 252, 244), cloud_shade=(200, 214, 230), height=0.48, halo_strength=0.5, rim=0.2,
    ),
    "day": Mood(
        sky=((52, 128, 208), (104, 172, 228), (166, 210, 238), (224, 238, 238)),
        sun=(255, 252, 236), halo=(255, 248, 222), haze=(190, 216, 232), light=(255, 253, 246), shadow=(62, 88, 130),
        cloud=(255, 255, 255), cloud_shade=(194, 212, 232), height=0.76, halo_strength=0.42, rim=0.12,
    ),
    "golden": Mood(
        sky=((108, 152, 190), (178, 188, 186), (246, 208, 142), (255, 226, 150)),
        sun=(255, 250, 220), halo=(255, 206, 110), haze=(250, 212, 150), light=(255, 224, 178), shadow=(104, 84, 116),
        cloud=(255, 236, 196), cloud_shade=(222, 178, 150), height=0.24, halo_strength=0.78, rim=0.75,
    ),
    "sunset": Mood(
        sky=((54, 44, 104), (150, 66, 122), (246, 122, 86), (255, 196, 110)),
        sun=(255, 240, 196), halo=(255, 162, 82), haze=(238, 132, 104), light=(190, 124, 128), shadow=(44, 28, 76),
        cloud=(255, 164, 116), cloud_shade=(140, 70, 122), height=0.1, halo_strength=0.75, rim=0.85, stars=0.1,
    ),
    "dusk": Mood(
        sky=((30, 34, 86), (74, 66, 132), (170, 102, 146), (246, 164, 134)),
        sun=(255, 222, 190), halo=(250, 150, 130), haze=(166, 112, 150), light=(166, 140, 176), shadow=(30, 26, 66),
        cloud=(226, 138, 150), cloud_shade=(92, 70, 130), height=0.03, halo_strength=0.5, rim=0.6, stars=0.35,
    ),
    "blue": Mood(
        sky=((16, 32, 86), (36, 68, 140), (84, 122, 186), (176, 180, 210)),
        sun=(232, 238, 255), halo=(170, 190, 236), haze=(112, 138, 192), light=(128, 148, 198), shadow=(12, 22, 60),
        cloud=(132, 152, 204), cloud_shade=(58, 82, 146), height=0.62, halo_strength=0.36, rim=0.4, stars=0.4, moon=True,
    ),
    "night": Mood(
        sky=((8, 13, 38), (15, 27, 68), (30, 52, 104), (62, 92, 146)),
        sun=(246, 244, 226), halo=(150, 178, 232), haze=(48, 74, 126), light=(96, 116, 168), shadow=(5, 8, 26),
        cloud=(70, 92, 144), cloud_shade=(24, 38, 80), height=0.7, halo_strength=0.46, rim=0.6, stars=1.0, moon=True,
    ),
}  # fmt: skip

_SLATE: dict[bool, tuple[RGB, RGB, RGB, RGB]] = {
    False: ((92, 108, 128), (128, 144, 160), (166, 180, 190), (200, 208, 212)),
    True: ((14, 20, 36), (26, 36, 58), (42, 56, 84), (66, 84, 114)),
}


def _four(
    one: tuple[RGB, RGB, RGB, RGB], other: tuple[RGB, RGB, RGB, RGB], share: float
) -> tuple[RGB, RGB, RGB, RGB]:
    return (
        mix(one[0], other[0], share),
        mix(one[1], other[1], share),
        mix(one[2], other[2], share),
        mix(one[3], other[3], share),
    )


def _overcast(mood: Mood, share: float, dim: float) -> Mood:
    slate = _SLATE[luma(mood.sky[2]) < 90]
    grey = mix(slate[2], slate[3], 0.4)
    return replace(
        mood,
        sky=_four(mood.sky, slate, share),
        haze=mix(mood.haze, grey, share),
        light=lit(mix(mood.light, (luma(mood.light),) * 3, share * 0.6), (dim, dim, dim)),
        cloud=mix(mood.cloud, mix(slate[3], (255, 255, 255), 0.2), share),
        cloud_shade=mix(mood.cloud_shade, slate[0], share),
        halo_strength=mood.halo_strength * (1 - share * 0.75),
        rim=mood.rim * (1 - share * 0.6),
        stars=mood.stars * (1 - share),
    )


def mood_of(scene: Scene) -> Mood:
    """Give the light of a scene: its hour, changed by its season, its weather and its colours."""
    mood = MOODS[scene.time]
    by_day = scene.time in {"day", "morning"}
    if scene.season == "autumn" and by_day:
        mood = replace(
            mood,
            sky=_four(mood.sky, ((86, 142, 186), (146, 186, 204), (222, 216, 190), (252, 230, 186)), 0.8),
            haze=mix(mood.haze, (238, 214, 178), 0.75),
            light=(255, 238, 208),
            halo=(255, 226, 160),
            cloud=(255, 246, 228),
            cloud_shade=(220, 206, 200),
            height=0.42,
            halo_strength=0.55,
            rim=0.35,
        )
    elif scene.season == "winter" and by_day:
        mood = replace(
            mood,
            sky=_four(mood.sky, ((104, 154, 204), (158, 194, 222), (204, 222, 234), (238, 240, 240)), 0.75),
            haze=mix(mood.haze, (216, 228, 240), 0.7),
            light=(248, 250, 255),
            shadow=(86, 112, 168),
            height=0.4,
        )
    elif scene.season == "spring" and by_day:
        mood = replace(
            mood,
            sky=_four(mood.sky, ((112, 176, 228), (168, 206, 234), (218, 228, 238), (252, 234, 232)), 0.7),
            haze=mix(mood.haze, (240, 226, 232), 0.5),
        )
    elif scene.season == "winter" and not mood.moon:
        mood = replace(
            mood,
            haze=mix(mood.haze, (226, 222, 238), 0.42),
            light=mix(mood.light, (luma(mood.light),) * 3, 0.3),
        )
    weather = scene.weather
    if "storm" in weather:
        mood = _overcast(mood, 0.86, 150)
        mood = replace(
            mood, sky=_four(mood.sky, ((26, 32, 48), (50, 60, 80), (96, 110, 128), (150, 160, 166)), 0.7)
        )
    elif "rain" in weather:
        mood = _overcast(mood, 0.62, 216)
    elif "snowfall" in weather:
        mood = _overcast(mood, 0.5, 240)
    elif "clouds" in weather and "clear" not in weather:
        mood = _overcast(mood, 0.22, 246)
    if "fog" in weather:
        pale = mix(mood.sky[3], mix(mood.haze, (236, 238, 238), 0.35 if not mood.dark else 0.1), 0.5)
        mood = replace(
            mood,
            sky=_four(mood.sky, (pale, pale, pale, pale), 0.5),
            haze=pale,
            halo_strength=mood.halo_strength * 0.8,
            stars=mood.stars * 0.3,
        )
    if "stars" in weather:
        mood = replace(mood, stars=max(mood.stars, 1.0 if mood.dark else 0.4))
    if scene.styles and "neon" in scene.styles:
        mood = replace(
            mood,
            sky=_four(mood.sky, ((18, 8, 46), (52, 16, 92), (130, 32, 130), (240, 80, 150)), 0.62),
            haze=mix(mood.haze, (150, 60, 170), 0.55),
            halo=(255, 96, 190),
            rim=0.9,
        )
    tint = scene.tint("sky")
    if tint is not None:
        wash = (
            mix(tint, (0, 0, 0), 0.3),
            tint,
            mix(tint, (255, 255, 255), 0.25),
            mix(tint, (255, 255, 255), 0.55),
        )
        mood = replace(mood, sky=_four(mood.sky, wash, 0.65), haze=mix(mood.haze, wash[3], 0.4))
    tint = scene.tint("light")
    if tint is not None:
        mood = replace(mood, halo=mix(mood.halo, tint, 0.7), light=mix(mood.light, tint, 0.2))
    if scene.ambience is not None:
        wash_colour = scene.ambience
        pale = mix(wash_colour, (255, 255, 255), 0.45)
        deep = lit(wash_colour, mood.light)
        mood = replace(
            mood,
            sky=_four(mood.sky, (deep, deep, mix(deep, pale, 0.4), lit(pale, mood.light)), 0.45),
            haze=mix(mood.haze, lit(pale, mood.light), 0.45),
            light=mix(mood.light, lit(pale, mood.light), 0.4),
        )
    return mood


def shift(mood: Mood, rng: np.random.Generator) -> Mood:
    """Vary a light a little, as no two evenings are the same."""
    a, b, c = rng.random(3).tolist()
    # The colours of the sky move up or down a step, or towards rose or gold.
    top, upper, lower, foot = mood.sky
    if a < 0.5:
        sky = (
            mix(top, upper, 0.5 * (0.5 - a)),
            mix(upper, lower, 0.7 * (0.5 - a)),
            mix(lower, foot, 0.7 * (0.5 - a)),
            foot,
        )
    else:
        sky = (
            mix(top, lit(top, (200, 205, 225)), (a - 0.5)),
            mix(upper, top, 0.6 * (a - 0.5)),
            mix(lower, upper, 0.6 * (a - 0.5)),
            mix(foot, lower, 0.5 * (a - 0.5)),
        )
    cast: RGB = (255, 190, 190) if b < 0.5 else (255, 226, 170)
    share = abs(b - 0.5) * (0.16 if not mood.moon else 0.05)
    return replace(
        mood,
        sky=(
            mix(sky[0], cast, share * 0.4),
            mix(sky[1], cast, share * 0.8),
            mix(sky[2], cast, share),
            mix(sky[3], cast, share),
        ),
        haze=mix(mood.haze, cast, share),
        halo_strength=mood.halo_strength * (0.84 + 0.32 * c),
        height=mood.height * (0.85 + 0.3 * b),
    )
