"""What a grid of 2 × 4 adds to a saved notebook, and the snapshots of 8, 100 and 400 cells beside their bounds.

    python benchmarks/notebook_size.py [SIZE] [FOLDER]

The notebooks with eight pictures, as a grid and one by one, are executed by nbclient, offline, and measured as they would be
saved. The larger grids are of pictures that are painted once and varied by mirroring and cropping; their snapshots are
written into FOLDER, where one is given.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image, ImageOps

from qwen_widgets.core.wavespeed import WaveSpeed
from qwen_widgets.grid.describe import describe
from qwen_widgets.grid.miniatures import snapshot_pictures
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.offline.painter import paint
from qwen_widgets.offline.service import OFFLINE_BASE_URL, OfflineService, ServiceSettings
from qwen_widgets.studio import Settings, Studio

PROMPTS = (
    "a red fox in fresh snow, golden hour",
    "a lighthouse in a storm at night",
    "an astronaut riding a horse on the moon",
    "a forest in autumn, watercolour",
    "a street in the rain at night, neon",
    "a sailing boat on a calm sea at sunset",
    "a teapot and three apples on a table",
    "mountains in the mist, ink",
)
LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2"
GRID = "%%qwenimage --seeds 1-4 --size {size} -o fox\na red fox in {{fresh snow|autumn leaves}}, golden hour"
# The same pictures, found in the ledger; this grid is shown nowhere.
MADE = (
    "import qwen_widgets as qw\n"
    "from IPython.display import Image, display\n"
    "studio = qw.Studio()\n"
    "prompt = 'a red fox in {{fresh snow|autumn leaves}}, golden hour'\n"
    "job = studio.prepare(prompt, seeds='1-4', sizes='{size}')\n"
    "_ = studio.run(job, kind='script')"
)
SHOWN = "for cell in job.grid: display(Image(filename=str(cell.path)))"


def saved_bytes(cells: list[str], env: dict[str, str], folder: Path, pictures: int) -> int:
    """Execute the cells in a fresh kernel and return the bytes of the notebook."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(folder)}}
    quiet = ["--IPKernelApp.log_level=ERROR"]
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=300, resources=resources, extra_arguments=quiet
    )
    client.execute(env=env)
    text = nbformat.writes(notebook)
    found = len(re.findall("data:image/(?:jpeg|webp);base64,", text)) + text.count('"image/png"')
    assert found == pictures, f"{found} pictures in the notebook, not {pictures}"
    return len(text.encode())


def varied() -> Callable[[str, tuple[int, int], int], Image.Image]:
    """Return a painter that is quick: eight pictures, of each of which any number of different ones are made."""
    painted = [paint(prompt, (1024, 1024), 7).convert("RGB") for prompt in PROMPTS]

    def draw(prompt: str, size: tuple[int, int], seed: int) -> Image.Image:
        at = seed + sum(map(ord, prompt))
        picture = painted[at % len(painted)]
        picture = ImageOps.mirror(picture) if at // len(painted) % 2 else picture
        cut = 2 + at // (2 * len(painted)) % 150
        return ImageOps.fit(picture.crop((cut, cut // 2, 1024, 1024 - cut // 2)), size)

    return draw


def large(folder: Path, size: str) -> Iterator[tuple[int, int, int, float, float]]:
    """Run grids of several shapes; cells, bytes of the snapshot, bound, seconds of the run and of its first snapshot."""
    service = OfflineService(ServiceSettings(duration=0.01), painter=varied())
    client = WaveSpeed(OFFLINE_BASE_URL, None, app=service.app)
    studio = Studio(Settings(home=folder / "large", provider="offline", at_once=32))
    studio._offline_client = lambda: client  # type: ignore[method-assign]
    for rows, columns in ((2, 4), (10, 10), (20, 20)):
        prompts = [f"{PROMPTS[row % len(PROMPTS)]}, number {row}" for row in range(rows)]
        grid = studio.run(studio.prepare(prompts, seeds=range(columns), sizes=size), kind="script")
        assert not grid.failed
        began = time.perf_counter()
        html = render_snapshot(describe(grid), snapshot_pictures(grid))
        took = time.perf_counter() - began
        if len(sys.argv) > 2:
            Path(sys.argv[2], f"snapshot-{rows * columns}.html").write_text(html, encoding="utf-8")
        bound = {8: 110_000, 100: 500_000, 400: 1_500_000}[rows * columns]
        yield rows * columns, len(html.encode()), bound, grid.seconds, took


def main() -> None:
    """Measure both kinds, each beyond its notebook without the pictures, and print the table."""
    size = sys.argv[1] if len(sys.argv) > 1 else "1:1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = {key: value for key, value in os.environ.items() if not key.startswith("WAVESPEED_")}
        env |= {
            "QWEN_WIDGETS_HOME": str(folder / "qwen"),
            "QWEN_WIDGETS_PROVIDER": "offline",
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        }
        grid = saved_bytes([LOAD, GRID.format(size=size)], env, folder, 8)
        grid -= saved_bytes([LOAD], env, folder, 0)
        made = MADE.format(size=size)
        plain = saved_bytes([made, SHOWN], env, folder, 8) - saved_bytes([made], env, folder, 0)
        larger = list(large(folder, size))
        originals = sum(path.stat().st_size for path in (folder / "qwen").rglob("*.png"))
    print(f"8 pictures of size {size}, bytes added to the saved notebook\n")
    print(f"{'':<36}{'bytes':>12}{'a picture':>12}{'ratio':>8}")
    for what, count in (
        ("the grid of %%qwenimage", grid),
        ("display(Image(png)) of each", plain),
        ("the PNG files, which stay on disk", originals),
    ):
        print(f"{what:<36}{count:>12,}{count // 8:>12,}{count / grid:>8.1f}")
    print("\nsnapshots\n")
    print(f"{'cells':<12}{'bytes':>12}{'bound':>12}{'run, s':>10}{'snapshot, s':>14}")
    for cells, count, bound, ran, took in larger:
        print(f"{cells:<12}{count:>12,}{bound:>12,}{ran:>10.1f}{took:>14.1f}")
        assert count <= bound, f"the snapshot of {cells} cells is over its bound"


if __name__ == "__main__":
    main()
