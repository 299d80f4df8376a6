"""Front ends without a page of widgets: nbclient, a terminal IPython, a plain script."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pexpect
from kernels import Kernel
from nbclient import NotebookClient

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.2"
FOXES = "%%qwenimage --seeds 1-4 --size 16:9 -o fox\na red fox in {fresh snow|autumn leaves}"


def test_a_notebook_without_widgets_ends_with_the_snapshot(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    result = kernel_one.run(FOXES, allow_stdin=False).check()
    assert result.comms == []
    assert re.search(r"^8 of 8 images · \d", result.stdout, re.MULTILINE)
    assert len(re.findall(r"^  \[\d, \d\] seed \d: .+\.png$", result.stdout, re.MULTILINE)) == 8
    (shown,) = result.displays
    assert shown["data"]["text/html"].count("data:image/webp;base64,") == 8
    assert shown["data"]["text/plain"] == "<Grid 'fox' 2 × 4, 8 of 8 stored>"


def test_nbclient_saves_a_readable_small_notebook(
    tmp_path: Path, child_env: Callable[..., dict[str, str]]
) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(LOAD), nbformat.v4.new_code_cell(FOXES)]
    )
    empty = len(nbformat.writes(notebook))
    (tmp_path / "work").mkdir()
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": str(tmp_path / "work")}}
    )
    client.execute(env=child_env(tmp_path / "kernel"))
    saved = nbformat.writes(notebook)
    assert len(saved.encode()) - empty < 150_000
    assert "widgets" not in notebook.metadata
    assert saved.count("data:image/webp;base64,") == 8
    assert notebook.cells[1].outputs[-1].output_type == "display_data"


def test_a_terminal_shows_a_line_and_the_paths(
    tmp_path: Path, child_env: Callable[..., dict[str, str]]
) -> None:
    shell = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
        env=child_env(tmp_path / "ipython"),
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=180,
    )
    try:
        shell.expect_exact("In [1]: ")
        shell.sendline("%load_ext qwen_widgets")
        shell.expect_exact("In [2]: ")
        shell.sendline("%config QwenMagics.offline_seconds = 0.2")
        shell.expect_exact("In [3]: ")
        shell.sendline("%qwenimage --seeds 1-2 --size 256x256 a red fox")
        shell.expect_exact("In [4]: ")
        text = shell.before
        assert "1 prompt × 2 seeds = 2 images · 2 new · no cost (offline preview)" in text
        assert "2 of 2 images" in text
        assert len(re.findall(r"\[0, \d\] seed \d: .+\.png", text)) == 2
        shell.sendline("%qwenimage --seeds x a red fox")
        shell.expect_exact("In [5]: ")
        assert "UsageError" in shell.before
        assert "Traceback" not in shell.before
    finally:
        shell.close(force=True)


def test_a_script_gets_its_grid_and_its_output_stays_its_own(
    tmp_path: Path, child_env: Callable[..., dict[str, str]]
) -> None:
    code = (
        "import asyncio\n"
        "import qwen_widgets as qw\n"
        "grid = qw.generate('a red fox', seeds='1-2', sizes='256x256')\n"
        "again = asyncio.run(qw.agenerate(['a red fox', 'a cat'], seeds=range(1, 3), sizes=(256, 256)))\n"
        "print(grid.shape, [cell.state for cell in grid], grid[0, 1].image.size, grid.cost)\n"
        "print([cell.cached for cell in again], again.failed)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child_env(tmp_path / "script"),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout == ("(1, 2) ['stored', 'stored'] (256, 256) 0.0\n[True, True, False, False] []\n")
    assert done.stderr == ""
