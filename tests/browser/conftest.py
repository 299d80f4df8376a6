"""Fixtures with a real browser, once a file, and a real JupyterLab, once a session.

While Playwright's sync API is open its event loop runs in this thread, so the tests here are plain functions,
and it is closed at the end of each file: an async test behind it would find a loop that is running already.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hosts import Notebook, Voila
from lab import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, WebError

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Find the machine's Chromium."""
    for name in CHROMIUM:
        if path := shutil.which(name):
            return path
    pytest.skip(f"Chromium isn't installed: none of {', '.join(CHROMIUM)} is on the PATH.")


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """The one Chromium of a file's tests, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page in a context of its own. No exception may stay uncaught in it.

    It notes as it goes: ``page_errors`` (exceptions, asserted to be none at the end; clear the list where one is
    meant), ``console_errors`` (for looking), ``urls`` (all requests and WebSockets) and ``foreign_urls()``
    (those of them that left loopback).
    """
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.page_errors, page.console_errors, page.urls = [], [], []
    context.on("weberror", lambda e: _is_known(e) or page.page_errors.append(str(e.error)))
    context.on("console", lambda m: m.type == "error" and page.console_errors.append(m.text))
    context.on("request", lambda r: page.urls.append(r.url))
    page.on("websocket", lambda w: page.urls.append(w.url))
    page.foreign_urls = lambda: [url for url in page.urls if _leaves_loopback(url)]
    yield page
    context.close()
    assert page.page_errors == [], "uncaught exceptions in the page"


def _is_known(error: WebError) -> bool:
    """Tell the errors that are the hosts' own.

    ipywidgets in a notebook without any kernel: its manager reads session.kernel of null
    (https://github.com/jupyter-widgets/ipywidgets/issues/3970 and 3980). Notebook 7.6 in about every second start: its
    settings come in before the plugin that they are of.
    """
    text, stack = str(error.error), getattr(error.error, "stack", None) or ""
    return ("(reading 'kernel')" in text and "@jupyter-widgets/jupyterlab-manager" in stack) or (
        "(reading 'schema')" in text and "/static/notebook/notebook_core." in stack
    )


def _leaves_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in LOOPBACK


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, child_env: Callable[..., dict[str, str]]) -> Iterator[Lab]:
    """The one JupyterLab of the session. Its kernels run this checkout, without a key."""
    lab = Lab(tmp_path_factory.mktemp("lab"), child_env)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="session")
def notebook(
    tmp_path_factory: pytest.TempPathFactory, child_env: Callable[..., dict[str, str]]
) -> Iterator[Notebook]:
    """The one Notebook 7 of the session."""
    host = Notebook(tmp_path_factory.mktemp("notebook7"), child_env)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="session")
def voila(
    tmp_path_factory: pytest.TempPathFactory, child_env: Callable[..., dict[str, str]]
) -> Iterator[Voila]:
    """The one Voilà of the session."""
    host = Voila(tmp_path_factory.mktemp("voila"), child_env)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(autouse=True)
def _tidy_lab(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave no kernel and no theme to the next test. Set up first, it comes after the page is closed."""
    lab = request.getfixturevalue("lab") if "lab" in request.fixturenames else None
    yield
    if lab is not None:
        lab.tidy()
