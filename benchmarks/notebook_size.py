"""What a grid of 2 × 4 adds to a saved notebook, beside the same eight pictures shown one by one.

    python benchmarks/notebook_size.py [SIZE]

Both notebooks are executed by nbclient, offline, and measured as they would be saved.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

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
    found = text.count("data:image/jpeg;base64,") + text.count('"image/png"')
    assert found == pictures, f"{found} pictures in the notebook, not {pictures}"
    return len(text.encode())


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
        originals = sum(path.stat().st_size for path in (folder / "qwen").rglob("*.png"))
    print(f"8 pictures of size {size}, bytes added to the saved notebook\n")
    print(f"{'':<36}{'bytes':>12}{'a picture':>12}{'ratio':>8}")
    for what, count in (
        ("the grid of %%qwenimage", grid),
        ("display(Image(png)) of each", plain),
        ("the PNG files, which stay on disk", originals),
    ):
        print(f"{what:<36}{count:>12,}{count // 8:>12,}{count / grid:>8.1f}")


if __name__ == "__main__":
    main()
