"""Waiting for what comes a moment later in a page: the next frame, a dialog's end, what is seen for a moment only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
IDLE = "() => new Promise((done) => requestIdleCallback(() => requestIdleCallback(done)))"
_WATCH = """(condition) => {
    const holds = new Function(`return ${condition}`);
    window.__seen = holds();
    const watch = new MutationObserver(() => {
        if (!holds()) return;
        window.__seen = true;
        watch.disconnect();
    });
    watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}"""


def drawn(page: Page) -> None:
    """Wait until what has been changed is drawn."""
    page.evaluate(FRAMES)


def closed(page: Page) -> None:
    """Wait until no dialog is open, and until the viewer knows it.

    Closing gives the focus back at once, to where it was before. The `close` event comes with the next frame, and only
    there the viewer moves the focus to where the reader has got to: whoever goes on before loses the focus again.
    """
    page.wait_for_function("!document.querySelector('dialog[open]')")
    drawn(page)


@contextlib.contextmanager
def seen(page: Page, condition: str) -> Iterator[None]:
    """Do something after which an expression is true in the page, were it for a moment only."""
    page.evaluate(_WATCH, condition)
    yield
    page.wait_for_function("window.__seen")


def still(page: Page) -> None:
    """Wait until what moves has come to its end; what never ends is let go on."""
    page.evaluate("""() => Promise.allSettled(document.getAnimations()
        .filter((one) => Number.isFinite(one.effect?.getComputedTiming().endTime))
        .map((one) => one.finished))""")
