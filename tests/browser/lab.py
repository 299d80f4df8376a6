"""A real JupyterLab for the tests, and the things a person does in it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.sign import NotebookNotary
from waits import drawn

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

START_TIMEOUT = 120.0  # seconds; it takes 6 to 8 on two idle cores
STOP_TIMEOUT = 10.0
PAGE_TIMEOUT = 60_000  # milliseconds, as Playwright counts

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
KERNELSPEC = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}

# No request but to the server, no question about news, nothing that moves by itself.
SERVER_CONFIG = {
    "ServerApp": {"port_retries": 0, "terminals_enabled": False, "open_browser": False, "allow_root": True},
    "LabApp": {
        "expose_app_in_browser": True,  # window.jupyterapp, to wait for states that the DOM does not show
        "extension_manager": "readonly",
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "news_url": None,
    },
}
USER_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}

# The notebook that the person is looking at.
_PANEL = "window.jupyterapp?.shell?.currentWidget"
_OPEN = (
    f"path => {{ const p = {_PANEL}; return !!p?.context?.isReady && p.context.path === path"
    " && !!p.content?.model && p.content.widgets.length === p.content.model.cells.length }"
)
_IDLE = f"""() => {{
    const p = {_PANEL}; const s = p?.context?.sessionContext; const k = s?.session?.kernel;
    return !!k && s.isReady && k.connectionStatus === 'connected' && k.status === 'idle'
        && !p.content.widgets.some(c => ['running', 'scheduled'].includes(c.model.executionState));
}}"""
# A command of the application returns a promise, and it is the one sure sign that it is through.
_NOTE_COMMAND = """ids => {
    const commands = window.jupyterapp.commands;
    const started = new Promise(resolve => {
        const slot = (_, done) => {
            if (ids.includes(done.id)) { commands.commandExecuted.disconnect(slot); resolve(done.result); }
        };
        commands.commandExecuted.connect(slot);
    });
    window.__command = started.then(() => { window.__command_done = true; });
    window.__command_done = false;
}"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A JupyterLab server of this environment in a folder of its own, with helpers to use it by a browser."""

    def __init__(self, folder: Path, make_env: Callable[..., dict[str, str]]) -> None:
        self.folder = folder
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self.home = folder / "qwen"  # QWEN_WIDGETS_HOME of its kernels
        self.env = make_env(folder, home=self.home)
        self.config_dir = Path(self.env["JUPYTER_CONFIG_DIR"])
        self.data_dir = Path(self.env["JUPYTER_DATA_DIR"])
        self.token = secrets.token_hex(16)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    # --- the server

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self.config_dir.mkdir(parents=True, exist_ok=True)
        config = SERVER_CONFIG | {"IdentityProvider": {"token": self.token}}
        (self.config_dir / "jupyter_lab_config.json").write_text(json.dumps(config))
        for plugin, settings in USER_SETTINGS.items():
            file = self.config_dir / "lab" / "user-settings" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings))
        self._spawn(
            lambda port: [
                "jupyterlab",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={port}",
                f"--ServerApp.root_dir={self.root}",
            ]
        )

    def _spawn(self, module: Callable[[int], list[str]]) -> None:
        """Start ``python -m`` with what `module` says for a port, and return when the server answers there."""
        for _ in range(3):  # another process may take the free port first
            self.port = _free_port()
            with (self.folder / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *module(self.port)],
                    env=self.env,
                    cwd=self.root,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if self._answers():
                return
            self.stop()
        raise RuntimeError(f"{type(self).__name__} did not start:\n{self.log}")

    def _answers(self) -> bool:
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.api("GET", "/api/status")
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """End kernels and server. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            self.shutdown_kernels()
            self.api("POST", "/api/shutdown")
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the server and its kernels wrote, the last 6,000 characters."""
        return (self.folder / "server.log").read_text(errors="replace")[-6000:]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server's REST API, and return its JSON (None where it has none)."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        # No proxy of the machine stands between a test and its own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def kernels(self) -> list[dict[str, Any]]:
        """Return the running kernels: id, name, execution_state, connections."""
        return self.api("GET", "/api/kernels")

    def shutdown_kernels(self) -> None:
        """End all kernels, as "Shut Down All" does."""
        for kind in ("sessions", "kernels"):
            for one in self.api("GET", f"/api/{kind}"):
                try:
                    self.api("DELETE", f"/api/{kind}/{one['id']}")
                except urllib.error.HTTPError as error:
                    if error.code not in (404, 410):  # gone meanwhile
                        raise

    # --- notebooks as files

    def path(self, name: str) -> Path:
        return self.root / (name if name.endswith(".ipynb") else f"{name}.ipynb")

    def write_notebook(
        self, name: str, cells: Iterable[Any], metadata: Mapping[str, Any] | None = None
    ) -> Path:
        """Write a notebook: a str is a code cell, ("markdown", text) another, a dict is taken as it is.

        It is not trusted, as anything that comes from elsewhere.
        """
        book = nbformat.v4.new_notebook(metadata={"kernelspec": KERNELSPEC, **(metadata or {})})
        make = {
            "code": nbformat.v4.new_code_cell,
            "markdown": nbformat.v4.new_markdown_cell,
            "raw": nbformat.v4.new_raw_cell,
        }
        for cell in cells:
            if isinstance(cell, str):
                book.cells.append(make["code"](cell))
            elif isinstance(cell, tuple):
                kind, text = cell
                book.cells.append(make[kind](text))
            else:
                book.cells.append(nbformat.from_dict(cell))
        nbformat.validate(book)
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book, path)
        return path

    def read_notebook(self, name: str) -> nbformat.NotebookNode:
        return nbformat.read(self.path(name), as_version=4)

    @contextlib.contextmanager
    def _notary(self) -> Any:
        notary = NotebookNotary(data_dir=str(self.data_dir))
        try:
            yield notary
        finally:
            notary.store.close()

    def trust(self, name: str) -> None:
        """Sign a notebook as `jupyter trust` does. What Lab saved after running it is trusted already."""
        with self._notary() as notary:
            notary.sign(self.read_notebook(name))

    def is_trusted(self, name: str) -> bool:
        """Tell whether the file, as it is on disk, is signed."""
        with self._notary() as notary:
            return notary.check_signature(self.read_notebook(name))

    # --- in the browser

    def _relative(self, name: str) -> str:
        return self.path(name).relative_to(self.root).as_posix()

    def _goto(self, page: Page, tail: str = "") -> None:
        # A workspace of its own, so that no page finds the tabs of another.
        page.goto(f"{self.url}/lab/workspaces/{uuid.uuid4().hex[:8]}{tail}?token={self.token}")
        page.wait_for_function("() => !!window.jupyterapp", timeout=PAGE_TIMEOUT)
        page.evaluate("async () => { await window.jupyterapp.restored }")

    def _wait_open(self, page: Page, name: str) -> None:
        page.wait_for_function(_OPEN, arg=self._relative(name), timeout=PAGE_TIMEOUT)
        page.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-Cell").first.wait_for(timeout=PAGE_TIMEOUT)

    def open(self, page: Page, name: str) -> None:
        """Open a notebook by its address, with a kernel, and wait until that is idle."""
        self._goto(page, f"/tree/{urllib.parse.quote(self._relative(name))}")
        self._wait_open(page, name)
        self.wait_idle(page)

    def open_without_kernel(self, page: Page, name: str) -> None:
        """Open a notebook as "Open With → Notebook (no kernel)" does: none is started, none is joined.

        A saved widget says "Loading widget..." there for ever; with a new kernel (`shutdown_kernels`, then
        `open`) it says "Error displaying widget: model not found".
        """
        self._goto(page)
        page.evaluate(
            """path => window.jupyterapp.commands.execute('docmanager:open', {
                path, factory: 'Notebook', kernelPreference: {shouldStart: false, shouldReuse: false}})""",
            self._relative(name),
        )
        self._wait_open(page, name)
        page.wait_for_function(f"() => {_PANEL}.context.sessionContext.isReady", timeout=PAGE_TIMEOUT)
        assert not page.evaluate(f"() => !!{_PANEL}.context.sessionContext.session?.kernel")

    def wait_idle(self, page: Page, timeout: float = PAGE_TIMEOUT) -> None:
        """Wait until the kernel is connected and idle and no cell is running or queued. In milliseconds."""
        page.wait_for_function(_IDLE, timeout=timeout)

    @contextlib.contextmanager
    def _command(self, page: Page, *ids: str, timeout: float = PAGE_TIMEOUT, wait: bool = True) -> Any:
        """Do something that makes Lab run one of these commands, and wait until that command is through."""
        page.evaluate(_NOTE_COMMAND, list(ids))
        yield
        if wait:
            page.wait_for_function("() => window.__command_done", timeout=timeout)

    def run_all(self, page: Page, *, wait: bool = True, timeout: float = PAGE_TIMEOUT) -> None:
        """Run → Run All Cells, by the menu. Waits until all have run, or one has failed."""
        with self._command(page, "runmenu:run-all", timeout=timeout, wait=wait):
            self.menu(page, "Run", "runmenu:run-all")
        if wait:
            self.wait_idle(page, timeout)

    def menu(self, page: Page, title: str, command: str) -> None:
        """Click an item of the menu bar, known by its command."""
        page.locator("#jp-MainMenu .lm-MenuBar-item").get_by_text(title, exact=True).click()
        page.locator(f'.lm-Menu-item[data-command="{command}"]:visible').first.click()

    def run_cell(self, page: Page, index: int, *, wait: bool = True, timeout: float = PAGE_TIMEOUT) -> None:
        """Click into a cell's editor and press Control+Enter."""
        drawn(page)  # a dialog of ours that was closed gives the focus back with the next frame
        self.cell(page, index).locator(".jp-InputArea-editor .cm-content").click()
        with self._command(page, "notebook:run-cell", timeout=timeout, wait=wait):
            page.keyboard.press("Control+Enter")
        if wait:
            self.wait_idle(page, timeout)

    def save(self, page: Page) -> None:
        """Press Control+S, and wait until the file is written."""
        before = page.evaluate(f"() => {_PANEL}.context.contentsModel.last_modified")
        with self._command(page, "docmanager:save"):
            page.keyboard.press("Control+s")
        page.wait_for_function(
            f"before => {{ const c = {_PANEL}.context; return !c.model.dirty && c.contentsModel.last_modified !== before }}",
            arg=before,
            timeout=PAGE_TIMEOUT,
        )

    def close(self, page: Page) -> None:
        """Leave the page, as closing the browser's tab does: the kernel lives on, unsaved changes are lost."""
        page.evaluate(f"() => {{ const m = {_PANEL}?.context?.model; if (m) m.dirty = false }}")
        page.goto("about:blank")

    def set_theme(self, page: Page | None, theme: str) -> None:
        """Switch to "dark" or "light", in an open page at once, or (None) for the pages opened from now on."""
        if page is None:
            self._put_settings("@jupyterlab/apputils-extension:themes", {"theme": THEMES[theme]})
            return
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[theme]
        )
        light = json.dumps(theme == "light")
        page.locator(f'body[data-jp-theme-light="{light}"]').wait_for(state="attached", timeout=PAGE_TIMEOUT)

    def _put_settings(self, plugin: str, settings: Mapping[str, Any]) -> None:
        self.api("PUT", f"/lab/api/settings/{plugin}", {"raw": json.dumps(settings)})

    def tidy(self) -> None:
        """Put back what a test may have changed for the next one: kernels, theme."""
        self.shutdown_kernels()
        self._put_settings("@jupyterlab/apputils-extension:themes", {})

    def printed(self, page: Page, index: int) -> str:
        """What a cell that has run has printed.

        It is read from the notebook and not from the page, which shows a text some frames later.
        """
        outputs = page.evaluate(f"index => {_PANEL}.content.model.cells.get(index).outputs.toJSON()", index)
        return "".join("".join(one.get("text", "")) for one in outputs).strip()

    def cell(self, page: Page, index: int) -> Locator:
        """The cell with this index among all cells of the notebook, code or not."""
        return page.locator(f'.jp-NotebookPanel:visible .jp-Cell[data-windowed-list-index="{index}"]')

    def cell_output(self, page: Page, index: int) -> Locator:
        """The output area of a cell."""
        return self.cell(page, index).locator(".jp-Cell-outputArea")

    def screenshot(self, page: Page, name: str) -> Path:
        """Take a picture of the page into the folder QWEN_SCREENSHOTS, or beside the notebooks."""
        folder = Path(os.environ.get("QWEN_SCREENSHOTS") or self.folder / "screenshots")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        return path
