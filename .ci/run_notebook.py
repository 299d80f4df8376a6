"""Execute a notebook from its first to its last cell; any error output fails.

python run_notebook.py NOTEBOOK
"""

# ruff: noqa: INP001 - a script, in a folder that is no package

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main() -> None:
    """Execute in the notebook's own folder, with this interpreter's kernel."""
    path = Path(sys.argv[1]).resolve()
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        allow_errors=False,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    # A cell may be tagged raises-exception; a reader of the quickstart should meet no error at all.
    errors = [output for output in outputs if output.output_type == "error"]
    # A UsageError of a magic is no error output: IPython writes it to standard error.
    errors += [output for output in outputs if output.get("name") == "stderr"]
    for output in errors:
        sys.stderr.write(f"{output.get('evalue') or output.get('text')}\n")
    if errors or not outputs:
        raise SystemExit(f"{path.name}: {len(errors)} errors in {len(cells)} cells, {len(outputs)} outputs")
    sys.stdout.write(f"{path.name}: {len(cells)} cells, {len(outputs)} outputs, no error\n")


if __name__ == "__main__":
    main()
