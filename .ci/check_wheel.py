"""Use the installed wheel: two pictures offline, a page, the viewer, and the files that are no Python."""

# ruff: noqa: INP001 - a script, in a folder that is no package

from __future__ import annotations

import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

import qwen_widgets as qw

STATIC = ("viewer.js", "viewer.css", "words.json", "snapshot.html", "snapshot.css")


def main() -> None:
    """Fail with an assertion where something is missing."""
    package = Path(qw.__file__).resolve().parent
    assert package.parent == Path(sysconfig.get_path("purelib")).resolve(), f"{package} is not the wheel's"

    grid = qw.generate("a red fox", seeds="1-2", sizes="256x256")
    assert [cell.state for cell in grid] == ["stored", "stored"], [str(cell.error) for cell in grid]
    assert grid[0, 1].image.size == (256, 256)
    page = grid.to_html("fox.html").read_text(encoding="utf-8")
    assert page.count("base64,/9j/") == 2, "the page holds two JPEG pictures"

    static = files("qwen_widgets.grid") / "static"
    for name in STATIC:
        assert (static / name).is_file(), f"static/{name} is not in the wheel"
    for name in ("panel.js", "panel.css"):
        assert (files("qwen_widgets.panel") / "static" / name).is_file(), (
            f"panel/static/{name} is not in the wheel"
        )
    assert (files("qwen_widgets") / "py.typed").is_file()

    from qwen_widgets.grid.viewer import Viewer  # noqa: PLC0415 - after what is needed without a front end

    assert Viewer.__mro__[1].__module__.startswith("anywidget")
    sys.stdout.write(f"the wheel of {qw.__version__} works\n")


if __name__ == "__main__":
    main()
