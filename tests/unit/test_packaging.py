"""The package as a whole: what importing it does, who imports whom, and what is in it beside Python."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest
from contract import ContractServer

import qwen_widgets

PACKAGE = Path(qwen_widgets.__file__).resolve().parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
ROOT = Path(__file__).resolve().parent.parent.parent

# --- importing ------------------------------------------------------------------------------------------------

HEAVY = ("IPython", "PIL", "anywidget", "httpx", "ipywidgets", "jinja2", "numpy", "starlette", "traitlets")

LOOK = """
import asyncio, atexit, builtins, json, logging, os, signal, sys, threading, warnings
def look():
    patched = [asyncio.run, asyncio.Task, asyncio.Future, asyncio.get_event_loop, asyncio.get_event_loop_policy(),
               asyncio.SelectorEventLoop.run_forever, asyncio.SelectorEventLoop._run_once, builtins.print,
               builtins.__import__, sys.excepthook, sys.displayhook, sys.stdout, sys.stderr, sys.meta_path[:],
               sys.path[:], warnings.filters[:], warnings.showwarning, signal.getsignal(signal.SIGINT),
               logging.getLogger().handlers[:], logging.getLogger().level, threading.excepthook,
               threading.active_count(), atexit._ncallbacks(), dict(os.environ), os.getcwd()]
    return patched, set(sys.modules)
before, loaded = look()
import qwen_widgets
after, now = look()
answer = {
    "changed": [repr(one) for one, other in zip(before, after) if one != other],
    "imported": sorted({name.partition(".")[0] for name in now - loaded}),
    "home": os.path.exists(os.environ["QWEN_WIDGETS_HOME"]),
    "names": [name for name in qwen_widgets.__all__ if not hasattr(qwen_widgets, name)],
}
"""
TELL = "sys.__stdout__.write('answer ' + json.dumps(answer))"


def run(code: str, env: dict[str, str], folder: Path) -> str:
    """Run some code in a fresh process without anything on stderr, and return its stdout."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_importing_costs_nothing_prints_nothing_and_patches_nothing(
    tmp_path: Path, child_env: Callable[..., dict[str, str]]
) -> None:
    out = run(f"{LOOK}\n{TELL}", child_env(tmp_path), tmp_path)
    assert out.startswith("answer "), "something was printed"
    answer = json.loads(out.removeprefix("answer "))
    assert answer["changed"] == []
    assert set(HEAVY).isdisjoint(answer["imported"])
    foreign = set(answer["imported"]) - set(sys.stdlib_module_names) - {"qwen_widgets"}
    assert foreign == set()
    assert answer["home"] is False
    assert answer["names"] == []


LATE = """
import json, os, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "qwen_widgets")
def tops():
    # A module without a spec was made in memory and never looked for in a folder.
    return {name.partition(".")[0] for name, module in list(sys.modules.items()) if getattr(module, "__spec__", None)}
loaded = tops()
import qwen_widgets as qw
states = [cell.state for cell in qw.generate("a red fox", seeds=1, sizes="256x256")]
os.environ.update(json.loads(os.environ["SERVER"]))
grid = qw.generate("a red fox", seeds=1, sizes="256x256")
grid.to_html("fox.html")
states += [cell.state for cell in grid]
answer = {"states": states, "late": sorted(tops() - loaded - set(sys.stdlib_module_names))}
"""


def test_no_library_is_imported_first_by_a_run(
    tmp_path: Path, child_env: Callable[..., dict[str, str]], contract_server: ContractServer
) -> None:
    # A file h11.py that a notebook has written into its folder would be imported in its place, with the key at hand.
    env = child_env(tmp_path, extra={"SERVER": json.dumps(contract_server.env())})
    out = run(f"{LATE}\n{TELL}", env, tmp_path)
    answer = json.loads(out.rpartition("answer ")[2])
    assert answer["states"] == ["stored", "stored"]
    assert len(contract_server.submits) == 1
    assert answer["late"] == []


# --- imports point down ---------------------------------------------------------------------------------------


class Import(NamedTuple):
    """One imported module, with its full dotted name."""

    name: str
    for_types: bool  # below `if TYPE_CHECKING`, so that it is never run

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


def imports(module: str) -> list[Import]:
    """Return all imports of one of our modules, wherever in it they stand."""
    return list(_imports(ast.parse((PACKAGE / module).read_text(encoding="utf-8")), for_types=False))


def _imports(node: ast.AST, *, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        below = for_types or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING")
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, below) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            base = child.module or ""
            for alias in child.names:
                full = f"{base}.{alias.name}"
                yield Import(full if _is_ours(full) else base, below)
        yield from _imports(child, for_types=below)


