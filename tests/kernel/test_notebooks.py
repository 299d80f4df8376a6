"""The notebooks that come with the package: each runs from its first to its last cell, and is saved with what it shows."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_its_first_to_its_last_cell(name, tmp_path, child_env):
    book = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(book)
    client = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=child_env(tmp_path))
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert outputs
    # An option that doesn't fit is no error output: IPython writes it to standard error.
    assert [output for output in outputs if "stderr" in (output.get("name"), output.output_type)] == []


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name != "explorer.ipynb"])
def test_a_notebook_is_saved_with_what_it_shows(name):
    book = nbformat.read(FOLDER / name, as_version=4)
    grids = [cell for cell in book.cells if cell.source.startswith("%%qwenimage")]
    assert len(grids) >= 2
    for cell in grids:
        shown = [
            output for output in cell.outputs if "qw-snapshot" in str(output.get("data", {}).get("text/html"))
        ]
        assert len(shown) == 1, cell.source
        assert "data:image/jpeg" in shown[0].data["text/html"]
    assert not [
        output for cell in book.cells for output in cell.get("outputs", ()) if output.output_type == "error"
    ]
    # No script of a widget's state, no path of a machine.
    text = json.dumps(book)
    assert "/home/" not in text
    assert "/tmp/" not in text
    assert len(text) < 2_000_000
