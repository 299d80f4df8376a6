"""The Stage: one picture while it is painted, with its size, its seed, its light and its horizon."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from qwen_widgets.offline.painting.brush import Floats, stream
from qwen_widgets.offline.painting.light import Mood
from qwen_widgets.offline.painting.scene import Scene

#: The places that have water in them.
WATERS = frozenset({"lake", "river", "sea", "beach"})


@dataclass(slots=True)
class Stage:
    """What every part of the painter needs.

    Attributes
    ----------
    picture : PIL.Image.Image
        The canvas, RGB.
    scene : Scene
        What is to be painted.
    seed : int
        The seed; it names the streams.
    mood : Mood
        The light.
    horizon : float
        Where the land or the sea meets the sky, in pixels from the top.
    sun : tuple of float
        The middle of the sun or the moon, in pixels.
    unit : float
        The length that things are measured by, in pixels.
    """

    picture: Image.Image
    scene: Scene
    seed: int
    mood: Mood
    horizon: float = 0.0
    sun: tuple[float, float] = (0.0, 0.0)
    unit: float = 0.0
    #: Whether blades of grass and the like are painted; not in a view that is small.
    fine: bool = True
    #: The line of the last ridge that was painted, one height for each column.
    skyline: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def width(self) -> int:
        """The width in pixels."""
        return self.picture.width

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.picture.height

    @property
    def wide(self) -> float:
        """The width in units."""
        return self.width / self.unit

    def stream(self, name: str) -> np.random.Generator:
        """Give the random stream of an element."""
        return stream(self.seed, name)
