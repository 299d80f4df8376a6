"""All that can be drawn as a subject, by its name."""

from __future__ import annotations

from qwen_widgets.offline.painting.buildings import BUILDINGS
from qwen_widgets.offline.painting.creatures import CREATURES
from qwen_widgets.offline.painting.drawing import Drawing, Figure, Inks
from qwen_widgets.offline.painting.growing import GROWING
from qwen_widgets.offline.painting.people import PEOPLE
from qwen_widgets.offline.painting.sitters import SITTERS
from qwen_widgets.offline.painting.things import THINGS
from qwen_widgets.offline.painting.vehicles import VEHICLES

FIGURES: dict[str, Figure] = {**CREATURES, **SITTERS, **PEOPLE, **BUILDINGS, **VEHICLES, **GROWING, **THINGS}


def _walker(d: Drawing) -> None:
    """Draw somebody with an umbrella."""
    THINGS["umbrella"].draw(d)
    for shape in d.shapes:
        shape.polygons = tuple(points * 0.78 + (0.17, 0.44) for points in shape.polygons)
    held = list(d.shapes)
    d.shapes.clear()
    coat = Drawing(Inks((58, 66, 98), (92, 70, 110), lamps=d.inks.lamps), d.rng)
    PEOPLE["person"].draw(coat)
    d.shapes += held[:2] + coat.shapes + held[2:]


FIGURES["walker"] = Figure(_walker, 0.27, "ground", (226, 60, 72), (240, 240, 240))
