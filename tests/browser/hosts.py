"""The other hosts of notebooks, real ones as well: Notebook 7, which shares Lab's parts, and Voilà, which has no editor."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.parse
from typing import TYPE_CHECKING

from lab import PAGE_TIMEOUT, START_TIMEOUT, STOP_TIMEOUT, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_APP = "window.jupyterapp"


class Notebook(Lab):
    """A Notebook 7 server. What `Lab` does by the REST API and by the application's commands works here, too."""

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self.config_dir.mkdir(parents=True, exist_ok=True)
        config = {
            "ServerApp": {
                "port_retries": 0,
                "terminals_enabled": False,
                "open_browser": False,
                "allow_root": True,
            },
            "JupyterNotebookApp": {"expose_app_in_browser": True},
            "IdentityProvider": {"token": self.token},
        }
        (self.config_dir / "jupyter_notebook_config.json").write_text(json.dumps(config))
        self._spawn(
            lambda port: [
                "notebook",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={port}",
                f"--ServerApp.root_dir={self.root}",
            ]
        )

    def _goto(self, page: Page, tail: str = "") -> None:
        page.goto(f"{self.url}/notebooks{tail.removeprefix('/tree')}?token={self.token}")
        page.wait_for_function(f"() => !!{_APP}", timeout=PAGE_TIMEOUT)
        page.evaluate(f"async () => {{ await {_APP}.restored }}")

    def run_all(self, page: Page, *, timeout: float = PAGE_TIMEOUT) -> None:
        """Run → Run All Cells, by the menu."""
        page.locator(".lm-MenuBar-item").get_by_text("Run", exact=True).click()
        with self._command(page, "runmenu:run-all", timeout=timeout):
            page.locator('.lm-Menu-item[data-command="runmenu:run-all"]:visible').click()
        self.wait_idle(page, timeout)

    def cell(self, page: Page, index: int) -> Locator:
        """The cell with this index among all cells of the notebook."""
        return page.locator(".jp-Notebook .jp-Cell").nth(index)


class Voila(Lab):
    """A Voilà server for a folder of notebooks: a visit executes one, and shows its outputs only."""

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self._spawn(
            lambda port: [
                "voila",
                f"--port={port}",
                "--Voila.port_retries=0",
                "--Voila.ip=127.0.0.1",
                "--no-browser",
                str(self.root),
            ]
        )

    def _answers(self) -> bool:
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """End the server, which ends its kernels. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)

    def open(self, page: Page, name: str, theme: str = "light") -> None:
        """Visit a notebook, and wait until it is executed and its page is there."""
        query = urllib.parse.urlencode({"theme": theme})
        page.goto(
            f"{self.url}/voila/render/{urllib.parse.quote(self._relative(name))}?{query}",
            timeout=2 * PAGE_TIMEOUT,
        )
