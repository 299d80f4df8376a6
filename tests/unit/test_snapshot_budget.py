"""The snapshot's budget: what is saved in a notebook is small, and its pictures are as sharp as they are shown."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qwen_widgets.core.engine import CellUpdate, Plan
from qwen_widgets.core.models import Size
from qwen_widgets.core.pictures import PictureStore, make_miniature, make_thumbnail, sha256_of
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import Sweep, plan_sweep
from qwen_widgets.grid.describe import describe
from qwen_widgets.grid.grid import Grid, Provider, Runner
from qwen_widgets.grid.miniatures import snapshot_pictures
from qwen_widgets.grid.snapshot import render_snapshot

BOUNDS = {(2, 4): 110_000, (10, 10): 500_000, (20, 20): 1_500_000}


@cache
def painted(kind: str, size: tuple[int, int]) -> bytes:
    """A picture that is nothing but detail, one as a photo is, and one that is nearly plain."""
    wide, high = size
    noise = np.random.default_rng(7).integers(0, 256, (high, wide, 3), dtype="uint8")
    ramp = np.linspace(0, 255, wide, dtype="uint8")[None, :, None].repeat(high, 0).repeat(3, 2)
    share = {"noise": 1.0, "photo": 0.25, "plain": 0.0}[kind]
    out = io.BytesIO()
    Image.fromarray((noise * share + ramp * (1 - share)).astype("uint8")).save(out, "PNG", compress_level=1)
    return out.getvalue()


def make_grid(home: Path, sweep: Sweep, kind: str, *, arrived: int | None = None) -> Grid:
    """A grid whose pictures of one size are all the same one."""
    store = PictureStore(home)
    digests: dict[Size, str] = {}
    for size in sweep.sizes:
        part = store.part("1-a")
        part.write_bytes(painted(kind, tuple(size)))
        digests[size] = sha256_of(part)
        store.keep(part, digests[size], ".png")
    plan = Plan("0123456789ab", {}, {}, {}, {}, 0.0)
    runner: Runner = None  # type: ignore[assignment]  (nothing is run)
    grid = Grid(sweep, plan, title="", provider=Provider("p", "P", False), store=store, runner=runner)
    for request in sweep.unique[:arrived]:
        assert isinstance(request, ImageRequest)
        grid._apply(CellUpdate(request.key, "stored", stored(request, digests[request.size])))
    return grid


def stored(request: ImageRequest, digest: str) -> Record:
    return Record(
        id=1, provider="p", key=request.key, state="stored", model=request.model.id, prompt=request.prompt,
        size=request.size, seed=request.seed, run_id="0123456789ab", price=Decimal(0), prediction_id=None,
        outputs=(), flagged=False, seconds=1.0, sha256=digest, suffix=".png", got=request.size, error=None,
        owner=None, lease_until=0.0, created_at=0.0, sent_at=None,
    )  # fmt: skip


def sweep_of(rows: int, columns: int, words: str = "a red fox") -> Sweep:
    prompts = [f"{words} in the {row}th light" for row in range(rows)]
    return plan_sweep(prompts, seeds=range(columns), sizes=(1024, 1024))


def snapshot(grid: Grid) -> str:
    return render_snapshot(describe(grid), snapshot_pictures(grid), grid.choices)


def shown(html: str) -> list[tuple[int, Image.Image]]:
    """Each picture, with the width that it is shown at."""
    found = re.findall(r'<img src="data:image/\w+;base64,([^"]+)"[^>]* width="(\d+)"', html)
    return [(int(width), Image.open(io.BytesIO(b64decode(data)))) for data, width in found]


@pytest.mark.parametrize("kind", ["noise", "photo", "plain"])
@pytest.mark.parametrize("shape", BOUNDS, ids=str)
def test_a_snapshot_is_within_its_bound_and_no_picture_is_scaled_up(
    shape: tuple[int, int], kind: str, tmp_path: Path
) -> None:
    html = snapshot(make_grid(tmp_path, sweep_of(*shape), kind))
    assert len(html.encode()) <= BOUNDS[shape]
    pictures = shown(html)
    assert len(pictures) == shape[0] * shape[1]
    assert all(image.width >= width for width, image in pictures)


@pytest.mark.parametrize("shape", BOUNDS, ids=str)
def test_where_there_is_room_there_are_two_pixels_for_each_that_is_shown(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    for width, image in shown(snapshot(make_grid(tmp_path, sweep_of(*shape), "plain"))):
        assert image.width == 2 * width


def test_long_prompts_have_their_part_of_the_bound(tmp_path: Path) -> None:
    grid = make_grid(tmp_path, sweep_of(20, 20, "soft light over calm water, " * 27), "photo")
    assert len(snapshot(grid).encode()) <= BOUNDS[20, 20]


def test_one_picture_is_as_large_as_the_viewers(tmp_path: Path) -> None:
    [(width, image)] = shown(snapshot(make_grid(tmp_path, sweep_of(1, 1), "plain")))
    assert image.width == 512 < 2 * width


def test_pictures_of_several_sizes_are_each_in_proportion(tmp_path: Path) -> None:
    sweep = plan_sweep("a red fox", seeds="1-4", sizes=["1024x1024", "1280x720", "720x1280"])
    for width, image in shown(snapshot(make_grid(tmp_path, sweep, "plain"))):
        longer = width * max(image.size) / image.width
        assert max(image.size) == pytest.approx(min(2 * longer, 512), abs=2)


def test_what_has_not_arrived_keeps_its_share(tmp_path: Path) -> None:
    sweep = sweep_of(10, 10)
    half = shown(snapshot(make_grid(tmp_path, sweep, "photo", arrived=50)))
    whole = shown(snapshot(make_grid(tmp_path, sweep, "photo")))
    assert (len(half), len(whole)) == (50, 100)
    assert {image.size for _, image in half} == {image.size for _, image in whole}


def test_a_miniature_is_the_smaller_of_webp_and_jpeg(tmp_path: Path) -> None:
    for kind in ("noise", "photo", "plain"):
        source = make_thumbnail(painted(kind, (512, 512)), 512)
        made = make_miniature(source, 104, 75)
        assert len(made) <= len(make_thumbnail(source, 104, quality=75))
        assert Image.open(io.BytesIO(made)).format in ("WEBP", "JPEG")


def test_a_snapshot_that_is_written_again_makes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = make_grid(tmp_path, sweep_of(2, 4), "photo")
    first = snapshot(grid)
    monkeypatch.setattr(
        "qwen_widgets.core.pictures.make_miniature", lambda *_: pytest.fail("it was made again")
    )
    assert snapshot(grid) == first
