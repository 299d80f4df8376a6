"""A picture that the service's moderation has flagged: kept as it is, shown blurred."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageFilter, ImageStat
from rig import Rig
from server import with_data

from qwen_widgets.core.pictures import make_thumbnail


def detail(data: bytes) -> float:
    """How much there is to make out in a picture: the spread of its edges."""
    edges = Image.open(io.BytesIO(data)).convert("L").filter(ImageFilter.FIND_EDGES).crop((4, 4, 200, 200))
    return float(ImageStat.Stat(edges).stddev[0])


async def test_a_flagged_picture_is_kept_and_shown_blurred(rig: Rig) -> None:
    rig.server.on_result(with_data(has_nsfw_contents=[True]), times=None)
    update = await rig.one()
    assert update.state == "stored"
    assert update.record is not None
    assert update.record.flagged
    assert update.thumbnail is not None
    original: Path = rig.engine.store.path(update.record.sha256 or "", update.record.suffix or "")
    clear = make_thumbnail(original, 256)
    assert detail(update.thumbnail) < detail(clear) / 4


async def test_a_picture_that_is_not_flagged_is_shown_as_it_is(rig: Rig) -> None:
    rig.server.on_result(with_data(has_nsfw_contents=None), times=None)
    update = await rig.one()
    assert update.record is not None
    assert not update.record.flagged
    assert update.thumbnail is not None
    original = rig.engine.store.path(update.record.sha256 or "", update.record.suffix or "")
    assert detail(update.thumbnail) > detail(make_thumbnail(original, 256)) / 2