def _is_ours(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("qwen_widgets.") and (path.is_dir() or path.with_suffix(".py").is_file())


def importers(*names: str, below: str = "") -> set[str]:
    """Return the modules that import one of these libraries when they run."""
    return {
        module
        for module in MODULES
        if module.startswith(below) and any(one.top in names and not one.for_types for one in imports(module))
    }


#: For each room, what of ours it may import; a prefix of the dotted name. The package's own front door may know all.
DOORS = {
    "_version.py": (),
    "core/": ("core",),
    "grid/": ("core", "grid"),
    "offline/": ("core", "offline"),
    "portal.py": ("core.forks",),
    "settings.py": ("core", "grid"),
    "limits.py": ("core", "grid"),
    "options.py": ("core",),
    "runs.py": ("core", "grid"),
    "enhanced.py": ("core", "grid"),
    "studio.py": ("core", "enhanced", "grid", "limits", "offline", "options", "portal", "runs", "settings"),
    "making.py": ("core", "grid", "options", "studio"),
    "wording.py": ("core", "grid", "portal", "studio"),
    "account.py": ("core", "grid", "portal", "studio"),
    "catalogue.py": ("core", "grid", "portal", "studio"),
    "archive.py": ("core", "grid", "portal", "runs", "studio"),
    "doctor.py": ("core", "grid", "settings", "studio"),
    "magic.py": (
        "account",
        "archive",
        "catalogue",
        "core.enhancer",
        "core.errors",
        "core.models",
        "core.reading",
        "doctor",
        "grid",
        "offline",
        "options",
        "panel",
        "settings",
        "studio",
    ),
    "panel/": (
        "account",
        "archive",
        "core.arguments",
        "core.enhancer",
        "core.enhancing",
        "core.errors",
        "core.inputs",
        "core.models",
        "core.pacing",
        "core.reading",
        "core.request",
        "core.sweep",
        "core.syntax",
        "core.syntax_faults",
        "grid",
        "panel",
        "portal",
        "studio",
    ),
    "__main__.py": ("doctor", "offline", "studio"),
    "__init__.py": (
        "account",
        "archive",
        "core",
        "grid",
        "magic",
        "making",
        "panel",
        "settings",
        "studio",
        "wording",
    ),
}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    room = module if module in DOORS else module.partition("/")[0] + "/"
    assert room in DOORS, f"{module}: a new room needs its line in DOORS, and one in docs/architecture.md"
    ours = [one.name.removeprefix("qwen_widgets.") for one in imports(module) if one.top == "qwen_widgets"]
    allowed = ("_version", *DOORS[room])
    wrong = [name for name in ours if not any(f"{name}.".startswith(f"{door}.") for door in allowed)]
    assert wrong == []


def test_the_core_knows_nothing_of_jupyter() -> None:
    jupyter = ("IPython", "anywidget", "comm", "ipykernel", "ipywidgets", "jupyter_client", "traitlets")
    assert importers(*jupyter, below="core/") == set()
    assert importers(*jupyter, below="offline/") == set()


@pytest.mark.parametrize(
    ("libraries", "below", "rooms"),
    [
        (("httpx",), "", {"core/transport.py", "core/wavespeed.py", "core/download.py"}),
        (("sqlite3",), "", {"core/ledger.py", "core/ledger_file.py"}),
        (("nest_asyncio", "nest_asyncio2"), "", {"portal.py"}),
        (("PIL",), "core/", {"core/pictures.py"}),
        (("anywidget",), "", {"grid/viewer.py", "panel/bridge.py"}),
        (("starlette",), "core/", set()),
        (("starlette",), "grid/", set()),
        (("numpy",), "core/", set()),
        (("numpy",), "grid/", set()),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_library_has_its_one_importer(libraries: tuple[str, ...], below: str, rooms: set[str]) -> None:
    assert importers(*libraries, below=below) == rooms


# --- the files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_in_its_first_line_what_it_is_for(module: str) -> None:
    text = (PACKAGE / module).read_text(encoding="utf-8")
    first = ast.parse(text).body[0]
    assert isinstance(first, ast.Expr)
    assert isinstance(first.value, ast.Constant)
    assert isinstance(first.value.value, str)
    assert first.lineno == 1
    # One sentence, that a reader of the folder's first lines understands alone.
    assert len(first.value.value.splitlines()[0].rstrip(".")) > 15


def test_the_files_that_are_no_python_are_there() -> None:
    package = files("qwen_widgets")
    assert package.joinpath("py.typed").is_file()
    static = package.joinpath("grid", "static")
    for name in ("viewer.js", "viewer.css", "colours.css", "snapshot.html", "snapshot.css"):
        assert static.joinpath(name).read_text(encoding="utf-8").strip(), name


def test_the_binder_installs_what_the_quickstart_needs() -> None:
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [".[lab]"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"jupyterlab", "ipykernel"} <= {
        one.partition(">")[0] for one in project["optional-dependencies"]["lab"]
    }
    version = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
