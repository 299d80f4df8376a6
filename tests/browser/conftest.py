"""Fixtures with a real browser, once a file, and a real JupyterLab, once a session.

While Playwright's sync API is open its event loop runs in this thread, so the tests here are plain functions,
and it is closed at the end of each file: an async test behind it would find a loop that is running already.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hosts import Notebook, Voila
from lab import PAGE_TIMEOUT, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, WebError

HERE = Path(__file__).resolve().parent
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
# With QWEN_TESTS_LATE=200 in the environment all that comes a moment later comes so many milliseconds later: frames,
# `close` of a dialog, what a kernel says, the clipboard. A test that reads what it should have waited for fails then.
LATE = """(() => {
    const { requestAnimationFrame: frame, setTimeout: wait, clearTimeout: end } = window;
    const later = (work) => function (...all) { wait(() => work.apply(this, all), LATE); };
    let next = 0;
    const waiting = new Map();
    window.requestAnimationFrame = (work) => {
        const id = ++next;
        waiting.set(id, wait(() => frame((time) => waiting.delete(id) && work(time)), LATE));
        return id;
    };
    window.cancelAnimationFrame = (id) => { end(waiting.get(id)); waiting.delete(id); };
    const { addEventListener: listen } = EventTarget.prototype;
    HTMLDialogElement.prototype.addEventListener = function (kind, work, how) {
        listen.call(this, kind, kind === "close" ? later(work) : work, how);
    };
    const heard = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
    Object.defineProperty(WebSocket.prototype, "onmessage", { ...heard, set(work) { heard.set.call(this, later(work)); } });
    const { writeText } = window.Clipboard?.prototype ?? {};
    if (writeText) Clipboard.prototype.writeText = async function (text) {
        await new Promise((done) => wait(done, LATE));
        return writeText.call(this, text);
    };
})()"""
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give them time: before the first test of a host stands its start, and a busy machine is slow."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(600))


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
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PAGE_TIMEOUT)
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
    if late := int(os.environ.get("QWEN_TESTS_LATE", "0")):
        context.add_init_script(LATE.replace("LATE", str(late)))
    context.set_default_timeout(PAGE_TIMEOUT)
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
def _tidy_hosts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave no kernel and no theme to the next test. Set up first, it comes after the page is closed."""
    hosts = [request.getfixturevalue(name) for name in ("lab", "notebook") if name in request.fixturenames]
    yield
    for host in hosts:
        host.tidy()
