"""A viewer on a static page with a stub of the widget's model, and no kernel."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

from PIL import Image
from waits import drawn

from qwen_widgets.grid.choices import Choices
from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.view import CellView, ColumnView, GridView, RowView
from qwen_widgets.grid.viewer import Viewer

PROMPTS = ("a red boat at sunset", "a blue boat at sunset", "a red boat in autumn")

# The part of anywidget's model that the module may use, with what it did written down.
STUB = """
async ([code, css, state, pictures, reached]) => {
  const log = window.log = { sent: [], keys: [], interrupts: [], made: [], revoked: [], timers: new Set() };
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const attributes = {}, listeners = new Map();
  const model = {
    get: (name) => attributes[name],
    on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
    off: (name, listener) => listeners.set(name, (listeners.get(name) ?? []).filter((one) => one !== listener)),
    send: (message) => log.sent.push(message),
    // As in JupyterLab, where a widget's manager shows its notebook's kernel.
    widget_manager: reached ? { context: { sessionContext: { session: { kernel: {
      interrupt: async () => log.interrupts.push(1) } } } } } : {},
    set() { throw new Error("the viewer writes nothing"); },
    save_changes() { throw new Error("the viewer writes nothing"); },
  };
  window.listening = () => [...listeners.values()].flat().length;
  window.change = (state, pictures) => {
    Object.assign(attributes, state);
    for (const [name, text] of Object.entries(pictures)) attributes[name] = bytes(text);
    for (const listener of listeners.get("change") ?? []) listener();
  };
  window.answer = (content, buffers) => { for (const listener of listeners.get("msg:custom") ?? []) listener(content, buffers.map(bytes)); };
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (blob) => { const url = createObjectURL.call(URL, blob); log.made.push(url); return url; };
  URL.revokeObjectURL = (url) => { log.revoked.push(url); revokeObjectURL.call(URL, url); };
  const { setInterval: start, clearInterval: end } = window;
  window.setInterval = (...all) => { const id = start(...all); log.timers.add(id); return id; };
  window.clearInterval = (id) => { log.timers.delete(id); end(id); };
  // JupyterLab hears keys on their way up, Notebook 7 on their way down; a key that gets through is noted twice.
  for (const down of [false, true]) document.addEventListener("keydown", (event) => log.keys.push(event.key), down);
  window.change(state, pictures);
  const source = createObjectURL.call(URL, new Blob([code], { type: "text/javascript" }));
  const module = await import(source);
  document.head.appendChild(document.createElement("style")).textContent = css;
  window.cleanup = module.default.render({ model, el: document.querySelector("#here") });
}
"""


def picture(colour: str = "teal") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (160, 90), colour).save(file, "JPEG")
    return file.getvalue()


def make_view(states: str = "s" * 12, *, columns: int = 4, **changes) -> GridView:
    """Make a view from one letter a cell: s(tored), w(aiting), r(unning), f(ailed), u(nknown), b(lank)."""
    names = {"s": "stored", "w": "waiting", "r": "running", "f": "failed", "u": "unknown", "b": "blank"}
    told = {
        "title": "Moderated",
        "reason": "It was flagged.",
        "paid": "Not charged.",
        "next_step": "Change it.",
    }
    cells = tuple(
        CellView(
            *divmod(at, columns),
            names[letter],
            1280,
            720,
            f"prompt {at // columns}, seed {at % columns + 1}",
            "$0.03" if letter == "s" else "",
            **(told if letter in "fu" else {}),
        )
        for at, letter in enumerate(states)
    )
    rows = len(states) // columns
    view = GridView(
        run_id="r",
        title="boats",
        facts=("3 prompts × 4 seeds", "Qwen Image 2.0"),
        provider="offline preview",
        offline=True,
        done=states.count("s"),
        failed=states.count("f"),
        total=len(states),
        running="w" in states or "r" in states,
        rows=tuple(RowView(prompt, mark(prompt, PROMPTS[0]), "16:9", "4 of 4") for prompt in PROMPTS[:rows]),
        columns=tuple(ColumnView(f"seed {seed + 1}", str(seed + 1)) for seed in range(columns)),
        cells=cells,
    )
    return replace(view, **changes)


def pictures(view: GridView, colour: str = "teal") -> dict[tuple[int, int], bytes]:
    return {(cell.row, cell.column): picture(colour) for cell in view.cells if cell.state == "stored"}


def wire(state: dict) -> list[dict]:
    """Split a state as the comm does: plain values, and buffers (here as base64, for evaluate's sake)."""
    buffers = {
        name: base64.b64encode(value).decode() for name, value in state.items() if isinstance(value, bytes)
    }
    return [{name: value for name, value in state.items() if name not in buffers}, buffers]


class Stage:
    """A viewer on a page; `show` sends over what the widget would send."""

    def __init__(self, page) -> None:
        self.page = page
        self.stands = False
        #: Whether the page can reach a kernel.
        self.kernel = False
        self.dialogs = []
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def open(self, view: GridView, thumbnails=None, choices=None) -> Stage:
        self.viewer = Viewer(view, pictures(view) if thumbnails is None else thumbnails, choices or Choices())
        self.viewer.send = lambda content, buffers=None: self.page.evaluate(
            "(all) => window.answer(...all)",
            [content, [base64.b64encode(buffer).decode() for buffer in buffers or ()]],
        )
        self._heard = 0
        self.viewer.send_state = lambda names: self.page.evaluate(
            "(all) => window.change(...all)", wire(self.viewer.get_state(names))
        )
        return self.mount()

    def mount(self) -> Stage:
        """Make a page of what the widget has now, as a second view or a page loaded again would."""
        state = self.viewer.get_state()
        code, css = state.pop("_esm"), state.pop("_css")
        synced = {
            name: value for name, value in state.items() if not name.startswith("_") and name != "layout"
        }
        self.page.set_content(
            "<!doctype html><html lang=en style='color-scheme:light dark'><title>stage</title><body><main><h1>stage</h1>"
            "<button id=before>before</button><div id=here></div></main></body>"
        )
        self.page.evaluate(STUB, [code, css, *wire(synced), self.kernel])
        self.page.wait_for_selector(
            ".qw-viewer .qw-tile .qw-box" if self.viewer._view.cells else ".qw-viewer"
        )
        return self

    def show(self, view: GridView, thumbnails=None) -> None:
        self.viewer.show(view, pictures(view) if thumbnails is None else thumbnails)
        self.settle()

    def stop_clock(self, now: float = 1_000_000) -> None:
        """Let the page's clock stand at this second: it goes on by ``page.clock.run_for`` alone."""
        # Playwright's goes on with the real one until it is told to pause.
        self.page.clock.install(time=now - 600)
        self.page.clock.pause_at(now)
        self.stands = True

    def settle(self) -> None:
        """Wait until what changed is drawn: that is in the next animation frame."""
        if self.stands:
            self.page.clock.run_for(40)
        else:
            drawn(self.page)

    def leave(self) -> None:
        """Close what is open, and wait until the focus is back."""
        self.press("Escape")
        assert self.count("dialog[open]") == 0

    def deliver(self) -> list[dict]:
        """Bring what the page has sent to the widget, and its answers back. Return the messages."""
        sent = self.log("sent")[self._heard :]
        self._heard += len(sent)
        for message in sent:
            self.viewer._handle_custom_msg(message, [])
        self.settle()
        return sent

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            if key == "Escape":
                self.hear_close()

    def hear_close(self) -> None:
        """Wait until the page has heard that a dialog was closed: that comes with the next frame."""
        if self.stands:
            self.page.wait_for_function("(window.frames_seen = (window.frames_seen ?? 0) + 1) % 4 === 0")
        else:
            drawn(self.page)

    def focus_on(self, row: int, column: int) -> None:
        self.tile(row, column).evaluate("(el) => el.focus()")

    def tile(self, row: int, column: int):
        return self.page.locator(f".qw-row:nth-child({row + 2}) .qw-tile").nth(column)

    def count(self, selector: str) -> int:
        return self.page.locator(f".qw-viewer {selector}").count()

    @property
    def focus(self) -> str | None:
        return self.page.evaluate("document.activeElement.getAttribute('aria-label')")

    def made(self, count: int) -> int:
        """Wait until so many pictures were made, the far ones too, and return how many there are then."""
        self.page.wait_for_function("(count) => log.made.length >= count", arg=count)
        return len(self.log("made"))

    def log(self, name: str):
        return self.page.evaluate(f"[...log.{name}]")
